"""Local response normalization at the speed of the matrix units.

``nn.LocalResponseNorm`` takes a mean over neighbouring channels and a power of each value, forward and
backward, in passes over whole tensors. Here the sum over neighbours is a small matrix product, the power two
square roots, the gradient is written out, and the work is done in chunks that stay in the cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

GROUP = 32  # channels whose sums are taken in one product, with their neighbours on both sides
CHUNK = 2**19  # values worked on at a time on the CPU: a few such chunks fit into its cache


class LocalResponseNorm(nn.LocalResponseNorm):
    """Drop-in for ``nn.LocalResponseNorm`` (Krizhevsky et al., 2012), many times as fast on a CPU.

    Divides each value by (k + alpha * mean of the squares in ``size`` neighbouring channels) ** beta.
    Takes and returns float (N, C, …), in the precision and memory format that come in.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype == torch.float16:  # squares would overflow from 256 on
            return self(x.float()).half()
        return Normalize.apply(x, self.size, self.alpha, self.beta, self.k)


class Normalize(torch.autograd.Function):
    """y = x s^-beta with s = k + alpha / size * (sum of neighbouring x^2), and its gradient."""

    @staticmethod
    def forward(ctx, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        ctx.size, ctx.alpha, ctx.beta = size, alpha, beta
        rows = as_rows(x)
        y, scale = torch.empty_like(rows), torch.empty_like(rows)
        window, offset = sum_window(rows, size, alpha / size), rows.new_full((GROUP,), k)
        with torch.autocast(x.device.type, enabled=False):
            for x_, y_, scale_ in chunks(rows, y, scale):
                scale_.copy_(neighbour_sums(x_ * x_, window, size // 2, offset))
                torch.mul(x_, inverse_power(scale_, beta), out=y_)
        ctx.save_for_backward(x, scale)
        return restore_layout(x, y)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        # dx = g s^-beta - 2 alpha beta / size * x * (sum of g x s^(-beta-1) where x is a neighbour)
        x, scale = ctx.saved_tensors
        rows = as_rows(x)
        out = torch.empty_like(rows)
        window, factor = sum_window(rows, ctx.size, 1.0), -2 * ctx.alpha * ctx.beta / ctx.size
        for x_, scale_, gradient_, out_ in chunks(rows, scale, as_rows(gradient), out):
            direct = inverse_power(scale_, ctx.beta).mul_(gradient_)
            sums = neighbour_sums((direct * x_).div_(scale_), window, (ctx.size - 1) // 2)
            torch.addcmul(direct, sums, x_, value=factor, out=out_)
        return restore_layout(x, out), None, None, None, None


def as_rows(x: Tensor) -> Tensor:
    """(N, C, …) as (positions, C): a view where the channels come last in memory."""
    return x.movedim(1, -1).reshape(-1, x.shape[1])


def restore_layout(x: Tensor, rows: Tensor) -> Tensor:
    """(positions, C) in the shape and memory format of ``x``."""
    result = rows.view(x.movedim(1, -1).shape).movedim(-1, 1)
    return result.contiguous() if x.is_contiguous() else result


def chunks(*tensors: Tensor):
    """Cut (positions, C) tensors into matching chunks that fit into a CPU's cache; a GPU takes all at once."""
    count, channels = tensors[0].shape
    step = max(1, CHUNK // channels) if tensors[0].device.type == "cpu" else max(1, count)
    return zip(*(tensor.split(step) for tensor in tensors), strict=True)


def sum_window(other: Tensor, size: int, factor: float) -> Tensor:
    """(GROUP + size - 1, GROUP): column j has ``factor`` in the rows j to j + size - 1."""
    ones = other.new_ones(GROUP + size - 1, GROUP)
    return ones.tril().triu(1 - size).mul_(factor)


def neighbour_sums(values: Tensor, window: Tensor, before: int, offset: Tensor | None = None) -> Tensor:
    """Sum (positions, C) over neighbouring columns, of which ``before`` stand to the left; add ``offset``."""
    width, channels = len(window), values.shape[1]
    after = width - GROUP - before + -channels % GROUP
    groups = F.pad(values, (before, after)).unfold(1, width, GROUP).reshape(-1, width)
    sums = groups @ window if offset is None else torch.addmm(offset, groups, window)
    return sums.view(len(values), -1)[:, :channels]


def inverse_power(scale: Tensor, beta: float) -> Tensor:
    """``scale ** -beta``; where beta is 0.75, as two square roots, which take a fifth of the time."""
    if beta != 0.75:
        return scale.pow(-beta)
    root = scale.rsqrt()
    return root.sqrt().mul_(root)
