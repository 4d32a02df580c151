"""The images as arrays: load a dataset, split it, seal a part of it.

A dataset is a folder ``train/<class>/<image>`` and, where it has a test set, ``val/<class>/<image>``; which others are
read, ``support.folder`` says. Whatever the images are, they end as one uint8 array N x 3 x 64 x 64.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, compress
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scene_utils.support import audit as audits
from scene_utils.support import fetching, settings
from scene_utils.support import folder as folders
from scene_utils.support.fetching import COMMIT, URL
from scene_utils.support.folder import File, show
from scene_utils.support.images import SIDE, hash_of, read_all
from scene_utils.support.settings import SceneError

LICENCE = "CC0 1.0 (public domain)"
# Hash of the names, file sizes and classes at that commit: tells the report's images from others, with or
# without a git folder beside them.
FINGERPRINT = "9865ad15f5eeb9d87fc691b0a82eec10fd269e9be66baa2c6d2939096c14af97"
# Statistics of ImageNet, which pretrained weights expect.
MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])

SAMPLE_DIR = Path(__file__).resolve().parent / "sample"
SEALED = 400  # images of each class in the sealed set; a quarter of a class that has fewer than four times as many
SEALED_FILES = Path(__file__).resolve().parent / "designs" / "sealed.txt"  # those of the public dataset, cut once


@dataclass(frozen=True)
class Split:
    """One set of images with their labels.

    Attributes:
        images: uint8 tensor (N, 3, 64, 64).
        labels: int64 tensor (N,), positions in ``classes``.
        classes: class names, sorted.
        names: file name of every image inside the dataset, such as ``train/sea/12.png``.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Sequence[int] | Tensor | np.ndarray) -> Split:
        """Return the images at ``indices``, in that order, as a new ``Split`` (a copy of the pixels)."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        names = tuple(self.names[i] for i in index.tolist())
        return Split(self.images[index], self.labels[index], self.classes, names)

    def partition(self, chosen: np.ndarray) -> tuple[Split, Split]:
        """Return the images where a boolean array (N,) is false, and those where it is true."""
        return self.select(np.flatnonzero(~chosen)), self.select(np.flatnonzero(chosen))

    def counts(self) -> list[int]:
        """Number of images of each class, in class order."""
        return torch.bincount(self.labels, minlength=len(self.classes)).tolist()


def concatenate(first: Split, second: Split) -> Split:
    """Return the images of two sets of the same classes as one."""
    images, labels = (torch.cat([getattr(first, part), getattr(second, part)]) for part in ("images", "labels"))
    return Split(images, labels, first.classes, first.names + second.names)


def without_class(split: Split, position: int) -> tuple[Split, Split]:
    """Return (the images of all other classes, with those classes' new positions; the images of this class).

    Raises:
        SceneError: where fewer than two classes would be left.
    """
    if len(split.classes) < 3 or not 0 <= position < len(split.classes):
        raise SceneError(f"class {position + 1} of {len(split.classes)} cannot be left out; use three classes or more")
    rest, out = split.partition((split.labels == position).numpy())
    labels = rest.labels - (rest.labels > position).long()
    classes = split.classes[:position] + split.classes[position + 1 :]
    return Split(rest.images, labels, classes, rest.names), out


@dataclass(frozen=True)
class Dataset:
    """Training and test set, with where they come from.

    Attributes:
        train: everything to learn and to choose from (``holdout_split`` takes the hold-out from it).
        test: the test set, the folder ``val``.
        source: public address, or ``own images: <n> classes``; never a local path.
        commit: commit of the public dataset, ``None`` for own images.
        key: what records compare: the commit, or a hash of names, classes and pixels.
    """

    train: Split
    test: Split
    source: str
    commit: str | None
    key: str


def load(profile: str | None = None) -> Dataset:
    """Load the dataset of a profile: the embedded sample, or the real one (fetched on first use).

    ``SCENE_DATA_DIR`` replaces either by a folder of one's own, ``SCENE_DATA_URL`` the real one's address.

    Raises:
        SceneError: for everything that ``load_folder`` and ``fetching.fetch`` refuse.
    """
    profile = settings.profile(profile)
    if own := settings.data_dir():
        return load_folder(own)
    if profile == "sample":
        return load_sample()
    folder = fetching.fetch()
    dataset = load_folder(folder)
    if dataset.commit is None:
        raise SceneError(
            f"the files in {folder} are not those of commit {COMMIT[:12]}; delete the folder to fetch again"
        )
    return dataset


def load_sample() -> Dataset:
    """Read the embedded sample of the real dataset (see ``sample/README.md``), without network or cache."""
    contents = json.loads((SAMPLE_DIR / "names.json").read_text(encoding="utf-8"))
    classes = tuple(contents["classes"])
    splits = []
    for part in ("train", "val"):
        files = contents[part]
        counts = [len(files[name]) for name in classes]
        sheets = [read_sheet(SAMPLE_DIR / f"{part}-{name}.webp", n) for name, n in zip(classes, counts, strict=True)]
        labels = torch.from_numpy(np.repeat(np.arange(len(classes)), counts))
        names = tuple(f"{part}/{name}/{file}" for name in classes for file in files[name])
        splits.append(Split(torch.from_numpy(np.concatenate(sheets)), labels, classes, names))
    key = hash_of("sample", COMMIT, *splits[0].names, *splits[1].names)
    return Dataset(*splits, URL, COMMIT, key)


def read_sheet(path: Path, count: int) -> np.ndarray:
    """Cut a contact sheet into its first ``count`` images: uint8 (count, 3, 64, 64), row by row."""
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB"))
    rows, columns = sheet.shape[0] // SIDE, sheet.shape[1] // SIDE
    tiles = sheet.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 4, 1, 3)
    return tiles.reshape(-1, 3, SIDE, SIDE)[:count]


# --- reading a folder


def load_folder(folder: str | Path) -> Dataset:
    """Load any folder ``train/<class>/<image>`` with, optionally, ``val/<class>/<image>`` or ``test/<class>/<image>``.

    What Pillow reads, of any size and colour mode, is read (``images.decode``). Classes are the sorted folder names.
    Where there is a test set beside ``val``, ``val`` is the hold-out (see ``holdout_split``); with neither, a fifth of
    each class becomes the test set, by a fixed seed. The decoded images are kept in the cache folder and mapped from
    there; writing to the tensors does not change the cache.

    Raises:
        SceneError: for a path that is no dataset, and for all bad files, empty classes and classes in one
            split only, listed together.
    """
    folder = settings.absolute(str(folder))
    listing = folders.read(folder)
    if listing.passed_over:
        settings.say_once(f"passed over in {show(folder.name)}: {listing.said()}")
    classes = tuple(listing.train)
    train, holdout, test = map(_flat, (listing.train, listing.holdout, listing.test or {}))
    if listing.test is None:
        alone = [name for name, members in listing.train.items() if len(members) == 1]
        listing.problems += [f"train/{show(name)} (one image; without a folder val two are needed)" for name in alone]
        chosen = _stratified(np.array([classes.index(file.label) for file in train]), 0.2)
        train, test = list(compress(train, ~chosen)), list(compress(train, chosen))
    parts = [train + holdout, test]
    files = parts[0] + parts[1]
    images = torch.from_numpy(read_all(folder, files, listing.problems))

    splits = []
    for part, pixels in zip(parts, images.split([len(part) for part in parts]), strict=True):
        labels = torch.tensor([classes.index(file.label) for file in part])
        splits.append(Split(pixels, labels, classes, tuple(file.name for file in part)))
    listed = hash_of(*classes, *(f"{file.name}\0{file.size}" for file in sorted(files)))
    if listed == FINGERPRINT:
        return Dataset(*splits, URL, COMMIT, COMMIT)
    key = hash_of(listed, hashlib.sha256(images.numpy()).hexdigest())
    fetching.note_key(folder, key)
    return Dataset(*splits, f"own images: {len(classes)} classes", None, key)


def _flat(classes: dict[str, list[File]]) -> list[File]:
    return list(chain.from_iterable(classes.values()))


# --- splitting


def _stratified(labels: np.ndarray, fraction: float) -> np.ndarray:
    """Choose ``fraction`` of each class by a fixed seed, at least one of two or more, never all: booleans (N,)."""
    generator = np.random.default_rng(0)
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen[generator.permutation(members)[:count]] = True
    return chosen


def holdout_split(train: Split, fraction: float = 0.1) -> tuple[Split, Split]:
    """Split ``train`` into what is trained on and the hold-out that makes every choice.

    Stratified: each class gives ``fraction`` of its images, at least one where it has two or more. Where the dataset
    has a validation set of its own beside the test set, that is the hold-out.

    Returns:
        (train, hold-out), each in the order of the original.
    """
    own = np.array([folders.part_of(name) == "val" for name in train.names], dtype=bool)
    return train.partition(own if own.any() else _stratified(train.labels.numpy(), fraction))


def sealed_split(train: Split, holdout: Split, test: Split) -> tuple[Split, Split]:
    """Split ``train`` into what cases train on and their sealed set, which nothing reads before all their runs exist.

    Images of the same or nearly the same content (``audit``) go together, and what has such a copy in the hold-out or
    the test set stays in ``train``. Groups are taken in the order of the SHA-256 of their first name, as long as no
    class gets more than its number of images.

    Returns:
        (rest, sealed), each in the order of ``train``.
    """
    whole = concatenate(concatenate(train, holdout), test)
    own, outside = np.split(audits.duplicate_groups(whole.images), [len(train)])
    groups = [np.flatnonzero(own == group) for group in np.setdiff1d(own, outside)]
    wanted = np.array([min(SEALED, count // 4) for count in train.counts()])
    taken = np.zeros(len(train), dtype=bool)
    for group in sorted(groups, key=lambda group: hash_of(train.names[group[0]])):
        labels = np.bincount(train.labels[group], minlength=len(wanted))
        if (labels <= wanted).all():
            taken[group] = True
            wanted -= labels
    return train.partition(taken)


def sealed_listed(train: Split) -> tuple[Split, Split]:
    """Split the public dataset's ``train`` by the committed list that ``sealed_split`` has made: (rest, sealed)."""
    listed = set(SEALED_FILES.read_text(encoding="utf-8").split())
    sealed = np.array([name.removeprefix("train/") in listed for name in train.names])
    if sealed.sum() != len(listed):
        missing = len(listed) - sealed.sum()
        raise SceneError(f"{missing} files of {SEALED_FILES.name} are not in train; fetch the dataset again")
    return train.partition(sealed)


# --- duplicates


def without_duplicates(train: Split, test: Split) -> Split:
    """Return ``train`` without the images whose pixels stand in ``test`` too."""
    known = set(audits.digests(test.images))
    return train.select([i for i, digest in enumerate(audits.digests(train.images)) if digest not in known])


def audit(dataset: Dataset) -> audits.Audit:
    """Look for duplicates inside and across training and test set, and for images without contrast."""
    whole = concatenate(dataset.train, dataset.test)
    return audits.audit(whole.images, whole.labels.tolist(), whole.names, len(dataset.train))
