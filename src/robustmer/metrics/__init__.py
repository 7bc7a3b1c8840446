"""Metrics, one definition each. Those that scikit-learn or scipy define are called from there."""

from robustmer.metrics.calibration import Calibration, calibration, ece, ece_floor, overconfidence, temperature
from robustmer.metrics.classification import CLASSIFICATION, f1, ua, ua_difference, wa
from robustmer.metrics.dependence import canonical_correlations, canonical_maps, gaussian_information
from robustmer.metrics.generation import (
    covariance_distance, frechet_distance, judge_auc, label_entropy, mean_distance, memorisation, spread_ratio, transfer,
)  # fmt: skip
from robustmer.metrics.pictures import psnr, scc, ssim
from robustmer.metrics.reconstruction import RECONSTRUCTION, average_distance, itakura_saito, mse
from robustmer.metrics.regression import REGRESSION, acc2_has0, acc2_non0, acc7, corr, f1_has0, f1_non0, mae
from robustmer.metrics.speech import log_spectral_distance, pesq, si_sdr, stoi

__all__ = [
    "CLASSIFICATION", "RECONSTRUCTION", "REGRESSION", "Calibration", "acc2_has0", "acc2_non0", "acc7",
    "average_distance", "calibration", "canonical_correlations", "canonical_maps", "corr", "covariance_distance",
    "ece", "ece_floor", "f1", "f1_has0", "f1_non0", "frechet_distance", "gaussian_information", "itakura_saito",
    "judge_auc", "label_entropy", "log_spectral_distance", "mae", "mean_distance", "memorisation", "mse",
    "overconfidence", "pesq", "psnr", "scc", "si_sdr", "spread_ratio", "ssim", "stoi", "temperature", "transfer",
    "ua", "ua_difference", "wa",
]  # fmt: skip
