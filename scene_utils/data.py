"""The images: fetch, read, check, cache, split and audit.

A dataset is a folder ``train/<class>/<image>`` and, where it has a test set, ``val/<class>/<image>`` (see ``folder``).
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
import subprocess
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import filelock
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from scene_utils.support import folder as folders
from scene_utils.support import progress, settings
from scene_utils.support.folder import File, show
from scene_utils.support.settings import SceneError, escaped

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
# Formats that Pillow knows by name only, or reads with the help of another program.
NO_PHOTOS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "PCD", "SPIDER", "WMF", "XVTHUMB"}
HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
MILLION_PIXELS = 300  # phones take photos of 200
Image.MAX_IMAGE_PIXELS = MILLION_PIXELS * 10**6
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # decode says it in its own words
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

    ``SCENE_DATA_DIR`` replaces either by a folder of one's own, ``SCENE_DATA_URL`` the real one's address.

    Raises:
        SceneError: for everything that ``load_folder`` and ``fetch`` refuse.
    """
    profile = settings.profile(profile)
    if own := settings.data_dir():
        return load_folder(own)
    if profile == "sample":
        return load_sample()
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


def load_folder(folder: str | Path) -> Dataset:
    """Load any folder ``train/<class>/<image>`` with, optionally, ``val/<class>/<image>`` or ``test/<class>/<image>``.

    What Pillow reads, of any size and colour mode, is read (see ``decode``). Classes are the sorted folder names.
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
    train, test = listing.train, listing.test
    if test is None:
        train, test = _stratify(train, listing.problems)
    parts = [_in_order(train) + _in_order(listing.holdout), _in_order(test)]
    files = parts[0] + parts[1]
    images = torch.from_numpy(_pixels(folder, files, listing.problems))

    classes = tuple(sorted(train))
    splits = []
    for part, pixels in zip(parts, images.split([len(part) for part in parts]), strict=True):
        labels = torch.tensor([classes.index(file.label) for file in part])
        splits.append(Split(pixels, labels, classes, tuple(file.name for file in part)))
    listed = _hash(*classes, *(f"{file.name}\0{file.size}" for file in sorted(files)))
    if listed == FINGERPRINT:
        return Dataset(*splits, URL, COMMIT, COMMIT)
    key = _hash(listed, hashlib.sha256(images.numpy()).hexdigest())
    _note_key(folder, key)
    return Dataset(*splits, f"own images: {len(classes)} classes", None, key)


def own_state() -> str:
    """Return what changes with every change in ``SCENE_DATA_DIR``; empty where the variable names no folder.

    Raises:
        SceneError: for a folder that is no dataset.
    """
    own = settings.data_dir()
    return f"{own} {folders.state(own)}" if own else ""


def own_key() -> str | None:
    """Return the key of the images in ``SCENE_DATA_DIR`` as they were last read; None where they never were."""
    with contextlib.suppress(OSError):
        return _key_file(settings.data_dir()).read_text()
    return None


def _note_key(folder: Path, key: str) -> None:
    path = _key_file(folder)
    with contextlib.suppress(OSError, SceneError):  # a cache that is only read
        if not path.exists() or path.read_text() != key:
            settings.atomic_write(path, key)


def _key_file(folder: Path) -> Path:
    return settings.cache_dir() / f"images-{_hash(str(folder))[:12]}.key"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _in_order(classes: dict[str, list[File]]) -> list[File]:
    return [file for name in sorted(classes) for file in classes[name]]


def _stratify(files: dict[str, list[File]], problems: list[str]) -> tuple[dict, dict]:
    """Split every class 80 : 20 by a fixed seed, at least one image each side."""
    train, test = {}, {}
    generator = np.random.default_rng(0)
    for name, members in sorted(files.items()):
        if len(members) == 1:
            problems.append(f"train/{show(name)} (one image; without a folder val two are needed)")
        order = generator.permutation(len(members))
        chosen = set(order[: max(1, round(0.2 * len(members)))].tolist())
        train[name] = [file for i, file in enumerate(members) if i not in chosen]
        test[name] = [file for i, file in enumerate(members) if i in chosen]
    return train, test


# --- reading one file


@cache
def _plug_in() -> None:
    """Register the plug-in that reads HEIC photos, where one is installed."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()


def formats() -> list[str]:
    """Return the formats that are read: what Pillow knows on this installation, plug-ins included."""
    _plug_in()
    Image.init()
    usual = ["PNG", "JPEG", "WEBP"]
    return usual + [name for name in Image.OPEN if name not in {*usual, *NO_PHOTOS}]


_large_image = threading.Lock()  # of a few hundred million pixels one at a time is in memory


