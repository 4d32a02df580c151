"""Checks of 03: a loop with a schedule, weights, filters in a row, negative logits, recipes that differ, one net."""

from __future__ import annotations

import dataclasses

import torch
from torch.nn.utils import parameters_to_vector

from scene_utils import catalogue, models
from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import check, close, count, expect, given, require, small_and_good, training
from scene_utils.support.layers import output_size

WEIGHTS, GOAL = 400_000, 0.6  # of the open task: under a tenth of LeNet's weights


@check("write a function (net, loader, epochs, rate) that returns a list of losses")
def fit(answer):
    """Several epochs with momentum, at a rate that falls in a straight line to zero."""
    loader, nets, losses = training._noise_batches(), [], []
    for function in (our_scene.fit, answer):
        nets.append(training._small_net())
        losses.append([float(value) for value in given(function(nets[-1], loader, 3, 0.2))])
    right, own, start = (parameters_to_vector(net.parameters()).detach() for net in (*nets, training._small_net()))
    require(len(losses[1]) == 3, f"three epochs are three losses, yours returns {len(losses[1])}")
    require(not torch.equal(own, start), "no weight has changed")
    first = [each[0] for each in losses]
    expect(first[1], first[0], f"the mean loss of the first epoch is {first[0]:.3f}, yours {first[1]:.3f}", 0.2)
    hint = "the weights are others: momentum 0.9, and in step t of T (from 0) the rate is rate * (1 - t / T)"
    require(close(own, right), hint)
    require(close(*map(torch.tensor, losses)), "the losses are not the means per image of each epoch")


@check("give one whole number")
def conv2_weights(answer):
    """Weights of CustomLeNet's second convolution."""
    with torch.device("meta"):  # shapes alone
        right = count(models.CustomLeNet().conv2)
    expect(answer, right, "each filter has width x height x channels numbers, and one bias")


@check("give one whole number of pixels")
def two_in_one(answer):
    """Width of the one filter that equals two convolutions of 8 x 8 in a row."""
    expect(answer, 64 - output_size(output_size(64, 8), 8) + 1, "how many pixels does one position see?")


@check("write a class whose objects take images and return logits, built like LeNet with relu=True")
def negative_logits(answer):
    """LeNet with a ReLU after its convolutions and its first layer, and none after the last."""
    wanted, images = models.LeNet(relu=True), torch.randn(8, 3, 64, 64)
    net = answer(relu=True)
    net.load_state_dict(wanted.state_dict())
    logits = given(net(images)).detach()
    require(logits.min() < 0, f"the lowest logit is {logits.min():.2f}: how does it say that a class is unlikely?")
    require(close(logits, wanted(images).detach()), "with the same weights, LeNet + ReLU gives other logits")


@check("write a function (first, second) that returns the names of the fields that differ")
def recipe_differences(answer):
    """Names of the fields in which two recipes differ."""
    lenet = catalogue.get("lenet").recipe("short")
    for changes in ({}, {"epochs": 12}, {"learning_rate": 0.03, "seed": 5}, {"milestones": (4, 6), "images": None},
                    {"images": 100, "mixup": 0.2, "augmentation": "none"}):  # fmt: skip
        other = lenet.replace(**changes)
        right = {name for name, value in changes.items() if getattr(lenet, name) != value}
        own = given(answer(lenet, other))
        hint = f"these differ in {', '.join(sorted(right)) or 'nothing'}; yours says {own!r}"
        require(not isinstance(own, str) and set(own) == right, hint)
    for same in (dataclasses.replace(lenet), dataclasses.replace(lenet, milestones=[])):
        require(not set(answer(lenet, same)), "equal recipes differ in nothing")


@check("give a trained network for images (N, 3, 64, 64)")
def small_net(answer):
    """A network with a tenth of LeNet's weights that reaches the goal on the sample's validation images."""
    small_and_good(answer, WEIGHTS, GOAL, pixels=64)
