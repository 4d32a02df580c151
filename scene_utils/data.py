"""The images: fetch, read, check, cache, split and audit.

A dataset is a folder ``train/<class>/<image>`` and, where it has a test set, ``val/<class>/<image>``.
Whatever the images are, they end as one uint8 array N x 3 x 64 x 64.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import filelock
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from scene_utils import settings
from scene_utils.settings import SceneError

URL = "https://github.com/ndb796/Scene-Classification-Dataset-Split"
COMMIT = "063473edcb62eb9269132da1e01c6de62e95fa8c"
LICENCE = "CC0 1.0 (public domain)"
# Hash of the names, file sizes and classes at that commit: tells the report's images from others, with or
# without a git folder beside them.
FINGERPRINT = "9865ad15f5eeb9d87fc691b0a82eec10fd269e9be66baa2c6d2939096c14af97"

SIDE = 64
# Inputs are normalised by the statistics of ImageNet, which pretrained weights expect.
MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])

SAMPLE_DIR = Path(__file__).resolve().parent / "sample"
FORMATS = ("PNG", "JPEG", "WEBP")
# What systems and tools leave in folders, in lower case; names that begin with "._" (macOS) count too.
LEFT_BEHIND = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".gitkeep", ".ipynb_checkpoints"}
PIXELS_VERSION = 1  # raise it when the same file is decoded to other pixels


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

    def counts(self) -> list[int]:
        """Number of images of each class, in class order."""
        return torch.bincount(self.labels, minlength=len(self.classes)).tolist()


def joined(first: Split, second: Split) -> Split:
    """Return the images of two sets of the same classes as one."""
    images, labels = (torch.cat([getattr(first, part), getattr(second, part)]) for part in ("images", "labels"))
    return Split(images, labels, first.classes, first.names + second.names)


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

    ``SCENE_DATA_DIR`` replaces the real one by an existing folder, ``SCENE_DATA_URL`` its address.

    Raises:
        SceneError: for everything that ``load_folder`` and ``fetch`` refuse.
    """
    if settings.profile(profile) == "sample":
        return load_sample()
    folder = os.environ.get("SCENE_DATA_DIR")
    if folder:
        return load_folder(folder)
    folder = fetch()
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
        images, labels, names = [], [], []
        for label, name in enumerate(classes):
            files = contents[part][name]
            images.append(read_sheet(SAMPLE_DIR / f"{part}-{name}.webp", len(files)))
            labels += [label] * len(files)
            names += [f"{part}/{name}/{file}" for file in files]
        pixels = torch.from_numpy(np.concatenate(images))
        splits.append(Split(pixels, torch.tensor(labels), classes, tuple(names)))
    key = _hash("sample", COMMIT, *splits[0].names, *splits[1].names)
    return Dataset(*splits, URL, COMMIT, key)


