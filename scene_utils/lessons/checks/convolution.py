"""Checks of 00c_convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector

from scene_utils.lessons.checks import check, close, number, numbers, require, small_and_good, tensor

CNN_WEIGHTS, CNN_GOAL = 10_000, 0.7


@check("write a function (images, weight, bias, stride=1, padding=0) that returns the maps")
def conv2d(answer):
    """Convolution over any number of channels, with stride and padding."""
    images, weight, bias = torch.randn(2, 3, 9, 7), torch.randn(4, 3, 3, 3), torch.randn(4)
    for stride, padding in ((1, 0), (1, 1), (2, 0), (2, 1), (3, 2)):
        right = F.conv2d(images, weight, bias, stride, padding)
        own = numbers(answer(images.clone(), weight, bias, stride=stride, padding=padding))
        here = f"with stride {stride} and padding {padding}"
        require(own.shape == right.shape, f"{here} the shape must be {tuple(right.shape)}, yours is {tuple(own.shape)}")
        hint = f"{here} the values are not those of F.conv2d; all channels, the bias, the right window?"
        require(close(own, right), hint)
    five = torch.randn(2, 1, 5, 5)
    own = numbers(answer(images[:, :1].clone(), five, bias[:2]))
    require(close(own, F.conv2d(images[:, :1], five, bias[:2])), "it fails for a filter of 5 x 5")


@check("give one whole number")
def layers_needed(answer):
    """3 x 3 convolutions of stride 1 until one position sees 64 pixels in a row."""
    layers = number(answer)
    require(layers.is_integer() and layers >= 1, "a whole number of layers from 1 up")
    seen = 1 + 2 * layers  # each layer adds a pixel on either side
    require(seen >= 64, f"with {layers:.0f} layers a position sees {seen:.0f} pixels")
    require(seen - 2 < 64, "fewer would do")


@check("write a function (maps, size, stride) that returns the pooled maps")
def max_pool(answer):
    """Max pooling, also with windows that overlap."""
    maps = torch.randn(2, 3, 13, 13) - 3  # negative values too: zero is not the smallest
    for size, stride in ((2, 2), (3, 2), (3, 1), (2, 3)):
        right = F.max_pool2d(maps, size, stride)
        own = numbers(answer(maps.clone(), size, stride))
        here = f"with windows of {size} x {size} and stride {stride}"
        require(own.shape == right.shape, f"{here} the shape must be {tuple(right.shape)}, yours is {tuple(own.shape)}")
        require(close(own, right), f"{here} the values are not the largest of their windows")


@check("give a filter: three channels of 3 x 3 numbers")
def colour_filter(answer):
    """A filter that gives zero on every grey image, and not on a coloured one."""
    weight = tensor(answer.tolist() if hasattr(answer, "tolist") else answer, 3, 3, 3).float()
    grey = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8)
    colour = torch.rand(1, 3, 8, 8)
    on_grey, on_colour = (F.conv2d(images, weight[None]).abs().max().item() for images in (grey, colour))
    hint = f"on a grey image it gives up to {on_grey:.2f}; there all three channels are equal"
    require(on_grey <= 1e-4 * max(1.0, float(weight.abs().max())), hint)
    require(on_colour > 1e-3, "it gives zero on coloured images too")


@check("write a function (net, images) that returns the classes")
def predict(answer):
    """Predictions that do not depend on the other images of the batch, and leave the network as it was."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 6))
    images = torch.randn(24, 3, 8, 8)
    net.train()
    for _ in range(5):
        net(images * 2 + 1)
    before = parameters_to_vector(net.state_dict().values())
    together = tensor(answer(net, images.clone()), 24)
    unchanged = torch.equal(before, parameters_to_vector(net.state_dict().values()))
    require(unchanged, "predicting has changed the network (its running mean, for example)")
    single = torch.cat([tensor(answer(net.train(), image[None]), 1) for image in images])
    hint = "an image gets another class when it comes alone; which layer looks at the whole batch?"
    require(torch.equal(together, single), hint)
    right = net.eval()(images).argmax(1)
    require(torch.equal(together.long(), right), "these are not the classes with the highest score")


@check("give a trained network for images (N, 3, 32, 32)")
def small_cnn(answer):
    """A network that is small, and reaches the goal."""
    small_and_good(answer, CNN_WEIGHTS, CNN_GOAL)
