"""One file a system, read from top to bottom. A new system is a file here and a line below."""

from robustmer.systems.cdtp import CDTP
from robustmer.systems.completed import Completed, MISAWithCompletion, MMIMWithCompletion, UniMSEWithCompletion
from robustmer.systems.if_mmin import IFMMIN
from robustmer.systems.logreg import LogReg
from robustmer.systems.majority import Majority
from robustmer.systems.mctn import MCTN
from robustmer.systems.men import MEN
from robustmer.systems.misa import MISA
from robustmer.systems.mmim import MMIM
from robustmer.systems.mmin import MMIN
from robustmer.systems.mplmm import MPLMM
from robustmer.systems.mpmm import MPMM
from robustmer.systems.mult import MulT
from robustmer.systems.nmer import NMER
from robustmer.systems.nmer_without_vae import NMERWithoutVAE
from robustmer.systems.system import Objective, Stage, System, count_parameters, load_system
from robustmer.systems.unimse import UniMSE

SYSTEMS: dict[str, type[System]] = {
    "Majority": Majority,
    "LogReg": LogReg,
    "MEN": MEN,
    "MCTN": MCTN,
    "MMIN": MMIN,
    "IFMMIN": IFMMIN,
    "NMER": NMER,
    "NMERWithoutVAE": NMERWithoutVAE,
    "MulT": MulT,
    "MPMM": MPMM,
    "MPLMM": MPLMM,
    "CDTP": CDTP,
    "MISA": MISA,
    "MMIM": MMIM,
    "UniMSE": UniMSE,
    "MISAWithCompletion": MISAWithCompletion,
    "MMIMWithCompletion": MMIMWithCompletion,
    "UniMSEWithCompletion": UniMSEWithCompletion,
}

__all__ = ["SYSTEMS", "CDTP", "Completed", "IFMMIN", "LogReg", "MCTN", "MEN", "MISA", "MISAWithCompletion", "MMIM",
           "MMIMWithCompletion", "MMIN", "MPLMM", "MPMM", "Majority", "MulT", "NMER", "NMERWithoutVAE", "Objective",
           "Stage", "System", "UniMSE", "UniMSEWithCompletion", "count_parameters", "load_system"]
