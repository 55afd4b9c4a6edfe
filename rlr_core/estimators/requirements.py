"""What estimators require of a chain and a reward; each check returns its problems by setting, empty if there are none."""

from math import prod

from rlr_core.chain import DenoisingChain
from rlr_core.estimators.sub_chain import tile


def differentiable_reward(estimator: str, reward_is_differentiable: bool) -> dict[str, str]:
    """First order needs the reward's derivative."""
    if reward_is_differentiable:
        return {}
    return {
        "estimator": f"estimator = {estimator}: it propagates back through the reward, and this reward cannot be differentiated. "
        "Choose antithetic_half_order, which needs only the reward's values."
    }


def first_order_fits(chain: DenoisingChain, first_order_steps: int, most: int) -> dict[str, str]:
    """First order takes at most `most` of the chain's steps."""
    if first_order_steps <= most:
        return {}
    return {
        "first_order_steps": f"first_order_steps = {first_order_steps}: the chain has {chain.num_steps} steps, of which "
        f"first order can take {most} here. Use at most {most}, choose full_backprop, or sample with more steps."
    }


def sub_chains_fit_before_tail(chain: DenoisingChain, uncovered_tail: int, length: int, count: int) -> dict[str, str]:
    """The steps before the uncovered tail hold the sub-chains."""
    if uncovered_tail < chain.num_steps:
        return sub_chains_fit(chain, chain.num_steps - uncovered_tail, length, count)
    return {
        "uncovered_tail": f"uncovered_tail = {uncovered_tail}: the chain has {chain.num_steps} steps, so none would be covered. "
        f"Use at most {chain.num_steps - 1} or sample with more steps."
    }


def sub_chains_fit(chain: DenoisingChain, stop: int, length: int, count: int) -> dict[str, str]:
    """Steps 0 .. stop-1 (stop > 0) hold the sub-chains, and each ends with noise to divide by; a length of 0 is one of all steps."""
    found, length = {}, length or stop
    if length > stop:
        found["sub_chain_length"] = (
            f"sub_chain_length = {length}: half order covers {stop} of the chain's {chain.num_steps} steps, so a sub-chain "
            f"cannot be longer. Use at most {stop} or sample with more steps."
        )
    tiling = tile(stop, length)
    if count > len(tiling):
        found["num_sub_chains"] = (
            f"num_sub_chains = {count}: {stop} steps hold only {len(tiling)} sub-chains of {length}. "
            f"Use at most {len(tiling)} or a smaller sub_chain_length."
        )
    return found | _noise_at_interfaces(chain, [sub_chain.interface for sub_chain in tiling])


def _noise_at_interfaces(chain: DenoisingChain, interfaces: list[int]) -> dict[str, str]:
    silent = [step for step in interfaces if chain.std(step) == 0]
    if not silent:
        return {}
    if not any(chain.std(step) for step in range(chain.num_steps)):
        return {
            "eta": "eta = 0: half-order sub-chains divide by the step's noise, which is zero when eta is 0. "
            "Use eta > 0 (DDPM is 1.0) or choose full_backprop."
        }
    return {
        "eta": f"eta: half-order sub-chains divide by the noise of their last step, and this sampler adds none at step {silent[0]} of "
        f"{chain.num_steps}. Leave such last steps to first order (first_order_steps) or uncovered (uncovered_tail), or choose "
        "full_backprop."
    }


def flips_fit(chain: DenoisingChain, num_flips: int) -> dict[str, str]:
    """There are no more flips than elements to flip."""
    elements = prod(chain.event_shape)
    if num_flips <= elements:
        return {}
    return {"num_flips": f"num_flips = {num_flips}: a state of this model has only {elements} elements to flip. Use at most {elements}."}
