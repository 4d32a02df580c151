import functools

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from scene_utils.lessons.checks import transfer


def frozen(net):
    net.requires_grad_(False)
    net.fc.requires_grad_(True)
    net.eval()
    net.fc.train()


def layer_by_layer(net):
    net.train()
    for name, module in net.named_children():
        module.requires_grad_(name == "fc").train(name == "fc")


def still_norms(net):
    for name, parameter in net.named_parameters():
        parameter.requires_grad = name.startswith("fc")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def in_training_mode(net):
    net.requires_grad_(False)
    net.fc.requires_grad_(True)
    net.train()


def no_gradients(net):
    net.requires_grad_(False)
    net.eval()
    net.fc.train()


def groups(net, body=0.001, last=0.01):
    rest = [parameter for name, parameter in net.named_parameters() if not name.startswith("fc.")]
    return [{"params": rest, "lr": body}, {"params": list(net.fc.parameters()), "lr": last}]


def one_by_one(net):
    each = [{"params": [p], "lr": 0.01 if name.startswith("fc.") else 0.001} for name, p in net.named_parameters()]
    return torch.optim.Adam(each)


def colours(images):
    return F.adaptive_avg_pool2d(images.float(), 3).flatten(1).numpy() / 255


def few(monkeypatch):
    """On colours, with the goal that they reach."""
    monkeypatch.setattr(transfer, "FEW_GOAL", 0.3)

    def by(model, images, labels, new_images):
        return model.fit(colours(images), labels).predict(colours(new_images))

    models = [LogisticRegression(max_iter=1000), KNeighborsClassifier(5, metric="cityblock"), LogisticRegression(C=9)]
    right = [functools.partial(by, model) for model in models]
    wrong = [
        lambda images, labels, new: torch.zeros(len(new)),
        lambda images, labels, new: torch.arange(len(new)) % 6,
        lambda images, labels, new: right[0](images, labels, new)[:10],
        lambda images, labels, new: right[0](images, labels.flip(0), new),
        lambda images, labels, new: np.eye(6)[right[0](images, labels, new)],
    ]
    return right, wrong


ANSWERS = {
    "last_layer_weights": ([3078, 3078.0, torch.tensor(3078)], [3072, 518, 11_179_590, 512, -3078]),
    "class_map": (
        [
            lambda features, fc, label: torch.einsum("k,khw->hw", fc.weight[label], features),
            lambda features, fc, label: (fc.weight[label][:, None, None] * features).sum(0),
            lambda features, fc, label: (fc.weight @ features.flatten(1))[label].view(2, 2).numpy(),
        ],
        [
            lambda features, fc, label: (fc.weight[label][:, None, None] * features).mean(0),
            lambda features, fc, label: torch.einsum("k,khw->hw", fc.weight[0], features) * (label == 0),
            lambda features, fc, label: (fc.weight[label] @ features.mean((1, 2))).expand(2, 2),
            lambda features, fc, label: torch.einsum("k,khw->hw", fc.weight[label], features) + fc.bias[label],
            lambda features, fc, label: torch.einsum("k,khw->wh", fc.weight[label], features.roll(1, 1)),
        ],
    ),
    "frozen_features": (
        [frozen, layer_by_layer, still_norms],
        [in_training_mode, no_gradients, nn.Module.eval, nn.Module.train, lambda net: net.requires_grad_(False)],
    ),
    "two_rates": (
        [
            lambda net: torch.optim.SGD(groups(net), lr=0.1, momentum=0.9),
            lambda net: torch.optim.AdamW(groups(net)),
            one_by_one,
        ],
        [
            lambda net: torch.optim.SGD(net.parameters(), lr=0.01),
            lambda net: torch.optim.SGD(groups(net, 0.01, 0.001), lr=0.1),
            lambda net: torch.optim.SGD(groups(net)[1:], lr=0.1),
            lambda net: torch.optim.SGD(groups(net, 0.0), lr=0.1),
            lambda net: groups(net),
        ],
    ),
    "few_images": few,
}
