"""A folder of images as its owner has left it: which sets, classes and files it holds, and what is passed over.

Imports neither torch nor Pillow, so that the graph of the series can ask within a moment whether anything has changed.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scene_utils.support.settings import SceneError

EXPECTED = "expected a folder with train/<class>/<image> and, optionally, val/<class>/<image> or test/<class>/<image>"
SETS = {  # in any case of letters
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
# What systems, cloud drives, photo managers and archives leave in folders, in lower case; hidden names count too.
LEFT_BEHIND = {"thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "desktop.ini", "icon\r", "lost+found", "@eadir"}
LEFT_BEHIND |= {"@recycle", "#recycle", "$recycle.bin", "system volume information", "__macosx", "__pycache__"}
# What cameras and labelling tools write beside photos: films, sound, raw data, settings, labels.
BESIDE = set(".3gp .avi .lrv .m4v .mkv .mov .mp3 .mp4 .mts .thm .wav .aae .xmp .ini .db .lnk .url .log".split())
BESIDE |= set(".arw .cr2 .cr3 .dng .nef .orf .pef .raf .rw2 .srw .csv .html .json .md .pdf .txt .xml .yaml".split())
IMAGES = set(".avif .bmp .gif .heic .heif .jfif .jp2 .jpeg .jpg .mpo .png .ppm .tif .tiff .webp".split())


class File(NamedTuple):
    """An image file: its name inside the dataset, its class, its size in bytes, and when it was changed."""

    name: str
    label: str
    size: int
    changed: int


@dataclass
class Listing:
    """What a folder holds, by set and class.

    Attributes:
        train: files to learn from.
        holdout: files of a validation set of their own, where the folder has a test set beside it.
        test: files of the test set; None where the folder has none.
        problems: what cannot be used.
        passed_over: what is no image of the dataset, counted by kind (``{s}`` stands for the plural).
    """

    train: dict[str, list[File]] = field(default_factory=dict)
    holdout: dict[str, list[File]] = field(default_factory=dict)
    test: dict[str, list[File]] | None = None
    problems: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)

    def said(self) -> str:
        """What is passed over, in words; empty for nothing."""
        counts = sorted(self.passed_over.items())
        return ", ".join(f"{count} {kind.replace('{s}', 's' * (count != 1))}" for kind, count in counts)


def read(folder: Path) -> Listing:
    """List a folder ``train/<class>/<image>`` with, optionally, a validation and a test set.

    A validation set alone is the test set, as in the report's dataset; with a test set beside it, it is the hold-out.

    Raises:
        SceneError: for a path that is no dataset, saying what is there instead.
    """
    try:
        entries = sorted(os.listdir(folder))
    except OSError as error:
        unpack = "; unpack it first" if isinstance(error, NotADirectoryError) else ""
        raise SceneError(f"{folder} is no dataset: {error.strerror}{unpack}; {EXPECTED}") from error
    listing, found = Listing(), {}
    for name in entries:
        if left_behind(name):
            continue  # beside the sets nobody expects images in them
        if part := part_of(name):
            found.setdefault(part, []).append(name)
        elif (folder / name).is_dir():
            listing.passed_over[f"folder {show(name)} (neither train, val nor test)"] += 1
        elif Path(name).suffix.lower() in IMAGES:
            listing.passed_over["image{s} beside the folder train"] += 1
    for names in found.values():
        if len(names) > 1:
            raise SceneError(f"{folder} is no dataset: {' and '.join(names)} mean the same set; keep one of them")
    if "train" not in found:
        raise SceneError(f"{folder} is no dataset: it has no folder train{instead(folder)}; {EXPECTED}")
    sets = {part: classes(folder, names[0], listing) for part, names in found.items()}
    listing.train = sets["train"]
    if len(listing.train) < 2:
        classes_found = f"{len(listing.train)} class{'es' * (len(listing.train) != 1)}"
        hint = instead(folder / found["train"][0])
        listing.problems.append(f"{found['train'][0]} ({classes_found}; at least 2 are needed{hint})")
    listing.test = sets.get("test", sets.get("val"))
    listing.holdout = sets.get("val", {}) if "test" in sets else {}
    for part in found.keys() - {"train"}:
        for name in sorted(listing.train.keys() ^ sets[part].keys()):
            only = found["train" if name in listing.train else part][0]
            listing.problems.append(f"{show(name)} (a class in {only} only)")
    return listing


def state(folder: Path) -> str:
    """Return a hash that changes with every image added, removed, renamed or overwritten.

    Raises:
        SceneError: for a path that is no dataset.
    """
    listing = read(folder)
    sets = (listing.train, listing.holdout, listing.test or {})
    files = sorted(file for each in sets for files in each.values() for file in files)
    parts = [*(f"{f.name}\0{f.size}\0{f.changed}" for f in files), *listing.problems]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def part_of(name: str) -> str | None:
    """Return the set that a folder's name, or the name of a file inside the dataset, stands for; None for others."""
    first = name.partition("/")[0].lower()
    return next((part for part, names in SETS.items() if first in names), None)


