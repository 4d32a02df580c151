import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from scene_utils.lessons.checks import ensemble
from tests.answers.training import cnns, conv

X, O = True, False  # noqa: E741
LOSING = [[X, X, X, X, X, X, O, O, O, O], [X, X, X, X, O, O, X, X, O, O], [X, X, X, X, O, O, O, O, X, X]]


def trios(monkeypatch):
    """With the goals that a second of training reaches."""
    monkeypatch.setattr(ensemble, "TRIO_GAIN", -0.1)
    monkeypatch.setattr(ensemble, "TRIO_ACCURACY", 0.35)
    first, second, third = cnns()
    right = [[first, second, third], (third, second, first), nn.ModuleList([first, second, second])]
    fresh = [conv(8), conv(8), conv(8)]
    return right, [[first, second], fresh, [first, second, conv], [first, second, conv(8)[:-1]], first]


ANSWERS = {
    "independent_vote": ([0.896, 0.8**3 + 3 * 0.8**2 * 0.2, torch.tensor(0.896)], [0.8, 0.512, 0.992, 0.384, 1.2]),
    "oracle": (
        [
            lambda members, labels: np.any([each.argmax(1) == labels for each in members], axis=0).mean(),
            lambda members, labels: 1 - np.prod([each.argmax(1) != labels for each in members], axis=0).mean(),
            lambda members, labels: torch.tensor(
                sum(any(each[i].argmax() == label for each in members) for i, label in enumerate(labels)) / len(labels)
            ),
        ],
        [
            lambda members, labels: np.mean([(each.argmax(1) == labels).mean() for each in members]),
            lambda members, labels: max((each.argmax(1) == labels).mean() for each in members),
            lambda members, labels: np.all([each.argmax(1) == labels for each in members], axis=0).mean(),
            lambda members, labels: (np.max(members, axis=0).argmax(1) == labels).mean(),
            lambda members, labels: np.any([each.argmax(1) == labels for each in members], axis=0).sum(),
        ],
    ),
    "vote_that_loses": (
        [LOSING, np.array(LOSING)[::-1], torch.tensor(LOSING).int()],
        [
            [[X] * 6 + [O] * 4] * 3,
            [[X] * 4 + [O] * 6] * 3,
            [[X, X, X, O, O, O]] * 3,
            LOSING[:2],
            np.array(LOSING) * 6,
        ],
    ),
    "average": (
        [
            lambda members: sum(softmax(each, axis=1) for each in members) / len(members),
            lambda members: torch.stack([torch.as_tensor(each).softmax(1) for each in members]).mean(0),
            lambda members: np.mean([np.exp(e) / np.exp(e).sum(1, keepdims=True) for e in members], axis=0).tolist(),
        ],
        [
            lambda members: sum(softmax(each, axis=0) for each in members) / len(members),
            lambda members: sum(softmax(each, axis=1) for each in members),
            lambda members: softmax(np.mean(members, axis=0), axis=1),
            lambda members: np.mean(members, axis=0),
            lambda members: softmax(members[0], axis=1),
        ],
    ),
    "trio": trios,
}
