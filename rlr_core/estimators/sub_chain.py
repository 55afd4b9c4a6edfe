"""Sub-chains: blocks of consecutive steps that a likelihood ratio covers together.

Steps 0 .. stop-1 are tiled by sub-chains of h steps; the first is shorter where h does not divide `stop`. Of the n sub-chains of the
tiling, m are drawn, each weighted by the inverse of its inclusion probability pi_j. Every step of the tiling is then covered once in
expectation, whatever h, m and the probabilities are.

The draw is systematic: with the cumulated probabilities C_j = pi_1 + ... + pi_j and one u ~ U(0, 1), sub-chain j is drawn when one of u,
u + 1, ... u + m - 1 falls into [C_{j-1}, C_j). Its inclusion probability is then exactly pi_j, and the drawn sub-chains are spread over the
chain: with equal probabilities each n/m neighbours give one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SubChain:
    """The steps first .. stop-1."""

    first: int
    stop: int

    @property
    def interface(self) -> int:
        """The last step, whose noise the likelihood ratio uses."""
        return self.stop - 1


@dataclass(frozen=True)
class Draw:
    """Sub-chains drawn from a tiling, and the inverse of each one's inclusion probability."""

    sub_chains: tuple[SubChain, ...]
    weights: tuple[float, ...]

    @property
    def steps(self) -> frozenset[int]:
        """The steps of all drawn sub-chains."""
        return frozenset(step for sub_chain in self.sub_chains for step in range(sub_chain.first, sub_chain.stop))

    def unweighted(self) -> "Draw":
        """The same sub-chains, each counted once: for when something else covers the steps that were not drawn."""
        return Draw(self.sub_chains, (1.0,) * len(self.sub_chains))


def tile(stop: int, length: int) -> list[SubChain]:
    """Cover steps 0 .. stop-1 by sub-chains of `length` steps that end at `stop`; the first takes what is left over."""
    return [SubChain(max(end - length, 0), end) for end in range(stop, 0, -length)][::-1]


def all_of(tiling: Sequence[SubChain]) -> Draw:
    """Every sub-chain of a tiling."""
    return Draw(tuple(tiling), (1.0,) * len(tiling))


def draw_sub_chains(stop: int, length: int, count: int, generator: torch.Generator, shares: Tensor | None = None) -> Draw:
    """`count` sub-chains of the tiling of steps 0 .. stop-1, without replacement, in sampling order.

    Args:
        shares: how likely each sub-chain is in proportion, shape (n,), all > 0; equal if None.
    """
    tiling = tile(stop, length)
    inclusion = inclusion_probabilities(torch.ones(len(tiling)) if shares is None else shares, count)
    ends = inclusion.cumsum(0)
    marks = torch.rand((), generator=generator, dtype=torch.float64) + torch.arange(count)
    # The last end may round to just below `count`.
    chosen = torch.searchsorted(ends, marks, right=True).clamp(max=len(tiling) - 1).tolist()
    return Draw(tuple(tiling[index] for index in chosen), tuple(float(1 / inclusion[index]) for index in chosen))


def inclusion_probabilities(shares: Tensor, count: int) -> Tensor:
    """`count` draws in proportion to `shares`, shape (n,), in float64; none is more likely than 1, and the rest make up for it."""
    weights = shares.double().cpu()
    is_certain = torch.zeros_like(weights, dtype=torch.bool)
    while True:
        free = count - int(is_certain.sum())
        probabilities = torch.where(is_certain, 1.0, free * weights / weights[~is_certain].sum().clamp(min=1e-300))
        above = (probabilities > 1) & ~is_certain
        if not above.any():
            return probabilities
        is_certain |= above