def read_sheet(path: Path, count: int) -> np.ndarray:
    """Cut a contact sheet into its first ``count`` images: uint8 (count, 3, 64, 64), row by row."""
    with Image.open(path) as image:
        sheet = np.asarray(image.convert("RGB"))
    rows, columns = sheet.shape[0] // SIDE, sheet.shape[1] // SIDE
    tiles = sheet.reshape(rows, SIDE, columns, SIDE, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(tiles.reshape(-1, 3, SIDE, SIDE)[:count])


# --- reading a folder


class _File(NamedTuple):
    name: str
    label: str
    size: int
    changed: int


def load_folder(folder: str | Path) -> Dataset:
    """Load any folder ``train/<class>/<image>`` with, optionally, ``val/<class>/<image>``.

    PNG, JPEG and WebP of any size and colour mode are read (see ``decode``). Classes are the sorted folder
    names. Without ``val``, a fifth of each class becomes the test set, by a fixed seed. The decoded images
    are kept in the cache folder and mapped from there; writing to the tensors does not change the cache.

    Raises:
        SceneError: for a path that is no dataset, and for all bad files, empty classes and classes in one
            split only, listed together.
    """
    folder = Path(folder).expanduser().absolute()
    expected = "expected a folder with train/<class>/<image> and, optionally, val/<class>/<image>"
    try:
        entries = os.listdir(folder)
    except OSError as error:
        raise SceneError(f"{folder} is no dataset: {error.strerror}; {expected}") from error
    if "train" not in entries:
        raise SceneError(f"{folder} is no dataset: it has no folder train; {expected}")
    problems: list[str] = []
    train = _list(folder, "train", problems)
    classes = tuple(sorted(train))
    if len(classes) < 2:
        problems.append(f"train ({len(classes)} class; at least 2 are needed)")
    if "val" in entries:
        test = _list(folder, "val", problems)
        for name in sorted(train.keys() ^ test.keys()):
            problems.append(f"{_show(name)} (a class in {'train' if name in train else 'val'} only)")
    else:
        train, test = _stratify(train, problems)
    parts = [[file for name in sorted(part) for file in part[name]] for part in (train, test)]
    files = parts[0] + parts[1]
    images = torch.from_numpy(_pixels(folder, files, problems))

    splits = []
    for part, pixels in zip(parts, images.split([len(part) for part in parts]), strict=True):
        labels = torch.tensor([classes.index(file.label) for file in part])
        splits.append(Split(pixels, labels, classes, tuple(file.name for file in part)))
    listed = _hash(*classes, *(f"{file.name}\0{file.size}" for file in sorted(files)))
    if listed == FINGERPRINT:
        return Dataset(*splits, URL, COMMIT, COMMIT)
    key = _hash(listed, hashlib.sha256(images.numpy()).hexdigest())
    return Dataset(*splits, f"own images: {len(classes)} classes", None, key)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _show(name: str) -> str:
    """A name as it can stand in a one-line message."""
    return name if name.isprintable() else repr(name)


def _entries(folder: Path) -> list[str]:
    """Sorted names in a folder, without what operating systems leave behind."""
    return sorted(n for n in os.listdir(folder) if n.lower() not in LEFT_BEHIND and not n.startswith("._"))


def _list(folder: Path, part: str, problems: list[str]) -> dict[str, list[_File]]:
    """Files of one split by class; what cannot be used is added to ``problems``."""
    classes: dict[str, list[_File]] = {}
    try:
        names = _entries(folder / part)
    except OSError as error:
        problems.append(f"{part} ({error.strerror})")
        names = []
    for label in names:
        try:
            entries = _entries(folder / part / label)
        except OSError as error:
            beside = isinstance(error, NotADirectoryError)
            reason = "a file beside the class folders" if beside else error.strerror
            problems.append(f"{_show(f'{part}/{label}')} ({reason})")
            continue
        if not entries:
            problems.append(f"{_show(f'{part}/{label}')} (an empty class)")
        classes[label] = []
        for entry in entries:
            name = f"{part}/{label}/{entry}"
            try:
                status = os.stat(folder / name)
            except OSError as error:
                problems.append(f"{_show(name)} ({error.strerror})")
                continue
            if stat.S_ISREG(status.st_mode):
                classes[label].append(_File(name, label, status.st_size, status.st_mtime_ns))
            else:  # a pipe or a device would block its reader
                kind = "a folder inside a class" if stat.S_ISDIR(status.st_mode) else "not a plain file"
                problems.append(f"{_show(name)} ({kind})")
    return classes


def _stratify(files: dict[str, list[_File]], problems: list[str]) -> tuple[dict, dict]:
    """Split every class 80 : 20 by a fixed seed, at least one image each side."""
    train, test = {}, {}
    generator = np.random.default_rng(0)
    for name, members in sorted(files.items()):
        if len(members) == 1:
            problems.append(f"train/{_show(name)} (one image; without a folder val two are needed)")
        order = generator.permutation(len(members))
        chosen = set(order[: max(1, round(0.2 * len(members)))].tolist())
        train[name] = [file for i, file in enumerate(members) if i not in chosen]
        test[name] = [file for i, file in enumerate(members) if i in chosen]
    return train, test


def decode(path: str | Path) -> np.ndarray:
    """Read one image file as uint8 (3, 64, 64).

    The format is told from the content, not from the name. Transparent parts are laid on white, 16-bit values
    are scaled to 8, CMYK and palettes become RGB, EXIF rotation is applied, of an animation the first frame
    is taken. Other sizes are resized (not cropped) to 64 x 64, bicubic with antialiasing.

    Raises:
        Exception: whatever Pillow raises for a file that is damaged or no PNG, JPEG or WebP.
    """
    with Image.open(path, formats=FORMATS) as image:
        image.draft(None, (4 * SIDE, 4 * SIDE))  # a large JPEG is decoded at a fraction of its size
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            values = np.asarray(image).astype(np.float64)
            image = Image.fromarray((values / 257).round().clip(0, 255).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("RGB")
        if image.size != (SIDE, SIDE):
            image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        return np.asarray(image).transpose(2, 0, 1)


def _decode_or_reason(path: Path) -> np.ndarray | str:
    try:
        return decode(path)
    except Image.UnidentifiedImageError:
        return "no PNG, JPEG or WebP image"
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS // 10**6} million pixels"
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        message = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return " ".join(message.split())[:80]


def _pixels(folder: Path, files: list[_File], problems: list[str]) -> np.ndarray:
    """Decoded images of ``files`` in their order, from the cache where it holds them."""
    root = _hash(str(folder))[:12]
    listing = _hash(str(PIXELS_VERSION), *(f"{f.name}\0{f.size}\0{f.changed}" for f in files))[:24]
    path = settings.cache_dir() / f"pixels-{root}-{listing}.npy"
    shape = (len(files), 3, SIDE, SIDE)
    pixels = None if problems else _map(path, shape)
    if pixels is not None:
        return pixels
    with _cache_lock():
        pixels = None if problems else _map(path, shape)
        if pixels is None:
            print(f"decoding {len(files):,} images (only the first time)", flush=True)
            settings.atomic_write(path, lambda file: _decode_into(file, folder, files, problems))
            for old in path.parent.glob(f"pixels-{root}-*.npy"):
                if old != path:
                    with contextlib.suppress(OSError):
                        old.unlink()
            pixels = _map(path, shape)
    return pixels


def _map(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Map an array copy-on-write; ``None`` where the file is missing or not whole."""
    try:
        array = np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _decode_into(file: BinaryIO, folder: Path, files: list[_File], problems: list[str]) -> None:
    """Decode in parallel and write one ``.npy``; not through a map, which crashes on a full disk."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(files), 3, SIDE, SIDE)}
    np.lib.format.write_array_header_1_0(file, header)
    bad = list(problems)
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for start in range(0, len(files), 256):  # in portions, so that an error stops the pool at once
            portion = files[start : start + 256]
            results = pool.map(_decode_or_reason, [folder / f.name for f in portion])
            for item, result in zip(portion, results, strict=True):
                if isinstance(result, str):
                    bad.append(f"{_show(item.name)} ({result})")
                else:
                    file.write(np.ascontiguousarray(result).data)
    if bad:
        more = f" and {len(bad) - 8} more" if len(bad) > 8 else ""
        raise SceneError(
            f"{len(bad)} thing{'s' * (len(bad) > 1)} in {folder} cannot be used: {', '.join(bad[:8])}{more};"
            " repair, move or delete them"
        )


@contextlib.contextmanager
def _cache_lock() -> Iterator[None]:
    """Hold the cache folder's lock, and clear what a killed process left there."""
    folder = settings.cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            print("another process is filling the cache; waiting for it", flush=True)
            lock.acquire()
    except OSError as error:
        raise SceneError(
            f"cannot write to the cache folder {folder}: {error.strerror};"
            " set SCENE_CACHE_DIR to a folder of your own"
        ) from error
    try:
        for name in ("pixels-*", "dataset-*"):
            settings.clear_leftovers(folder, name)
        yield
    finally:
        lock.release()


# --- fetching

OTHER_COPY = "SCENE_DATA_URL to a mirror or a bundle, or SCENE_DATA_DIR to a folder that holds the dataset"
# What git says -> what to do; the first that matches.
REMEDIES = {
    "No space left": "free some space or set SCENE_CACHE_DIR to a folder on another disk",
    "resolve host|unable to access|onnect|timed out|hung up": f"check the network, or set {OTHER_COPY}",
    "": f"set {OTHER_COPY}",
}


def fetch(url: str | None = None, commit: str = COMMIT) -> Path:
    """Clone the dataset into the cache folder at one commit, once, and return its folder.

    The clone is made in a temporary folder beside and renamed when it is complete and its commit verified, so
    an interrupted one leaves nothing that is used later. git checks every object against the commit's hash.

    Args:
        url: address, folder or bundle; by default ``SCENE_DATA_URL``, else the public address.
        commit: full hash of the commit to check out.

    Raises:
        SceneError: without git, network or disk space, or where the commit is not there.
    """
    folder = settings.cache_dir() / f"dataset-{commit[:12]}"
    if folder.is_dir():
        return folder
    url = url or os.environ.get("SCENE_DATA_URL") or URL
    if shutil.which("git") is None:
        raise SceneError(
            "git is not installed: install it, or set SCENE_DATA_DIR to a folder that holds the dataset"
        )
    with _cache_lock():
        if folder.is_dir():
            return folder
        temporary = None
        try:
            temporary = tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent)
            _git(url, "clone", "--progress", "--no-local", "--no-checkout", "--", url, temporary)
            try:
                _git(url, "-C", temporary, "cat-file", "-e", commit + "^{commit}")
            except SceneError:
                raise SceneError(
                    f"{_public(url)} does not hold commit {commit[:12]};"
                    f" set SCENE_DATA_URL to a copy of {URL}, or unset it"
                ) from None
            _git(url, "-C", temporary, "checkout", "--progress", "--detach", commit)
            os.chmod(temporary, 0o755)
            os.replace(temporary, folder)
        except OSError as error:
            remedy = REMEDIES["No space left"]
            raise SceneError(f"cannot write {folder}: {error.strerror}; {remedy}") from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _public(text: str) -> str:
    """Leave a user name and password out of an address."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def _git(url: str, *arguments: str) -> None:
    """Run git, show its progress, and turn a failure into one line with a remedy."""
    slow = ["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60"]  # ends a dead connection
    # These, set inside git's own hooks, would send the commands to another repository.
    foreign = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"}
    environment = {name: value for name, value in os.environ.items() if name not in foreign}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    lines, shown = [], ""
    with subprocess.Popen(
        ["git", *slow, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            for line in process.stderr:
                progress = re.match(r"(?:remote: )?([A-Z][\w ]+):\s+(\d*)0%", line)
                if not progress:
                    lines.append(line.strip())
                elif progress[0] != shown:
                    shown = progress[0]
                    print(f"\r{progress[1]}: {progress[2]}0 %   ", end="", flush=True)
        except BaseException:
            process.kill()
            raise
    if shown:
        print()
    if process.returncode:
        text = _public(next((line for line in lines if line.startswith(("fatal", "error"))), "git failed"))
        remedy = next(remedy for pattern, remedy in REMEDIES.items() if re.search(pattern, "\n".join(lines)))
        raise SceneError(f"cannot fetch the dataset from {_public(url)}: {text}; {remedy}")


# --- splitting


def holdout_split(train: Split, fraction: float = 0.1, seed: int = 0) -> tuple[Split, Split]:
    """Split ``train`` into what is trained on and the hold-out that makes every choice.

    Stratified: each class gives ``fraction`` of its images, at least one where it has two or more.

    Returns:
        (train, hold-out), each in the order of the original.
    """
    generator = np.random.default_rng(seed)
    labels = train.labels.numpy()
    held = np.zeros(len(labels), dtype=bool)
    for label in range(len(train.classes)):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held[generator.permutation(members)[: max(count, 0)]] = True
    return train.select(np.flatnonzero(~held)), train.select(np.flatnonzero(held))


SEALED = 400  # images of each class in the sealed set; a quarter of a class that has fewer than four times as many
SEALED_FILES = Path(__file__).resolve().parent / "designs" / "sealed.txt"  # those of the public dataset, cut once


def sealed_split(train: Split, holdout: Split, test: Split) -> tuple[Split, Split]:
    """Split ``train`` into what cases train on and their sealed set, which nothing reads before all their runs exist.

    Images of the same or nearly the same content (``audit``) go together, and what has such a copy in the hold-out or
    the test set stays in ``train``. Groups are taken in the order of the SHA-256 of their first name, as long as no
    class gets more than its number of images.

    Returns:
        (rest, sealed), each in the order of ``train``.
    """
    whole = joined(joined(train, holdout), test)
    groups = _groups(whole)
    outside = set(groups[len(train) :].tolist())
    members: dict[int, list[int]] = {}
    for i, group in enumerate(groups[: len(train)].tolist()):
        if group not in outside:
            members.setdefault(group, []).append(i)
    wanted = np.array([min(SEALED, count // 4) for count in train.counts()])
    taken = np.zeros(len(train), dtype=bool)
    for group in sorted(members.values(), key=lambda group: _hash(train.names[group[0]])):
        labels = np.bincount(train.labels[group], minlength=len(wanted))
        if (labels <= wanted).all():
            taken[group] = True
            wanted -= labels
    return train.select(np.flatnonzero(~taken)), train.select(np.flatnonzero(taken))


def sealed_listed(train: Split) -> tuple[Split, Split]:
    """Split the public dataset's ``train`` by the committed list that ``sealed_split`` has made: (rest, sealed)."""
    listed = set(SEALED_FILES.read_text(encoding="utf-8").split())
    sealed = np.array([name.removeprefix("train/") in listed for name in train.names])
    if sealed.sum() != len(listed):
        missing = len(listed) - sealed.sum()
        raise SceneError(f"{missing} files of {SEALED_FILES.name} are not in train; fetch the dataset again")
    return train.select(np.flatnonzero(~sealed)), train.select(np.flatnonzero(sealed))


def _groups(split: Split) -> np.ndarray:
    """Number of the group of each image: images that are alike, directly or through others, share one."""
    pairs = list(_near(split.images))
    first: dict[bytes, int] = {}
    pairs += [(first.setdefault(digest, i), i) for i, digest in enumerate(digests(split))]
    rows, columns = zip(*pairs, strict=True)
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(split), len(split)))
    return connected_components(graph, directed=False)[1]


