"""Checks of 00b_training: pieces of ``my_scene.py``, then the exercises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector
from torch.utils.data import DataLoader

from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import Unanswered, check, close, count, expect, given, network, require, small_and_good

MLP_WEIGHTS, MLP_GOAL = 25_000, 0.45


def _marked() -> tuple[Tensor, Tensor]:
    """Eleven images of one grey each, with labels by which they are recognised."""
    images = torch.arange(11, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).contiguous()
    return images, torch.arange(11) % 6


@check("write a class with __init__(images, labels), __len__ and __getitem__(index)")
def dataset(answer):
    """A dataset of images and labels."""
    images, labels = _marked()
    made = answer(images, labels)
    require(given(made.__len__()) == 11, f"len must be the number of images, 11, not {made.__len__()}")
    image, label = map(given, given(made[7]))
    valid = torch.is_tensor(image) and image.shape == (3, 4, 4) and image.is_floating_point()
    require(valid, "dataset[7] must begin with the image, a float tensor (3, height, width)")
    require(int(label) == 1, f"the label of image 7 is 1 here, yours is {label}")
    ends = answer(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4), labels[:2])
    low, high = (float(ends[i][0].mean()) for i in (0, 1))
    hint = f"pixels must go from -1 (black) to 1 (white), yours go from {low:.2f} to {high:.2f}"
    require(abs(low + 1) <= 0.02 and abs(high - 1) <= 0.02, hint)
    seen = torch.cat([batch for _, batch in DataLoader(made, batch_size=4)])
    require(torch.equal(seen, labels), "torch's DataLoader reads other labels from it")


@check("write a generator (dataset, size, shuffle=False) that yields (images, labels)")
def batches(answer):
    """A data loader."""
    known = our_scene.SceneDataset(*_marked())
    found = [given(batch) for batch in answer(known, 4)]
    if not found:
        raise Unanswered
    for images, labels in found:
        valid = torch.is_tensor(images) and images.ndim == 4 and torch.is_tensor(labels) and labels.ndim == 1
        require(valid, "a batch is a tensor of images (B, 3, H, W) and a tensor of labels (B)")
    sizes = [len(labels) for _, labels in found]
    require(sizes == [4, 4, 3], f"11 images in batches of 4 are 4, 4 and 3; yours are {sizes}")
    for (x, y), (a, b) in zip(found, DataLoader(known, 4), strict=True):
        alike = torch.equal(x, a) and torch.equal(y, b)
        require(alike, "without shuffling, the batches must be those of torch's DataLoader")
    shuffled = [list(answer(known, 4, shuffle=True)) for _ in range(3)]
    greys = [((torch.cat([x for x, _ in each])[:, 0, 0, 0] + 1) * 127.5).round().long() for each in shuffled]
    once = all(torch.equal(grey.sort().values, torch.arange(11)) for grey in greys)
    require(once, "an epoch must show every image exactly once, shuffled or not")
    together = all(torch.equal(g % 6, torch.cat([y for _, y in e])) for g, e in zip(greys, shuffled, strict=True))
    require(together, "images and labels no longer belong together")
    require(not torch.equal(greys[0], greys[1]), "with shuffle=True each epoch needs an order of its own")


def _small_net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))


def _noise_batches() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(2)
    return [(torch.randn(size, 3, 2, 2), torch.randint(6, (size,))) for size in (8, 8, 3)]


@check("write a function (net, loader, optimizer) that returns the mean loss")
def train_epoch(answer):
    """One epoch of training: the same weights and the same loss as torch's own steps."""
    loader = _noise_batches()
    nets, losses = [], []
    for function in (our_scene.train_epoch, answer):
        net = _small_net().eval()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
        nets.append(net)
        losses.append(float(given(function(net, loader, optimizer))))
    right, own, start = (parameters_to_vector(net.parameters()).detach() for net in (*nets, _small_net()))
    changed = not torch.equal(own, start)
    require(changed, "no weight has changed; are the gradients there when optimizer.step() is called?")
    once = int(nets[1][2].num_batches_tracked) == len(loader)
    require(once, "call net.train() before the loop, and net(images) once per batch")
    hint = "the weights are not those of one step per batch; when are the gradients set back to zero?"
    require(close(own, right), hint)
    hint = f"the mean loss per image is {losses[0]:.4f}, yours {losses[1]:.4f}; the last batch is smaller"
    require(abs(losses[0] - losses[1]) <= 1e-4, hint)


@check("write a function (net, loader) that returns (mean loss, accuracy)")
def evaluate(answer):
    """Mean loss and accuracy, without touching the network."""
    net, loader = _small_net(), _noise_batches()
    our_scene.train_epoch(net, loader, torch.optim.SGD(net.parameters(), lr=0.5))
    before = parameters_to_vector(net.state_dict().values())
    right = our_scene.evaluate(net, loader)
    net.train()
    loss, accuracy = (float(given(value)) for value in given(answer(net, loader)))
    unchanged = torch.equal(before, parameters_to_vector(net.state_dict().values()))
    require(unchanged, "the network has changed while it was evaluated; call net.eval(), and take no step")
    hint = f"the accuracy is {right[1]:.4f} here, yours {accuracy:.4f}; count the correct images, then divide"
    require(abs(accuracy - right[1]) <= 1e-4, hint)
    hint = f"the mean loss per image is {right[0]:.4f} here, yours {loss:.4f}; the last batch is smaller"
    require(abs(loss - right[0]) <= 1e-4, hint)


# --- exercises


@check("give one whole number")
def mlp_weights(answer):
    """Weights and biases of 3 x 64 x 64 numbers, 100 hidden units, six classes."""
    net = nn.Sequential(nn.Linear(3 * 64 * 64, 100), nn.Linear(100, 6))
    expect(answer, count(net), "inputs x outputs per layer, and the biases")


@check("give one number per hidden unit, or one for all")
def dead_bias(answer):
    """Finite biases of the first layer at which no gradient reaches its weights."""
    bias = torch.as_tensor(answer).detach().float()
    require(bias.ndim != 1 or len(bias) == 16, f"the layer has 16 units, you give {bias.numel()} biases")
    require(bias.isfinite().all(), "a bias must be a finite number")
    images = torch.rand(64, 3, 8, 8) * 2 - 1
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 6))
    with torch.no_grad():
        net[1].bias.copy_(bias)
    F.cross_entropy(net(images), torch.arange(64) % 6).backward()
    alive = int((net[1].weight.grad.abs().sum(1) > 0).sum())
    require(alive == 0, f"{alive} of 16 units still receive a gradient; when is the slope of a ReLU zero?")


@check("give a trained network for images (N, 3, 32, 32)")
def small_mlp(answer):
    """A network without convolutions that is small, and reaches the goal."""
    allowed = (nn.Sequential, nn.Flatten, nn.Linear, nn.ReLU, nn.AvgPool2d, nn.Dropout, nn.BatchNorm1d)
    odd = {type(module).__name__ for module in network(answer).modules() if not isinstance(module, allowed)}
    require(not odd, f"not allowed here: {', '.join(sorted(odd))}")
    small_and_good(answer, MLP_WEIGHTS, MLP_GOAL)
