"""The settings every estimator is tested with; a new estimator adds its line here."""

from dataclasses import fields

from rlr_core.estimators.registry import ESTIMATORS

# As large as it may be: a batch is differentiated in few goes.
WHOLE = {"micro_batch_size": 1024}

SETTINGS: dict[str, list[dict]] = {
    "first_order": [{"first_order_steps": K} for K in (1, 3, 5)],
    "full_backprop": [{}],
    "half_order": [
        {"sub_chain_length": 1, "num_sub_chains": 5, "uncovered_tail": 0, "advantage": "leave_one_out"},
        {"sub_chain_length": 2, "num_sub_chains": 1, "uncovered_tail": 0, "advantage": "leave_one_out"},
        {"sub_chain_length": 2, "num_sub_chains": 2, "uncovered_tail": 2, "advantage": "none"},
        {"sub_chain_length": 4, "num_sub_chains": 1, "uncovered_tail": 0, "advantage": "none"},
    ],
    "antithetic_half_order": [
        {"sub_chain_length": 1, "num_sub_chains": 1, "uncovered_tail": 0},
        {"sub_chain_length": 2, "num_sub_chains": 2, "uncovered_tail": 0},
        {"sub_chain_length": 4, "num_sub_chains": 1, "uncovered_tail": 0},
        {"sub_chain_length": 2, "num_sub_chains": 1, "uncovered_tail": 2},
        {"sub_chain_length": 3, "num_sub_chains": 1, "uncovered_tail": 1},
        {"sub_chain_length": 0, "num_sub_chains": 1, "uncovered_tail": 1},
        {"sub_chain_length": 1, "num_sub_chains": 2, "uncovered_tail": 0, "place": "gradient_norm"},
    ],
    "rlr_antithetic": [
        {"sub_chain_length": 1},
        {"first_order_steps": 1, "sub_chain_length": 1, "num_sub_chains": 1},
        {"first_order_steps": 1, "sub_chain_length": 2, "num_sub_chains": 2},
        {"first_order_steps": 1, "sub_chain_length": 3, "num_sub_chains": 1},
        {"first_order_steps": 2, "sub_chain_length": 3, "num_sub_chains": 1},
        {"first_order_steps": 4, "sub_chain_length": 1, "num_sub_chains": 1},
        {"first_order_steps": 1, "sub_chain_length": 1, "num_sub_chains": 2, "place": "gradient_norm"},
    ],
    "score_function": [
        {"advantage": "leave_one_out"},
        {"advantage": "none", "uncovered_tail": 2},
    ],
    "ppo": [{"inner_epochs": 1, "advantage": "leave_one_out"}],
    "truncated_backprop": [
        {"cut": "fixed", "first_order_steps": 2},
        {"cut": "uniform", "first_order_steps": 4},
        {"cut": "gaussian", "first_order_steps": 3, "cut_spread": 1.5},
    ],
    "zeroth_order": [
        {"is_shared": True, "perturbation_std": 0.01, "num_perturbations": 10},
        {"is_shared": False, "perturbation_std": 0.3, "num_perturbations": 10},
        {"is_shared": False, "perturbation_std": 0.3, "num_perturbations": 10, "comparison": "unperturbed"},
        {"is_shared": False, "perturbation_std": 0.3, "num_perturbations": 10, "comparison": "none"},
        {"is_shared": True, "perturbation_std": 0.01, "num_perturbations": 10, "rule": "hizoo", "rule_settings": {"smoothing": 0.01}},
        {"is_shared": False, "perturbation_std": 0.01, "num_perturbations": 10, "rule": "lezo", "rule_settings": {"active_share": 0.5}},
        {"is_shared": True, "perturbation_std": 0.01, "num_perturbations": 10, "rule": "zo_finetuner"},
    ],
    "rlr": [
        {"perturbation_std": 0.3, "num_perturbations": 10},
        {"perturbation_std": 0.3, "num_perturbations": 10, "comparison": "unperturbed", "has_half_order": False},
        {"perturbation_std": 0.3, "num_perturbations": 10, "has_first_order": False, "uncovered_tail": 1},
        {"has_zeroth_order": False},
        {"has_zeroth_order": False, "place": "gradient_norm", "sub_chain_length": 1},
        {"has_zeroth_order": False, "has_first_order": False, "sub_chain_length": 3},
        {"has_zeroth_order": False, "has_half_order": False, "first_order_steps": 2},
        {"perturbation_std": 0.01, "num_perturbations": 10, "rule": "hizoo", "rule_settings": {"smoothing": 0.01}},
        {"perturbation_std": 0.01, "num_perturbations": 10, "rule": "lezo", "rule_settings": {"active_share": 0.5}},
        {"perturbation_std": 0.01, "num_perturbations": 10, "rule": "zo_finetuner"},
    ],
}

CASES = [(name, settings) for name, many in SETTINGS.items() for settings in many]
NAMES = [f"{name} {' '.join(f'{key}={value}' for key, value in settings.items())}" for name, settings in CASES]


def make(name: str, settings: dict):
    """The estimator `name` with these settings."""
    plugin = ESTIMATORS[name]
    known = {each.name for each in fields(plugin.settings)}
    return plugin.factory(plugin.settings(**({key: value for key, value in WHOLE.items() if key in known} | settings)))


# Several flips need a state of several elements.
FLIPS = [
    ("antithetic_half_order", {"sub_chain_length": 2, "num_sub_chains": 1, "uncovered_tail": 1, "num_flips": 3}),
    ("antithetic_half_order", {"sub_chain_length": 1, "num_sub_chains": 2, "uncovered_tail": 0, "num_flips": 2}),
    ("rlr_antithetic", {"first_order_steps": 1, "sub_chain_length": 2, "num_sub_chains": 1, "num_flips": 2}),
]
