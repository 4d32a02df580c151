import functools

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from scene_utils import averaging
from scene_utils.lessons.checks import beyond
from tests.answers.transfer import colours


def loss(student, teacher, labels, share, temperature, square=2, soft_student=True):
    target = (teacher / temperature).softmax(1)
    soft = F.cross_entropy(student / temperature if soft_student else student, target) * temperature**square
    return (1 - share) * F.cross_entropy(student, labels) + share * soft


def by_hand(student, teacher, labels, share, temperature):
    hard = -student.log_softmax(1)[range(len(labels)), labels].mean()
    soft = -((teacher / temperature).softmax(1) * (student / temperature).log_softmax(1)).sum(1).mean()
    return float((1 - share) * hard + share * temperature**2 * soft)


def by_divergence(student, teacher, labels, share, temperature):
    target = (teacher / temperature).softmax(1)
    apart = F.kl_div((student / temperature).log_softmax(1), target, reduction="batchmean")
    soft = apart + torch.special.entr(target).sum(1).mean()
    return torch.lerp(F.cross_entropy(student, labels), soft * temperature**2, share)


def honest(holdout, holdout_labels, test, test_labels):
    shares = averaging.choose_weights(holdout, holdout_labels)
    return (averaging.average_probabilities(test, shares).argmax(1) == test_labels).mean()


def best_alone(holdout, holdout_labels, test, test_labels):
    best = max(range(len(holdout)), key=lambda i: (holdout[i].argmax(1) == holdout_labels).mean())
    return torch.tensor((test[best].argmax(1) == test_labels).mean())


def by_accuracy(holdout, holdout_labels, test, test_labels):
    shares = [(each.argmax(1) == holdout_labels).mean() ** 9 for each in holdout]
    return float((averaging.average_probabilities(test, shares).argmax(1) == test_labels).mean())


def cheating(holdout, holdout_labels, test, test_labels):
    return honest(test, test_labels, test, test_labels)


def found(monkeypatch):
    """On colours, with the goal that they reach."""
    monkeypatch.setattr(beyond, "FOUND_GOAL", 15)

    def doubted(model, images, labels):
        probabilities = cross_val_predict(model, colours(images), labels, method="predict_proba", cv=4)
        return probabilities[range(len(labels)), labels].argsort()[:40]

    models = [LogisticRegression(max_iter=300), LogisticRegression(C=0.1), KNeighborsClassifier(25)]
    right = [functools.partial(doubted, model) for model in models]
    wrong = [
        lambda images, labels: range(40),
        lambda images, labels: right[0](images, labels)[:30],
        lambda images, labels: np.random.default_rng(0).choice(288, 40, replace=False),
        lambda images, labels: [7] * 40,
        lambda images, labels: np.arange(280, 320),
    ]
    return right, wrong


ANSWERS = {
    "weights_saved": ([8.69, 589_824 / 67_840, torch.tensor(8.694)], [9, 0.115, 2304, 8.5, -8.69]),
    "softer": ([0.2447, np.exp(1) / np.exp([0, 1, 2]).sum(), torch.tensor(0.2447)], [0.047, 0.665, 0.09, 1.0, -0.24]),
    "distillation_loss": (
        [loss, by_hand, by_divergence],
        [
            functools.partial(loss, square=0),
            functools.partial(loss, square=1),
            functools.partial(loss, soft_student=False),
            lambda student, teacher, labels, share, temperature: loss(student, teacher, labels, 1 - share, temperature),
            lambda student, teacher, labels, share, temperature: loss(teacher, student, labels, share, temperature),
        ],
    ),
    "weighted_accuracy": (
        [honest, best_alone, by_accuracy],
        [
            cheating,
            lambda holdout, holdout_labels, test, test_labels: 1.0,
            lambda holdout, holdout_labels, test, test_labels: 0.5,
            lambda holdout, holdout_labels, test, test_labels: max((t.argmax(1) == test_labels).mean() for t in test),
            lambda holdout, holdout_labels, test, test_labels: honest(holdout[::-1], holdout_labels, test, test_labels),
        ],
    ),
    "suspects": found,
}
