"""The systems, most of them one file each. A new system is a file and a line below."""

from robustmer import resynthesis as resynthesis  # its task, by name, for saved systems
from robustmer.systems.aligned import AlignedSER
from robustmer.systems.augmented import AugmentedSER
from robustmer.systems.cdtp import CDTP
from robustmer.systems.checkpoint import load, save
from robustmer.systems.completed import Completed, MISAWithCompletion, MMIMWithCompletion, UniMSEWithCompletion
from robustmer.systems.completion import Completion
from robustmer.systems.feature_diffusion import FeatureDiffusion
from robustmer.systems.frame_vae import Latents
from robustmer.systems.generators import ClassGaussian, ConditionalGAN, Generator, InfoGAN, LinearGaussian
from robustmer.systems.if_mmin import IFMMIN
from robustmer.systems.logreg import LogReg
from robustmer.systems.majority import Majority
from robustmer.systems.mctn import MCTN
from robustmer.systems.mcwsa import MCWSA, MCWSAClassifier
from robustmer.systems.mdvae import DSAE, JointMVAE, MDVAE
from robustmer.systems.men import MEN
from robustmer.systems.misa import MISA
from robustmer.systems.mmim import MMIM
from robustmer.systems.mmin import MMIN
from robustmer.systems.mplmm import MPLMM
from robustmer.systems.mpmm import MPMM
from robustmer.systems.mult import MulT
from robustmer.systems.nmer import NMER, NMERWithoutVAE
from robustmer.systems.system import AdamW, Objective, System, Upstream, count_parameters
from robustmer.systems.teacher import InvariantTeacher
from robustmer.systems.unimse import UniMSE
from robustmer.systems.vqvae import VQVAE

LIBRARY = (
    Majority, LogReg, MEN, MCTN, MMIN, IFMMIN, InvariantTeacher, NMER, NMERWithoutVAE, MulT, MPMM, MPLMM, Completion,
    CDTP, MISA, MMIM, UniMSE, MISAWithCompletion, MMIMWithCompletion, UniMSEWithCompletion,
    MCWSA, MCWSAClassifier,
    AlignedSER, InfoGAN, ConditionalGAN, FeatureDiffusion, ClassGaussian, LinearGaussian, AugmentedSER,
    VQVAE,
    MDVAE, DSAE, JointMVAE,
)  # fmt: skip
SYSTEMS: dict[str, type[System]] = {system.__name__: system for system in LIBRARY}

__all__ = [
    *SYSTEMS, "SYSTEMS", "AdamW", "Completed", "Generator", "Latents", "Objective", "System", "Upstream", "count_parameters", "load", "save",
]  # fmt: skip