def digests(split: Split) -> list[bytes]:
    """One hash of the pixels for every image."""
    return [hashlib.blake2b(image.data, digest_size=16).digest() for image in split.images.numpy()]


def without_duplicates(train: Split, test: Split) -> Split:
    """Return ``train`` without the images whose pixels stand in ``test`` too."""
    known = set(digests(test))
    return train.select([i for i, digest in enumerate(digests(train)) if digest not in known])


# --- audit

# Two images are near duplicates when their detail correlates above this. On the real dataset every pair above
# it shows one scene (looked at by eye); the first pairs of two scenes, alike in their frames, come at 0.87.
NEAR = 0.9


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        pairs: one row per pair of duplicates: ``first`` and ``second`` (file names), ``sets`` (train, test,
            across), ``exact`` (same pixels), ``agree`` (same label), ``similarity`` (1 for exact pairs).
        flat: all file names by contrast, lowest first: images that hardly anyone could label lead it.
        unavoidable: test images that any model gets wrong, since their pixels stand in the test set with
            several labels and only one of them can be given.
        train_size, test_size: number of images.
        public: whether these are the report's images, all of them.
    """

    pairs: pd.DataFrame
    flat: tuple[str, ...]
    unavoidable: int
    train_size: int
    test_size: int
    public: bool

    def table(self) -> pd.DataFrame:
        """Number of pairs by kind and set, split by whether their labels agree or contradict."""
        kind = self.pairs["exact"].map({True: "exact", False: "near"})
        label = self.pairs["agree"].map({True: "labels agree", False: "labels contradict"})
        counts = pd.crosstab([kind, self.pairs["sets"]], label)
        rows = pd.MultiIndex.from_product(
            [("exact", "near"), ("train", "test", "across")], names=["kind", "sets"]
        )
        return counts.reindex(index=rows, columns=["labels agree", "labels contradict"], fill_value=0)

    def in_train(self, exact: bool) -> pd.DataFrame:
        """The pairs of a test image (``second``) and its copy in the training set (``first``)."""
        return self.pairs[(self.pairs["sets"] == "across") & (self.pairs["exact"] == exact)]

    def contradictions(self) -> dict[str, int]:
        """Exact pairs whose labels contradict, counted by their two classes, most frequent first."""
        rows = self.pairs[self.pairs["exact"] & ~self.pairs["agree"]]
        classes = rows[["first", "second"]].map(lambda name: name.split("/")[1])
        return dict(Counter(" and ".join(sorted(pair)) for pair in classes.to_numpy()).most_common())

    def sentences(self) -> list[str]:
        """What the audit found, what follows, and what is done about it."""
        exact = self.pairs["exact"]
        agree = self.pairs["agree"]
        copies = self.in_train(exact=True)
        same, near = copies["second"].nunique(), self.in_train(exact=False)["second"].nunique()
        other_label = copies[~copies["agree"]]["second"].nunique()
        between = ", ".join(f"{pair} {count}" for pair, count in self.contradictions().items())
        lines = [
            f"Exact duplicates: {_count(exact.sum(), 'pair')}, {(exact & ~agree).sum()} of them with two"
            f" different labels{f' ({between})' if between else ''}.",
            f"Near duplicates: {_count((~exact).sum(), 'further pair')}, {(~exact & ~agree).sum()} of them"
            " with two different labels.",
        ]
        if between:
            lines.append(
                "Where the same picture has two labels, people chose differently: expect models to be"
                " unsure between the same classes, and none to be right everywhere."
            )
        lines += [
            "Ceiling: test images that no model can get right, because the test set holds the same pixels"
            f" with another label: {self.unavoidable}. Duplicates alone leave a ceiling of"
            f" {1 - self.unavoidable / self.test_size:.2%}.",
            f"A model that knew its training set by heart would get {_count(other_label, 'test image')}"
            " wrong, whose pixels stand there with another label.",
            f"Leaks: of {self.test_size:,} test images, {same} ({same / self.test_size:.2%}) stand in the"
            f" training set with the same pixels and {near} ({near / self.test_size:.2%}) as a near copy."
            " No more than that share of an accuracy can be memory.",
        ]
        if self.public:
            lines.append(
                "Comparison with the report: it trained on the whole folder train, so its numbers contain"
                " these copies. They explain no difference from ours that is larger than those shares."
            )
        removed = copies["first"].nunique()
        lines.append(
            f"What we do: without_duplicates takes {_count(removed, 'image')} out of training, whose pixels"
            " stand in the test set. Near copies stay, and the test set stays as it is."
        )
        return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def audit(dataset: Dataset) -> Audit:
    """Look for duplicates inside and across the sets, and for images without contrast.

    Exact duplicates have the same pixels. Near duplicates have the same detail: the correlation of their grey
    images at 32 x 32, less a blurred copy, is above ``NEAR``, whatever their brightness and colour. Mirrored
    and shifted copies are not looked for.
    """
    whole = joined(dataset.train, dataset.test)
    labels, names = whole.labels.tolist(), whole.names
    size = len(dataset.train)
    groups: dict[bytes, list[int]] = {}
    for i, digest in enumerate(digests(whole)):
        groups.setdefault(digest, []).append(i)
    exact = {pair: 1.0 for group in groups.values() for pair in itertools.combinations(group, 2)}

    rows = []
    for (i, j), similarity in (_near(whole.images) | exact).items():
        sets = "train" if j < size else "test" if i >= size else "across"
        rows.append((names[i], names[j], sets, (i, j) in exact, labels[i] == labels[j], similarity))
    columns = {"first": str, "second": str, "sets": str, "exact": bool, "agree": bool, "similarity": float}
    pairs = pd.DataFrame(rows, columns=list(columns)).astype(columns)
    pairs = pairs.sort_values(
        ["exact", "similarity", "first", "second"], ascending=[False, False, True, True]
    )

    contrast = torch.cat([part.float().mean(1).flatten(1).std(1) for part in whole.images.split(1024)])
    flat = tuple(names[i] for i in contrast.argsort(stable=True).tolist())
    unavoidable = 0
    for group in groups.values():
        given = Counter(labels[i] for i in group if i >= size)
        unavoidable += given.total() - max(given.values(), default=0)
    public = dataset.key == COMMIT
    return Audit(pairs.reset_index(drop=True), flat, unavoidable, size, len(dataset.test), public)


def _near(images: Tensor) -> dict[tuple[int, int], float]:
    """Pairs of positions whose images have the same detail, with its correlation."""
    detail = []
    for part in images.split(1024):
        grey = F.adaptive_avg_pool2d(part.float().mean(1, keepdim=True), 32)
        blurred = F.interpolate(F.adaptive_avg_pool2d(grey, 8), size=(32, 32), mode="bilinear")
        detail.append(F.normalize((grey - blurred).flatten(1)))
    detail = torch.cat(detail)
    found = {}
    for start in range(0, len(detail), 1024):
        product = detail[start : start + 1024] @ detail[start:].T
        for i, j in (product > NEAR).nonzero().tolist():
            if i < j:
                found[start + i, start + j] = min(product[i, j].item(), 1.0)
    return found
