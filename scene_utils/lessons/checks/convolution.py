"""Checks of 00c_convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from scene_utils.lessons.checks import check, close, given, number, tensor
from scene_utils.lessons.checks.training import open_net

CNN_WEIGHTS, CNN_GOAL = 10_000, 0.7


@check("write a function (images, weight, bias, stride=1, padding=0) that returns the maps")
def conv2d(answer):
    """Convolution over any number of channels, with stride and padding."""
    images, weight, bias = torch.randn(2, 3, 9, 7), torch.randn(4, 3, 3, 3), torch.randn(4)
    for stride, padding in ((1, 0), (1, 1), (2, 0), (2, 1), (3, 2)):
        right = F.conv2d(images, weight, bias, stride, padding)
        own = torch.as_tensor(given(answer(images.clone(), weight, bias, stride=stride, padding=padding)))
        where = f"with stride {stride} and padding {padding}"
        if own.shape != right.shape:
            return f"{where} the shape must be {tuple(right.shape)}, yours is {tuple(own.shape)}"
        if not close(own.detach(), right):
            return f"{where} the values are not those of F.conv2d; all channels, the bias, the right window?"
    five = torch.randn(2, 1, 5, 5)
    own = torch.as_tensor(answer(images[:, :1].clone(), five, bias[:2]))
    return None if close(own.detach(), F.conv2d(images[:, :1], five, bias[:2])) else "it fails for a filter of 5 x 5"


@check("give one whole number")
def layers_needed(answer):
    """3 x 3 convolutions of stride 1 until one position sees 64 pixels in a row: measured by a gradient."""
    count = number(answer)
    if count != int(count) or not 1 <= count <= 1000:
        return "a whole number of layers from 1 up"
    seen = []
    for layers in (int(count) - 1, int(count)):
        image = torch.zeros(1, 1, 2001, requires_grad=True)
        maps = image
        for _ in range(layers):
            maps = F.conv1d(maps, torch.full((1, 1, 3), 1 / 3), padding=1)
        maps[0, 0, 1000].backward() if layers else None
        seen.append(1 if not layers else int((image.grad > 0).sum()))
    if seen[1] < 64:
        return f"with {int(count)} layers a position sees {seen[1]} pixels"
    return "fewer would do" if seen[0] >= 64 else None


@check("write a function (maps, size, stride) that returns the pooled maps")
def max_pool(answer):
    """Max pooling, also with windows that overlap."""
    maps = torch.randn(2, 3, 13, 13) - 3  # negative values too: zero is not the smallest
    for size, stride in ((2, 2), (3, 2), (3, 1), (2, 3)):
        right = F.max_pool2d(maps, size, stride)
        own = torch.as_tensor(given(answer(maps.clone(), size, stride))).detach()
        where = f"with windows of {size} x {size} and stride {stride}"
        if own.shape != right.shape:
            return f"{where} the shape must be {tuple(right.shape)}, yours is {tuple(own.shape)}"
        if not close(own, right):
            return f"{where} the values are not the largest of their windows"
    return None


@check("give a filter: three channels of 3 x 3 numbers")
def colour_filter(answer):
    """A filter that gives zero on every grey image, and not on a coloured one."""
    weight = tensor(answer.tolist() if hasattr(answer, "tolist") else answer, 3, 3, 3).float()
    grey = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8)
    colour = torch.rand(1, 3, 8, 8)
    on_grey, on_colour = (F.conv2d(images, weight[None]).abs().max().item() for images in (grey, colour))
    if on_grey > 1e-4 * max(1.0, float(weight.abs().max())):
        return f"on a grey image it gives up to {on_grey:.2f}; there all three channels are equal"
    return None if on_colour > 1e-3 else "it gives zero on coloured images too"


@check("write a function (net, images) that returns the classes")
def predict(answer):
    """Predictions that do not depend on the other images of the batch, and leave the network as it was."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 6))
    images = torch.randn(24, 3, 8, 8)
    net.train()
    for _ in range(5):
        net(images * 2 + 1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    together = tensor(answer(net, images.clone()), 24)
    if not all(torch.equal(before[name], value) for name, value in net.state_dict().items()):
        return "predicting has changed the network (its running mean, for example)"
    single = torch.cat([tensor(answer(net.train(), image[None]), 1) for image in images])
    if not torch.equal(together, single):
        return "an image gets another class when it comes alone; which layer looks at the whole batch?"
    right = net.eval()(images).argmax(1)
    return None if torch.equal(together.long(), right) else "these are not the classes with the highest score"


@check("give a trained network for images (N, 3, 32, 32)")
def small_cnn(answer):
    """A network that is small, and reaches the goal."""
    return open_net(answer, CNN_WEIGHTS, CNN_GOAL)
