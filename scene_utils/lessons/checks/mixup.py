"""Checks of 06: soft targets, Mixup and CutMix, and probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import check, close, given, number, sets

HONEST_ACCURACY, HONEST_GAP = 0.6, 0.05  # of the open task: accuracy, and how far the mean confidence may be from it


@check("give one number between 0 and 1")
def mixed_target(answer):
    """The target of sea: 0.7 sea and 0.3 street, smoothed by 0.1 over six classes. torch's loss knows it."""
    scores = torch.zeros(1, 6, requires_grad=True)
    mixture = torch.tensor([[0, 0, 0, 0, 0.7, 0.3]])
    F.cross_entropy(scores, mixture, label_smoothing=0.1).backward()
    target = (scores.softmax(1) - scores.grad)[0, 4].item()
    if not 0 < number(answer) < 1:
        return "a target is between 0 and 1"
    return None if abs(number(answer) - target) < 1e-3 else "sea also gets its part of what is spread evenly"


def _answers(scale: float, seed: int) -> tuple[Tensor, Tensor]:
    """Logits whose loss is lowest at a temperature of about ``scale``, with their labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(1500, 6, generator=generator)
    return scale * logits, logits.softmax(1).multinomial(1, generator=generator)[:, 0]


@check("write a function (logits, labels) that returns one number")
def best_temperature(answer):
    """The temperature with the lowest loss, on logits that are too bold, too modest, and neither."""
    for seed, scale in enumerate((3.0, 0.4, 1.0, 1.7)):
        logits, labels = _answers(scale, seed)
        temperature = number(given(answer(logits.clone(), labels.clone())))
        if temperature <= 0:
            return f"a temperature is positive, yours is {temperature:g}"
        losses = [F.cross_entropy(logits / t, labels).item() for t in (temperature, *np.geomspace(0.2, 5, 300))]
        if losses[0] > min(losses) + 1e-3:
            return f"the loss at your temperature is {losses[0]:.4f}; another one has {min(losses):.4f}"
    return None


def _marked(count: int) -> tuple[Tensor, Tensor]:
    """Images of one value each, their own position, and one class each."""
    images = torch.arange(count).float().view(-1, 1, 1, 1).expand(count, 3, 8, 8).contiguous()
    return images, torch.eye(count)


@check("write a function (images, targets, share) that returns images and targets")
def mixed_with_anyone(answer):
    """Mixup with a random partner: image and target have the same one."""
    targets = torch.eye(6).repeat(10, 1)
    images = targets[:, :, None, None].expand(-1, -1, 4, 4).clone()  # each of these images is its own target
    mixed, goals = (given(part) for part in answer(images.clone(), targets.clone(), 0.7))
    if mixed.shape != images.shape or goals.shape != targets.shape:
        return "images and targets must keep their shapes"
    if not close(mixed[:, :, 0, 0], goals):
        return "do image and target have the same partner?"
    if not close(goals.sum(1), torch.ones(60)) or (goals - 0.7 * targets).min() < -1e-4:
        return "each image keeps the share 0.7 of itself"
    others = [answer(images.clone(), targets.clone(), 0.7)[1] for _ in range(2)]
    if torch.equal(goals, targets) or any(torch.equal(goals, other) for other in others):
        return "the partners must be drawn anew in each call"
    return None


@check("write a function (images, targets, top, left, height, width) that returns images and targets")
def cutmix(answer):
    """A rectangle of the next image pasted into each; targets by area."""
    images, targets = _marked(5)
    for top, left, height, width in ((0, 0, 4, 4), (2, 1, 3, 6), (0, 0, 8, 8), (3, 3, 0, 0)):
        given_images, given_targets = images.clone(), targets.clone()
        mixed, goals = (given(part) for part in answer(given_images, given_targets, top, left, height, width))
        if not torch.equal(given_images, images) or not torch.equal(given_targets, targets):
            return "the images that were given have changed; work on a copy"
        inside = torch.zeros(8, 8, dtype=torch.bool)
        inside[top : top + height, left : left + width] = True
        here = f"(rectangle {height} x {width} at {top}, {left})"
        if mixed.shape != images.shape or not torch.equal(mixed[..., ~inside], images[..., ~inside]):
            return f"outside of the rectangle the images must stay as they are {here}"
        pasted = mixed[..., inside]
        if not torch.equal(pasted, images.roll(-1, 0)[..., inside]):
            return f"inside of it must be the next image, images[1] in the first, images[0] in the last {here}"
        seen = torch.stack([torch.bincount(one[0].flatten().long(), minlength=5) / 64 for one in mixed])
        if not close(goals, seen):
            return f"the target must say how much of the area shows which class {here}"
    return None


@check("give a trained network for images (N, 3, 32, 32)")
def honest_net(answer):
    """A network whose confidence fits its accuracy on the validation images."""
    if not isinstance(answer, nn.Module):
        raise TypeError(f"a trained network (nn.Module) is needed, not {type(answer).__name__}")
    _, validation = sets()
    small = F.avg_pool2d(validation.images.float(), 2).round().byte()
    images, labels = next(our_scene.batches(our_scene.SceneDataset(small, validation.labels), len(validation)))
    with torch.no_grad():
        probabilities = answer.eval()(images).softmax(1)
    if tuple(probabilities.shape) != (len(labels), 6) or not probabilities.isfinite().all():
        return "six finite scores per image are needed"
    accuracy = (probabilities.argmax(1) == labels).float().mean().item()
    confidence = probabilities.amax(1).mean().item()
    print(f"validation accuracy {accuracy:.1%}, mean confidence {confidence:.1%}")
    if accuracy < HONEST_ACCURACY:
        return f"the accuracy must be at least {HONEST_ACCURACY:.0%}"
    if abs(accuracy - confidence) > HONEST_GAP:
        return f"accuracy and mean confidence may differ by {100 * HONEST_GAP:.0f} points"
    return None
