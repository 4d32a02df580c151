"""The reader's module ``my_scene.py`` as we would write it; pages use it where the reader has none (``mine.use``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SceneDataset:
    """Images with their labels, one at a time: what ``torch.utils.data.DataLoader`` expects.

    Args:
        images: uint8 tensor (N, 3, H, W).
        labels: int64 tensor (N,).
    """

    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index].float() / 127.5 - 1, int(self.labels[index])


def batches(dataset: SceneDataset, size: int, shuffle: bool = False) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (images, labels) of ``size`` images each; the last batch may be smaller."""
    order = torch.randperm(len(dataset)) if shuffle else torch.arange(len(dataset))
    for indices in order.split(size):
        images, labels = zip(*(dataset[index] for index in indices.tolist()), strict=True)
        yield torch.stack(images), torch.tensor(labels)


def train_epoch(net: nn.Module, loader: Iterable, optimizer: torch.optim.Optimizer) -> float:
    """Take one step per batch, and return the mean loss per image."""
    net.train()
    total = seen = 0
    for images, labels in loader:
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total, seen = total + loss.item() * len(labels), seen + len(labels)
    return total / seen


@torch.no_grad()
def evaluate(net: nn.Module, loader: Iterable) -> tuple[float, float]:
    """Return (mean loss per image, accuracy), and change nothing in the network."""
    net.eval()
    total = correct = seen = 0
    for images, labels in loader:
        logits = net(images)
        total += F.cross_entropy(logits, labels, reduction="sum").item()
        correct += int((logits.argmax(1) == labels).sum())
        seen += len(labels)
    return total / seen, correct / seen


def conv2d(images: Tensor, weight: Tensor, bias: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolve (N, C, H, W) with filters (K, C, k, k): one step per position of the filter, no library call."""
    images = F.pad(images, (padding, padding, padding, padding))
    side = weight.shape[-1]
    height, width = ((length - side) // stride + 1 for length in images.shape[2:])
    maps = torch.zeros(len(images), len(weight), height, width)
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            window = images[:, :, top : top + side, left : left + side]
            maps[:, :, row, column] = window.flatten(1) @ weight.flatten(1).T + bias
    return maps


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions, and the input added to what they make of it."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.inside = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.inside(x) + self.shortcut(x))


def resnet18(classes: int = 6) -> nn.Module:
    """ResNet18 (He et al., 2016) as one stack of residual blocks: (N, 3, H, W) to logits (N, classes)."""
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [ResidualBlock(channels, outputs, stride), ResidualBlock(outputs, outputs)]
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


class LeNet(nn.Module):
    """LeNet: two convolutions with max pooling, two fully connected layers; (N, 3, 64, 64) to logits (N, classes)."""

    def __init__(self, classes: int = 6):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 20, 5), nn.Conv2d(20, 50, 5)
        self.fc1, self.fc2 = nn.Linear(50 * 13 * 13, 500), nn.Linear(500, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv1(x), 2)
        x = F.max_pool2d(self.conv2(x), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def fit(net: nn.Module, loader: Iterable, epochs: int, rate: float) -> list[float]:
    """Train with momentum 0.9 and a rate that falls in a straight line to 0; return the mean loss of each epoch."""
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    steps, step, losses = epochs * len(loader), 0, []
    net.train()
    for _ in range(epochs):
        total = seen = 0
        for images, labels in loader:
            optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
            loss = F.cross_entropy(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, seen, step = total + loss.item() * len(labels), seen + len(labels), step + 1
        losses.append(total / seen)
    return losses
