import torch
import torch.nn.functional as F
from torch import nn

from scene_utils import models
from scene_utils.lessons import our_scene
from scene_utils.lessons.checks.lenet import RATES, loss_after


def stack(*between, classes=6):
    return nn.Sequential(
        nn.Conv2d(3, 20, 5), *between, nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), *between, nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8450, 500), nn.ReLU(), nn.Linear(500, classes),
    )  # fmt: skip


class NoReLU(our_scene.LeNet):
    def forward(self, x):
        x = F.max_pool2d(self.conv2(F.max_pool2d(self.conv1(x), 2)), 2)
        return self.fc2(self.fc1(x.flatten(1)))


class Averaged(our_scene.LeNet):
    def forward(self, x):
        x = F.avg_pool2d(self.conv2(F.avg_pool2d(self.conv1(x), 2)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def fill(**values):
    def function(net):
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if name.split(".")[0] in values:
                    parameter.fill_(values[name.split(".")[0]])

    return function


def half_constant(net):
    """Equal filters, and a second layer that looks at all of them in the same way."""
    with torch.no_grad():
        net.conv1.weight.copy_(net.conv1.weight[:1].expand_as(net.conv1.weight))
        net.conv1.bias.zero_()
        net.conv2.weight.copy_(net.conv2.weight[:, :1].expand_as(net.conv2.weight))


def by_grid(make, loader):
    return min(RATES, key=lambda rate: loss_after(make, loader, rate, epochs=1))


def by_halving(make, loader):
    """From a rate that is surely too high down, as long as the loss keeps falling."""
    rate, losses = 4000.0, [float("inf"), float("inf")]
    while rate > 1e-9 and not losses[-1] > losses[-2]:
        losses.append(loss_after(make, loader, rate, epochs=1))
        rate /= 4
    return 16 * rate


def by_range(make, loader):
    """The range test: the rate grows from step to step; a fifth of where the loss is lowest."""
    net, losses, rates = make(), [], torch.logspace(-6, 4, 100).tolist()
    weights = list(net.parameters())
    for rate, (images, labels) in zip(rates, loader * 30, strict=False):
        loss = F.cross_entropy(net(images), labels)
        losses.append(loss.item())
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data -= rate * gradient
    smooth = [sum(losses[max(0, i - 4) : i + 1]) / len(losses[max(0, i - 4) : i + 1]) for i in range(len(losses))]
    return rates[min(range(len(smooth)), key=lambda i: smooth[i] if smooth[i] == smooth[i] else 1e9)] / 3


EVERYTHING = dict.fromkeys(("conv1", "conv2", "fc1", "fc2"), 0.01)
ANSWERS = {
    "lenet": (
        [our_scene.LeNet, models.LeNet, lambda classes=6: stack(classes=classes)],
        [NoReLU, Averaged, lambda classes=6: stack(nn.ReLU(), classes=classes), lambda classes=6: models.LeNet(6),
         models.CustomLeNet],
    ),
    "fc1_inputs": ([6050, 6050.0, torch.tensor(6050)], [8450, 121, 5000, 11, -6050]),
    "shift_right": (
        [[[0, 0, 0], [1, 0, 0], [0, 0, 0]], torch.eye(9)[3].view(3, 3), torch.eye(9)[3].tolist()],
        [torch.eye(9)[5].view(3, 3), torch.zeros(3, 3), torch.eye(3), torch.eye(9)[4].view(3, 3), [1, 0, 0]],
    ),
    "logit_loss": (
        [F.cross_entropy, nn.CrossEntropyLoss(), lambda z, y: (z.logsumexp(1) - z[range(len(z)), y]).mean()],
        [
            lambda z, y: F.cross_entropy(z.softmax(1), y),
            lambda z, y: F.cross_entropy(z, y, reduction="sum"),
            lambda z, y: F.nll_loss(z.softmax(1), y),
            lambda z, y: torch.tensor(0.0),
            lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1),
        ],
    ),
    "equal_filters": (
        [fill(**EVERYTHING), half_constant, fill(conv1=0.02, conv2=0.01, fc1=0.005, fc2=0.01)],
        [fill(), fill(conv1=0.01), fill(**dict.fromkeys(EVERYTHING, 0.0)), fill(**dict.fromkeys(EVERYTHING, 1e30)),
         fill(fc2=0.01)],
    ),
    "rate_finder": (
        [by_grid, by_halving, by_range],
        [lambda make, loader: 0.01, lambda make, loader: 1.0, lambda make, loader: loader.clear() or 1e-4,
         lambda make, loader: -0.1, lambda make, loader: RATES[-1]],
    ),
}  # fmt: skip