def decode(path: str | Path | BinaryIO) -> np.ndarray:
    """Read one image file as uint8 (3, 64, 64).

    The format is told from the content, not from the name. Transparent parts are laid on white, 16-bit values
    are scaled to 8, CMYK and palettes become RGB, EXIF rotation is applied, of an animation the first frame
    is taken. Other sizes are resized (not cropped) to 64 x 64, bicubic with antialiasing.

    Raises:
        Exception: whatever Pillow raises for a file that is damaged or of no format that it reads (``unreadable``
            says it in a few words).
    """
    with Image.open(path, formats=formats()) as image:
        megapixels = image.width * image.height / 1e6
        if megapixels > MILLION_PIXELS:
            raise Image.DecompressionBombError
        image.draft(None, (4 * SIDE, 4 * SIDE))  # a large JPEG is decoded at a fraction of its size
        with _large_image if megapixels > 30 else contextlib.nullcontext():
            image.load()  # damage shows here, and nowhere below
            return _small(upright(image))


def upright(image: Image.Image) -> Image.Image:
    """Turn a photo as its EXIF block says; a block that cannot be read is no reason to refuse the picture."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # a malformed block makes Pillow raise nearly anything
        return image
    turn = Image.Transpose
    turns = (turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM, turn.TRANSPOSE)
    turns += (turn.ROTATE_270, turn.TRANSVERSE, turn.ROTATE_90)
    return image.transpose(turns[orientation - 2]) if orientation in range(2, 9) else image


def _small(image: Image.Image) -> np.ndarray:
    """Pixels of an image of any mode and size: uint8 (3, 64, 64)."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        largest = 1 if image.mode == "F" and values.max(initial=0) <= 1 else 65535
        image = Image.fromarray((values / largest * 255).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(image).transpose(2, 0, 1)


def unreadable(photo: str | Path | BinaryIO, error: Exception) -> str:
    """Say in a few words why ``decode`` failed, with the remedy where there is a special one."""
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MILLION_PIXELS} million pixels"
    if isinstance(error, Image.UnidentifiedImageError):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            file = stack.enter_context(open(photo, "rb")) if isinstance(photo, str | Path) else photo
            file.seek(0)
            head = file.read(12)
            if head[4:8] == b"ftyp" and head[8:12] in HEIC:
                return "a HEIC photo: pip install pillow-heif, or save it as JPEG"
        return "no image of a format that Pillow reads"
    message = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(message.split())[:80]


def _decode_or_reason(path: Path) -> np.ndarray | str:
    try:
        return decode(path)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        return unreadable(path, error)


# --- decoded images


def _pixels(folder: Path, files: list[File], problems: list[str]) -> np.ndarray:
    """Decoded images of ``files`` in their order, from the cache as far as it holds them.

    Raises:
        SceneError: listing the problems and the files that cannot be read; what can be read is kept.
    """
    root, bad = _hash(str(folder))[:12], []
    pixels = _map(_cached(root, files), len(files))
    if pixels is None:
        with _cache_lock():
            pixels = _map(_cached(root, files), len(files))
            if pixels is None:
                bad = _decode_all(folder, root, files)
                pixels = _map(_cached(root, files), len(files))
    refuse(folder, problems + bad)
    return pixels


def refuse(folder: Path, bad: list[str]) -> None:
    """Raise a ``SceneError`` that names what cannot be used, where there is anything; a long list goes into a file."""
    if not bad:
        return
    more = ""
    if len(bad) > 8:
        path = settings.runs_dir() / "unusable-images.txt"
        more = f" and {len(bad) - 8} more"
        with contextlib.suppress(SceneError):
            settings.atomic_write(path, "".join(f"{each}\n" for each in bad).encode("utf-8", "surrogateescape"))
            more += f" (all of them in {path})"
    raise SceneError(
        f"{len(bad)} thing{'s' * (len(bad) > 1)} in {folder} cannot be used: {', '.join(bad[:8])}{more};"
        " repair, move or delete them"
    )


def _cached(root: str, files: list[File]) -> Path:
    """File of the cache with the pixels of these files; beside it, as ``.json``, the files."""
    listing = _hash(str(PIXELS_VERSION), *(f"{f.name}\0{f.size}\0{f.changed}" for f in files))[:24]
    return settings.cache_dir() / f"pixels-{root}-{listing}.npy"


def _map(path: Path, count: int) -> np.ndarray | None:
    """Map an array of ``count`` images copy-on-write; ``None`` where the file is missing or not whole."""
    try:
        array = np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == (count, 3, SIDE, SIDE) and array.dtype == np.uint8 else None


