from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from scene_utils.lessons import checks, our_scene
from scene_utils.lessons.checks import training


def trained(net, labels=None, rate=0.05, epochs=6):
    train, _ = checks.sets()
    small = F.avg_pool2d(train.images.float(), 2).round().byte()
    known = our_scene.SceneDataset(small, train.labels if labels is None else labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    for _ in range(epochs):
        our_scene.train_epoch(net, our_scene.batches(known, 32, shuffle=True), optimizer)
    return net


def dense(*layers):
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), *layers)


def conv(filters):
    return nn.Sequential(
        nn.Conv2d(3, filters, 3, 2), nn.BatchNorm2d(filters), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(),
        nn.Linear(9 * filters, 6),
    )  # fmt: skip


@cache
def cnns():
    """Three convolutional networks, trained for a second each."""
    torch.manual_seed(0)
    return [trained(conv(filters)) for filters in (8, 12, 16)]


@cache
def one_class():
    """A network that has learnt the first class alone."""
    return trained(conv(8), torch.zeros(288, dtype=torch.int64))


@cache
def large():
    """A network of many weights, trained."""
    return trained(nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.ReLU(), nn.Linear(64, 6)), rate=0.01)


def mlps(monkeypatch):
    """Trained for a second, with the goal that this reaches."""
    monkeypatch.setattr(training, "MLP_GOAL", 0.35)
    torch.manual_seed(0)
    right = [
        trained(dense(nn.Linear(192, 6)), rate=0.01),
        trained(dense(nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 6)), rate=0.02),
        trained(dense(nn.Linear(192, 100), nn.BatchNorm1d(100), nn.ReLU(), nn.Linear(100, 6)), rate=0.02),
    ]
    forests = trained(dense(nn.Linear(192, 6)), torch.zeros(288, dtype=torch.int64))
    return right, [dense(nn.Linear(192, 6)), cnns()[0], large(), forests, dense(nn.Linear(192, 5))]


class Scaled(our_scene.SceneDataset):
    def __getitem__(self, index):
        return self.images[index] / 255 * 2 - 1, self.labels[index]


class Listed:
    def __init__(self, images, labels):
        self.pairs = [((image.double() / 127.5 - 1).float(), int(y)) for image, y in zip(images, labels, strict=True)]

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


def dataset_with(**methods):
    return type("Wrong", (our_scene.SceneDataset,), methods)


def stacked(dataset, size, shuffle=False):
    for indices in (torch.randperm(len(dataset)) if shuffle else torch.arange(len(dataset))).split(size):
        yield torch.stack([dataset[i][0] for i in indices]), torch.tensor([dataset[i][1] for i in indices])


def separately_shuffled(dataset, size, shuffle=False):
    for (images, _), (_, labels) in zip(stacked(dataset, size, shuffle), stacked(dataset, size, shuffle), strict=True):
        yield images, labels


def with_replacement(dataset, size, shuffle=False):
    order = torch.randint(len(dataset), (len(dataset),)) if shuffle else torch.arange(len(dataset))
    for indices in order.split(size):
        yield torch.stack([dataset[i][0] for i in indices]), torch.tensor([dataset[i][1] for i in indices])


def same_order(dataset, size, shuffle=False):
    generator = torch.Generator().manual_seed(0)
    return iter(DataLoader(dataset, size, shuffle=shuffle, generator=generator))


def epoch(zero="before", step=True, train=True, mean="images"):
    """A training loop, right with these arguments, wrong with most others."""

    def function(net, loader, optimizer):
        net.train() if train else None
        losses, counts = [], []
        for images, labels in loader:
            loss = nn.CrossEntropyLoss()(net(images), labels)
            optimizer.zero_grad() if zero == "before" else None
            loss.backward()
            optimizer.zero_grad() if zero == "between" else None
            optimizer.step() if step else None
            optimizer.zero_grad() if zero == "after" else None
            losses.append(loss.item())
            counts.append(len(labels))
        return np.average(losses, weights=counts if mean == "images" else None)

    return function


def all_at_once(net, loader):
    net.eval()
    with torch.no_grad():
        logits, labels = (torch.cat(part) for part in zip(*[(net(x), y) for x, y in loader], strict=True))
    return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()


def in_training_mode(net, loader):
    with torch.no_grad():
        pairs = [(net.train()(images), labels) for images, labels in loader]
    logits, labels = (torch.cat(part) for part in zip(*pairs, strict=True))
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()


def mean_of_batches(net, loader):
    net.eval()
    results = [(F.cross_entropy(net(x), y).item(), (net(x).argmax(1) == y).float().mean().item()) for x, y in loader]
    return tuple(np.mean(results, axis=0))

ANSWERS = {
    "dataset": (
        [our_scene.SceneDataset, Scaled, Listed],
        [
            dataset_with(__getitem__=lambda self, i: (self.images[i] / 255, int(self.labels[i]))),
            dataset_with(__getitem__=lambda self, i: self.images[i] / 127.5 - 1),
            dataset_with(__getitem__=lambda self, i: (self.images[i], int(self.labels[i]))),
            dataset_with(__getitem__=lambda self, i: (self.images[i] / 127.5 - 1, i)),
            dataset_with(__len__=lambda self: 6),
        ],
    ),
    "batches": (
        [our_scene.batches, stacked, lambda dataset, size, shuffle=False: DataLoader(dataset, size, shuffle)],
        [
            lambda dataset, size, shuffle=False: DataLoader(dataset, size, shuffle, drop_last=True),
            lambda dataset, size, shuffle=False: stacked(dataset, size),
            separately_shuffled,
            with_replacement,
            same_order,
        ],
    ),
    "train_epoch": (
        [our_scene.train_epoch, epoch(), epoch(zero="after")],
        [epoch(zero="never"), epoch(zero="between"), epoch(step=False), epoch(train=False), epoch(mean="batches")],
    ),
    "evaluate": (
        [our_scene.evaluate, all_at_once, lambda net, loader: [float(value) for value in all_at_once(net, loader)]],
        [
            in_training_mode,
            mean_of_batches,
            lambda net, loader: all_at_once(net, loader)[::-1],
            lambda net, loader: all_at_once(net, loader)[1],
            lambda net, loader: (epoch()(net, loader, torch.optim.SGD(net.parameters(), 0.1)), 0.5),
        ],
    ),
    "mlp_weights": (
        [1_229_506, 1_229_506.0, torch.tensor(1_229_506)],
        [1_228_800, 1_229_400, 1_229_500, 12_288, -1_229_506],
    ),
    "dead_bias": ([-100, [-50.0] * 16, torch.full((16,), -1000.0)], [0, 100, -0.3, [-100] * 5, float("-inf")]),
    "small_mlp": mlps,
}
