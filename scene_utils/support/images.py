"""Image files: decode one of any format and size, and keep a folder's decoded images in a cache.

Whatever a file holds, it ends as uint8 (3, 64, 64).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from scene_utils.support import settings
from scene_utils.support.folder import File, show
from scene_utils.support.settings import SceneError

SIDE = 64
# Formats that Pillow knows by name only, or reads with the help of another program.
NO_PHOTOS = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "PCD", "SPIDER", "WMF", "XVTHUMB"}
HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
MILLION_PIXELS = 300  # phones take photos of 200
Image.MAX_IMAGE_PIXELS = MILLION_PIXELS * 10**6
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # decode says it in its own words
PIXELS_VERSION = 1  # raise it when the same file is decoded to other pixels


def hash_of(*parts: str) -> str:
    """SHA-256 of several texts, in hexadecimal."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


# --- one file


@cache
def formats() -> list[str]:
    """Return the formats that are read: what Pillow knows on this installation, plug-ins included."""
    with contextlib.suppress(ImportError):  # it reads HEIC photos
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    usual = ["PNG", "JPEG", "WEBP"]
    return usual + [name for name in Image.OPEN if name not in {*usual, *NO_PHOTOS}]


_large_image = threading.Lock()  # of a few hundred million pixels one at a time is in memory


def decode(path: str | Path | BinaryIO) -> np.ndarray:
    """Read one image file as uint8 (3, 64, 64): ``small`` of what ``opened`` gives.

    Raises:
        Exception: whatever ``opened`` raises.
    """
    with opened(path) as image:
        return small(image)


@contextlib.contextmanager
def opened(path: str | Path | BinaryIO) -> Iterator[Image.Image]:
    """Open one image file as an RGB image; a large JPEG at a fraction of its size, 256 x 256 pixels or more.

    The format is told from the content, not from the name. Transparent parts are laid on white, 16-bit values
    are scaled to 8, CMYK and palettes become RGB, EXIF rotation is applied, of an animation the first frame
    is taken.

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
            yield _rgb(upright(image))


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


def _rgb(image: Image.Image) -> Image.Image:
    """Turn an image of any mode into 8-bit RGB."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        largest = 1 if image.mode == "F" and values.max(initial=0) <= 1 else 65535
        image = Image.fromarray((values / largest * 255).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def small(image: Image.Image) -> np.ndarray:
    """Pixels of an RGB image, resized (not cropped), bicubic with antialiasing: uint8 (3, 64, 64)."""
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


# --- a folder's images, decoded once


def read_all(folder: Path, files: list[File], problems: list[str]) -> np.ndarray:
    """Decoded images of ``files`` in their order, from the cache as far as it holds them.

    Raises:
        SceneError: listing the problems and the files that cannot be read; what can be read is kept.
    """
    root, bad = hash_of(str(folder))[:12], []
    pixels = _map(_cached(root, files), len(files))
    if pixels is None:
        with cache_lock():
            pixels = _map(_cached(root, files), len(files))
            if pixels is None:
                bad = _decode_all(folder, root, files)
                pixels = _map(_cached(root, files), len(files))
    refuse(folder, problems + bad)
    return pixels


@contextlib.contextmanager
def cache_lock() -> Iterator[None]:
    """Hold the cache folder's lock, and clear what a killed process left there."""
    folder = settings.cache_dir()
    waiting = f"another process is filling the cache {folder}; waiting for it"
    with settings.locked(folder / ".lock", waiting, "SCENE_CACHE_DIR"):
        for name in ("pixels-*", "dataset-*"):
            settings.clear_leftovers(folder, name)
        yield


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
    listing = hash_of(str(PIXELS_VERSION), *(f"{f.name}\0{f.size}\0{f.changed}" for f in files))[:24]
    return settings.cache_dir() / f"pixels-{root}-{listing}.bin"


def _map(path: Path, count: int) -> np.ndarray | None:
    """Map the pixels of ``count`` images copy-on-write; ``None`` where the file is missing or not whole."""
    try:
        return np.memmap(path, np.uint8, "c").reshape(count, 3, SIDE, SIDE)
    except (OSError, ValueError):
        return None


def _decoded(root: str) -> dict[File, np.ndarray]:
    """Images of a folder that an earlier call has decoded, by file."""
    known: dict[File, np.ndarray] = {}
    for path in settings.cache_dir().glob(f"pixels-{root}-*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            content = json.loads(path.read_text())
            files = [File(*row) for row in content["files"]]
            pixels = _map(path.with_suffix(".bin"), len(files))
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

    written = settings.atomic_write(_cached(root, files), write)
    if good:
        path = _cached(root, good)
        content = {"version": PIXELS_VERSION, "files": good}
        settings.atomic_write(path.with_suffix(".json"), json.dumps(content))
        os.replace(written, path)
        for old in {*path.parent.glob(f"pixels-{root}-*")} - {path, path.with_suffix(".json")}:
            with contextlib.suppress(OSError):
                old.unlink()
    else:
        written.unlink()
    for error in stopped:
        raise error
    return bad


def _row(known: dict[File, np.ndarray], folder: Path, file: File) -> np.ndarray | str:
    """Pixels of a file, decoded earlier or now; else why it cannot be read."""
    if file in known:
        return known[file]
    try:
        return decode(folder / file.name)
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        return unreadable(folder / file.name, error)