def _decoded(root: str) -> dict[File, np.ndarray]:
    """Images of a folder that an earlier call has decoded, by file."""
    known: dict[File, np.ndarray] = {}
    for path in settings.cache_dir().glob(f"pixels-{root}-*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            content = json.loads(path.read_text())
            files = [File(*row) for row in content["files"]]
            pixels = _map(path.with_suffix(".npy"), len(files))
            if content["version"] == PIXELS_VERSION and pixels is not None:
                known |= zip(files, pixels, strict=True)
    return known


def _decode_all(folder: Path, root: str, files: list[File]) -> list[str]:
    """Decode in parallel into the cache; return the files that cannot be read, with the reason.

    What has been decoded stays decoded, whether some are bad or the user has no patience.
    """
    known = _decoded(root)
    formats()  # before the threads ask
    new = sum(file not in known for file in files)
    kept = f", {len(files) - new:,} were kept" if new < len(files) else ""
    settings.say(f"decoding {new:,} image{'s' * (new != 1)} (only the first time{kept})")
    good: list[File] = []
    bad: list[str] = []
    stopped: list[BaseException] = []

    def write(file: BinaryIO) -> None:  # not through a map, which crashes on a full disk
        _header(file, len(files))
        with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
            warnings.simplefilter("ignore")
            for start in range(0, len(files), 256):  # in portions, so that an interruption stops the pool at once
                portion = files[start : start + 256]
                try:
                    results = list(pool.map(lambda f: _row(known, folder, f), portion))
                except KeyboardInterrupt as error:
                    stopped.append(error)
                    break
                for item, result in zip(portion, results, strict=True):
                    if isinstance(result, str):
                        bad.append(f"{show(item.name)} ({result})")
                    else:
                        file.write(np.ascontiguousarray(result).data)
                        good.append(item)
        file.seek(0)
        _header(file, len(good))

    written = settings.atomic_write(_cached(root, files), write)
    if good:
        path = _cached(root, good)
        content = {"version": PIXELS_VERSION, "files": good}
        settings.atomic_write(path.with_suffix(".json"), json.dumps(content))
        os.replace(written, path)
    else:
        written.unlink()
    for old in settings.cache_dir().glob(f"pixels-{root}-*"):
        if good and old.stem != path.stem:
            with contextlib.suppress(OSError):
                old.unlink()
    for error in stopped:
        raise error
    return bad


def _row(known: dict[File, np.ndarray], folder: Path, file: File) -> np.ndarray | str:
    pixels = known.get(file)
    return _decode_or_reason(folder / file.name) if pixels is None else pixels


def _header(file: BinaryIO, count: int) -> None:
    """Write the header of an ``.npy`` of so many images; it has the same length for every number."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, SIDE, SIDE)}
    np.lib.format.write_array_header_1_0(file, header)


@contextlib.contextmanager
def _cache_lock() -> Iterator[None]:
    """Hold the cache folder's lock, and clear what a killed process left there."""
    folder = settings.cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        settings.acquire(lock, f"another process is filling the cache {folder}; waiting for it")
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
    "dubious ownership": "another user owns it: if you trust its files, call {git}; then call again",
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
    url = url or settings.data_url() or URL
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
                found = re.match(r"(?:remote: )?([A-Z][\w ]+):\s+(\d*)0%", line)
                if not found:
                    lines.append(line.strip())
                elif found[0] != shown:
                    shown = found[0]
                    progress.line(f"\r{found[1]}: {found[2]}0 %   ", end="")
        except BaseException:
            process.kill()
            raise
    if shown:
        progress.line("")
    if process.returncode:
        text = _public(next((line for line in lines if line.startswith(("fatal", "error"))), "git failed"))
        remedy = next(remedy for pattern, remedy in REMEDIES.items() if re.search(pattern, "\n".join(lines)))
        remedy = remedy.format(git=next((line for line in lines if line.startswith("git config")), "what git says"))
        raise SceneError(f"cannot fetch the dataset from {_public(url)}: {text}; {remedy}")


# --- splitting


def holdout_split(train: Split, fraction: float = 0.1, seed: int = 0) -> tuple[Split, Split]:
    """Split ``train`` into what is trained on and the hold-out that makes every choice.

    Stratified: each class gives ``fraction`` of its images, at least one where it has two or more. Where the dataset
    has a validation set of its own beside the test set, that is the hold-out.

    Returns:
        (train, hold-out), each in the order of the original.
    """
    own = np.array([folders.part_of(name) == "val" for name in train.names], dtype=bool)
    if own.any():
        return train.select(np.flatnonzero(~own)), train.select(np.flatnonzero(own))
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
PAIRS = 20_000  # that are looked at: the frames of a film alone make millions


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
        between = ", ".join(f"{escaped(pair)} {count}" for pair, count in self.contradictions().items())
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
        if len(self.pairs) >= PAIRS:
            lines.append(f"There are more pairs than {PAIRS:,}; only so many have been counted.")
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
    pairs = itertools.chain.from_iterable(itertools.combinations(group, 2) for group in groups.values())
    exact = dict.fromkeys(itertools.islice(pairs, PAIRS), 1.0)

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
        if len(found) > PAIRS:
            break
    return found
