"""Checks of 00b_training: pieces of ``my_scene.py``, then the exercises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import Unanswered, check, close, given, sets, whole

MLP_WEIGHTS, MLP_GOAL = 25_000, 0.45


def _marked(count: int) -> tuple[Tensor, Tensor]:
    """Images of one grey each, with labels by which they are recognised."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 3, 4, 4).contiguous()
    return images, torch.arange(count) % 6


@check("write a class with __init__(images, labels), __len__ and __getitem__(index)")
def dataset(answer):
    """A dataset of images and labels."""
    images, labels = _marked(11)
    made = answer(images, labels)
    if given(made.__len__()) != 11:
        return f"len must be the number of images, 11, not {made.__len__()}"
    image, label = given(made[7])
    image = given(image)
    if not torch.is_tensor(image) or tuple(image.shape) != (3, 4, 4) or not image.is_floating_point():
        return "dataset[7] must begin with the image, a float tensor (3, height, width)"
    if int(given(label)) != 1:
        return f"the label of image 7 is 1 here, yours is {label}"
    ends = answer(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4), labels[:2])
    low, high = (float(ends[i][0].mean()) for i in (0, 1))
    if abs(low + 1) > 0.02 or abs(high - 1) > 0.02:
        return f"pixels must go from -1 (black) to 1 (white), yours go from {low:.2f} to {high:.2f}"
    seen = torch.cat([batch for _, batch in DataLoader(made, batch_size=4)])
    return None if torch.equal(seen, labels) else "torch's DataLoader reads other labels from it"


@check("write a generator (dataset, size, shuffle=False) that yields (images, labels)")
def batches(answer):
    """A data loader."""
    known = our_scene.SceneDataset(*_marked(11))
    found = [given(batch) for batch in answer(known, 4)]
    if not found:
        raise Unanswered
    for images, labels in found:
        if not (torch.is_tensor(images) and images.ndim == 4 and torch.is_tensor(labels) and labels.ndim == 1):
            return "a batch is a tensor of images (B, 3, H, W) and a tensor of labels (B)"
    if [len(labels) for _, labels in found] != [4, 4, 3]:
        return f"11 images in batches of 4 are 4, 4 and 3; yours are {[len(labels) for _, labels in found]}"
    loader = DataLoader(known, 4)
    if not all(torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in zip(found, loader, strict=True)):
        return "without shuffling, the batches must be those of torch's DataLoader"
    shuffled = [list(answer(known, 4, shuffle=True)) for _ in range(3)]
    greys = [((torch.cat([x for x, _ in each])[:, 0, 0, 0] + 1) * 127.5).round().long() for each in shuffled]
    if any(not torch.equal(grey.sort().values, torch.arange(11)) for grey in greys):
        return "an epoch must show every image exactly once, shuffled or not"
    if any(not torch.equal(g % 6, torch.cat([y for _, y in e])) for g, e in zip(greys, shuffled, strict=True)):
        return "images and labels no longer belong together"
    return "with shuffle=True each epoch needs an order of its own" if torch.equal(greys[0], greys[1]) else None


def _small_net() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6))


def _noise_batches() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(2)
    return [(torch.randn(count, 3, 2, 2), torch.randint(6, (count,))) for count in (8, 8, 3)]


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
    right, own, start = (torch.cat([p.detach().flatten() for p in net.parameters()]) for net in (*nets, _small_net()))
    if torch.equal(own, start):
        return "no weight has changed; are the gradients there when optimizer.step() is called?"
    if int(nets[1][2].num_batches_tracked) != len(loader):
        return "call net.train() before the loop, and net(images) once per batch"
    if not close(own, right):
        return "the weights are not those of one step per batch; when are the gradients set back to zero?"
    if abs(losses[0] - losses[1]) > 1e-4:
        return f"the mean loss per image is {losses[0]:.4f}, yours {losses[1]:.4f}; the last batch is smaller"
    return None


@check("write a function (net, loader) that returns (mean loss, accuracy)")
def evaluate(answer):
    """Mean loss and accuracy, without touching the network."""
    net, loader = _small_net(), _noise_batches()
    our_scene.train_epoch(net, loader, torch.optim.SGD(net.parameters(), lr=0.5))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    right = our_scene.evaluate(net, loader)
    net.train()
    loss, accuracy = (float(given(value)) for value in given(answer(net, loader)))
    if not all(torch.equal(before[name], value) for name, value in net.state_dict().items()):
        return "the network has changed while it was evaluated; call net.eval(), and take no step"
    if not 0 <= accuracy <= 1 or abs(accuracy - right[1]) > 1e-4:
        return f"the accuracy is {right[1]:.4f} here, yours {accuracy:.4f}; count the correct images, then divide"
    if abs(loss - right[0]) > 1e-4:
        return f"the mean loss per image is {right[0]:.4f} here, yours {loss:.4f}; the last batch is smaller"
    return None


# --- exercises


@check("give one whole number")
def mlp_weights(answer):
    """Weights and biases of 3 x 64 x 64 numbers, 100 hidden units, six classes."""
    net = nn.Sequential(nn.Linear(3 * 64 * 64, 100), nn.Linear(100, 6))
    return whole(answer, sum(p.numel() for p in net.parameters()), "inputs x outputs per layer, and the biases")


@check("give one number per hidden unit, or one for all")
def dead_bias(answer):
    """Finite biases of the first layer at which no gradient reaches its weights."""
    bias = torch.as_tensor(answer).detach().float()
    if bias.ndim == 1 and len(bias) != 16:
        return f"the layer has 16 units, you give {len(bias)} biases"
    if not bias.isfinite().all():
        return "a bias must be a finite number"
    images = torch.rand(64, 3, 8, 8) * 2 - 1
    layers = [nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 6)]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        net[1].bias.copy_(bias)
    F.cross_entropy(net(images), torch.arange(64) % 6).backward()
    alive = int((net[1].weight.grad.abs().sum(1) > 0).sum())
    return None if alive == 0 else f"{alive} of 16 units still receive a gradient; when is the slope of a ReLU zero?"


def open_net(net: object, most: int, goal: float, allowed: tuple[type, ...] = ()) -> str | None:
    """What keeps a trained network from a goal on the validation images at 32 x 32 pixels."""
    if not isinstance(net, nn.Module):
        raise TypeError(f"a trained network (nn.Module) is needed, not {type(net).__name__}")
    odd = [type(m).__name__ for m in net.modules() if allowed and not isinstance(m, (nn.Sequential, *allowed))]
    if odd:
        return f"not allowed here: {', '.join(sorted(set(odd)))}"
    count = sum(p.numel() for p in net.parameters())
    _, validation = sets()
    small = F.avg_pool2d(validation.images.float(), 2).round().byte()
    _, accuracy = our_scene.evaluate(net, our_scene.batches(our_scene.SceneDataset(small, validation.labels), 32))
    print(f"{count:,} weights, validation accuracy {accuracy:.1%}")
    if count > most:
        return f"at most {most:,} weights"
    return None if accuracy >= goal else f"the goal is {goal:.0%}"


@check("give a trained network for images (N, 3, 32, 32)")
def small_mlp(answer):
    """A network without convolutions that is small, and reaches the goal."""
    allowed = (nn.Flatten, nn.Linear, nn.ReLU, nn.AvgPool2d, nn.Dropout, nn.BatchNorm1d)
    return open_net(answer, MLP_WEIGHTS, MLP_GOAL, allowed)
