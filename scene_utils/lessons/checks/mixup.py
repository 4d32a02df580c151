"""Checks of 06: soft targets, Mixup and CutMix, and probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import check, close, expect, given, network, number, require, validation_set

HONEST_ACCURACY, HONEST_GAP = 0.6, 0.05  # of the open task: accuracy, and how far the mean confidence may be from it


@check("give one number between 0 and 1")
def mixed_target(answer):
    """The target of sea: 0.7 sea and 0.3 street, smoothed by 0.1 over six classes."""
    require(0 < number(answer) < 1, "a target is between 0 and 1")
    expect(answer, 0.9 * 0.7 + 0.1 / 6, "sea also gets its part of what is spread evenly", 1e-3)


@check("write a function (logits, labels) that returns one number")
def best_temperature(answer):
    """The temperature with the lowest loss, on logits that are too bold, too modest, and neither."""
    for seed, scale in enumerate((3.0, 0.4, 1.0, 1.7)):
        generator = torch.Generator().manual_seed(seed)
        honest = 2 * torch.randn(1500, 6, generator=generator)
        logits, labels = scale * honest, honest.softmax(1).multinomial(1, generator=generator)[:, 0]
        temperature = number(answer(logits.clone(), labels.clone()))
        require(temperature > 0, f"a temperature is positive, yours is {temperature:g}")
        losses = [F.cross_entropy(logits / t, labels).item() for t in (temperature, *np.geomspace(0.2, 5, 300))]
        hint = f"the loss at your temperature is {losses[0]:.4f}; another one has {min(losses):.4f}"
        require(losses[0] <= min(losses) + 1e-3, hint)


@check("write a function (images, targets, share) that returns images and targets")
def mixed_with_anyone(answer):
    """Mixup with a random partner: image and target have the same one."""
    targets = torch.eye(6).repeat(10, 1)
    images = targets[:, :, None, None].expand(-1, -1, 4, 4).clone()  # each of these images is its own target
    mixed, goals = (given(part) for part in answer(images.clone(), targets.clone(), 0.7))
    kept = mixed.shape == images.shape and goals.shape == targets.shape
    require(kept, "images and targets must keep their shapes")
    require(close(mixed[:, :, 0, 0], goals), "do image and target have the same partner?")
    itself = close(goals.sum(1), torch.ones(60)) and (goals - 0.7 * targets).min() >= -1e-4
    require(itself, "each image keeps the share 0.7 of itself")
    others = [targets, *(answer(images.clone(), targets.clone(), 0.7)[1] for _ in range(2))]
    anew = not any(torch.equal(goals, other) for other in others)
    require(anew, "the partners must be drawn anew in each call")


@check("write a function (images, targets, top, left, height, width) that returns images and targets")
def cutmix(answer):
    """A rectangle of the next image pasted into each; targets by area."""
    images = torch.arange(5.0).view(-1, 1, 1, 1).expand(5, 3, 8, 8).contiguous()  # of one value each, their position
    targets = torch.eye(5)
    for top, left, height, width in ((0, 0, 4, 4), (2, 1, 3, 6), (0, 0, 8, 8), (3, 3, 0, 0)):
        given_images, given_targets = images.clone(), targets.clone()
        mixed, goals = (given(part) for part in answer(given_images, given_targets, top, left, height, width))
        unchanged = torch.equal(given_images, images) and torch.equal(given_targets, targets)
        require(unchanged, "the images that were given have changed; work on a copy")
        inside = torch.zeros(8, 8, dtype=torch.bool)
        inside[top : top + height, left : left + width] = True
        here = f"(rectangle {height} x {width} at {top}, {left})"
        outside = mixed.shape == images.shape and torch.equal(mixed[..., ~inside], images[..., ~inside])
        require(outside, f"outside of the rectangle the images must stay as they are {here}")
        hint = f"inside of it must be the next image, images[1] in the first, images[0] in the last {here}"
        require(torch.equal(mixed[..., inside], images.roll(-1, 0)[..., inside]), hint)
        seen = torch.stack([torch.bincount(one[0].flatten().long(), minlength=5) / 64 for one in mixed])
        require(close(goals, seen), f"the target must say how much of the area shows which class {here}")


@check("give a trained network for images (N, 3, 32, 32)")
def honest_net(answer):
    """A network whose confidence fits its accuracy on the validation images."""
    validation = validation_set(32)
    images, labels = next(our_scene.batches(validation, len(validation)))
    with torch.no_grad():
        probabilities = network(answer).eval()(images).softmax(1)
    finite = probabilities.shape == (len(labels), 6) and probabilities.isfinite().all()
    require(finite, "six finite scores per image are needed")
    accuracy = (probabilities.argmax(1) == labels).float().mean().item()
    confidence = probabilities.amax(1).mean().item()
    print(f"validation accuracy {accuracy:.1%}, mean confidence {confidence:.1%}")
    require(accuracy >= HONEST_ACCURACY, f"the accuracy must be at least {HONEST_ACCURACY:.0%}")
    hint = f"accuracy and mean confidence may differ by {100 * HONEST_GAP:.0f} points"
    expect(confidence, accuracy, hint, HONEST_GAP)
