"""One file a system, read from top to bottom. A new system is a file here and a line below."""

from robustmer.systems.logreg import LogReg
from robustmer.systems.men import MEN
from robustmer.systems.nmer import NMER
from robustmer.systems.system import Objective, Stage, System, count_parameters, load_system

SYSTEMS: dict[str, type[System]] = {
    "LogReg": LogReg,
    "MEN": MEN,
    "NMER": NMER,
}

__all__ = ["SYSTEMS", "LogReg", "MEN", "NMER", "Objective", "Stage", "System", "count_parameters", "load_system"]
