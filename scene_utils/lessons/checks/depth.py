"""Checks of 05: residual blocks, ResNet18, and a design that compares depths fairly."""

from __future__ import annotations

import itertools
import math

import torch
from scipy import stats
from torch import Tensor, nn

from scene_utils import explain, models
from scene_utils.lessons.checks import check, close, count, expect, given, number, numbers, require

CORE_HOURS, IMAGES, RATE = 6, 9_865, 200  # budget of a design; training images; ResNet18's images per second
SEED_SD, DETECTABLE = 0.008, 0.015  # of an accuracy between seeds; what a design has to detect


@check("give one number between 0 and 1")
def power_of_fifty(answer):
    """The factor whose fiftieth power is a thousandth."""
    factor = number(answer)
    require(0 < factor < 1, "a factor between 0 and 1")
    left = factor**50
    expect(1000 * left, 1, f"fifty such factors leave {left:.2g} of the norm", 0.02)


@check("give one number")
def bottleneck_ratio(answer):
    """Weights of two 3 x 3 convolutions of 256 channels over those of a bottleneck, counted in torchvision's nets."""
    from scene_utils.support.resnet_blocks import BasicBlock, Bottleneck  # imports torchvision, which takes a second

    blocks = BasicBlock(256, 256), Bottleneck(256, 64)
    basic, narrow = (sum(p.numel() for p in block.parameters() if p.ndim == 4) for block in blocks)
    expect(answer, basic / narrow, "kernel x kernel x inputs x outputs, each", 0.005 * basic / narrow)


class Block(nn.Module):
    """The parts of a residual block, to try out a ``forward`` on."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)


def _stirred(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, its normalizations no longer the identity."""
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            nn.init.uniform_(each.weight, 0.5, 2)
            nn.init.normal_(each.bias)
            nn.init.normal_(each.running_mean)
    return module.eval()


@check("write a function (self, x) that returns the block's output")
def residual_forward(answer):
    """``forward`` of a residual block: what torchvision's block computes with the same weights."""
    from scene_utils.support.resnet_blocks import BasicBlock

    block, x = _stirred(Block(8)), torch.randn(2, 8, 4, 4).relu()
    reference = BasicBlock(8, 8).eval()
    reference.load_state_dict(block.state_dict())
    own = numbers(answer(block, x.clone()))
    hint = f"the output must have the shape of the input, {tuple(x.shape)}, not {tuple(own.shape)}"
    require(own.shape == x.shape, hint)
    require((own >= 0).all(), "after the addition comes a ReLU; yours returns negative values")
    require(close(own, reference(x)), "what is x at the moment when it is added?")


def _same_function(own: nn.Module, reference: nn.Module, x: Tensor) -> bool:
    """Whether the layers of ``reference``, in some order, are those of ``own`` and the two compute the same."""
    kinds = ([m for m in reference.modules() if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d))
    mine = [[m for m in own.modules() if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d)]
    for theirs in itertools.product(*map(itertools.permutations, kinds)):
        pairs = [pair for a, b in zip(mine, theirs, strict=True) for pair in zip(a, b, strict=False)]
        if any(a.weight.shape != b.weight.shape for a, b in pairs):
            continue
        for a, b in pairs:
            a.load_state_dict(b.state_dict(), strict=False)  # a bias that ours lacks keeps its value
        if close(own(x).detach(), reference(x).detach()):
            return True
    return False


@check("write a class with __init__(inputs, outputs, stride=1) and forward(x)")
def residual_block(answer):
    """A basic block, with a convolution in the shortcut where the shape changes."""
    from scene_utils.support.resnet_blocks import BasicBlock

    for inputs, outputs, stride in ((8, 8, 1), (8, 16, 2), (8, 8, 2), (8, 16, 1)):
        block = answer(inputs, outputs, stride) if stride > 1 else answer(inputs, outputs)
        x = torch.randn(2, inputs, 6, 6).relu()
        where = f"from {inputs} to {outputs} channels with stride {stride}"
        shape = (2, outputs, 6 // stride, 6 // stride)
        y = given(block.eval()(x))
        require(tuple(y.shape) == shape, f"{where} the output must have the shape {shape}, not {tuple(y.shape)}")
        changes = stride > 1 or inputs != outputs
        convolved = sum(isinstance(m, nn.Conv2d) for m in block.modules()) != 2
        require(changes == convolved, f"{where} the shortcut {'needs' if changes else 'needs no'} a convolution")
        downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        reference = BasicBlock(inputs, outputs, stride, downsample if changes else None)
        hint = f"{where} it does not compute what torchvision's block computes; which order, what is added?"
        require(_same_function(block, _stirred(reference), x), hint)


@check("write a function (classes=6) that returns a network for images (N, 3, 64, 64)")
def resnet18(answer):
    """ResNet18: shapes, weights, and that it is one stack of residual blocks."""
    net, reference = given(answer(5)), models.resnet(18, 5)
    require(isinstance(net, nn.Module), "it must return a network, an nn.Module")
    require(net(torch.randn(2, 3, 64, 64)).shape == (2, 5), "resnet18(5) must give five scores per image")
    sizes = [sorted(step.output for step in explain.trace(each, (3, 64, 64)) if isinstance(step.module, nn.Conv2d))
             for each in (net, reference)]  # fmt: skip
    hint = "the maps of its convolutions have other sizes than ResNet18's; strides, channels, number of blocks?"
    require(sizes[0] == sizes[1], hint)
    own, right = count(net), count(reference)
    require(own == right, f"ResNet18 with five classes has {right:,} weights, yours {own:,}")
    require(answer()(torch.zeros(1, 3, 64, 64)).shape[1] == 6, "without an argument it has six classes")


@check('give a dict with "shallow", "deep", "epochs", "rates" and "seeds"')
def depth_design(answer):
    """A comparison of two depths that changes one thing, fits the budget and can detect the difference."""
    answer = dict(answer)
    shallow, deep, epochs, seeds = (int(number(answer[name])) for name in ("shallow", "deep", "epochs", "seeds"))
    rates = [number(rate) for rate in answer["rates"]]
    require({shallow, deep} <= set(models.BLOCKS) and shallow < deep,
            f"two depths of {sorted(models.BLOCKS)}, the deep one deeper")  # fmt: skip
    require((shallow in models.BOTTLENECKS) == (deep in models.BOTTLENECKS),
            "two things differ: the depth and the kind of block")  # fmt: skip
    require(len(set(rates)) >= 2 and min(rates) > 0, "a grid needs at least two learning rates, all positive")
    require(epochs >= 4 and seeds >= 2, "at least four epochs and two seeds")
    costs = [explain.layer_costs(models.resnet(depth))["multiplications"].sum() for depth in (18, shallow, deep)]
    seconds = sum(costs[1:]) / costs[0] * epochs * IMAGES / RATE
    hours = (len(set(rates)) + seeds) * seconds / 3600
    require(hours <= CORE_HOURS, f"this takes {hours:.1f} hours of one core, {CORE_HOURS} are there")
    half = stats.t.ppf(0.975, 2 * seeds - 2) * SEED_SD * math.sqrt(2 / seeds)
    print(f"{hours:.1f} hours; half of the interval is {100 * half:.2f} points")
    require(half <= DETECTABLE, f"with {seeds} seeds, half of the interval is {100 * half:.1f} points")
