"""Fits of wide features in few columns, exactly: the time of a fit grows with the cube of their number.

Vectors of published networks have a thousand columns, and the pictures that were spoken of are some dozens. What is said depends on w only
through the pictures' utilities, that is on w within the span of their vectors x; and the prior of a theme's columns is the same in every
direction. So a theme of D columns is fitted in an orthonormal basis V, shape (D, n), of the span of n pictures:

    x' = sqrt(n / D) V^T x,   w = sqrt(n / D) V w' + (what is orthogonal to V, of which nothing is learned)

The scale makes the prior guess, which divides by the number of columns, the same for both.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

WIDE = 256  # columns; fewer are fitted as they are


@dataclass(frozen=True)
class Span:
    """The columns of a fit: the named ones, then those of the last theme, turned where it is wide.

    Attributes:
        columns: which of them is of which theme, shape (themes, F'), of zeros and ones.
        turned: sqrt(n / D) V, shape (D, n); None where the fit's columns are the features themselves.
    """

    columns: Tensor
    turned: Tensor | None

    def narrowed(self, features: Tensor) -> Tensor:
        """Features in the fit's columns: (n, F) to (n, F')."""
        if self.turned is None:
            return features
        named, wide = features.tensor_split([features.shape[1] - len(self.turned)], 1)
        return torch.cat([named, wide @ self.turned], 1)

    def widened(self, mean: Tensor, covariance: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (F,) and covariance (F, F) of the weights of all features.

        Args:
            mean, covariance: of the fit's columns, shape (F',) and (F', F').
            variances: the prior's, of the fit's columns, shape (F',).
        """
        if self.turned is None:
            return mean, covariance
        width, count = self.turned.shape
        basis = torch.block_diag(torch.eye(len(mean) - count, dtype=mean.dtype), self.turned)
        found = basis @ covariance @ basis.T
        # Of what is orthogonal to the pictures nothing was said: its variance is still the prior's.
        orthogonal = count / width * torch.eye(width, dtype=mean.dtype) - self.turned @ self.turned.T
        found[-width:, -width:] += variances[-1] * orthogonal
        return basis @ mean, found


def span(columns: Tensor, pictures: Tensor) -> Span:
    """The columns in which to fit what is said of pictures; only the last theme may be wide.

    Args:
        columns: which feature is of which theme, shape (themes, F), each theme's side by side.
        pictures: all that the fit sees, shape (n, F).
    """
    width, count = int(columns[-1].sum()), len(pictures)
    if width <= max(WIDE, count):
        return Span(columns, None)
    turned = torch.linalg.qr(pictures[:, -width:].T).Q * sqrt(count / width)
    last = torch.zeros(len(columns), count, dtype=columns.dtype)
    last[-1] = 1
    return Span(torch.cat([columns[:, :-width], last], 1), turned)
