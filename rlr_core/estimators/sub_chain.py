"""Sub-chains: blocks of consecutive steps that a likelihood ratio covers together.

Steps 0 .. stop-1 are tiled by sub-chains of h steps; the first is shorter where h does not divide `stop`. Of the n sub-chains of the
tiling, m are drawn at random, each with inclusion probability m / n, and weighted by its inverse n / m. Every step of the tiling is then
covered once in expectation, whatever h and m are.
"""

from dataclasses import dataclass

import torch


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
    """Sub-chains drawn from a tiling, and the inverse of their inclusion probability."""

    sub_chains: tuple[SubChain, ...]
    weight: float


def tile(stop: int, length: int) -> list[SubChain]:
    """Cover steps 0 .. stop-1 by sub-chains of `length` steps that end at `stop`; the first takes what is left over."""
    return [SubChain(max(end - length, 0), end) for end in range(stop, 0, -length)][::-1]


def draw_sub_chains(stop: int, length: int, count: int, generator: torch.Generator) -> Draw:
    """`count` sub-chains of the tiling of steps 0 .. stop-1, without replacement, in sampling order."""
    tiling = tile(stop, length)
    chosen = torch.randperm(len(tiling), generator=generator)[:count].tolist()
    return Draw(tuple(tiling[index] for index in sorted(chosen)), len(tiling) / len(chosen))
