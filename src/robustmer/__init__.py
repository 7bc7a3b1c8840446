"""robustmer: noise, systems, experiments and statistics for robust multimodal emotion recognition.

    import robustmer as rm

All public names are flat, `rm.NMER`, `rm.train`, `rm.evaluate`, and imported on first use.
"""

from importlib import import_module

__version__ = "0.1.0"

MODULES = ("book", "corpora", "experiments", "laws", "metrics")

PUBLIC = {
    "batch": ("MODALITIES", "Batch", "Samples", "collate", "mean_over_time"),
    "budget": ("Budget", "History"),
    "conditions": ("CLEAN", "Condition", "all_noisy", "corrupt", "drop", "incomplete", "missing", "uniform"),
    "corpora": ("Corpus", "CorpusError", "CorpusNotFound", "Split", "folds_by_group"),
    "evaluation": ("Diverged", "answers", "evaluate", "noise_cost", "score"),
    "experiments.grid": ("compute", "trained"),
    "experiments.ledger": ("Ledger",),
    "experiments.recipe": ("Recipe",),
    "noise": ("ZEROS", "Gaussian", "Impulse", "Linear", "NoiseScheduler", "ScaledLinear", "stream"),
    "regions": ("RegionNoise",),
    "resynthesis": ("Resynthesis",),
    "systems": (
        *("SYSTEMS", "AdamW", "Objective", "System", "Upstream", "count_parameters", "load", "save"),
        *("CDTP", "Completed", "Completion", "IFMMIN", "InvariantTeacher", "LogReg", "MCTN", "MEN", "MISA", "MMIM"),
        *("MISAWithCompletion", "MMIMWithCompletion", "MMIN", "MPLMM", "MPMM", "Majority", "MulT", "NMER"),
        *("MCWSA", "MCWSAClassifier", "NMERWithoutVAE", "UniMSE", "UniMSEWithCompletion"),
        *(
            "AlignedSER",
            "AugmentedSER",
            "ClassGaussian",
            "ConditionalGAN",
            "FeatureDiffusion",
            "InfoGAN",
            "LinearGaussian",
        ),
        "VQVAE",
        *("DSAE", "JointMVAE", "Latents", "MDVAE"),
    ),
    "tasks": ("Classify", "OwnError", "Reconstruct", "Regress", "Task"),
    "training": ("fit", "seeded", "show_progress", "steps_of", "train"),
}
HOME = {name: module for module, names in PUBLIC.items() for name in names}

__all__ = [*MODULES, *HOME]


def __getattr__(name: str):
    if name in MODULES:
        return import_module(f"robustmer.{name}")
    if name not in HOME:
        raise AttributeError(f"robustmer has no {name!r}; dir(robustmer) lists its names")
    globals()[name] = getattr(import_module(f"robustmer.{HOME[name]}"), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})
