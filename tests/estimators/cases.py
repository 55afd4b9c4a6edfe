"""The settings every estimator is tested with; a new estimator adds its line here."""

from rlr_core.estimators.registry import ESTIMATORS

# Large enough that a batch is differentiated in one go.
WHOLE = {"micro_batch_size": 1_000_000}

SETTINGS: dict[str, list[dict]] = {
    "first_order": [{"first_order_steps": K} for K in (1, 3, 5)],
    "full_backprop": [{}],
    "half_order": [
        {"sub_chain_length": 1, "num_sub_chains": 5, "uncovered_tail": 0, "baseline": "leave_one_out"},
        {"sub_chain_length": 2, "num_sub_chains": 1, "uncovered_tail": 0, "baseline": "leave_one_out"},
        {"sub_chain_length": 2, "num_sub_chains": 2, "uncovered_tail": 2, "baseline": "none"},
        {"sub_chain_length": 4, "num_sub_chains": 1, "uncovered_tail": 0, "baseline": "none"},
    ],
    "antithetic_half_order": [
        {"sub_chain_length": 1, "num_sub_chains": 1, "uncovered_tail": 0},
        {"sub_chain_length": 2, "num_sub_chains": 2, "uncovered_tail": 0},
        {"sub_chain_length": 4, "num_sub_chains": 1, "uncovered_tail": 0},
        {"sub_chain_length": 2, "num_sub_chains": 1, "uncovered_tail": 2},
        {"sub_chain_length": 3, "num_sub_chains": 1, "uncovered_tail": 1},
    ],
    "rlr_antithetic": [
        {"first_order_steps": 1, "sub_chain_length": 1, "num_sub_chains": 1},
        {"first_order_steps": 1, "sub_chain_length": 2, "num_sub_chains": 2},
        {"first_order_steps": 1, "sub_chain_length": 3, "num_sub_chains": 1},
        {"first_order_steps": 2, "sub_chain_length": 3, "num_sub_chains": 1},
        {"first_order_steps": 4, "sub_chain_length": 1, "num_sub_chains": 1},
    ],
}

CASES = [(name, settings) for name, many in SETTINGS.items() for settings in many]
NAMES = [f"{name} {' '.join(f'{key}={value}' for key, value in settings.items())}" for name, settings in CASES]


def make(name: str, settings: dict):
    """The estimator `name` with these settings."""
    plugin = ESTIMATORS[name]
    return plugin.factory(plugin.settings(**(WHOLE | settings)))
