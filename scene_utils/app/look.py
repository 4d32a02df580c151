"""What the page says of a photo: probabilities, what the answer hangs on, and which training images are alike."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from scene_utils import classify, data, experiments, trained
from scene_utils.data import Split
from scene_utils.support import progress, settings
from scene_utils.support.images import SIDE, small
from scene_utils.support.settings import SceneError

ALIKE = 5  # training images shown beside a photo
SHOWN = 400  # pixels of a photo's longer side on the page
DARK = 0.4  # brightness of what the answer does not hang on
POINT = 0.01  # of probability: a smaller loss is none
SQUARE, STEP = 16, 12  # pixels of 64: side of the grey square that is moved over a photo, and how far at a time
AT_ONCE = 2  # photos that are answered together, each with a copy for every place of the square
NONE_OF_THESE = trained.SHIPPED / "none_of_these.json"


@dataclass(frozen=True)
class Threshold:
    """The probability below which the page answers "none of these".

    ``NONE_OF_THESE`` holds the fields of the same names, written where they are measured: with one class left out of
    training at a time. Without it the value is a convention, and nothing is known of how well it works.

    Attributes:
        threshold: the smallest highest probability with which a class is named.
        recall: fraction of the photos of known classes that are still named.
        false_positives: fraction of the photos of the class left out that are named, always wrongly; a mean.
        auroc: how well the highest probability ranks photos of known classes above the others; 0.5 is chance.
        per_class: the ``false_positives`` of each class left out.
    """

    threshold: float = 0.5
    recall: float | None = None
    false_positives: float | None = None
    auroc: float | None = None
    per_class: Mapping[str, float] = field(default_factory=dict)


def threshold() -> Threshold:
    """Return what has been measured, or the convention.

    Raises:
        SceneError: for a file that does not hold the numbers of ``Threshold``, each from 0 to 1.
    """
    if not NONE_OF_THESE.exists():
        return Threshold()
    try:
        content = json.loads(NONE_OF_THESE.read_text(encoding="utf-8"))
        numbers = {name: float(content[name]) for name in ("threshold", "recall", "false_positives", "auroc")}
        per_class = {name: float(row["false_positives"]) for name, row in content.get("per_class", {}).items()}
        if not all(0 <= value <= 1 for value in [*numbers.values(), *per_class.values()]):
            raise ValueError("a number is not from 0 to 1")
    except (ValueError, KeyError, TypeError) as error:
        raise SceneError(
            f"{NONE_OF_THESE} holds no threshold ({type(error).__name__}: {error}); restore it with git"
        ) from error
    return Threshold(**numbers, per_class=per_class)


@dataclass(frozen=True)
class Seen:
    """What the network says of one photo.

    Attributes:
        name: the photo's file name.
        picture: the photo, RGB, at most ``SHOWN`` pixels along a side.
        lit: the same, the darker the less the answer loses where a square hides that place.
        loss: what the highest probability loses at most where a square hides a place.
        probabilities: one a class, highest first.
        none: whether the highest is below the threshold.
        alike: the most similar training images: class, file name, pixels uint8 (3, 64, 64).
    """

    name: str
    picture: Image.Image
    lit: Image.Image
    loss: float
    probabilities: pd.Series
    none: bool
    alike: list[tuple[str, str, np.ndarray]]


class Network:
    """The shipped model with the features of the training images, loaded once."""

    def __init__(self, profile: str | None = None) -> None:
        self.model = classify.Model(trained.shipped_run())  # whatever has been trained here
        self.net = self.model.nets[0][0]
        self.run = self.model.run
        self.threshold = threshold()
        self.images, self.features = self._training_images(settings.profile(profile))

    def _training_images(self, profile: str) -> tuple[Split, Tensor]:
        """Return the profile's training images and their features, (N, features) of length one.

        The features are computed once for a model and a profile, and kept in the runs folder. Images of one's own are
        passed over: the shipped model has never seen them.
        """
        if profile == "sample" or settings.data_dir():
            dataset = data.load_sample()
            images = dataset.train
        else:
            images, _, dataset = experiments.sets(profile)
        path = settings.runs_dir() / "app" / f"{self.run.name}.{self.run.key}.{dataset.key[:12]}.npy"
        if path.exists():
            features = np.load(path, allow_pickle=False)
            if features.shape == (len(images), self.net.num_features):
                return images, torch.from_numpy(features).float()
        settings.say(f"reading {len(images):,} training images to find similar ones, once; their features are kept")
        features = self._features(images)
        settings.atomic_write(path, partial(np.save, arr=features.half().numpy()))
        return images, features

    @progress.part()
    def _features(self, images: Split) -> Tensor:
        progress.begin("training images")
        rows = []
        for chunk in images.images.split(64):
            rows.append(self.look(list(chunk.numpy()))[1])
            progress.advance(len(chunk) / len(images))
        return torch.cat(rows)

    def look(self, pixels: Sequence[np.ndarray]) -> tuple[pd.DataFrame, Tensor]:
        """Return what the network makes of images, uint8 (3, 64, 64) each.

        Returns:
            Probabilities, a row an image; the features that its last layer decides by, of length one, (N, features).
        """
        kept = []
        hook = self.net.global_pool.register_forward_hook(lambda _, maps, means: kept.append(means))
        try:
            probabilities = self.model.predict(list(pixels))
        finally:
            hook.remove()
        return probabilities, F.normalize(torch.cat(kept).detach().float().cpu())

    def answer(self, photos: Sequence[tuple[str, Image.Image, np.ndarray]]) -> list[Seen]:
        """Return what the network says of photos: name, picture and pixels of each, as ``read`` returns them."""
        copies = [hidden(pixels) for _, _, pixels in photos]
        table, features = self.look([pixels for _, _, pixels in photos] + [each for part in copies for each in part])
        closest = (features[: len(photos)] @ self.features.T).topk(min(ALIKE, len(self.features))).indices.tolist()
        covered = table.iloc[len(photos) :].to_numpy().reshape(len(photos), len(copies[0]), -1)
        seen = []
        for i, (name, picture, _) in enumerate(photos):
            row = table.iloc[i].sort_values(ascending=False)
            losses = row.iloc[0] - covered[i, :, self.run.classes.index(row.index[0])]
            side = round(len(losses) ** 0.5)
            near = self.images.select(closest[i])
            named = zip(near.labels.tolist(), near.names, near.images.numpy(), strict=True)
            alike = [(near.classes[label], file, image) for label, file, image in named]
            none = bool(row.iloc[0] < self.threshold.threshold)
            heat = losses.reshape(side, side)
            seen.append(Seen(name, picture, lit(picture, heat), float(heat.max()), row, none, alike))
        return seen


def read(photo) -> tuple[str, Image.Image, np.ndarray]:
    """Read a photo: its file name, the picture to show, the pixels to classify, uint8 (3, 64, 64).

    Raises:
        SceneError: for a file that cannot be read, naming it.
    """
    with classify.open_photo(photo) as image:
        pixels = small(image)
        image.thumbnail((SHOWN, SHOWN))
        return classify.file_name(photo), image, pixels


def hidden(pixels: np.ndarray) -> list[np.ndarray]:
    """Return copies of an image, uint8 (3, 64, 64), each with a square of the mean colour at another place, row by row.

    Occlusion, the method of Zeiler and Fergus (2014), as in ``explain``. The places overlap and cover the image.
    """
    colour = (data.MEAN * 255).round().to(torch.uint8).numpy()[:, None, None]
    copies = []
    for top, left in itertools.product(range(0, SIDE - SQUARE + 1, STEP), repeat=2):
        copies.append(pixels.copy())
        copies[-1][:, top : top + SQUARE, left : left + SQUARE] = colour
    return copies


def lit(picture: Image.Image, losses: np.ndarray) -> Image.Image:
    """Show a picture in colour where hiding it costs the most, dark grey where it costs nothing.

    Args:
        losses: (H, W), scaled to the largest one, or to ``POINT`` where all are smaller.
    """
    mask = np.sqrt(losses.clip(0) / max(losses.max(), POINT))  # half as much can still be seen
    mask = Image.fromarray((mask * 255).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.composite(picture, picture.convert("L").point(lambda value: value * DARK).convert("RGB"), mask)
