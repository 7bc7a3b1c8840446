"""Every system, in a size that tests can afford: laws do not depend on it, and 90 million parameters take minutes."""

import dataclasses

from family import SmallProbe
from robustmer.laws import SETTINGS
from robustmer.systems import (
    CDTP,
    DSAE,
    MCWSA,
    MDVAE,
    MISA,
    MMIM,
    MPLMM,
    MPMM,
    SYSTEMS,
    AlignedSER,
    AugmentedSER,
    AVTransformer,
    ClassGaussian,
    Completed,
    Completion,
    ConditionalGAN,
    FeatureDiffusion,
    FrameStatistics,
    InfoGAN,
    JointMVAE,
    LinearGaussian,
    MCWSAClassifier,
    MulT,
    UniMSE,
    Upstream,
)
from robustmer.tasks import OwnError


class SmallMulT(MulT):
    def __init__(self, shapes, task, width=6, layers=2, heads=2, lr=5e-3):
        super().__init__(shapes, task, width=width, layers=layers, heads=heads, lr=lr)


class SmallMPMM(MPMM):
    def __init__(self, shapes, task, width=6, layers=2, heads=2, length=3, lr=5e-3):
        super().__init__(shapes, task, width=width, layers=layers, heads=heads, length=length, lr=lr)


class SmallMPLMM(MPLMM):
    """Of three frames, where three kinds of length meet: those of a sample, of imputed frames and of prompts."""

    def __init__(self, shapes, task, width=6, layers=2, heads=2, frames=3, length=2, lr=5e-3):
        super().__init__(shapes, task, width, layers, heads, frames=frames, length=length, lr=lr)


class SmallCompletion(Completion):
    def __init__(self, shapes, task, frames=3, unet=(8, 16), condition=4, inject="concat", lr_diffusion=5e-3):
        super().__init__(shapes, task, frames, unet, condition, inject, lr_diffusion)


class SmallCDTP(CDTP):
    """Its diffusion is sampled in three steps."""

    upstream = {"completion": dataclasses.replace(CDTP.upstream["completion"], system=SmallCompletion)}

    def __init__(self, shapes, task, completion=None, width=6, layers=2, heads=2, frames=3, length=2, generative=True,
                 signal=True, type=True, unet=(8,), condition=6, inject="concat", lr_diffusion=5e-3, steps=3,
                 sampler="ddim", eta=0.0, start="noise", lr=5e-3):  # fmt: skip
        super().__init__(shapes, task, completion, width, layers, heads, 0.1, frames, length, generative, signal, type,
                         unet, condition, inject, lr_diffusion, steps, sampler, eta, start, lr)  # fmt: skip


class SmallCompleted(Completed):
    """Any backbone behind a small completion of three frames, sampled in three steps."""

    upstream = {"completion": Upstream(SmallCompletion, task=OwnError())}


class SmallMISAWithCompletion(SmallCompleted):
    def __init__(self, shapes, task, completion=None):
        super().__init__(MISA(shapes, task), completion, 3, 3)


class SmallMMIMWithCompletion(SmallCompleted):
    def __init__(self, shapes, task, completion=None):
        super().__init__(MMIM(shapes, task), completion, 3, 3)


T5 = {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 3, "num_heads": 2, "dropout_rate": 0.02}


class SmallUniMSE(UniMSE):
    """With a random T5: two of three layers are fused."""

    def __init__(self, shapes, task, folder=None, config=T5, fused=2, width=12, adapter=12, shared=5,
                 lr=5e-3, lr_t5=5e-3):  # fmt: skip
        super().__init__(shapes, task, folder, config, fused, width, adapter, shared, lr=lr, lr_t5=lr_t5)


class SmallUniMSEWithCompletion(SmallCompleted):
    def __init__(self, shapes, task, completion=None):
        super().__init__(SmallUniMSE(shapes, task), completion, 3, 3)


class SmallMCWSA(MCWSA):
    def __init__(
        self, shapes, task, fusion="cmha", bands=None, levels=None, channels=12, heads=2, dropout=0.1, lr=5e-3
    ):
        super().__init__(shapes, task, fusion, bands, levels, channels, heads, dropout, lr)


class SmallMCWSAClassifier(MCWSAClassifier):
    upstream = {"autoencoder": Upstream(SmallMCWSA, passes=("fusion", "bands", "levels"), task=OwnError())}

    def __init__(self, shapes, task, autoencoder=None, fusion="cmha", pretrain=True, freeze=False, bands=None, levels=None,
                 channels=12, heads=2, dropout=0.1, lr=5e-3):  # fmt: skip
        super().__init__(
            shapes, task, autoencoder, fusion, pretrain, freeze, bands, levels, channels, heads, dropout, lr
        )


class SmallMDVAE(MDVAE):
    """Twelve samples of noise are no reason to leave the prior, so the KL hardly counts."""

    def __init__(self, shapes, task, visual_codec=None, audio_codec=None, codecs=(), power=(), modalities=(), static=6,
                 shared=4, own=3, width=32, window=4, beta=0.01, warm_up=0, kl_static="once", lr=5e-3):  # fmt: skip
        super().__init__(shapes, task, visual_codec, audio_codec, codecs, power, modalities, static, shared, own, width,
                         window, beta, warm_up, kl_static, lr)  # fmt: skip


class SmallDSAE(DSAE):
    """Of the first modality, where none is named."""

    def __init__(self, shapes, task, visual_codec=None, audio_codec=None, modality=None, codecs=(), power=(), static=6,
                 own=5, width=32, window=4, beta=0.01, warm_up=0, kl_static="once", lr=5e-3):  # fmt: skip
        modality = modality or next(iter(shapes))
        super().__init__(shapes, task, visual_codec, audio_codec, modality, codecs, power, static, own, width, window,
                         beta, warm_up, kl_static, lr)  # fmt: skip


