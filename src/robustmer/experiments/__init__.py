"""Experiments: recipes, the ledger, statistics, tables and papers, and the folders that they read and write."""

from __future__ import annotations

import os
from pathlib import Path


def project() -> Path:
    """The project folder: ROBUSTMER_HOME, else the nearest folder upwards that has `_toc.yml` and `results/`.

    Raises FileNotFoundError outside of a project. The library itself needs none: give it folders instead.
    """
    home = os.environ.get("ROBUSTMER_HOME")
    if home:
        folder = path_of(home).resolve()
        if is_project(folder):
            return folder
        raise FileNotFoundError(
            f"ROBUSTMER_HOME is {home!r}, which has no _toc.yml and results/; "
            "set it to a clone of the robustmer repository"
        )
    folder = project_above(Path.cwd())
    if folder is None:
        raise FileNotFoundError(
            f"{Path.cwd()} is not inside a robustmer project (a folder with _toc.yml and results/); "
            "change into a clone of the repository or set ROBUSTMER_HOME to one"
        )
    return folder


def runs() -> Path:
    """The folder of one's own runs: `runs` in the project around the current directory, else in that directory."""
    return (project_above(Path.cwd()) or Path.cwd()) / "runs"


def data() -> Path:
    """The folder of the corpora: ROBUSTMER_DATA, else `data` in the project around the current directory or in it."""
    given = os.environ.get("ROBUSTMER_DATA")
    return path_of(given).resolve() if given else (project_above(Path.cwd()) or Path.cwd()) / "data"


def project_above(folder: Path) -> Path | None:
    return next(filter(is_project, (folder, *folder.parents)), None)


def is_project(folder: Path) -> bool:
    return (folder / "_toc.yml").is_file() and (folder / "results").is_dir()


def path_of(text: str | Path) -> Path:
    """The path with `~` expanded; ValueError if the home folder of that user is unknown."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{text}: this machine has no such user's home folder; give the full path") from error


def check_device(device: str) -> None:
    """Raise ValueError if torch cannot compute on this device, for example `cuda` without a GPU, or `meta`."""
    import torch

    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch built without CUDA
        usable = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ValueError(f"device {device!r} cannot be used on this machine; it has {usable}") from error
