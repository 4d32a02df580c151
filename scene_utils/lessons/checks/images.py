"""Checks of 01: classes of one colour, the size of a test set, shuffling, a stratified split, hidden copies."""

from __future__ import annotations

import functools

import numpy as np
import torch

from scene_utils import data
from scene_utils.lessons.checks import check, given, number, numbers, require
from scene_utils.support.intervals import wilson_interval

GOAL, WIDTH = 0.94, 0.01  # an accuracy, and how wide its interval may be
PAIRS = 12  # hidden copies of the open task


@check("give two class names of the embedded sample")
def closest_colours(answer):
    """The two classes of the embedded sample whose mean colours are closest."""
    train = data.load_sample().train
    first, second = (train.classes.index(str(name)) for name in answer)
    require(first != second, "two different classes")
    images = train.images.double() / 255
    colours = torch.stack([images[train.labels == label].mean((0, 2, 3)) for label in range(len(train.classes))])
    distance = torch.dist(colours[first], colours[second])
    closest = distance <= torch.pdist(colours).min() + 1e-9
    require(closest, f"these two are {distance:.3f} apart, two others are closer")


@check("give one whole number of images")
def test_images_needed(answer):
    """The fewest hundreds of images whose interval around the goal is at most one point wide."""
    images = number(answer)
    require(images >= 1 and images % 100 == 0, "round up to hundreds")
    sizes = images, max(images - 100, 1)
    width, before = (high - low for low, high in (wilson_interval(round(GOAL * n), n) for n in sizes))
    require(width <= WIDTH, f"with {images:,.0f} images the interval is {width:.2%} wide")
    require(before > WIDTH, "fewer would do")


@check("write a function (split, seed) that returns images and labels")
def shuffled(answer):
    """Images and labels of a set in one new order."""
    labels = torch.arange(100)
    marked = data.Split(labels.byte().view(-1, 1, 1, 1).expand(-1, 3, 4, 4), labels.clone(), ("a",), ("",) * 100)
    images, own = map(numbers, given(answer(marked, 1)))
    require(torch.equal(own.sort().values, labels), "every image must be there exactly once")
    require(torch.equal(images[:, 0, 0, 0].long(), own), "images and labels do not belong together")
    require(not torch.equal(own, labels), "the order is the old one")
    require(not torch.equal(answer(marked, 2)[1], own), "another seed must give another order")


@check("write a function (labels, fraction, seed) that returns the positions that are held out")
def stratified(answer):
    """Positions of a hold-out that has the same fraction of every class."""
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)[torch.randperm(100)]
    held = np.asarray(given(answer(labels.clone(), 0.2, 1))).astype(int)
    chosen = set(held.ravel().tolist())
    once = held.ndim == 1 and len(chosen) == len(held) and chosen <= set(range(100))
    require(once, "positions from 0 to 99, each at most once")
    counts = torch.bincount(labels[torch.as_tensor(held)], minlength=3).tolist()
    require(counts == [10, 6, 4], f"of 50, 30 and 20 images a fifth is 10, 6 and 4; yours holds out {counts}")
    other, same = (set(np.asarray(answer(labels.clone(), 0.2, seed)).tolist()) for seed in (2, 1))
    require(other != chosen, "another seed must hold out other images")
    require(same == chosen, "the same seed must hold out the same images")


@functools.cache
def hidden_copies() -> tuple[torch.Tensor, set[tuple[int, int]]]:
    """Images of the sample among which mirrored and shifted copies are hidden, and where: uint8 (N, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(5)
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
    images, hidden = hidden_copies()
    found = {tuple(sorted((int(first), int(second)))) for first, second in given(answer(images.clone()))}
    right, false = len(found & hidden), len(found - hidden)
    print(f"{right} of {PAIRS} copies found, {false} false pairs")
    hint = f"at least {PAIRS - 2} of {PAIRS} copies; which change does yours not see, mirroring or shifting?"
    require(right >= PAIRS - 2, hint)
    require(false <= 2, "at most two false pairs; what do your false pairs share?")
