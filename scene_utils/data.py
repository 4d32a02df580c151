"""The images: fetch, read, check, cache, split and audit.

A dataset is a folder ``train/<class>/<image>`` and, where it has a test set, ``val/<class>/<image>``. Whatever
the images are, they end as one uint8 array N x 3 x 64 x 64.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import filelock
import numpy as np
import torch
from PIL import Image, ImageOps
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
LEFT_BEHIND = {".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory", ".gitkeep", ".ipynb_checkpoints"}
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


@dataclass(frozen=True)
class Dataset:
    """Training and test set, with where they come from.

    Attributes:
        train: everything to learn and to choose from (``holdout_split`` takes the hold-out from it).
        test: the test set, the folder ``val``.
        source: public address, or ``own images: <n> classes``; never a local path.
        commit: commit of the public dataset, ``None`` for own images.
        key: what records compare: the commit, or a hash of names, file sizes and classes.
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
        raise SceneError(f"the files in {folder} are not those of commit {COMMIT[:12]}; delete the folder to fetch it again")
    return dataset


def load_sample() -> Dataset:
    """Read the embedded sample of the real dataset (see ``sample/README.md``); needs no network and no cache."""
    contents = json.loads((SAMPLE_DIR / "names.json").read_text(encoding="utf-8"))
    classes = tuple(contents["classes"])
    parts = {}
    for part in ("train", "val"):
        names = [contents[part][name] for name in classes]
        images = np.concatenate([read_sheet(SAMPLE_DIR / f"{part}-{c}.webp", len(n)) for c, n in zip(classes, names, strict=True)])
        labels = torch.repeat_interleave(torch.arange(len(classes)), torch.tensor([len(n) for n in names]))
        full = tuple(f"{part}/{c}/{file}" for c, files in zip(classes, names, strict=True) for file in files)
        parts[part] = Split(torch.from_numpy(images), labels, classes, full)
    key = _hash("sample", COMMIT, *parts["train"].names, *parts["val"].names)
    return Dataset(parts["train"], parts["val"], URL, COMMIT, key)


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

    PNG, JPEG and WebP of any size and colour mode are read (see ``decode``). Classes are the sorted folder names.
    Without ``val``, a fifth of each class becomes the test set, by a fixed seed. The decoded images are kept in
    the cache folder and mapped from there; writing to the tensors does not change the cache.

    Raises:
        SceneError: for a path that is no dataset, and for all bad files, empty classes and classes in one
            split only, listed together.
    """
    folder = Path(folder).expanduser().absolute()
    if not (folder / "train").is_dir():
        raise SceneError(
            f"{folder} is no dataset: it has no folder train; expected train/<class>/<image> and, optionally, val/<class>/<image>"
        )
    problems: list[str] = []
    train = _list(folder, "train", problems)
    classes = tuple(sorted(train))
    if len(classes) < 2:
        problems.append(f"train ({len(classes)} class; at least 2 are needed)")
    if (folder / "val").is_dir():
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
    key = _hash(*classes, *(f"{file.name}\0{file.size}" for file in sorted(files)))
    if key == FINGERPRINT:
        return Dataset(*splits, URL, COMMIT, COMMIT)
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
            reason = "a file beside the class folders" if isinstance(error, NotADirectoryError) else error.strerror
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
    are scaled to 8, CMYK and palettes become RGB, EXIF rotation is applied, of an animation the first frame is
    taken. Other sizes are resized (not cropped) to 64 x 64, bicubic with antialiasing.

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
    """Decode in parallel and write one ``.npy``: plain writes, since a full disk would kill a process that maps."""
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
            f"cannot write to the cache folder {folder}: {error.strerror}; set SCENE_CACHE_DIR to a folder of your own"
        ) from error
    try:
        for pattern in (".pixels-*.tmp", ".dataset-*.tmp"):
            for stale in folder.glob(pattern):
                shutil.rmtree(stale, ignore_errors=True) if stale.is_dir() else stale.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


# --- fetching

REMEDIES = {
    "No space left": "free some space or set SCENE_CACHE_DIR to a folder on another disk",
    "resolve host|unable to access|onnect|timed out|unreachable|too slow|hung up": "check the network,"
    " or set SCENE_DATA_URL to a mirror or a local bundle, or SCENE_DATA_DIR to a folder that holds the dataset",
    "": "set SCENE_DATA_URL to another copy (a mirror, a bundle), or SCENE_DATA_DIR to a folder that holds the dataset",
}


def fetch(url: str | None = None, commit: str = COMMIT) -> Path:
    """Clone the dataset into the cache folder at one commit, once, and return its folder.

    The clone is made in a temporary folder beside and renamed when it is complete and its commit verified, so an
    interrupted one leaves nothing that is used later. git checks every object against the commit's hash.

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
        raise SceneError("git is not installed: install it, or set SCENE_DATA_DIR to a folder that holds the dataset")
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
                    f"{_public(url)} does not hold commit {commit[:12]}: set SCENE_DATA_URL to a copy of {URL}, or unset it"
                ) from None
            _git(url, "-C", temporary, "checkout", "--progress", "--detach", commit)
            os.chmod(temporary, 0o755)
            os.replace(temporary, folder)
        except OSError as error:
            raise SceneError(f"cannot write {folder}: {error.strerror}; {REMEDIES['No space left']}") from error
        finally:
            if temporary is not None:
                shutil.rmtree(temporary, ignore_errors=True)
    return folder


def _public(text: str) -> str:
    """Leave a user name and password out of an address."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def _git(url: str, *arguments: str) -> None:
    """Run git, show its progress, and turn a failure into one line with a remedy."""
    slow = ["-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60"]  # a dead connection ends, not hangs
    # Variables such as GIT_DIR, set inside git's own hooks, would send these commands to another repository.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_DIR", "GIT_WORK", "GIT_INDEX"))}
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


def digests(split: Split) -> list[bytes]:
    """One hash of the pixels for every image."""
    return [hashlib.blake2b(image.data, digest_size=16).digest() for image in split.images.numpy()]


def without_duplicates(train: Split, test: Split) -> Split:
    """Return ``train`` without the images whose pixels stand in ``test`` too."""
    known = set(digests(test))
    return train.select([i for i, digest in enumerate(digests(train)) if digest not in known])
