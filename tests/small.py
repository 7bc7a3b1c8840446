"""Every system, in a size that tests can afford: laws do not depend on it, and 90 million parameters take minutes."""

from robustmer.nn.completion import Completion
from robustmer.systems import CDTP, MISA, MMIM, MPLMM, MPMM, SYSTEMS, Completed, MulT, UniMSE


class SmallMulT(MulT):
    def __init__(self, dims, classes, width=6, layers=2, heads=2, lr=5e-3):
        super().__init__(dims, classes, width=width, layers=layers, heads=heads, lr=lr)


class SmallMPMM(MPMM):
    def __init__(self, dims, classes, width=6, layers=2, heads=2, length=3, lr=5e-3):
        super().__init__(dims, classes, width=width, layers=layers, heads=heads, length=length, lr=lr)


class SmallMPLMM(MPLMM):
    """Of three frames, where three kinds of length meet: those of a row, of what is generated and of prompts."""

    def __init__(self, dims, classes, width=6, layers=2, heads=2, frames=3, length=2, lr=5e-3):
        super().__init__(dims, classes, width, layers, heads, frames=frames, length=length, lr=lr)


class SmallMISAWithCompletion(Completed):
    def __init__(self, dims, classes):
        super().__init__(MISA(dims, classes), small_completion(dims))


class SmallMMIMWithCompletion(Completed):
    def __init__(self, dims, classes):
        super().__init__(MMIM(dims, classes), small_completion(dims))


T5 = {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 3, "num_heads": 2, "dropout_rate": 0.02}


class SmallUniMSE(UniMSE):
    """With a T5 that begins at random: two of three layers are fused."""

    def __init__(self, dims, classes, folder=None, config=T5, fused=2, width=12, adapter=12, shared=5,
                 lr=5e-3, lr_t5=5e-3):  # fmt: skip
        super().__init__(dims, classes, folder, config, fused, width, adapter, shared, lr=lr, lr_t5=lr_t5)


class SmallUniMSEWithCompletion(Completed):
    def __init__(self, dims, classes):
        super().__init__(SmallUniMSE(dims, classes), small_completion(dims))


def small_completion(dims):
    return Completion(dims, frames=3, widths=(8, 16), condition=4, steps=3)


class SmallCDTP(CDTP):
    """Its diffusion goes back in three steps."""

    def __init__(self, dims, classes, width=6, layers=2, heads=2, frames=3, length=2, unet=(8,), condition=6, steps=3,
                 lr=5e-3, lr_diffusion=5e-3):  # fmt: skip
        super().__init__(dims, classes, width, layers, heads, frames=frames, length=length, unet=unet,
                         condition=condition, steps=steps, lr=lr, lr_diffusion=lr_diffusion)  # fmt: skip


SMALL = {**SYSTEMS, "MulT": SmallMulT, "MPMM": SmallMPMM, "MPLMM": SmallMPLMM, "CDTP": SmallCDTP,
         "UniMSE": SmallUniMSE, "MISAWithCompletion": SmallMISAWithCompletion,
         "MMIMWithCompletion": SmallMMIMWithCompletion, "UniMSEWithCompletion": SmallUniMSEWithCompletion}
