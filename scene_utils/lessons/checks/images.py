"""Checks of 01: classes of one colour, the size of a test set, shuffling, a stratified split, hidden copies."""

from __future__ import annotations

import functools

import numpy as np
import torch

from scene_utils import data
from scene_utils.lessons.checks import check, given, number
from scene_utils.support.intervals import wilson_interval

GOAL, WIDTH = 0.94, 0.01  # an accuracy, and how wide its interval may be
PAIRS = 12  # hidden copies of the open task


@functools.cache
def _class_colours() -> tuple[tuple[str, ...], torch.Tensor]:
    train = data.load_sample().train
    colours = train.images.double().mean((2, 3)) / 255
    return train.classes, torch.stack([colours[train.labels == label].mean(0) for label in range(len(train.classes))])


@check("give two class names of the embedded sample")
def closest_colours(answer):
    """The two classes of the embedded sample whose mean colours are closest."""
    classes, colours = _class_colours()
    first, second = (classes.index(str(name)) for name in answer)
    if first == second:
        return "two different classes"
    distance = torch.dist(colours[first], colours[second])
    if distance > torch.pdist(colours).min() + 1e-9:
        return f"these two are {distance:.3f} apart, two others are closer"
    return None


@check("give one whole number of images")
def test_images_needed(answer):
    """The fewest hundreds of images whose interval around the goal is at most one point wide."""
    images = number(answer)
    if images < 1 or images % 100:
        return "round up to hundreds"
    width, before = (high - low for low, high in (wilson_interval(round(GOAL * n), n) for n in (images, images - 100)))
    if width > WIDTH:
        return f"with {images:,.0f} images the interval is {width:.2%} wide"
    return None if before > WIDTH else "fewer would do"


@check("write a function (split, seed) that returns images and labels")
def shuffled(answer):
    """Images and labels of a set in one new order."""
    labels = torch.arange(100)
    marked = data.Split(labels.byte().view(-1, 1, 1, 1).expand(-1, 3, 4, 4), labels, ("a",), ("",) * 100)
    images, own = (torch.as_tensor(given(part)) for part in given(answer(marked, 1)))
    if len(own) != 100 or not torch.equal(own.sort().values, labels):
        return "every image must be there exactly once"
    if not torch.equal(images[:, 0, 0, 0].long(), own):
        return "images and labels do not belong together"
    if torch.equal(own, labels):
        return "the order is the old one"
    return "another seed must give another order" if torch.equal(answer(marked, 2)[1], own) else None


@check("write a function (labels, fraction, seed) that returns the positions that are held out")
def stratified(answer):
    """Positions of a hold-out that has the same fraction of every class."""
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)[torch.randperm(100)]
    held = np.asarray(given(answer(labels.clone(), 0.2, 1))).astype(int)
    if held.ndim != 1 or len(set(held.tolist())) != len(held) or not set(held.tolist()) <= set(range(100)):
        return "positions from 0 to 99, each at most once"
    counts = torch.bincount(labels[torch.as_tensor(held)], minlength=3).tolist()
    if counts != [10, 6, 4]:
        return f"of 50, 30 and 20 images a fifth is 10, 6 and 4; yours holds out {counts}"
    others = np.asarray(answer(labels.clone(), 0.2, 2))
    if set(others.tolist()) == set(held.tolist()):
        return "another seed must hold out other images"
    same = np.asarray(answer(labels.clone(), 0.2, 1))
    return None if set(same.tolist()) == set(held.tolist()) else "the same seed must hold out the same images"


@functools.cache
def hidden_copies(seed: int) -> tuple[torch.Tensor, set[tuple[int, int]]]:
    """Images of the sample among which mirrored and shifted copies are hidden, and where: uint8 (N, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(seed)
    train = data.load_sample().train
    chosen = train.images[torch.randperm(len(train), generator=generator)[:40]]
    copies = []
    for i, image in enumerate(chosen[:PAIRS]):
        changed = image.flip(2) if i % 2 else image.roll((i // 2 - 3, 4 - i // 2), (1, 2))
        copies.append((changed.float() * (0.9 + 0.02 * i) + 2 * i).clamp(0, 255).byte())
    order = torch.randperm(40 + PAIRS, generator=generator)
    place = order.argsort().tolist()
    found = {tuple(sorted((place[i], place[40 + i]))) for i in range(PAIRS)}
    return torch.cat([chosen, torch.stack(copies)])[order], found


@check("write a function (images) that returns a list of pairs of positions")
def find_copies(answer):
    """At least ten of twelve mirrored or shifted copies found, with at most two false pairs."""
    images, hidden = hidden_copies(seed=5)
    found = {tuple(sorted((int(first), int(second)))) for first, second in given(answer(images.clone()))}
    right, false = len(found & hidden), len(found - hidden)
    print(f"{right} of {PAIRS} copies found, {false} false pairs")
    if right < PAIRS - 2:
        return f"at least {PAIRS - 2} of {PAIRS} copies; which change does yours not see, mirroring or shifting?"
    return None if false <= 2 else "at most two false pairs; what do your false pairs share?"
