"""Engines run trainings: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, InvalidStateError
from contextlib import contextmanager
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from robustmer.experiments.provenance import CODE, version_of_torch
from robustmer.experiments.work import Refused, Result, Work, about_process, run
from robustmer.extras import MissingExtra


@runtime_checkable
class Engine(Protocol):
    """Protocol of an engine. A future ends with a Result, with BrokenExecutor if its worker died, or with Refused."""

    def free(self) -> int:
        """The number of trainings that may start now. Raises ConnectionError where the engine is gone."""

    def submit(self, work: Work, weights: Mapping[str, bytes]) -> Future: ...

    def refuse(self, future: Future, error: Refused) -> None:
        """Stop using the worker of this future."""

    def close(self) -> None:
        """End the workers that this engine started, even at work."""


@contextmanager
def engine_named(name: str, workers: int, device: str) -> Iterator[Engine]:
    """The engine of that name, closed at the end of the block. Raises ValueError for an unknown engine or one that does
    not answer, MissingExtra without Dask."""
    if workers < 1:
        raise ValueError(f"workers={workers}: give the number of processes, 1 or more")
    if name.startswith("dask://"):
        engine: Engine = Dask(name, device)
    elif name == "local":
        engine = Inline() if workers == 1 else Local(workers)
    else:
        raise ValueError(f'engine {name!r}: give "local" or the address of a Dask scheduler, dask://HOST:PORT')
    try:
        yield engine
    finally:
        engine.close()


class Inline:
    """One training after the other, in this process."""

    def free(self) -> int:
        return 1

    def submit(self, work: Work, weights: Mapping[str, bytes]) -> Future:
        future: Future[Result] = Future()
        try:
            future.set_result(run(work, weights))
        except Exception as error:
            future.set_exception(error)
        return future

    def refuse(self, future: Future, error: Refused) -> None:
        raise ValueError(f"this process cannot go on: {error}") from error

    def close(self) -> None:
        pass


class Local:
    """Processes of this machine, each with its own executor, so that one that dies does not end the others."""

    def __init__(self, workers: int):
        self.running: list[tuple[object, Future | None]] = [(None, None)] * workers

    def free(self) -> int:
        return sum(future is None or future.done() for _, future in self.running)

    def submit(self, work: Work, weights: Mapping[str, bytes]) -> Future:
        from joblib.externals.loky import ProcessPoolExecutor

        place = next(i for i, (_, future) in enumerate(self.running) if future is None or future.done())
        executor, before = self.running[place]
        if before is not None and isinstance(before.exception(), BrokenExecutor):
            executor.shutdown(kill_workers=True)
            executor = None
        if executor is None:
            executor = ProcessPoolExecutor(
                1, initializer=end_with, initargs=(os.getpid(),), env={"OMP_NUM_THREADS": "1"}
            )
        future = executor.submit(run, work, dict(weights))
        self.running[place] = executor, future
        return future

    def refuse(self, future: Future, error: Refused) -> None:
        raise ValueError(
            f"the library or a corpus changed on disk after this run had begun ({error}); start the run again"
        ) from error

    def close(self) -> None:
        for executor, _ in self.running:
            if executor is not None:
                executor.shutdown(wait=True, kill_workers=True)


def end_with(parent: int) -> None:
    """Initialise a worker process: it ends within a second after its parent, and leaves Ctrl-C, which a terminal sends
    to all processes, to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Dask:
    """The workers of a Dask cluster, one training each, also those that join later. They need the package and the
    corpora, but no shared files: upstream weights travel as futures. A worker with another library or torch is refused
    when it joins, one with other data when it loads them."""

    timeout_s = 10

    def __init__(self, address: str, device: str):
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingExtra(
                f"the engine {address} needs the extra `cluster`: pip install 'robustmer[cluster]' on every worker too"
            ) from error
        try:
            host = urlsplit(address)  # a client that finds no scheduler leaves tasks that complain later
            socket.create_connection((host.hostname, host.port), self.timeout_s).close()
            self.client = Client(address.replace("dask://", "tcp://"), timeout=self.timeout_s, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`"
            ) from error
        self.address, self.device = address, device
        self.workers: dict[str, Future | None] = {}
        self.refused: dict[str, str] = {}
        self.stored: dict[str, object] = {}
        self.waits = False

    def free(self) -> int:
        alive = self.alive()
        for worker in [worker for worker in self.workers if worker not in alive]:
            future = self.workers.pop(worker)
            if future is not None and not future.done():
                end(future, error=BrokenExecutor(f"the Dask worker {worker} died"))
                future.remote.cancel()
        self.examine({worker: threads for worker, threads in alive.items()
                      if worker not in self.workers and worker not in self.refused})  # fmt: skip
        if alive and not self.workers:
            reasons = "; ".join(dict.fromkeys(self.refused[worker] for worker in alive))
            raise ConnectionError(f"no worker of {self.address} can be used: {reasons}")
        if not alive and not self.waits:
            report(f"{self.address} has no workers; trainings start when one joins: dask worker HOST:PORT --nthreads 1")
        self.waits = not alive
        return sum(future is None or future.done() for future in self.workers.values())

    def alive(self) -> dict[str, int]:
        """The number of threads of each worker by its address. Raises ConnectionError without a scheduler."""
        try:
            if self.client.status != "running":
                raise OSError(f"the connection is {self.client.status}")
            return dict(self.client.nthreads())
        except OSError as error:
            raise self.lost() from error

    def lost(self) -> ConnectionError:
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # one sentence, and no tracebacks beside it
        return ConnectionError(
            f"the Dask scheduler at {self.address} is gone; what was computed is kept: start it and run again"
        )

    def examine(self, threads: Mapping[str, int]) -> None:
        """Accept workers that have joined, or refuse them and report the reason."""
        abouts = {}
        if threads:
            abouts = self.client.run(about_process, self.device, workers=list(threads), on_error="return")
        for worker, about in abouts.items():
            if isinstance(about, BaseException):
                problem = (
                    f"it cannot load this library ({type(about).__name__}: {about}); install robustmer {CODE} on it"
                )
            elif threads[worker] > 1:
                problem = (f"it has {threads[worker]} threads, whose trainings would share random streams; start it "
                           "with --nthreads 1")  # fmt: skip
            elif not about["problem"] and about["code"] != CODE:
                problem = f"its library is {about['code']}, that of this process {CODE}; install the same on both"
            elif not about["problem"] and about["torch"] != version_of_torch():
                problem = f"its torch is {about['torch']}, that of this process {version_of_torch()}; install the same"
            else:
                problem = about["problem"]
            if problem:
                self.reject(worker, problem)
            else:
                self.workers[worker] = None

    def reject(self, worker: str, problem: str) -> None:
        """Use a worker no longer, and say so once: two of its trainings may be in flight."""
        self.workers.pop(worker, None)
        if worker not in self.refused:
            self.refused[worker] = problem
            report(f"the Dask worker {worker} is not used: {' '.join(problem.split())[:500]}")

    def submit(self, work: Work, weights: Mapping[str, bytes]) -> Future:
        worker = next(worker for worker, future in self.workers.items() if future is None or future.done())
        for key, data in weights.items():
            if key not in self.stored:  # a task, not scattered data: it is made again if the worker that holds it dies
                self.stored[key] = self.client.submit(bytes, data, pure=False)
        remote = self.client.submit(
            run, work, {key: self.stored[key] for key in weights}, pure=False, retries=0, workers=[worker],
            allow_other_workers=False,
        )  # fmt: skip
        future: Future[Result] = Future()
        future.remote, future.worker = remote, worker  # the scheduler forgets a result that has no reference
        remote.add_done_callback(lambda done: self.finish(future, done))
        self.workers[worker] = future
        return future

    def finish(self, future: Future, remote) -> None:
        from distributed import KilledWorker

        try:
            end(future, result=remote.result())
        except KilledWorker:
            end(future, error=BrokenExecutor(f"the Dask worker {future.worker} died"))
        except BaseException as error:
            end(future, error=self.lost() if remote.cancelled() else error)

    def refuse(self, future: Future, error: Refused) -> None:
        self.reject(future.worker, str(error))

    def close(self) -> None:
        for future in self.workers.values():
            if future is not None and not future.done():
                future.remote.cancel()
        self.client.close()
        logging.getLogger("distributed.client").setLevel(logging.NOTSET)


def end(future: Future, result: Result | None = None, error: BaseException | None = None) -> None:
    """Set the result or the error of a future that has neither: a worker may die while its result arrives."""
    with contextlib.suppress(InvalidStateError):
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def report(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
