"""From bytes on the device to normalized, augmented, mixed batches.

Order and augmentation of an epoch follow from (seed, epoch) alone, whatever ran before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scene_utils.data import MEAN, STD
from scene_utils.recipe import Recipe

PADDING = 4  # pixels of reflected border that a random crop may shift into view


def epoch_batches(count: int, recipe: Recipe, epoch: int) -> list[np.ndarray]:
    """Return the image indices of each batch of an epoch (1-based), in random order.

    The batches are of nearly equal size, so that none is left with a single image.
    """
    indices = np.arange(count)
    if recipe.images is not None and recipe.images < count:
        indices = np.random.default_rng(recipe.seed).permutation(count)[: recipe.images]
    order = np.random.default_rng((recipe.seed, epoch)).permutation(indices)
    return np.array_split(order, steps_per_epoch(count, recipe))


def steps_per_epoch(count: int, recipe: Recipe) -> int:
    """Number of batches in an epoch over ``count`` images."""
    return -(-min(count, recipe.images or count) // recipe.batch_size)


def to_device(images: Tensor, device: torch.device | str) -> Tensor:
    """Return uint8 images (N, 3, H, W) as (N, H, W, 3) on ``device``: the layout that batches are cut from."""
    return images.permute(0, 2, 3, 1).to(device).contiguous()


SCALES = {  # what is subtracted from a byte, and what the rest is divided by; see ``Recipe.pixel_scale``
    "imagenet": (MEAN * 255, STD * 255),
    "unit": (torch.zeros(3), torch.full((3,), 255.0)),
    "byte": (torch.zeros(3), torch.ones(3)),
}


def normalize(pixels: Tensor, input_size: int, pixel_scale: str = "imagenet") -> Tensor:
    """Turn uint8 (N, H, W, 3) into a float32 channels-last batch (N, 3, size, size) on one of ``SCALES``."""
    count, height, width, _ = pixels.shape
    offset, divisor = SCALES[pixel_scale]
    # whole rows at a time: the vector units idle on a last dimension of three
    mean = offset.repeat(width).to(pixels.device)
    scale = (1 / divisor).repeat(width).to(pixels.device)
    batch = pixels.view(count, height, width * 3).float().sub_(mean).mul_(scale)
    batch = batch.view(count, height, width, 3).permute(0, 3, 1, 2)
    if input_size != height:
        batch = F.interpolate(batch, size=(input_size, input_size), mode="bilinear", align_corners=False)
    return batch


def random_crop_flip(pixels: Tensor, indices: Tensor, augmentation: str, rng: np.random.Generator) -> Tensor:
    """Take ``indices`` from uint8 (N, H, W, 3), each image mirrored and shifted by its own draw.

    The same as torchvision's v2 ``RandomCrop(padding=4, padding_mode="reflect")`` and ``RandomHorizontalFlip``,
    for a whole batch in one gather.
    """
    if augmentation == "none":
        return pixels[indices]
    count, height, width = len(indices), *pixels.shape[1:3]
    reach = 0 if augmentation == "flip" else PADDING
    shift = torch.from_numpy(rng.integers(-reach, reach + 1, (2, count, 1))).to(pixels.device)
    flip = torch.from_numpy(rng.random((count, 1)) < 0.5).to(pixels.device)
    rows = reflect(torch.arange(height, device=pixels.device) + shift[0], height)
    columns = reflect(torch.arange(width, device=pixels.device) + shift[1], width)
    columns = torch.where(flip, columns.flip(1), columns)
    return pixels[indices[:, None, None], rows[:, :, None], columns[:, None, :]]


def reflect(index: Tensor, size: int) -> Tensor:
    """Fold positions outside 0 … size - 1 back inside, the border pixel not repeated."""
    return (size - 1) - ((size - 1) - index.abs()).abs()


def mixup(batch: Tensor, targets: Tensor, lam: float) -> tuple[Tensor, Tensor]:
    """Mix every image and its target with the next one's: Mixup, as torchvision's v2 ``MixUp`` does it."""
    return torch.lerp(batch.roll(1, 0), batch, lam), torch.lerp(targets.roll(1, 0), targets, lam)


def cutmix(batch: Tensor, targets: Tensor, lam: float, centre: np.ndarray) -> tuple[Tensor, Tensor]:
    """Put a square of the next image into every image, and as much of its target into the target: CutMix.

    The same as torchvision's v2 ``CutMix`` (Yun et al., 2019).

    Args:
        lam: fraction of each image that stays, where the border cuts nothing off the square.
        centre: row and column of the square's middle, both 0 to 1.
    """
    side = batch.shape[-1]
    middle, reach = (centre * side).astype(int), int(math.sqrt(1 - lam) / 2 * side)
    (top, left), (bottom, right) = (middle - reach).clip(0), (middle + reach).clip(max=side)
    next_ones, batch = batch.roll(1, 0), batch.clone(memory_format=torch.preserve_format)
    batch[:, :, top:bottom, left:right] = next_ones[:, :, top:bottom, left:right]
    lam = 1 - (bottom - top) * (right - left) / side**2
    return batch, torch.lerp(targets.roll(1, 0), targets, lam)


def train_batches(
    pixels: Tensor, targets: Tensor, recipe: Recipe, epoch: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield an epoch's (indices, images, targets): float32 (B, 3, size, size) and (B, classes)."""
    rng = np.random.default_rng((recipe.seed, epoch, 1))
    for chosen in epoch_batches(len(pixels), recipe, epoch):
        indices = torch.from_numpy(chosen).to(pixels.device)
        chosen_pixels = random_crop_flip(pixels, indices, recipe.augmentation, rng)
        batch = normalize(chosen_pixels, recipe.input_size, recipe.pixel_scale)
        target = targets[indices]
        if recipe.augmentation.endswith("cutmix") and rng.random() < 0.5:
            batch, target = cutmix(batch, target, rng.random(), rng.random(2))
        elif recipe.mixup:
            batch, target = mixup(batch, target, float(rng.beta(recipe.mixup, recipe.mixup)))
        yield indices, batch, target
