"""Checks of 04: weights, dropout by hand, a head in training mode, the floor of a loss, a plan of runs."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from scene_utils.lessons.checks import check, count, expect, number, numbers, require
from scene_utils.support.layers import output_size

PARTS = ("normalization", "overlap", "hidden dropout", "logit dropout", "second layer")
RUNS, VARIANCE = 8, 0.55  # of a plan: runs, and variance of each effect in units of one run's


@check("give one whole number")
def second_layer_weights(answer):
    """Weights of one more fully connected layer of 4096."""
    expect(answer, count(nn.Linear(4096, 4096, device="meta")), "4096 inputs and one bias for each of 4096 neurons")


@check("give one whole number")
def larger_fc1(answer):
    """Weights of AlexNet's first fully connected layer on images of 128 x 128."""
    size = 128
    for _ in range(3):
        size = output_size(size, 3, 2)
    expect(answer, (256 * size * size + 1) * 4096, "only the three poolings change the size")


@check("write a function (x, p, training) that returns a tensor of the same shape")
def dropout(answer):
    """Dropout: each value dropped on its own, the others enlarged so that the mean stays; nothing when not training."""
    x = torch.full((200, 300), 2.0)
    for p in (0.5, 0.2):
        dropped = numbers(answer(x.clone(), p, True))
        require(dropped.shape == x.shape, f"the shape must stay {tuple(x.shape)}, yours is {tuple(dropped.shape)}")
        zero = (dropped == 0).float()
        require(abs(zero.mean() - p) <= 0.02, f"with p = {p} a fraction of {zero.mean():.2f} is zero")
        require(torch.allclose(dropped[dropped != 0], torch.tensor(2.0 / (1 - p))),
                "what is kept must be enlarged so that the mean stays as it was: by which factor?")  # fmt: skip
        require(max(zero.mean(axis).std() for axis in (0, 1)) <= 0.1,
                "whole rows or columns are dropped; each value needs a draw of its own")  # fmt: skip
    alike = torch.equal(answer(x.clone(), 0.5, True), answer(x.clone(), 0.5, True))
    require(not alike, "the second call drops the same values as the first")
    require(torch.equal(answer(x.clone(), 0.5, False), x), "when it is not training, nothing may change")


@check("write a function (head, logits, labels) that returns the accuracy")
def judged(answer):
    """Accuracy of a head that has a dropout, with the dropout switched off."""
    logits, labels = torch.eye(6).repeat(50, 1), torch.arange(6).repeat(50)
    half = labels.clone()
    half[::2] = (half[::2] + 1) % 6
    found = [number(answer(nn.Dropout(0.5), logits, truth)) for truth in (labels, half)]
    expect(found[0], 1, f"all these logits are right, yours says {found[0]:.2f}: dropout is still at work", 1e-6)
    expect(found[1], 0.5, f"half are right here, yours says {found[1]:.2f}", 1e-6)


@check("write a function (classes) that returns one number")
def dropout_floor(answer):
    """Lowest mean loss of a sure and right network whose logits are dropped with probability one half."""
    for classes in (2, 6, 10, 100):
        others = classes - 1
        mean = sum(math.comb(others, k) * math.log(1 + k) for k in range(classes)) / 2**others
        own = number(answer(classes))
        hint = f"for {classes} classes yours is {own:.3f}; with the true logit dropped, which others are 0?"
        expect(own, mean / 2, hint, 0.01)


def variances(plan: list[set[str]]) -> np.ndarray | None:
    """Variance of each part's effect by least squares, in units of one run's variance; None where one is not known."""
    design = np.array([[1, *(1 if part in run else -1 for part in PARTS)] for run in plan], dtype=float)
    if not plan or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    return 4 * np.diag(np.linalg.inv(design.T @ design))[1:]


@check("give a list of runs, each a set of the parts that its network has")
def ablation_plan(answer):
    """Eight runs from which the effect of each of five parts is known as precisely as eight runs allow."""
    plan = [set(run) for run in answer]
    unknown = sorted(set().union(*plan) - set(PARTS))
    require(not unknown, f"unknown parts {unknown}; known: {', '.join(PARTS)}")
    require(len(plan) <= RUNS, f"at most {RUNS} runs")
    found = variances(plan)
    hint = "from these runs the effects do not follow: too few runs, or two parts that come and go together"
    require(found is not None, hint)
    print(f"variance of the effects: {', '.join(f'{v:.2f}' for v in found)} times that of one run")
    require(found.max() <= VARIANCE, f"the goal is {VARIANCE} for each; how many runs speak of each part?")
