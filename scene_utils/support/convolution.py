"""Convolutions over small maps whose weights' gradient is a matrix product: faster in bfloat16 on a CPU.

On maps of 2 x 2 and 4 x 4 positions, where ResNets have most of their weights, oneDNN's kernel for the gradient of the
weights reaches only a fraction of the processor's rate (``ONEDNN_VERBOSE=profile_exec`` shows it). Written
as one product of two matrices it is the same sum. ``make bench`` has what that is worth.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALL = 16  # positions in the output, up to which the product is faster


class ConvWeightGrad(torch.autograd.Function):
    """A convolution without bias; the gradient of its weights is a product, (K, N·H·W) by (N·H·W, h·w·C)."""

    @staticmethod
    def forward(context, images: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        context.save_for_backward(images, weight)
        context.options = stride, padding
        return F.conv2d(images, weight, None, stride, padding)

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        images, weight = context.saved_tensors
        stride, padding = context.options
        of_images = None
        if context.needs_input_grad[0]:
            wanted = True, False, False
            of_images, _, _ = torch.ops.aten.convolution_backward(
                gradient, images, weight, None, stride, padding, (1, 1), False, (0, 0), 1, wanted
            )
        (count, kernels, height, width), (rows, columns) = gradient.shape, weight.shape[2:]
        images = F.pad(images.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
        seen = [  # for each position in the kernel, what it looks at
            images[:, i : i + stride[0] * (height - 1) + 1 : stride[0], j : j + stride[1] * (width - 1) + 1 : stride[1]]
            for i in range(rows)
            for j in range(columns)
        ]
        patches = torch.stack(seen, 3).reshape(count * height * width, -1)
        product = gradient.permute(0, 2, 3, 1).reshape(-1, kernels).t() @ patches
        return of_images, product.view(kernels, rows, columns, -1).permute(0, 3, 1, 2), None, None


class Conv2d(nn.Conv2d):
    """``nn.Conv2d``, whose gradient of the weights is computed by ``ConvWeightGrad`` where that is faster."""

    def forward(self, images: Tensor) -> Tensor:
        sizes = zip(images.shape[2:], self.padding, self.kernel_size, self.stride, strict=True)
        positions = 1
        for size, padding, kernel, stride in sizes:
            positions *= (size + 2 * padding - kernel) // stride + 1
        mixed = images.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not (mixed and torch.is_grad_enabled() and positions <= SMALL and self.weight.requires_grad):
            return super().forward(images)
        kind = torch.get_autocast_dtype("cpu")
        return ConvWeightGrad.apply(images.to(kind), self.weight.to(kind), self.stride, self.padding)


def use_fast_conv_(model: nn.Module) -> None:
    """Let the plain convolutions of ``model`` be ``Conv2d`` from here on: same weights, same results, in place."""
    for module in model.modules():
        plain = type(module) is nn.Conv2d and module.bias is None and module.groups == 1
        if plain and module.dilation == (1, 1) and module.padding_mode == "zeros":
            module.__class__ = Conv2d
