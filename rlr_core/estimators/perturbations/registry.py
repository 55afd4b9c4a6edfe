"""All perturbation rules by name."""

from rlr_core.estimators.perturbations.adamezo import AdaMeZO, AdaMeZOSettings
from rlr_core.estimators.perturbations.gaussian import Gaussian, GaussianSettings
from rlr_core.estimators.perturbations.hizoo import HiZOO, HiZOOSettings
from rlr_core.estimators.perturbations.lezo import LeZO, LeZOSettings
from rlr_core.estimators.perturbations.rule import PerturbationRule
from rlr_core.estimators.perturbations.zo_finetuner import ZOFinetuner, ZOFinetunerSettings
from rlr_core.plugin import Plugin

PERTURBATIONS: dict[str, Plugin[PerturbationRule]] = {
    "gaussian": Plugin("Plain", "Every parameter is perturbed alike (MeZO).", GaussianSettings, lambda settings: Gaussian()),
    "hizoo": Plugin("HiZOO", "Flat directions are perturbed further than steep ones, by a running curvature.", HiZOOSettings, HiZOO),
    "lezo": Plugin("LeZO", "A random part of the layers is perturbed at a time.", LeZOSettings, LeZO),
    "adamezo": Plugin(
        "AdaMeZO", "Adam's direction over the last perturbations, drawn again from their seeds; biased.", AdaMeZOSettings, AdaMeZO
    ),
    "zo_finetuner": Plugin(
        "ZO Fine-tuner", "A tiny network for each matrix learns how far to perturb it.", ZOFinetunerSettings, ZOFinetuner
    ),
}
