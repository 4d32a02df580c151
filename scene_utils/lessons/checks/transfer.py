"""Checks of 07: what is trained, class activation maps, freezing, rates per part, and learning from few images."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from scene_utils import models
from scene_utils.lessons.checks import check, close, count, expect, given, numbers, require, sets

FEW, FEW_GOAL = 10, 0.7  # of the open task: images per class, accuracy on the validation images


@check("give one whole number")
def last_layer_weights(answer):
    """Weights and biases of ResNet18's last layer for six classes."""
    right = count(models.resnet(18).fc)
    expect(answer, right, "one weight for each pair of feature and class, and one bias per class")


@check("write a function (features, fc, label) that returns a map (2, 2)")
def class_map(answer):
    """The map whose mean, plus the bias, is the class's logit; position by position."""
    for label in (4, 0):
        features, fc = torch.randn(512, 2, 2), nn.Linear(512, 6)
        with torch.no_grad():
            own = numbers(answer(features.clone(), fc, label))
            require(own.shape == (2, 2), f"one number per position is needed, (2, 2), not {tuple(own.shape)}")
            equal = close(own.mean() + fc.bias[label], fc(features.mean((1, 2)))[label], 1e-3)
            require(equal, "the mean of the map, plus the bias of the class, must be the logit")
            corner = torch.zeros(512, 2, 2)
            corner[:, 1, 0] = features[:, 1, 0]  # the other positions have nothing to say
            own = numbers(answer(corner.clone(), fc, label))
            others = torch.stack([own[0, 0], own[0, 1], own[1, 1]])
            hint = "a position without features must have the value 0; each position speaks for itself"
            require(close(others, torch.zeros(3), 1e-3), hint)


class Small(nn.Module):
    """A network with a body and a last layer, named as in a ResNet."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.fc = nn.Linear(8, 6)

    def features(self, images: Tensor) -> Tensor:
        return self.layer1(self.bn1(self.conv1(images)).relu()).mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images))


@check("write a function (net) that prepares the network in place")
def frozen_features(answer):
    """Freezing: only the last layer gets gradients, and a training batch changes no feature."""
    net, images = Small(), 3 * torch.randn(16, 3, 8, 8) + 1
    before = copy.deepcopy(net).eval().features(images)
    answer(net)
    net(images).sum().backward()
    trained = sorted(name for name, parameter in net.named_parameters() if parameter.grad is not None)
    hint = f"gradients must reach the last layer and nothing else; yours reach: {', '.join(trained) or 'nothing'}"
    require(trained == ["fc.bias", "fc.weight"], hint)
    hint = "the features have changed after one training batch; what does batch normalization do in training mode?"
    require(close(copy.deepcopy(net).eval().features(images), before), hint)
    require(net.fc.training, "the last layer must be in training mode")


@check("write a function (net) that returns an optimizer")
def two_rates(answer):
    """Everything is trained, the body at a tenth of the last layer's rate of 0.01."""
    net = Small()
    optimizer = given(answer(net))
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"an optimizer is needed, not {type(optimizer).__name__}")
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    missing = [name for name, p in net.named_parameters() if id(p) not in rates or not p.requires_grad]
    require(not missing, f"these are not trained: {', '.join(missing)}")
    grouped = sum(len(group["params"]) for group in optimizer.param_groups)
    require(grouped == len(list(net.parameters())), "each parameter belongs into one group")
    for name, parameter in net.named_parameters():
        own, wanted = rates[id(parameter)], 0.01 if name.startswith("fc.") else 0.001
        require(abs(own / wanted - 1) <= 1e-6, f"the rate of {name} must be {wanted}, yours is {own}")


@check("write a function (images, labels, new_images) that returns one class per new image")
def few_images(answer):
    """From ten images of each class to the classes of new ones."""
    train, validation = sets()
    places = torch.cat([(train.labels == label).nonzero()[:FEW, 0] for label in range(6)])
    few, labels = train.images[places].clone(), train.labels[places].clone()
    predicted = numbers(answer(few, labels, validation.images.clone()))
    hint = f"one class per new image is needed, {len(validation)} numbers, not {tuple(predicted.shape)}"
    require(predicted.shape == (len(validation),), hint)
    accuracy = (predicted == validation.labels).float().mean().item()
    print(f"validation accuracy {accuracy:.1%}, from {len(few)} images")
    require(accuracy >= FEW_GOAL, f"the goal is {FEW_GOAL:.0%}")
