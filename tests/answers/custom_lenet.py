import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from scene_utils import models
from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import custom_lenet
from tests.answers.training import cnns, conv, one_class


def loop(schedule=lambda step, steps: 1 - step / steps, momentum=0.9, weights=True, short=0):
    """The loop with PyTorch's scheduler, right with these arguments."""

    def function(net, loader, epochs, rate):
        optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=momentum)
        steps, losses = epochs * len(loader), []
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps))
        net.train()
        for _ in range(epochs - short):
            parts = []
            for images, labels in loader:
                loss = F.cross_entropy(net(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                parts.append((loss.item(), len(labels) if weights else 1))
            losses.append(sum(loss * count for loss, count in parts) / sum(count for _, count in parts))
        return losses

    return function


def by_hand(net, loader, epochs, rate):
    """Momentum written out."""
    velocity, losses, step = [torch.zeros_like(p) for p in net.parameters()], [], 0
    net.train()
    for _ in range(epochs):
        total = seen = 0
        for images, labels in loader:
            loss = F.cross_entropy(net(images), labels)
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            for p, v, gradient in zip(net.parameters(), velocity, gradients, strict=True):
                v.mul_(0.9).add_(gradient)
                p.data -= rate * (1 - step / (epochs * len(loader))) * v
            total, seen, step = total + loss.item() * len(labels), seen + len(labels), step + 1
        losses.append(total / seen)
    return torch.tensor(losses)


class ByHand(models.LeNet):
    def forward(self, x):
        x = F.max_pool2d(self.conv1(x).relu(), 2)
        x = F.max_pool2d(self.conv2(x).relu(), 2)
        return self.fc2(self.fc1(x.flatten(1)).relu())


def followed_by(change):
    return type("Wrong", (models.LeNet,), {"forward": lambda self, x: change(models.LeNet.forward(self, x))})


def nets(monkeypatch):
    """Trained for a second at 32 pixels, with the goal that this reaches."""
    monkeypatch.setattr(custom_lenet, "GOAL", 0.35)

    def smaller(net):
        return nn.Sequential(nn.AvgPool2d(2), net)

    right = [smaller(net) for net in cnns()]
    heavy = smaller(cnns()[0])
    heavy.register_parameter("ballast", nn.Parameter(torch.zeros(500_000)))
    return right, [smaller(conv(8)), smaller(one_class()), heavy, smaller(cnns()[0][:-1]), conv]


def named(first, second):
    return {f.name for f in dataclasses.fields(first) if getattr(first, f.name) != getattr(second, f.name)}


ANSWERS = {
    "fit": (
        [our_scene.fit, loop(), by_hand],
        [loop(lambda step, steps: 1), loop(momentum=0.0), loop(weights=False), loop(short=1),
         loop(lambda step, steps: 1 - (step + 1) / steps)],
    ),
    "conv2_weights": ([2_097_408, 2_097_408.0, torch.tensor(2_097_408)], [2_097_152, 16_640, 2_097_664, 8192, -1]),
    "two_in_one": ([15, 15.0, torch.tensor(15)], [16, 8, 64, 14, -15]),
    "negative_logits": (
        [models.LeNet, ByHand, lambda relu: ByHand(relu=relu)],
        [followed_by(F.relu), followed_by(lambda z: z - 1), followed_by(lambda z: z.softmax(1)),
         lambda relu: models.LeNet(relu=False), models.CustomLeNet],
    ),
    "recipe_differences": (
        [
            named,
            lambda a, b: [name for name, value in vars(a).items() if vars(b)[name] != value],
            lambda a, b: tuple(k for k, v in dataclasses.asdict(a).items() if dataclasses.asdict(b)[k] != v),
        ],
        [
            lambda a, b: set(),
            lambda a, b: {"epochs"},
            lambda a, b: named(a, b) - {"seed"},
            lambda a, b: set(vars(a).items()) ^ set(vars(b).items()),
            lambda a, b: a != b,
        ],
    ),
    "small_net": nets,
}  # fmt: skip
