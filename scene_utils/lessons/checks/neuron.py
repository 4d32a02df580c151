"""Checks of 00a_neuron."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from scene_utils.lessons.checks import check, close, given, number, sets, tensor

FEATURES, FEATURES_GOAL = 24, 0.55


@check("give three numbers, such as [0.2, 0.3, 0.5]")
def probabilities(answer):
    """Softmax of the scores 0, ln 2 and ln 3."""
    values = tensor(list(answer) if isinstance(answer, tuple) else answer, 3)
    if not close(values.sum(), torch.tensor(1.0), 2e-3) or (values < 0).any():
        return "probabilities are not negative, and add up to 1"
    if not close(values[1:] / values[0], torch.tensor([2.0, 3.0]), 2e-2):
        return "what is exp(ln 2)? The probabilities are in the same proportion as the exponentials"
    return None


@check("write a function (scores, label) that returns one number")
def cross_entropy(answer):
    """Cross-entropy of one image, also for very large scores."""
    one = torch.tensor([2.0, -1.0, 0.5, 0.0, 1.0, -2.0])

    def loss(scores: Tensor, label: int) -> float:
        return float(tensor(answer(scores.clone(), label)))

    if abs(loss(torch.zeros(6), 3) - math.log(6)) > 1e-4:
        return f"six equal scores must cost ln 6, yours cost {loss(torch.zeros(6), 3):.3f}"
    if abs(sum(math.exp(-loss(one, label)) for label in range(6)) - 1) > 1e-4:
        return "exp(-loss), over all six labels, must add up to 1"
    if loss(one, 0) >= loss(one, 5):
        return "the loss must be small where the right class has the highest score"
    if not abs(loss(one + 1000, 2) - loss(one, 2)) < 1e-3:
        return "adding 1000 to every score must change nothing; yours overflows. What may you subtract from all scores?"
    return None


@check("write a function (scores) that returns a table of the same shape")
def softmax(answer):
    """Softmax of a batch of scores, (images, classes)."""
    scores = torch.randn(5, 6)
    values = tensor(answer(scores.clone()), 5, 6)
    if (values < 0).any() or not close(values.sum(1), torch.ones(5)):
        return f"the six probabilities of one image must add up to 1, not to {values[0].sum():.3f}"
    if not close(values.log().diff(dim=1), scores.diff(dim=1)):
        return "one more point of score must multiply a probability by e"
    if not close(values[:1], tensor(answer(scores[:1].clone()), 1, 6)):
        return "the probabilities of an image must not depend on the other images of the batch"
    return None


def descend(features: Tensor, labels: Tensor, rate: float, steps: int) -> tuple[Tensor, Tensor, list[float]]:
    """Train six neurons by gradient descent from zero; return weights, biases and the loss before each step."""
    weights = torch.zeros(6, features.shape[1], requires_grad=True)
    biases = torch.zeros(6, requires_grad=True)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(features @ weights.T + biases, labels)
        slopes = torch.autograd.grad(loss, (weights, biases))
        with torch.no_grad():
            weights -= rate * slopes[0]
            biases -= rate * slopes[1]
        losses.append(loss.item())
    return weights.detach(), biases.detach(), losses


@check("give one number, a learning rate")
def rate_that_fails(answer):
    """A learning rate at which the loss ends higher than it began, but stays a number."""
    train, _ = sets()
    colours = train.images.float().mean((2, 3))
    colours = (colours - colours.mean(0)) / colours.std(0)
    rate = number(answer)
    if rate <= 0:
        return "a learning rate is positive"
    losses = descend(colours, train.labels, rate, 60)[2]
    if not math.isfinite(losses[-1]):
        return "the loss is no longer a number; try a smaller rate"
    return None if losses[-1] > losses[0] else f"the loss still falls, from {losses[0]:.3f} to {losses[-1]:.3f}"


@check("write a function (images) that returns one row of numbers per image")
def features(answer):
    """At most 24 numbers per image, from which six neurons reach the goal on the validation images."""
    train, validation = sets()
    tables = []
    for split in (train, validation):
        table = torch.as_tensor(given(answer(split.images.clone()))).float()
        if table.ndim != 2 or len(table) != len(split):
            return f"one row per image is needed: {len(split)} x k, not {tuple(table.shape)}"
        tables.append(table)
    alone = torch.as_tensor(answer(validation.images[:1].clone())).float()
    if not close(alone, tables[1][:1], 1e-3):
        return "the numbers of an image must not depend on the other images"
    count = tables[0].shape[1]
    if count > FEATURES or not tables[0].isfinite().all():
        return f"at most {FEATURES} numbers per image, all finite; yours has {count}"
    mean, scale = tables[0].mean(0), tables[0].std(0) + 1e-6
    weights, biases, _ = descend((tables[0] - mean) / scale, train.labels, 0.5, 300)
    predicted = (((tables[1] - mean) / scale) @ weights.T + biases).argmax(1)
    accuracy = (predicted == validation.labels).float().mean().item()
    print(f"{count} numbers per image, validation accuracy {accuracy:.1%}")
    return None if accuracy >= FEATURES_GOAL else f"the goal is {FEATURES_GOAL:.0%}; what else than colour?"
