"""Checks of 03: a loop with a schedule, weights, filters in a row, negative logits, recipes that differ, one net."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from scene_utils import catalogue, models
from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import check, close, given, sets, training, whole
from scene_utils.support.layers import output_size

WEIGHTS, GOAL = 400_000, 0.6  # of the open task: under a tenth of LeNet's weights


@check("write a function (net, loader, epochs, rate) that returns a list of losses")
def fit(answer):
    """Several epochs with momentum, at a rate that falls in a straight line to zero."""
    loader, nets, losses = training._noise_batches(), [], []
    for function in (our_scene.fit, answer):
        nets.append(training._small_net())
        losses.append([float(value) for value in given(function(nets[-1], loader, 3, 0.2))])
    right, own, start = (torch.cat([p.detach().flatten() for p in net.parameters()])
                         for net in (*nets, training._small_net()))  # fmt: skip
    if len(losses[1]) != 3:
        return f"three epochs are three losses, yours returns {len(losses[1])}"
    if torch.equal(own, start):
        return "no weight has changed"
    if abs(losses[0][0] - losses[1][0]) > 0.2:
        return f"the mean loss of the first epoch is {losses[0][0]:.3f}, yours {losses[1][0]:.3f}"
    if not close(own, right):
        return "the weights are others: momentum 0.9, and in step t of T (from 0) the rate is rate * (1 - t / T)"
    return None if close(*map(torch.tensor, losses)) else "the losses are not the means per image of each epoch"


@check("give one whole number")
def conv2_weights(answer):
    """Weights of CustomLeNet's second convolution."""
    with torch.device("meta"):  # shapes alone
        right = sum(p.numel() for p in models.CustomLeNet().conv2.parameters())
    return whole(answer, right, "each filter has width x height x channels numbers, and one bias")


@check("give one whole number of pixels")
def two_in_one(answer):
    """Width of the one filter that equals two convolutions of 8 x 8 in a row."""
    return whole(answer, 64 - output_size(output_size(64, 8), 8) + 1, "how many pixels does one position see?")


@check("write a class whose objects take images and return logits, built like LeNet with relu=True")
def negative_logits(answer):
    """LeNet with a ReLU after its convolutions and its first layer, and none after the last."""
    wanted, images = models.LeNet(relu=True), torch.randn(8, 3, 64, 64)
    net = answer(relu=True)
    net.load_state_dict(wanted.state_dict())
    logits = given(net(images)).detach()
    if (logits >= 0).all():
        return f"the lowest logit is {logits.min():.2f}: how does it say that a class is unlikely?"
    return None if close(logits, wanted(images).detach()) else "with the same weights, LeNet + ReLU gives other logits"


@check("write a function (first, second) that returns the names of the fields that differ")
def recipe_differences(answer):
    """Names of the fields in which two recipes differ."""
    lenet = catalogue.get("lenet").recipe("short")
    for changes in ({}, {"epochs": 12}, {"learning_rate": 0.03, "seed": 5}, {"milestones": (4, 6), "images": None},
                    {"images": 100, "mixup": 0.2, "augmentation": "none"}):  # fmt: skip
        other = lenet.replace(**changes)
        right = {name for name, value in changes.items() if getattr(lenet, name) != value}
        own = given(answer(lenet, other))
        if isinstance(own, str) or set(own) != right:
            return f"these differ in {', '.join(sorted(right)) or 'nothing'}; yours says {own!r}"
    same = [dataclasses.replace(lenet), dataclasses.replace(lenet, milestones=[])]
    return None if all(not set(answer(lenet, each)) for each in same) else "equal recipes differ in nothing"


@check("give a trained network for images (N, 3, 64, 64)")
def small_net(answer):
    """A network with a tenth of LeNet's weights that reaches the goal on the sample's validation images."""
    if not isinstance(answer, nn.Module):
        raise TypeError(f"a trained network (nn.Module) is needed, not {type(answer).__name__}")
    _, validation = sets()
    count = sum(p.numel() for p in answer.parameters())
    loader = our_scene.batches(our_scene.SceneDataset(validation.images, validation.labels), 32)
    _, accuracy = our_scene.evaluate(answer, loader)
    print(f"{count:,} weights, validation accuracy {accuracy:.1%}")
    if count > WEIGHTS:
        return f"at most {WEIGHTS:,} weights"
    return None if accuracy >= GOAL else f"the goal is {GOAL:.0%}"
