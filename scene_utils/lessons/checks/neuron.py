"""Checks of 00a_neuron."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import check, close, number, numbers, require, sets, tensor

FEATURES, FEATURES_GOAL = 24, 0.55


@check("give three numbers, such as [0.2, 0.3, 0.5]")
def probabilities(answer):
    """Softmax of the scores 0, ln 2 and ln 3."""
    values = tensor(list(answer) if isinstance(answer, tuple) else answer, 3)
    valid = close(values.sum(), torch.tensor(1.0), 2e-3) and (values >= 0).all()
    require(valid, "probabilities are not negative, and add up to 1")
    hint = "what is exp(ln 2)? The probabilities are in the same proportion as the exponentials"
    require(close(values[1:] / values[0], torch.tensor([2.0, 3.0]), 2e-2), hint)


@check("write a function (scores, label) that returns one number")
def cross_entropy(answer):
    """Cross-entropy of one image, also for very large scores."""
    one = torch.tensor([2.0, -1.0, 0.5, 0.0, 1.0, -2.0])

    def loss(scores: Tensor, label: int) -> float:
        return float(tensor(answer(scores.clone(), label)))

    equal = loss(torch.zeros(6), 3)
    require(abs(equal - math.log(6)) <= 1e-4, f"six equal scores must cost ln 6, yours cost {equal:.3f}")
    total = sum(math.exp(-loss(one, label)) for label in range(6))
    require(abs(total - 1) <= 1e-4, "exp(-loss), over all six labels, must add up to 1")
    require(loss(one, 0) < loss(one, 5), "the loss must be small where the right class has the highest score")
    hint = "adding 1000 to every score must change nothing; yours overflows. What may you subtract from all scores?"
    require(abs(loss(one + 1000, 2) - loss(one, 2)) < 1e-3, hint)


@check("write a function (scores) that returns a table of the same shape")
def softmax(answer):
    """Softmax of a batch of scores, (images, classes)."""
    scores = torch.randn(5, 6)
    values = tensor(answer(scores.clone()), 5, 6)
    valid = (values >= 0).all() and close(values.sum(1), torch.ones(5))
    require(valid, f"the six probabilities of one image must add up to 1, not to {values[0].sum():.3f}")
    by_e = close(values.log().diff(dim=1), scores.diff(dim=1))
    require(by_e, "one more point of score must multiply a probability by e")
    alone = tensor(answer(scores[:1].clone()), 1, 6)
    require(close(values[:1], alone), "the probabilities of an image must not depend on the other images of the batch")


def descend(features: Tensor, labels: Tensor, rate: float, steps: int) -> tuple[nn.Module, list[float]]:
    """Train six neurons by gradient descent from zero; return them and the loss before each step."""
    neurons = nn.Linear(features.shape[1], 6)
    for parameter in neurons.parameters():
        nn.init.zeros_(parameter)
    optimizer = torch.optim.SGD(neurons.parameters(), lr=rate)
    return neurons, [our_scene.train_epoch(neurons, [(features, labels)], optimizer) for _ in range(steps)]


@check("give one number, a learning rate")
def rate_that_fails(answer):
    """A learning rate at which the loss ends higher than it began, but stays a number."""
    train, _ = sets()
    colours = train.images.float().mean((2, 3))
    colours = (colours - colours.mean(0)) / colours.std(0)
    rate = number(answer)
    require(rate > 0, "a learning rate is positive")
    _, losses = descend(colours, train.labels, min(rate, 1e38), 60)  # float32 knows nothing larger
    require(math.isfinite(losses[-1]), "the loss is no longer a number; try a smaller rate")
    require(losses[-1] > losses[0], f"the loss still falls, from {losses[0]:.3f} to {losses[-1]:.3f}")


@check("write a function (images) that returns one row of numbers per image")
def features(answer):
    """At most 24 numbers per image, from which six neurons reach the goal on the validation images."""
    train, validation = sets()
    tables = []
    for split in (train, validation):
        table = numbers(answer(split.images.clone())).float()
        hint = f"one row per image is needed: {len(split)} x k, not {tuple(table.shape)}"
        require(table.ndim == 2 and len(table) == len(split), hint)
        tables.append(table)
    alone = numbers(answer(validation.images[:1].clone())).float()
    require(close(alone, tables[1][:1], 1e-3), "the numbers of an image must not depend on the other images")
    count = tables[0].shape[1]
    hint = f"at most {FEATURES} numbers per image, all finite; yours has {count}"
    require(count <= FEATURES and tables[0].isfinite().all(), hint)
    mean, scale = tables[0].mean(0), tables[0].std(0) + 1e-6
    neurons, _ = descend((tables[0] - mean) / scale, train.labels, 0.5, 300)
    predicted = neurons((tables[1] - mean) / scale).argmax(1)
    accuracy = (predicted == validation.labels).float().mean().item()
    print(f"{count} numbers per image, validation accuracy {accuracy:.1%}")
    require(accuracy >= FEATURES_GOAL, f"the goal is {FEATURES_GOAL:.0%}; what else than colour?")
