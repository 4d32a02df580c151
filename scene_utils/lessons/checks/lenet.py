"""Checks of 02: LeNet as a module, sizes, a filter, the loss, equal filters, and a search for the learning rate."""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_utils import models
from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import check, close, expect, given, number, require
from scene_utils.support.layers import output_size

RATES = torch.logspace(-5, 3, 17).tolist()
CLOSE = 0.3  # fraction of the possible fall of the loss that may be missing


@check("write a class LeNet(nn.Module) with __init__(self, classes=6) and forward(self, x)")
def lenet(answer):
    """LeNet as the page's table has it: shapes, weights, and what it computes."""
    net, reference, images = answer(5), models.LeNet(5), torch.randn(2, 3, 64, 64)
    require(isinstance(net, nn.Module), "LeNet(5) must be a network, an nn.Module")
    require(given(net(images)).shape == (2, 5), "LeNet(5) must give five scores per image")
    shapes = [sorted(tuple(p.shape) for p in each.parameters()) for each in (net, reference)]
    odd = [shape for shape in shapes[0] if shape not in shapes[1]] or "too few or too many"
    require(shapes[0] == shapes[1], f"these weights are not in the table: {odd}")
    same = {tuple(p.shape): p for p in reference.parameters()}  # no two shapes are alike
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(same[tuple(parameter.shape)])
    hint = "with the same weights it computes something else; where does the table have a pooling, where a ReLU?"
    require(close(net.eval()(images), reference(images)), hint)
    require(answer()(images).shape[1] == 6, "without an argument it has six classes")


@check("give one whole number")
def fc1_inputs(answer):
    """Inputs of LeNet's first fully connected layer with filters of 7 x 7."""
    side = 64
    for kernel, stride in ((7, 1), (2, 2), (7, 1), (2, 2)):
        side = output_size(side, kernel, stride)
    expect(answer, 50 * side * side, "convolution, pooling, convolution, pooling; then maps x side x side")


@check("give a filter: three rows of three numbers")
def shift_right(answer):
    """A filter whose map is the image moved by one pixel to the right."""
    weight = torch.as_tensor(answer).float().view(1, 1, 3, 3)
    image = torch.rand(1, 1, 8, 8)
    moved = F.conv2d(image, weight)
    require(close(moved, image[..., 1:-1, :-2]), "which pixel under the filter lies one to the left?")


@check("write a function (logits, target) that returns the loss")
def logit_loss(answer):
    """Cross-entropy of logits: nothing added, nothing done twice."""
    sure = torch.tensor([[100.0, 0, 0, 0, 0, 0]])
    price = float(given(answer(sure, torch.tensor([0]))))
    require(abs(price) < 1e-3, f"being right and sure must cost nothing, here it costs {price:.4f}")
    logits, labels = torch.randn(8, 6), torch.arange(8) % 6
    right, own = F.cross_entropy(logits, labels).item(), float(answer(logits, labels))
    hint = f"on eight random images it should be {right:.4f}, yours is {own:.4f}"
    require(abs(right - own) < 1e-4, hint)


@check("write a function (net) that changes the weights of a LeNet in place")
def equal_filters(answer):
    """Initial weights with which training changes the first filters, but never tells one from another."""
    net = models.LeNet()
    answer(net)
    images, labels = torch.randn(6, 3, 64, 64), torch.arange(6)
    before = net.conv1.weight.detach().clone()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(3):
        loss = our_scene.train_epoch(net, [(images, labels)], optimizer)
    after = net.conv1.weight.detach()
    require(math.isfinite(loss) and after.isfinite().all(), "the loss must stay a number")
    require(not close(after, before, 1e-9), "the filters do not change at all: no gradient reaches them")
    spread = (after - after[:1]).abs().max() / after.abs().max()
    require(spread < 1e-4, "after three steps the twenty filters differ; what else sets two filters apart?")


@functools.cache
def _problem(scale: float) -> tuple:
    """A small task whose inputs have a scale of their own: what makes its network, its batches, first and best loss."""
    generator = torch.Generator().manual_seed(1)
    images = scale * torch.randn(96, 1, 4, 4, generator=generator)
    labels = (images.flatten(1) @ torch.randn(16, 4, generator=generator)).argmax(1)

    def make() -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))

    loader = list(zip(images.split(16), labels.split(16), strict=True))
    return make, loader, loss_after(make, loader, 0.0), min(loss_after(make, loader, rate) for rate in RATES)


def loss_after(make, loader: list[tuple[Tensor, Tensor]], rate: float, epochs: int = 4) -> float:
    """Loss on all batches after some epochs at a constant rate; infinite where it is no number."""
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate)
    our_scene.train_epoch(net, loader * epochs, optimizer)
    loss, _ = our_scene.evaluate(net, loader)
    return loss if math.isfinite(loss) else math.inf


@check("write a function (make, loader) that returns a learning rate")
def rate_finder(answer):
    """A search that finds a good rate for networks whose inputs differ in scale by thousands."""
    for scale in (1.0, 0.3, 20.0):
        make, loader, start, best = _problem(scale)
        rate = number(answer(make, [(images.clone(), labels.clone()) for images, labels in loader]))
        require(rate > 0, "a learning rate is positive")
        own = loss_after(make, loader, rate)
        print(f"scale {scale:g}: rate {rate:.2g} takes the loss from {start:.3f} to {own:.3f}; the best: {best:.3f}")
        hint = f"for inputs of scale {scale:g} another rate brings the loss much further down"
        require(own <= best + CLOSE * (start - best), hint)
