"""All estimators by name. A new one is a file beside this one and a line here."""

from rlr_core.estimators.antithetic_half_order import AntitheticHalfOrder, AntitheticHalfOrderSettings
from rlr_core.estimators.estimate import Estimator
from rlr_core.estimators.first_order import FirstOrder, FirstOrderSettings
from rlr_core.estimators.full_backprop import FullBackprop, FullBackpropSettings
from rlr_core.estimators.half_order import HalfOrder, HalfOrderSettings
from rlr_core.estimators.rlr_antithetic import RLRAntithetic, RLRAntitheticSettings
from rlr_core.plugin import Plugin

ESTIMATORS: dict[str, Plugin[Estimator]] = {
    "rlr_antithetic": Plugin(
        "RLR with twins",
        "Backpropagates through the last steps and compares twins for the earlier ones; covers every step. Needs a differentiable reward.",
        RLRAntitheticSettings,
        RLRAntithetic,
    ),
    "antithetic_half_order": Plugin(
        "Twins only",
        "Compares each picture with a twin that differs by one flipped noise; works with any reward, even a person's answers.",
        AntitheticHalfOrderSettings,
        AntitheticHalfOrder,
    ),
    "half_order": Plugin(
        "Half order, one-sided",
        "Likelihood ratios on random sub-chains; works with any reward, with far more noise than twins.",
        HalfOrderSettings,
        HalfOrder,
    ),
    "first_order": Plugin(
        "First order, last steps only",
        "Backpropagates through the last steps and ignores the earlier ones: little noise, but biased for the whole chain.",
        FirstOrderSettings,
        FirstOrder,
    ),
    "full_backprop": Plugin(
        "Full backpropagation",
        "The reference: exact derivatives through every step, at a memory cost that grows with the number of steps.",
        FullBackpropSettings,
        FullBackprop,
    ),
}
