"""Damage to files, as a disk or a network does it: what the tests of damage share."""

import multiprocessing
import signal

from hypothesis import HealthCheck, assume
from hypothesis import strategies as st

ALWAYS = dict(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def damaged(draw, whole: bytes, places=()):
    """The bytes after one mishap, more often at one of these `places` than elsewhere."""
    anywhere = st.integers(0, len(whole) - 1)
    at = places[draw(st.integers(0, len(places) - 1))] if places and draw(st.booleans()) else draw(anywhere)
    other, size, content = draw(anywhere), draw(st.integers(1, 9)), bytearray(whole)
    match draw(st.sampled_from(["flip", "flip", "overwrite", "insert", "delete", "cut", "swap", "double"])):
        case "flip":
            content[at] ^= 1 << draw(st.integers(0, 7))
        case "overwrite":
            content[at : at + size] = draw(st.binary(min_size=1, max_size=9))
        case "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=9))
        case "delete":
            del content[at : at + size]
        case "cut":
            del content[at:]
        case "swap":
            first, second = sorted((at, other))
            assume(first + size <= second)
            a, b = content[first : first + size], content[second : second + size]
            content[second : second + len(b)], content[first : first + size] = a, b
        case "double":
            content[at:at] = content[at : at + size]
    assume(content != whole)
    return bytes(content)


def in_another_process(function, *args) -> str:
    """The result or error of a function in a forked process, or the signal that ended it."""

    def run(sender):
        try:
            sender.send(repr(function(*args)))
        except Exception as error:
            sender.send(f"{type(error).__name__}: {error}")

    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=run, args=(sender,))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        return signal.Signals(-process.exitcode).name
    finally:
        process.join()
