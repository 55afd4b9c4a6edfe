"""All estimators by name. A new one is a file beside this one and a line here."""

from rlr_core.estimators.antithetic_half_order import AntitheticHalfOrder, AntitheticHalfOrderSettings
from rlr_core.estimators.estimate import Estimator
from rlr_core.estimators.first_order import FirstOrder, FirstOrderSettings
from rlr_core.estimators.full_backprop import FullBackprop, FullBackpropSettings
from rlr_core.estimators.half_order import HalfOrder, HalfOrderSettings
from rlr_core.estimators.ppo import PPO, PPOSettings
from rlr_core.estimators.rlr import RLR, RLRSettings
from rlr_core.estimators.rlr_antithetic import RLRAntithetic, RLRAntitheticSettings
from rlr_core.estimators.score_function import ScoreFunction, ScoreFunctionSettings
from rlr_core.estimators.truncated_backprop import TruncatedBackprop, TruncatedBackpropSettings
from rlr_core.estimators.zeroth_order import ZerothOrder, ZerothOrderSettings
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
        "Compares each picture with twins that differ by flipped noise at one step; works with any reward, even a person's answers.",
        AntitheticHalfOrderSettings,
        AntitheticHalfOrder,
    ),
    "rlr": Plugin(
        "RLR of the paper",
        "First order on the last step, half order on one random sub-chain, zeroth order on the rest (Eq. 6, repaired); very noisy.",
        RLRSettings,
        RLR,
    ),
    "half_order": Plugin(
        "Half order, one-sided",
        "Likelihood ratios on random sub-chains; works with any reward, with far more noise than twins.",
        HalfOrderSettings,
        HalfOrder,
    ),
    "score_function": Plugin(
        "Score function (DDPO-SF)",
        "The classical likelihood ratio at every step; works with any reward, very noisy.",
        ScoreFunctionSettings,
        ScoreFunction,
    ),
    "ppo": Plugin(
        "PPO (DDPO-IS)",
        "Uses each batch several times, with clipped likelihood ratios; works with any reward, biased and noisy.",
        PPOSettings,
        PPO,
    ),
    "zeroth_order": Plugin(
        "Zeroth order (MeZO and its kin)",
        "Perturbs the parameters and looks at the reward alone: two samplings and no backpropagation; very noisy.",
        ZerothOrderSettings,
        ZerothOrder,
    ),
    "first_order": Plugin(
        "First order, last steps only",
        "Backpropagates through the last steps and ignores the earlier ones: little noise, but biased for the whole chain.",
        FirstOrderSettings,
        FirstOrder,
    ),
    "truncated_backprop": Plugin(
        "Truncated backpropagation (AlignProp, DRaFT-K)",
        "Backpropagates through a fixed or random number of last steps: little noise, but biased for the whole chain.",
        TruncatedBackpropSettings,
        TruncatedBackprop,
    ),
    "full_backprop": Plugin(
        "Full backpropagation",
        "The reference: exact derivatives through every step, at a memory cost that grows with the number of steps.",
        FullBackpropSettings,
        FullBackprop,
    ),
}
