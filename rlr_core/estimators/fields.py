"""Settings that several estimators share: each function makes one dataclass field."""

from typing import Any

from rlr_core.config import setting
from rlr_core.estimators.advantage import ADVANTAGES
from rlr_core.estimators.placement import PLACES


def first_order_steps(default: int = 4) -> Any:  # noqa: ANN401 - a dataclass field
    """K."""
    return setting(
        default,
        "Last steps the reward is propagated back through: more cover more and take more memory.",
        minimum=1, maximum=1000, symbol="K",
    )  # fmt: skip


def sub_chain_length(default: int = 4) -> Any:  # noqa: ANN401
    """h."""
    return setting(default, "Steps that one half-order sub-chain covers.", minimum=1, maximum=1000, symbol="h")


def num_sub_chains() -> Any:  # noqa: ANN401
    """m."""
    return setting(
        1, "Half-order sub-chains drawn for an estimate: more give less noise and take more time.", minimum=1, maximum=1000, symbol="m"
    )


def num_flips() -> Any:  # noqa: ANN401
    """n."""
    return setting(
        1,
        "Twins of each picture and sub-chain, each with another part of the noise flipped: more give less noise and take more time.",
        minimum=1, maximum=1024, symbol="n",
    )  # fmt: skip


def place() -> Any:  # noqa: ANN401
    """How sub-chains are drawn."""
    return setting(
        "uniform",
        "Which sub-chains are drawn more often: all alike, or those whose gradients were long so far (weighted back, so the mean stays).",
        choices=PLACES,
    )


def advantage(default: str = "leave_one_out") -> Any:  # noqa: ANN401
    """A."""
    return setting(
        default,
        "What a picture's reward is compared with: nothing, or the mean of the other pictures of its prompt (both unbiased); or, biased, "
        "the mean of the whole batch, or its prompt's mean in units of its prompt's spread.",
        choices=tuple(ADVANTAGES),
        symbol="A",
    )


def uncovered_tail(default: int = 4) -> Any:  # noqa: ANN401
    """Steps from the end that are left out."""
    return setting(
        default,
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
