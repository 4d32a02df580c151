"""The layers of a network as a forward pass meets them: tables of their types, sizes and settings."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Return the output size of a convolution or pooling along one side."""
    return (size + 2 * padding - kernel) // stride + 1


def count(model: nn.Module) -> int:
    """Return the number of parameters of a model, norms and biases included."""
    return sum(parameter.numel() for parameter in model.parameters())


def output_steps(model: nn.Module, input_size: tuple[int, int, int] = (3, 64, 64)) -> pd.DataFrame:
    """Compute the output dimensions layer by layer from the formula, and measure them in a forward pass.

    Returns:
        A table with the columns layer, calculation, output and measured, one row for each layer with a size.
    """
    rows, shape = [], input_size
    for step in trace(model, input_size):
        layer = step.module
        if "downsample" in step.name:  # beside the chain
            continue
        if isinstance(layer, nn.Linear):
            calculation, shape = f"{layer.out_features} neurons", (layer.out_features,)
        elif isinstance(layer, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
            kernel, stride, padding = (pair(x)[0] for x in (layer.kernel_size, layer.stride, layer.padding))
            side = output_size(shape[1], kernel, stride, padding)
            calculation = f"({shape[1]} + 2 * {padding} - {kernel}) // {stride} + 1 = {side}"
            shape = (getattr(layer, "out_channels", shape[0]), side, side)
        else:
            continue
        rows.append((step.name, calculation, by(*shape), by(*step.output)))
    return pd.DataFrame(rows, columns=["layer", "calculation", "output", "measured"])


def layer_table(model: nn.Module, input_size: tuple[int, int, int] = (3, 64, 64)) -> pd.DataFrame:
    """Return a model's layers in the order in which they compute, in the report's form.

    Returns:
        A table with the columns #, type, input and specification. The first row is the input; the last is the
        softmax, which is in the loss and not in the model.
    """
    rows = [("input", "", f"image {by(*input_size)}")]
    steps = trace(model, input_size)
    rows += [(kind, by(*step.input), text) for step in steps for kind, text in [describe(step)]]
    if len(steps[-1].output) == 1 and rows[-1][0] != "softmax":
        rows.append(("softmax", by(*steps[-1].output), f"{steps[-1].output[0]} classes"))
    return pd.DataFrame([(number, *row) for number, row in enumerate(rows, 1)],
                        columns=["#", "type", "input", "specification"])  # fmt: skip


@dataclass
class Step:
    """One call of one layer: its name, its module, and the shapes (without the batch) in and out."""

    name: str
    module: nn.Module
    input: tuple[int, ...]
    output: tuple[int, ...]


def adds(module: nn.Module) -> bool:
    """Whether a module is a ResNet's block with its shortcut (by name: torchvision need not be imported)."""
    return type(module).__name__ in ("BasicBlock", "Bottleneck")


@torch.no_grad()
def trace(model: nn.Module, input_size: tuple[int, int, int] = (3, 64, 64)) -> list[Step]:
    """Send one black image through ``model`` and return the layers that it passes, in order.

    Layers are modules without children, seen through forward hooks. The addition at the end of a ResNet's
    block is no module; it becomes a step of its own before the block's last activation.
    """
    steps: list[Step] = []

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not inputs or not isinstance(output, Tensor):  # no layer that a row could describe
            return
        shape, result = tuple(inputs[0].shape[1:]), tuple(output.shape[1:])
        if adds(module):
            steps.insert(-1, Step(name, module, result, result))
        elif not isinstance(module, (nn.Identity, nn.Flatten)):
            # a layer after the flattening shows the shape that was flattened
            before = steps[-1].output if steps else shape
            flattened = len(shape) == 1 and shape[0] == torch.Size(before).numel()
            steps.append(Step(name, module, before if flattened else shape, result))

    like = next(model.parameters(), torch.zeros(1))
    with contextlib.ExitStack() as after:
        for name, module in model.named_modules():
            after.callback(setattr, module, "training", module.training)
            if adds(module) or not list(module.children()):
                after.enter_context(module.register_forward_hook(partial(note, name)))
        model.eval()(like.new_zeros(1, *input_size))
    return steps


def describe(step: Step) -> tuple[str, str]:
    """Return a layer's type and specification in the report's words."""
    layer = step.module
    aside = ", on the shortcut" if "downsample" in step.name else ""
    match layer:
        case nn.Conv2d():
            text = f"{layer.out_channels} kernels {by(*layer.kernel_size)}, stride {short(layer.stride)}"
            groups = f", {layer.groups} groups" if layer.groups > 1 else ""
            return "convolution", f"{text}, padding {short(layer.padding)}{groups}{aside}"
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = "max" if isinstance(layer, nn.MaxPool2d) else "average"
            padding = f", padding {short(layer.padding)}" if layer.padding else ""
            return "pooling", f"{kind} {by(*pair(layer.kernel_size))}, stride {short(layer.stride)}{padding}"
        case nn.AdaptiveAvgPool2d():
            return "pooling", f"average to {by(*step.output[1:])}"
        case nn.Linear():
            return "fully connected", f"{layer.out_features} neurons"
        case nn.Dropout():
            return "dropout", f"probability {layer.p}"
        case nn.LocalResponseNorm():
            return "normalization", f"local response normalization, size {layer.size}"
        case nn.BatchNorm2d():
            return "normalization", f"batch normalization{aside}"
        case _ if adds(layer):
            return "shortcut", "addition of the block's input"
        case nn.Softmax() | nn.LogSoftmax():
            return "softmax", f"{step.output[0]} classes"
    if type(layer).__module__ == "torch.nn.modules.activation":
        return "activation", type(layer).__name__
    return type(layer).__name__, layer.extra_repr()


def by(*sizes: int) -> str:
    """``3 x 64 x 64``"""
    return " x ".join(map(str, sizes))


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of a setting that is one number where both agree."""
    return value if isinstance(value, tuple) else (value, value)


def short(value: int | str | tuple[int, int]) -> str:
    """One number where height and width agree, else both; a word stays as it is."""
    height, width = pair(value)
    return str(height) if height == width else by(height, width)
