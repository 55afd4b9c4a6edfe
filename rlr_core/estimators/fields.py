"""Settings that several estimators share: each function makes one dataclass field."""

from typing import Any

from rlr_core.config import setting


def first_order_steps() -> Any:  # noqa: ANN401 - a dataclass field
    """K."""
    return setting(
        4, "Last steps the reward is propagated back through: more cover more and take more memory.", minimum=1, maximum=1000, symbol="K"
    )


def sub_chain_length() -> Any:  # noqa: ANN401
    """h."""
    return setting(4, "Steps that one half-order sub-chain covers.", minimum=1, maximum=1000, symbol="h")


def num_sub_chains() -> Any:  # noqa: ANN401
    """m."""
    return setting(
        1, "Half-order sub-chains drawn for an estimate: more give less noise and take more time.", minimum=1, maximum=1000, symbol="m"
    )


def uncovered_tail() -> Any:  # noqa: ANN401
    """Steps from the end that are left out."""
    return setting(
        4,
        "Last steps left out: their noise is so small that a likelihood ratio there is all variance, and twins look alike.",
        minimum=0, maximum=1000,
    )  # fmt: skip


def micro_batch_size() -> Any:  # noqa: ANN401
    """Rows differentiated at a time."""
    return setting(
        8,
        "Pictures differentiated at a time: fewer take less memory and more time; the gradient stays the same.",
        minimum=1, maximum=1024, unit="pictures",
    )  # fmt: skip
