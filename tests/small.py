"""Every system, in a size that tests can afford: laws do not depend on it, and 90 million parameters take minutes."""

from robustmer.systems import SYSTEMS, MulT


class SmallMulT(MulT):
    def __init__(self, dims, classes, width=6, layers=2, heads=2, lr=5e-3):
        super().__init__(dims, classes, width=width, layers=layers, heads=heads, lr=lr)


SMALL = {**SYSTEMS, "MulT": SmallMulT}