class SmallJointMVAE(JointMVAE):
    def __init__(self, shapes, task, visual_codec=None, audio_codec=None, codecs=(), power=(), shared=8, width=32,
                 window=4, beta=0.01, warm_up=0, lr=5e-3):  # fmt: skip
        super().__init__(
            shapes, task, visual_codec, audio_codec, codecs, power, shared, width, window, beta, warm_up, lr
        )


UNLABELLED = (Completion, MCWSA, MDVAE, JointMVAE, FrameStatistics)
"""Systems that learn without labels and are judged by their own error."""


class SmallAlignedSER(AlignedSER):
    def __init__(self, shapes, task, partner=None, align=True, width=32, lr=1e-2):
        super().__init__(shapes, task, partner, align, width, lr=lr)


def small(declared, system):
    return dataclasses.replace(declared, system=system)


ALIGNED = {"baseline": small(InfoGAN.upstream["baseline"], SmallAlignedSER)}


class SmallInfoGAN(InfoGAN):
    upstream = ALIGNED

    def __init__(self, shapes, task, baseline, partner=None, align=True, width=32, reads_partner=True, z=4,
                 hidden=0, weight_mi=1.0, lr=1e-2):  # fmt: skip
        super().__init__(shapes, task, baseline, partner, align, width, reads_partner, z, hidden, weight_mi, lr)


class SmallConditionalGAN(ConditionalGAN):
    upstream = ALIGNED

    def __init__(self, shapes, task, baseline, partner=None, align=True, width=32, hidden=16, lr=1e-2):
        super().__init__(shapes, task, baseline, partner, align, width, hidden, lr)


class SmallClassGaussian(ClassGaussian):
    upstream = ALIGNED

    def __init__(self, shapes, task, baseline, partner=None, align=True, width=32):
        super().__init__(shapes, task, baseline, partner, align, width)


class SmallLinearGaussian(LinearGaussian):
    upstream = ALIGNED

    def __init__(self, shapes, task, baseline, partner=None, align=True, width=32):
        super().__init__(shapes, task, baseline, partner, align, width)


class SmallFeatureDiffusion(FeatureDiffusion):
    upstream = ALIGNED

    def __init__(self, shapes, task, baseline, partner=None, align=True, width=32, hidden=16, steps=3):
        super().__init__(shapes, task, baseline, partner, align, width, hidden, steps)


SMALL_GENERATORS = {
    ConditionalGAN: SmallConditionalGAN,
    FeatureDiffusion: SmallFeatureDiffusion,
    InfoGAN: SmallInfoGAN,
    ClassGaussian: SmallClassGaussian,
    LinearGaussian: SmallLinearGaussian,
}


class SmallAugmentedSER(AugmentedSER):
    generators = {maker: small(made, SMALL_GENERATORS[made.system]) for maker, made in AugmentedSER.generators.items()}
    upstream = {
        "baseline": small(AugmentedSER.upstream["baseline"], SmallAlignedSER),
        "generator": generators["infogan"],
    }

    def __init__(self, shapes, task, baseline, generator=None, maker="infogan", factor=2, fresh=False, partner=None,
                 align=True, width=32, lr=1e-2):  # fmt: skip
        super().__init__(shapes, task, baseline, generator, maker, factor, fresh, partner, align, width, lr)


class SmallAVTransformer(AVTransformer):
    def __init__(self, shapes, task, width=16, heads=2, kernel=3, dropout=0.1, power=(), lr=1e-2):
        super().__init__(shapes, task, width, heads, kernel, dropout, power, lr)


class SmallFrameStatistics(FrameStatistics):
    def __init__(self, shapes, task, static=12, power=(), lr=0.05):
        super().__init__(shapes, task, static, power, lr)


OF_FRAMES = ("VQVAE",)
"""Systems that read pictures or power spectra only; their own tests check the laws in settings of such frames."""

SMALL = {**{name: system for name, system in SYSTEMS.items() if name not in OF_FRAMES},
         "MulT": SmallMulT, "MPMM": SmallMPMM, "MPLMM": SmallMPLMM, "Completion": SmallCompletion,
         "CDTP": SmallCDTP, "UniMSE": SmallUniMSE, "MISAWithCompletion": SmallMISAWithCompletion,
         "MMIMWithCompletion": SmallMMIMWithCompletion, "UniMSEWithCompletion": SmallUniMSEWithCompletion,
         "MCWSA": SmallMCWSA, "MCWSAClassifier": SmallMCWSAClassifier, "AlignedSER": SmallAlignedSER,
         "InfoGAN": SmallInfoGAN, "FeatureDiffusion": SmallFeatureDiffusion, "ConditionalGAN": SmallConditionalGAN,
         "ClassGaussian": SmallClassGaussian,
         "LinearGaussian": SmallLinearGaussian, "AugmentedSER": SmallAugmentedSER,
         "FrameStatistics": SmallFrameStatistics, "Probe": SmallProbe, "AVTransformer": SmallAVTransformer,
         "MDVAE": SmallMDVAE, "DSAE": SmallDSAE, "JointMVAE": SmallJointMVAE}  # fmt: skip


def setting_of(system, name):
    """The setting of that name, in which a system that learns without labels is judged by its own error."""
    setting = SETTINGS[name]
    return dataclasses.replace(setting, task=OwnError()) if issubclass(system, UNLABELLED) else setting
