"""Where sub-chains go: which of a tiling are drawn more often.

    uniform         all alike
    gradient_norm   pi_j in proportion to sqrt(mean ||g_j||^2), learned from the estimates so far, mixed with a fifth of uniform

The variance of sum_j g_j / pi_j over the draw is least when pi_j is in proportion to the root mean square of ||g_j||. The probabilities
depend on earlier estimates only and every g_j is divided by its own, so the mean is the same wherever sub-chains go.
(The paper draws its place by a softmax of gradient norms in one section and evenly in another, and weights neither.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlr_core.estimators.estimate import NOTHING, Gradient, Memory, norm
from rlr_core.estimators.sub_chain import Draw, draw_sub_chains, tile

PLACES = ("uniform", "gradient_norm")
UNIFORM_SHARE = 0.2
FORGETTING = 0.1
SQUARES = "squared_norms"


class Placement:
    """Draws from the tiling of steps 0 .. stop-1 by `length`, and learns from what the drawn ones gave."""

    def __init__(self, place: str, stop: int, length: int) -> None:
        self._is_learned = place == "gradient_norm"
        self._stop = stop
        self._length = length
        self._tiling = tile(stop, length)

    def draw(self, count: int, generator: torch.Generator, memory: Memory) -> Draw:
        """`count` sub-chains, weighted by their inverse inclusion probabilities."""
        return draw_sub_chains(self._stop, self._length, count, generator, self._shares(memory))

    def _shares(self, memory: Memory) -> Tensor | None:
        squares = memory.get(SQUARES)
        if squares is None or not (squares > 0).any():
            return None
        lengths = squares.sqrt()
        # One that was never drawn is taken to be like the average of the others.
        lengths = torch.where(squares > 0, lengths, lengths[squares > 0].mean())
        return (1 - UNIFORM_SHARE) * lengths / lengths.sum() + UNIFORM_SHARE / len(lengths)

    def learn(self, memory: Memory, draw: Draw, gradients: Sequence[Gradient]) -> Memory:
        """The memory after the drawn sub-chains' own terms were `gradients`: running means of squared lengths, shape (n,)."""
        if not self._is_learned:
            return NOTHING
        squares = memory.get(SQUARES, torch.zeros(len(self._tiling), dtype=torch.float64)).clone()
        for sub_chain, gradient in zip(draw.sub_chains, gradients, strict=True):
            index, square = self._tiling.index(sub_chain), norm(gradient) ** 2
            squares[index] = square if squares[index] == 0 else (1 - FORGETTING) * squares[index] + FORGETTING * square
        return {SQUARES: squares}
