from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18
from torchvision.models.resnet import BasicBlock

from scene_utils import models
from scene_utils.lessons import our_scene


def overwritten(self, x):
    x = F.relu(self.bn1(self.conv1(x)))
    return F.relu(self.bn2(self.conv2(x)) + x)


def one_line(self, x):
    return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())) + x).clamp(min=0)


def kept(self, x):
    identity = x.clone()
    out = F.relu(self.bn1(self.conv1(x)))
    return F.relu(identity.add(self.bn2(self.conv2(out))))


class Torch(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        shape = stride != 1 or inputs != outputs
        down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.block = BasicBlock(inputs, outputs, stride, down if shape else None)

    def forward(self, x):
        return self.block(x)


class Other(our_scene.ResidualBlock):
    """The shortcut is made first, so that it is the first of the modules."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__(inputs, outputs, stride)
        inside, shortcut = self.inside, self.shortcut
        del self.inside, self.shortcut
        self.shortcut, self.inside = shortcut, inside


def block_with(forward):
    return type("Wrong", (our_scene.ResidualBlock,), {"forward": forward})


class AlwaysConvolved(our_scene.ResidualBlock):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__(inputs, outputs, stride)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class Unstrided(our_scene.ResidualBlock):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__(inputs, outputs)


def headless(classes=6):
    return nn.Sequential(*list(resnet18(num_classes=classes).children())[:-1], nn.Flatten())


def design(**changes):
    return {"shallow": 18, "deep": 34, "epochs": 12, "rates": [0.02, 0.05, 0.1], "seeds": 4} | changes


ANSWERS = {
    "power_of_fifty": (
        [0.001 ** (1 / 50), 0.871, torch.tensor(0.8710)],
        [0.02, 0.99, 50, -0.871, 0.001],
    ),
    "bottleneck_ratio": ([16.94, 1_179_648 / 69_632, torch.tensor(16.94)], [17.5, 8.47, 2, 0.059, -16.94]),
    "residual_forward": (
        [one_line, kept, lambda self, x: F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))],
        [
            overwritten,
            lambda self, x: self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + x,
            lambda self, x: F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))),
            lambda self, x: x,
            lambda self, x: F.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))) + x),
        ],
    ),
    "residual_block": (
        [our_scene.ResidualBlock, Torch, Other],
        [
            block_with(lambda self, x: F.relu(self.inside(x))),  # no shortcut
            block_with(lambda self, x: self.inside(x) + self.shortcut(x)),  # no last ReLU
            block_with(lambda self, x: F.relu(self.inside(x)) + self.shortcut(x)),  # added after it
            AlwaysConvolved,
            Unstrided,
        ],
    ),
    "resnet18": (
        [our_scene.resnet18, lambda classes=6: resnet18(num_classes=classes), partial(models.resnet, 18)],
        [
            lambda classes=6: models.resnet(34, classes),
            lambda classes=6: models.resnet(18, 6),
            lambda classes=6: resnet18(num_classes=classes)(torch.zeros(2, 3, 64, 64)),
            headless,
            lambda classes=6: models.LeNet(classes),
        ],
    ),
    "depth_design": (
        [design(), design(shallow=26, deep=50, epochs=4, seeds=5), design(epochs=8, rates=(0.05, 0.1), seeds=6)],
        [design(deep=50), design(seeds=3), design(seeds=10), design(rates=[0.1]), design(shallow=34, deep=18)],
    ),
}