def left_behind(name: str) -> bool:
    """Whether a system or tool has left this behind: hidden, or known by name."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def show(name: str) -> str:
    """A name as it can stand in a one-line message."""
    return name if name.isprintable() else repr(name)


def classes(folder: Path, part: str, listing: Listing) -> dict[str, list[File]]:
    """Files of one set by class; what cannot be used, or is passed over, is noted in ``listing``."""
    found: dict[str, list[File]] = {}
    for label in entries(folder / part, part, listing):
        if not (folder / part / label).is_dir():
            if Path(label).suffix.lower() in BESIDE:
                listing.passed_over[Path(label).suffix.lower() + " file{s}"] += 1
            else:
                listing.problems.append(f"{show(f'{part}/{label}')} (a file beside the class folders)")
            continue
        found[label], before = [], len(listing.problems)
        for entry in entries(folder / part / label, f"{part}/{label}", listing):
            name = f"{part}/{label}/{entry}"
            try:
                status = os.stat(folder / name)
            except OSError as error:
                listing.problems.append(f"{show(name)} ({error.strerror})")
                continue
            if stat.S_ISDIR(status.st_mode):
                listing.problems.append(f"{show(name)} (a folder inside a class)")
            elif not stat.S_ISREG(status.st_mode):  # a pipe or a device would block its reader
                listing.problems.append(f"{show(name)} (not a plain file)")
            elif Path(entry).suffix.lower() in BESIDE:
                listing.passed_over[Path(entry).suffix.lower() + " file{s}"] += 1
            else:
                found[label].append(File(name, label, status.st_size, status.st_mtime_ns))
        if not found[label] and len(listing.problems) == before:
            listing.problems.append(f"{show(f'{part}/{label}')} (an empty class)")
    return found


def entries(folder: Path, name: str, listing: Listing) -> list[str]:
    """Sorted names in a folder, without what is left behind; a folder that cannot be read is a problem."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        listing.problems.append(f"{show(name)} ({error.strerror})")
        return []
    hidden = sum(map(left_behind, names))
    if hidden:
        listing.passed_over["hidden or system item{s}"] += hidden
    return [each for each in names if not left_behind(each)]


# --- a folder that is nearly a dataset


def instead(folder: Path) -> str:
    """Say where class folders are in a folder without ``train``, and what to do; empty where there are none."""
    found = list(class_parents(folder))
    if not found:
        return ""
    parents, names = zip(*found, strict=True)
    shown = ", ".join(map(show, names[0][:4])) + (", …" if len(names[0]) > 4 else "")
    if folder in parents:
        return f", but folders of images ({shown}): move them into {folder}/train"
    for parent in parents:
        if part_of(parent.name) == "train":
            return f", but {parent.relative_to(folder)} is there (with {shown}): name {parent.parent} instead"
    places = " and ".join(str(parent.relative_to(folder)) for parent in parents[:3])
    return f", but folders of images ({shown}) in {places}: in a new folder link or rename them to train and val"


def class_parents(folder: Path, depth: int = 3) -> Iterator[tuple[Path, list[str]]]:
    """Folders, not deeper than ``depth``, that hold two or more folders of images, with the names of these."""
    for place, children, _ in os.walk(folder):
        children[:] = sorted(name for name in children if not left_behind(name))
        names = [name for name in children if holds_images(os.path.join(place, name))]
        if len(names) >= 2:
            yield Path(place), names
        deepest = len(Path(place).relative_to(folder).parts) >= depth - 1
        children[:] = [] if len(names) >= 2 or deepest else children[:100]


def holds_images(folder: str) -> bool:
    """Whether a file in a folder has an image's suffix; not in one that cannot be read."""
    _, _, files = next(os.walk(folder), ("", [], []))
    return any(Path(name).suffix.lower() in IMAGES for name in files)
