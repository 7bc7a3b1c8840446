"""Every system, in a size that tests can afford: laws do not depend on it, and 90 million parameters take minutes."""

from robustmer.systems import MPLMM, MPMM, SYSTEMS, MulT


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


SMALL = {**SYSTEMS, "MulT": SmallMulT, "MPMM": SmallMPMM, "MPLMM": SmallMPLMM}
