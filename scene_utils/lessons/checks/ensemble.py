"""Checks of 08: averages of several networks, what they can and cannot do."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax
from scipy.stats import binom
from torch import nn

from scene_utils import averaging
from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import check, expect, given, number, require, validation_set

TRIO_GAIN, TRIO_ACCURACY = 0.03, 0.6  # of the open task: over the mean member, and together


@check("give one number from 0 to 1")
def independent_vote(answer):
    """Accuracy of a majority of three members that are right 80% of the time, independently."""
    require(0 <= number(answer) <= 1, "an accuracy is between 0 and 1")
    expect(answer, binom.sf(1, 3, 0.8), "in which cases are at least two of three right?", 2e-3)


def _members(seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 6, 200)
    return [2 * np.eye(6)[labels] + random.normal(0, 1.5, (200, 6)) for _ in range(3)], labels


@check("write a function (members, labels) that returns a number from 0 to 1")
def oracle(answer):
    """Accuracy of an oracle that always trusts a member that is right, if there is one."""
    for seed in range(3):
        members, labels = _members(seed)
        alike = [members[0]] * 3
        for logits in (members, alike, members[:2]):
            right = np.any([each.argmax(1) == labels for each in logits], axis=0).mean()
            own = number(answer([each.copy() for each in logits], labels.copy()))
            expect(own, right, f"the oracle is right on {right:.1%} here, yours on {own:.1%}", 1e-6)


@check("give three lists of ten predictions, True where a member is right")
def vote_that_loses(answer):
    """Three members, each right on six of ten images, whose majority is right on four at most."""
    right = np.asarray(answer)
    hint = f"three rows of ten values, True or False; yours has the shape {right.shape}"
    require(right.shape == (3, 10) and set(np.unique(right)) <= {0, 1}, hint)
    counts = right.sum(1)
    require((counts == 6).all(), f"each member must be right on six images; yours on {', '.join(map(str, counts))}")
    together = int((right.sum(0) >= 2).sum())
    require(together <= 4, f"the majority is right on {together}; on which images are two right at once?")


@check("write a function (members) that returns probabilities (images, classes)")
def average(answer):
    """The mean of the members' probabilities."""
    for seed in range(3):
        members, _ = _members(seed)
        for logits in (members, members[:2], [10 * members[0], members[1]]):
            own = np.asarray(given(answer([each.copy() for each in logits])), dtype=float)
            hint = f"one row per image, one column per class: {members[0].shape}, not {own.shape}"
            require(own.shape == members[0].shape, hint)
            hint = "add up the probabilities of one image: what should come out?"
            require(np.allclose(own.sum(1), 1, atol=1e-4), hint)
            right = averaging.average_probabilities(logits)
            require(np.allclose(own, right, atol=1e-4), "the probabilities of each member come first, then their mean")


@check("give a list of three trained networks for images (N, 3, 32, 32)")
def trio(answer):
    """Three networks that know more together than one by one, on the validation images."""
    nets = list(answer)
    if len(nets) != 3 or not all(isinstance(net, nn.Module) for net in nets):
        raise TypeError("three trained networks (nn.Module) are needed")
    validation = validation_set(32)
    images, labels = next(our_scene.batches(validation, len(validation)))
    with torch.no_grad():
        logits = [net.eval()(images).double().numpy() for net in nets]
    alone = [float((each.argmax(1) == labels.numpy()).mean()) for each in logits]
    together = float((np.mean([softmax(each, 1) for each in logits], 0).argmax(1) == labels.numpy()).mean())
    print(f"alone {', '.join(f'{each:.1%}' for each in alone)}; together {together:.1%}")
    require(together >= TRIO_ACCURACY, f"together they must reach {TRIO_ACCURACY:.0%}")
    gain = together - float(np.mean(alone))
    require(gain >= TRIO_GAIN, f"the gain over their mean is {100 * gain:.1f} points, the goal is 3")
