"""Checks of the first lessons' exercises: they try out what an answer does, and never show the solution.

Each takes one answer and prints ``right``, ``not yet: <hint>`` or ``not answered yet``; ``<check>.verdict`` returns it.
Whatever the answer is or does, a check ends in one of these three lines and leaves the random numbers as they were.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from scene_utils import data
from scene_utils.lessons import our_scene

VALIDATION = 0.25  # fraction of the sample's training images that the first lessons validate on
FEATURES, FEATURES_GOAL = 24, 0.55
MLP_WEIGHTS, MLP_GOAL = 25_000, 0.45
CNN_WEIGHTS, CNN_GOAL = 10_000, 0.7


class _Unanswered(Exception):
    """A blank that the reader has not filled in."""


def check(hint: str) -> Callable:
    """Make a check of a function that returns None for a right answer, else what is wrong with it.

    Args:
        hint: what to say where an answer cannot be tried at all.
    """

    def decorate(find_problem: Callable[[object], str | None]) -> Callable[[object], None]:
        def verdict(answer: object) -> str:
            try:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(0)
                    problem = find_problem(_given(answer))
            except _Unanswered:
                return "not answered yet"
            except (Exception, SystemExit) as error:
                if "ellipsis" in str(error).lower():  # the blank ... of a function that is half written
                    return "not answered yet"
                return f"not yet: {hint} (yours: {type(error).__name__}: {_first_line(error)})"
            return f"not yet: {problem}" if problem else "right"

        @functools.wraps(find_problem)
        def run(answer: object) -> None:
            print(verdict(answer))

        run.verdict = verdict
        return run

    return decorate


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:120]


def _given(value: object) -> object:
    """The value, unless it is a blank."""
    if value is None or value is ...:
        raise _Unanswered
    return value


def _number(answer: object) -> float:
    """A number, given as one or as a tensor of one value."""
    if isinstance(answer, str | bool) or not math.isfinite(float(answer)):
        raise TypeError(f"a number is needed, not {answer!r}")
    return float(answer)


def _tensor(value: object, *shape: int) -> Tensor:
    """The value as float64, of this shape."""
    tensor = torch.as_tensor(_given(value)).detach().double()
    if tuple(tensor.shape) != shape:
        raise ValueError(f"shape {tuple(tensor.shape)} instead of {shape}")
    return tensor


def _close(first: Tensor, second: Tensor, tolerance: float = 1e-4) -> bool:
    return bool(torch.allclose(first.double(), second.double(), atol=tolerance, rtol=tolerance))


def _whole(answer: object, right: int, hint: str) -> str | None:
    return None if _number(answer) == right else hint


@functools.cache
def sets() -> tuple[data.Split, data.Split]:
    """Training and validation images of the first lessons, from the embedded sample."""
    return data.holdout_split(data.load_sample().train, VALIDATION)


# --- 00a


@check("give three numbers, such as [0.2, 0.3, 0.5]")
def probabilities(answer):
    """Softmax of the scores 0, ln 2 and ln 3."""
    values = _tensor(list(answer) if isinstance(answer, tuple) else answer, 3)
    if not _close(values.sum(), torch.tensor(1.0), 2e-3) or (values < 0).any():
        return "probabilities are not negative, and add up to 1"
    if not _close(values[1:] / values[0], torch.tensor([2.0, 3.0]), 2e-2):
        return "what is exp(ln 2)? The probabilities are in the same proportion as the exponentials"
    return None


@check("write a function (scores, label) that returns one number")
def cross_entropy(answer):
    """Cross-entropy of one image, also for very large scores."""
    one = torch.tensor([2.0, -1.0, 0.5, 0.0, 1.0, -2.0])

    def loss(scores: Tensor, label: int) -> float:
        return float(_tensor(answer(scores.clone(), label)))

    if abs(loss(torch.zeros(6), 3) - math.log(6)) > 1e-4:
        return f"six equal scores must cost ln 6, yours cost {loss(torch.zeros(6), 3):.3f}"
    if abs(sum(math.exp(-loss(one, label)) for label in range(6)) - 1) > 1e-4:
        return "exp(-loss), over all six labels, must add up to 1"
    if loss(one, 0) >= loss(one, 5):
        return "the loss must be small where the right class has the highest score"
    if not abs(loss(one + 1000, 2) - loss(one, 2)) < 1e-3:
        return "adding 1000 to every score must change nothing; yours overflows. What may you subtract from all scores?"
    return None


@check("write a function (scores) that returns a table of the same shape")
def softmax(answer):
    """Softmax of a batch of scores, (images, classes)."""
    scores = torch.randn(5, 6)
    values = _tensor(answer(scores.clone()), 5, 6)
    if (values < 0).any() or not _close(values.sum(1), torch.ones(5)):
        return f"the six probabilities of one image must add up to 1, not to {values[0].sum():.3f}"
    if not _close(values.log().diff(dim=1), scores.diff(dim=1)):
        return "one more point of score must multiply a probability by e"
    if not _close(values[:1], _tensor(answer(scores[:1].clone()), 1, 6)):
        return "the probabilities of an image must not depend on the other images of the batch"
    return None


def descend(features: Tensor, labels: Tensor, rate: float, steps: int) -> tuple[Tensor, Tensor, list[float]]:
    """Train six neurons by gradient descent from zero; return weights, biases and the loss before each step."""
    weights = torch.zeros(6, features.shape[1], requires_grad=True)
    biases = torch.zeros(6, requires_grad=True)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(features @ weights.T + biases, labels)
        slopes = torch.autograd.grad(loss, (weights, biases))
        with torch.no_grad():
            weights -= rate * slopes[0]
            biases -= rate * slopes[1]
        losses.append(loss.item())
    return weights.detach(), biases.detach(), losses


@check("give one number, a learning rate")
def rate_that_fails(answer):
    """A learning rate at which the loss ends higher than it began, but stays a number."""
    train, _ = sets()
    colours = train.images.float().mean((2, 3))
    colours = (colours - colours.mean(0)) / colours.std(0)
    rate = _number(answer)
    if rate <= 0:
        return "a learning rate is positive"
    losses = descend(colours, train.labels, rate, 60)[2]
    if not math.isfinite(losses[-1]):
        return "the loss is no longer a number; try a smaller rate"
    return None if losses[-1] > losses[0] else f"the loss still falls, from {losses[0]:.3f} to {losses[-1]:.3f}"


@check("write a function (images) that returns one row of numbers per image")
def features(answer):
    """At most 24 numbers per image, from which six neurons reach the goal on the validation images."""
    train, validation = sets()
    tables = []
    for split in (train, validation):
        table = torch.as_tensor(_given(answer(split.images.clone()))).float()
        if table.ndim != 2 or len(table) != len(split):
            return f"one row per image is needed: {len(split)} x k, not {tuple(table.shape)}"
        tables.append(table)
    alone = torch.as_tensor(answer(validation.images[:1].clone())).float()
    if not _close(alone, tables[1][:1], 1e-3):
        return "the numbers of an image must not depend on the other images"
    count = tables[0].shape[1]
    if count > FEATURES or not tables[0].isfinite().all():
        return f"at most {FEATURES} numbers per image, all finite; yours has {count}"
    mean, scale = tables[0].mean(0), tables[0].std(0) + 1e-6
    weights, biases, _ = descend((tables[0] - mean) / scale, train.labels, 0.5, 300)
    predicted = (((tables[1] - mean) / scale) @ weights.T + biases).argmax(1)
    accuracy = (predicted == validation.labels).float().mean().item()
    print(f"{count} numbers per image, validation accuracy {accuracy:.1%}")
    return None if accuracy >= FEATURES_GOAL else f"the goal is {FEATURES_GOAL:.0%}; what else than colour?"


# --- 00b: pieces of my_scene.py


def _marked(count: int) -> tuple[Tensor, Tensor]:
    """Images of one grey each, with labels by which they are recognised."""
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 3, 4, 4).contiguous()
    return images, torch.arange(count) % 6


@check("write a class with __init__(images, labels), __len__ and __getitem__(index)")
def dataset(answer):
    """A dataset of images and labels."""
    images, labels = _marked(11)
    made = answer(images, labels)
    if _given(made.__len__()) != 11:
        return f"len must be the number of images, 11, not {made.__len__()}"
    image, label = _given(made[7])
    image = _given(image)
    if not torch.is_tensor(image) or tuple(image.shape) != (3, 4, 4) or not image.is_floating_point():
        return "dataset[7] must begin with the image, a float tensor (3, height, width)"
    if int(_given(label)) != 1:
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
    found = [_given(batch) for batch in answer(known, 4)]
    if not found:
        raise _Unanswered
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
        losses.append(float(_given(function(net, loader, optimizer))))
    right, own, start = (torch.cat([p.detach().flatten() for p in net.parameters()]) for net in (*nets, _small_net()))
    if torch.equal(own, start):
        return "no weight has changed; are the gradients there when optimizer.step() is called?"
    if int(nets[1][2].num_batches_tracked) != len(loader):
        return "call net.train() before the loop, and net(images) once per batch"
    if not _close(own, right):
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
    loss, accuracy = (float(_given(value)) for value in _given(answer(net, loader)))
    if not all(torch.equal(before[name], value) for name, value in net.state_dict().items()):
        return "the network has changed while it was evaluated; call net.eval(), and take no step"
    if not 0 <= accuracy <= 1 or abs(accuracy - right[1]) > 1e-4:
        return f"the accuracy is {right[1]:.4f} here, yours {accuracy:.4f}; count the correct images, then divide"
    if abs(loss - right[0]) > 1e-4:
        return f"the mean loss per image is {right[0]:.4f} here, yours {loss:.4f}; the last batch is smaller"
    return None


# --- 00b: exercises


@check("give one whole number")
def mlp_weights(answer):
    """Weights and biases of 3 x 64 x 64 numbers, 100 hidden units, six classes."""
    net = nn.Sequential(nn.Linear(3 * 64 * 64, 100), nn.Linear(100, 6))
    return _whole(answer, sum(p.numel() for p in net.parameters()), "inputs x outputs per layer, and the biases")


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


def _open_net(net: object, most: int, goal: float, allowed: tuple[type, ...] = ()) -> str | None:
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
    return _open_net(answer, MLP_WEIGHTS, MLP_GOAL, allowed)


# --- 00c


@check("write a function (images, weight, bias, stride=1, padding=0) that returns the maps")
def conv2d(answer):
    """Convolution over any number of channels, with stride and padding."""
    images, weight, bias = torch.randn(2, 3, 9, 7), torch.randn(4, 3, 3, 3), torch.randn(4)
    for stride, padding in ((1, 0), (1, 1), (2, 0), (2, 1), (3, 2)):
        right = F.conv2d(images, weight, bias, stride, padding)
        own = torch.as_tensor(_given(answer(images.clone(), weight, bias, stride=stride, padding=padding)))
        where = f"with stride {stride} and padding {padding}"
        if own.shape != right.shape:
            return f"{where} the shape must be {tuple(right.shape)}, yours is {tuple(own.shape)}"
        if not _close(own.detach(), right):
            return f"{where} the values are not those of F.conv2d; all channels, the bias, the right window?"
    five = torch.randn(2, 1, 5, 5)
    own = torch.as_tensor(answer(images[:, :1].clone(), five, bias[:2]))
    return None if _close(own.detach(), F.conv2d(images[:, :1], five, bias[:2])) else "it fails for a filter of 5 x 5"


@check("give one whole number")
def layers_needed(answer):
    """3 x 3 convolutions of stride 1 until one position sees 64 pixels in a row: measured by a gradient."""
    count = _number(answer)
    if count != int(count) or not 1 <= count <= 1000:
        return "a whole number of layers from 1 up"
    seen = []
    for layers in (int(count) - 1, int(count)):
        image = torch.zeros(1, 1, 2001, requires_grad=True)
        maps = image
        for _ in range(layers):
            maps = F.conv1d(maps, torch.full((1, 1, 3), 1 / 3), padding=1)
        maps[0, 0, 1000].backward() if layers else None
        seen.append(1 if not layers else int((image.grad > 0).sum()))
    if seen[1] < 64:
        return f"with {int(count)} layers a position sees {seen[1]} pixels"
    return "fewer would do" if seen[0] >= 64 else None


@check("write a function (maps, size, stride) that returns the pooled maps")
def max_pool(answer):
    """Max pooling, also with windows that overlap."""
    maps = torch.randn(2, 3, 13, 13) - 3  # negative values too: zero is not the smallest
    for size, stride in ((2, 2), (3, 2), (3, 1), (2, 3)):
        right = F.max_pool2d(maps, size, stride)
        own = torch.as_tensor(_given(answer(maps.clone(), size, stride))).detach()
        where = f"with windows of {size} x {size} and stride {stride}"
        if own.shape != right.shape:
            return f"{where} the shape must be {tuple(right.shape)}, yours is {tuple(own.shape)}"
        if not _close(own, right):
            return f"{where} the values are not the largest of their windows"
    return None


@check("give a filter: three channels of 3 x 3 numbers")
def colour_filter(answer):
    """A filter that gives zero on every grey image, and not on a coloured one."""
    weight = _tensor(answer.tolist() if hasattr(answer, "tolist") else answer, 3, 3, 3).float()
    grey = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8)
    colour = torch.rand(1, 3, 8, 8)
    on_grey, on_colour = (F.conv2d(images, weight[None]).abs().max().item() for images in (grey, colour))
    if on_grey > 1e-4 * max(1.0, float(weight.abs().max())):
        return f"on a grey image it gives up to {on_grey:.2f}; there all three channels are equal"
    return None if on_colour > 1e-3 else "it gives zero on coloured images too"


@check("write a function (net, images) that returns the classes")
def predict(answer):
    """Predictions that do not depend on the other images of the batch, and leave the network as it was."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 6))
    images = torch.randn(24, 3, 8, 8)
    net.train()
    for _ in range(5):
        net(images * 2 + 1)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    together = _tensor(answer(net, images.clone()), 24)
    if not all(torch.equal(before[name], value) for name, value in net.state_dict().items()):
        return "predicting has changed the network (its running mean, for example)"
    single = torch.cat([_tensor(answer(net.train(), image[None]), 1) for image in images])
    if not torch.equal(together, single):
        return "an image gets another class when it comes alone; which layer looks at the whole batch?"
    right = net.eval()(images).argmax(1)
    return None if torch.equal(together.long(), right) else "these are not the classes with the highest score"


@check("give a trained network for images (N, 3, 32, 32)")
def small_cnn(answer):
    """A network that is small, and reaches the goal."""
    return _open_net(answer, CNN_WEIGHTS, CNN_GOAL)
