import itertools
import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from scene_utils.lessons.checks.alexnet import PARTS


def dropped(x, p, training):
    keep = torch.rand_like(x) >= p
    return x * keep / (1 - p) if training else x


def rows(x, p, training):
    return x * (torch.rand(len(x), 1) >= p) / (1 - p) if training else x


def once(x, p, training):
    keep = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) >= p
    return x * keep / (1 - p) if training else x


def accuracy(head, logits, labels):
    with torch.no_grad():
        return (head(torch.as_tensor(logits)).argmax(1) == torch.as_tensor(labels)).float().mean().item()


def enumerated(classes):
    counts = np.arange(classes)
    ways = np.array([math.comb(classes - 1, k) / 2.0 ** (classes - 1) for k in counts])
    return float((ways * np.log1p(counts)).sum() / 2)


def simulated(classes):
    zeros = (torch.rand(200_000, classes - 1) < 0.5).sum(1)
    return torch.log1p(zeros.float()).mean() / 2


def by_forward(classes):
    ways = 2.0 * (torch.rand(40_000, classes) < 0.5)
    logits = -300 * torch.ones(classes)
    logits[0] = 300
    return F.cross_entropy(ways * logits, torch.zeros(40_000, dtype=torch.long)).item()


def factorial(*products):
    """Eight runs: three parts in all combinations, each other part by the product of some of these."""
    plan = []
    for signs in itertools.product((1, -1), repeat=3):
        told = [*signs, *(math.prod(signs[i] for i in each) for each in products)]
        plan.append({part for part, sign in zip(PARTS, told, strict=True) if sign > 0})
    return plan


HALF = factorial((0, 1), (0, 2))
ANSWERS = {
    "second_layer_weights": ([16_781_312, 16_781_312.0, torch.tensor(16_781_312)],
                             [16_777_216, 8192, 16_781_313, 4096, -16_781_312]),
    "larger_fc1": ([235_933_696, 235_933_696.0, torch.tensor(235_933_696)],
                   [51_384_320, 235_929_600, 57_600, 268_439_552, -1]),
    "dropout": (
        [dropped, partial(F.dropout, inplace=True), lambda x, p, training: torch.nn.Dropout(p).train(training)(x)],
        [
            lambda x, p, training: x * (torch.rand_like(x) >= p) if training else x,
            lambda x, p, training: dropped(x, p, True),
            lambda x, p, training: dropped(x, 1 - p, training),
            rows,
            once,
        ],
    ),
    "judged": (
        [
            lambda head, logits, labels: accuracy(head.eval(), logits, labels),
            lambda head, logits, labels: accuracy(head.train(False), logits, labels),
            lambda head, logits, labels: float(np.mean(np.asarray(logits).argmax(1) == np.asarray(labels))),
        ],
        [
            accuracy,
            lambda head, logits, labels: 1.0,
            lambda head, logits, labels: accuracy(head.train(), logits, labels),
            lambda head, logits, labels: accuracy(head.eval(), logits, labels) / 2,
            lambda head, logits, labels: accuracy(head.eval(), -logits, labels),
        ],
    ),
    "dropout_floor": (
        [enumerated, simulated, by_forward],
        [
            lambda classes: math.log(classes) / 2,
            lambda classes: 0.596,
            lambda classes: 2 * enumerated(classes),
            lambda classes: math.log(1 + (classes - 1) / 2),
            lambda classes: 0.0,
        ],
    ),
    "ablation_plan": (
        [HALF, factorial((0, 1, 2), (0, 1)), [set(PARTS) - run for run in factorial((1, 2), (0, 1))]],
        [
            [set(PARTS), *({*PARTS} - {part} for part in PARTS)],
            [*HALF, set()],
            factorial((0, 1), (0, 1)),
            [{"shortcuts"}],
            HALF[:5],
        ],
    ),
}  # fmt: skip
