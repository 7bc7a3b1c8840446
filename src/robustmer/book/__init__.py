"""The book: what pages display, the parameters of notebooks, and the build."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable

from robustmer import text


PROFILES = ("smoke", "quick", "paper")


def printable(page: object) -> str:
    """`text.printable` of several lines, in which two kinds of space keep a cell of a table on one line."""
    return text.printable(page, keep="\n\t\u00a0\u202f")


def nearest(name: str, known: Iterable[str]) -> str:
    """A question to put behind an unknown name, such as " (did you mean 'nmer'?)"; empty if no known name is near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def known(name: str, names: Iterable[str], noun: str) -> str:
    """The name, if it is one of `names`; else ValueError, which offers the nearest and lists all."""
    names = list(names)
    if name not in names:
        raise ValueError(f"there is no {noun} {name!r}{nearest(name, names)}; there are {', '.join(names) or 'none'}")
    return name


def end_children(grace_s: float = 1.0) -> None:
    """End all processes that this one started, kernels and workers of workers included."""
    import psutil

    children = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "resource_tracker" not in " ".join(child.cmdline()):  # it cleans up after the others, then ends itself
                child.terminate()
                children.append(child)
    for child in psutil.wait_procs(children, timeout=grace_s)[1]:
        with contextlib.suppress(psutil.Error):
            child.kill()
