"""Checks of A1: small networks, teachers, honest weights, and doubtful labels."""

from __future__ import annotations

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from scene_utils import training
from scene_utils.lessons.checks import check, expect, given, number, require, sets
from scene_utils.recipe import Recipe

WRONG, NAMED, FOUND_GOAL = 60, 40, 28  # of the open task: wrong labels, images to name, how many must be among them


@check("give one number")
def weights_saved(answer):
    """Weights of a 3 x 3 convolution from 256 to 256 maps over those of the separable one."""
    full = nn.Conv2d(256, 256, 3, bias=False)
    apart = [nn.Conv2d(256, 256, 3, groups=256, bias=False), nn.Conv2d(256, 256, 1, bias=False)]
    right = full.weight.numel() / sum(part.weight.numel() for part in apart)
    expect(answer, right, "count both convolutions of the separable one", 5e-3 * right)


@check("give one probability")
def softer(answer):
    """The second class's probability for the logits 6, 3 and 0 at temperature 3."""
    right = float(softmax(np.array([6.0, 3.0, 0.0]) / 3)[1])
    expect(answer, right, "divide the logits by the temperature, then take the softmax", 2e-3)


@check("write a function (student, teacher, labels, share, temperature) that returns one number")
def distillation_loss(answer):
    """The mean loss of a student: labels and a teacher's softened probabilities, the latter times T squared."""
    student, teacher, labels = torch.randn(7, 6), 2 * torch.randn(7, 6), torch.arange(7) % 6
    targets = torch.eye(6)[labels]
    for share, temperature in ((0.0, 1.0), (1.0, 1.0), (0.9, 2.0), (0.5, 4.0)):
        recipe = Recipe(distillation=share, temperature=temperature)
        soft = (teacher / temperature).softmax(1)
        right = float(training.loss_function(student, targets, recipe, soft if share else None)) / 7
        own = number(answer(student.clone(), teacher.clone(), labels.clone(), share, temperature))
        hint = f"with share {share:g} and temperature {temperature:g} it should be {right:.4f}, yours is {own:.4f}"
        expect(own, right, hint, 1e-3 * max(1, right))


@check("write a function (holdout, holdout_labels, test, test_labels) that returns one accuracy")
def weighted_accuracy(answer):
    """Weights are chosen on the hold-out, and the test set is only read."""
    random = np.random.default_rng(0)
    known, asked = random.integers(0, 3, 400), random.integers(0, 3, 400)

    def good(truth):
        return np.eye(3)[truth] * 9

    def bad(truth):
        return good(random.permutation(truth))

    value = number(answer([good(known), bad(known)], known, [bad(asked), good(asked)], asked))
    require(value <= 0.6, "the test set may be read, but may it choose?")
    value = number(answer([good(known), bad(known)], known, [good(asked), bad(asked)], asked))
    require(value > 0.95, "the member that is good on the hold-out should have the larger weight")


@check("write a function (images, labels) that returns forty positions")
def suspects(answer):
    """Which training labels of the sample are wrong, when sixty of them were changed."""
    train, _ = sets()
    random = np.random.default_rng(7)
    wrong = random.choice(len(train), WRONG, replace=False)
    labels = train.labels.clone()
    labels[wrong] = (labels[wrong] + torch.as_tensor(random.integers(1, 6, WRONG))) % 6
    named = np.unique(np.asarray(given(answer(train.images.clone(), labels.clone()))).astype(int))
    require(len(named) == NAMED and named.min() >= 0 and named.max() < len(train),
            f"{NAMED} different positions from 0 to {len(train) - 1}; yours are {len(named)}")  # fmt: skip
    found = len(set(named.tolist()) & set(wrong.tolist()))
    print(f"{found} of {NAMED} are wrong labels")
    require(found >= FOUND_GOAL, f"the goal is {FOUND_GOAL}; guessing finds about eight")
