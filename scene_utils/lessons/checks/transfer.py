"""Checks of 07: what is trained, class activation maps, freezing, rates per part, and learning from few images."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from scene_utils import models
from scene_utils.lessons.checks import check, close, given, sets, whole

FEW, FEW_GOAL = 10, 0.7  # of the open task: images per class, accuracy on the validation images


@check("give one whole number")
def last_layer_weights(answer):
    """Weights and biases of ResNet18's last layer for six classes."""
    count = sum(p.numel() for p in models.resnet(18).fc.parameters())
    return whole(answer, count, "one weight for each pair of feature and class, and one bias per class")


@check("write a function (features, fc, label) that returns a map (2, 2)")
def class_map(answer):
    """The map whose mean, plus the bias, is the class's logit; position by position."""
    for label in (4, 0):
        features, fc = torch.randn(512, 2, 2), nn.Linear(512, 6)
        with torch.no_grad():
            own = torch.as_tensor(given(answer(features.clone(), fc, label))).detach()
            if tuple(own.shape) != (2, 2):
                return f"one number per position is needed, (2, 2), not {tuple(own.shape)}"
            if not close(own.mean() + fc.bias[label], fc(features.mean((1, 2)))[label], 1e-3):
                return "the mean of the map, plus the bias of the class, must be the logit"
            corner = torch.zeros(512, 2, 2)
            corner[:, 1, 0] = features[:, 1, 0]  # the other positions have nothing to say
            own = torch.as_tensor(answer(corner.clone(), fc, label)).detach()
            if not close(own[0], torch.zeros(2), 1e-3) or not close(own[1, 1], torch.zeros(()), 1e-3):
                return "a position without features must have the value 0; each position speaks for itself"
    return None


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
    if trained != ["fc.bias", "fc.weight"]:
        return f"gradients must reach the last layer and nothing else; yours reach: {', '.join(trained) or 'nothing'}"
    if not close(copy.deepcopy(net).eval().features(images), before):
        return "the features have changed after one training batch; what does batch normalization do in training mode?"
    return None if net.fc.training else "the last layer must be in training mode"


@check("write a function (net) that returns an optimizer")
def two_rates(answer):
    """Everything is trained, the body at a tenth of the last layer's rate of 0.01."""
    net = Small()
    optimizer = given(answer(net))
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"an optimizer is needed, not {type(optimizer).__name__}")
    before = {name: value.detach().clone() for name, value in net.named_parameters()}
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    missing = [name for name, p in net.named_parameters() if id(p) not in rates or not p.requires_grad]
    if missing:
        return f"these are not trained: {', '.join(missing)}"
    if sum(len(group["params"]) for group in optimizer.param_groups) != len(before):
        return "each parameter belongs into one group"
    for name, parameter in net.named_parameters():
        wanted = 0.01 if name.startswith("fc.") else 0.001
        if abs(rates[id(parameter)] / wanted - 1) > 1e-6:
            return f"the rate of {name} must be {wanted}, yours is {rates[id(parameter)]}"
    return None


@check("write a function (images, labels, new_images) that returns one class per new image")
def few_images(answer):
    """From ten images of each class to the classes of new ones."""
    train, validation = sets()
    places = torch.cat([(train.labels == label).nonzero()[:FEW, 0] for label in range(6)])
    few, labels = train.images[places].clone(), train.labels[places].clone()
    predicted = torch.as_tensor(given(answer(few, labels, validation.images.clone())))
    if tuple(predicted.shape) != (len(validation),):
        return f"one class per new image is needed, {len(validation)} numbers, not {tuple(predicted.shape)}"
    accuracy = (predicted == validation.labels).float().mean().item()
    print(f"validation accuracy {accuracy:.1%}, from {len(few)} images")
    return None if accuracy >= FEW_GOAL else f"the goal is {FEW_GOAL:.0%}"
