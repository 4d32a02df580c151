"""The images: formats, bad input, cache, fetch, splits, audit, sample."""

import errno
import importlib.util
import io
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import warnings
import zlib
from types import SimpleNamespace

import filelock
import numpy as np
import pytest
import torch
from PIL import Image

from scene_utils import data, experiments
from scene_utils.lessons import duplicates
from scene_utils.results import Run
from scene_utils.support import fetching, images, settings
from scene_utils.support.settings import SceneError
from tests.fakes import pictures, refuse, script, split_of

RED = (200, 30, 40)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """A cache of its own for every test."""
    monkeypatch.setenv("SCENE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def small(tmp_path):
    return pictures(tmp_path / "images", {"train/a": 4, "train/b": 3, "val/a": 2, "val/b": 1})


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that are decoded."""
    names, decode = [], images.decode
    monkeypatch.setattr(images, "decode", lambda path: (names.append(path.name), decode(path))[1])
    return names


# --- reading


def test_folder_is_read_in_order_once(small, decoded, capsys):
    dataset = data.load_folder(small)
    assert dataset.train.images.shape == (7, 3, 64, 64) and dataset.train.images.dtype == torch.uint8
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 3 and dataset.train.labels.dtype == torch.int64
    assert dataset.train.classes == ("a", "b") and dataset.train.counts() == [4, 3]
    assert dataset.test.names == ("val/a/0.png", "val/a/1.png", "val/b/0.png")
    for split in (dataset.train, dataset.test):
        for image, name in zip(split.images, split.names, strict=True):
            assert np.array_equal(image.permute(1, 2, 0), np.asarray(Image.open(small / name)))
    assert dataset.source == "own images: 2 classes" and dataset.commit is None
    assert "decoding 10 images" in capsys.readouterr().out and len(decoded) == 10
    before = dataset.train.images.clone()
    dataset.train.images.zero_()  # leaves the cache alone
    again = data.load_folder(small)
    assert again.key == dataset.key and torch.equal(again.train.images, before)
    assert capsys.readouterr().out == "" and len(decoded) == 10
    os.rename(small / "train/a/0.png", small / "train/a/other.png")
    assert data.load_folder(small).key != dataset.key


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(mode="RGB", size=(100, 80), colour=RED):
    return Image.new(mode, size, colour)


def png(side, depth, colours, pixels):
    """A PNG made by hand, as Pillow writes none."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def transparent_palette():
    image = plain("P", colour=0)
    image.putpalette([10, 20, 30])
    return encode(image, transparency=0)


STRIPES = Image.fromarray(np.tile([[[255] * 3, [0] * 3]], (256, 128, 1)).astype(np.uint8))
SECOND_FRAME = {"save_all": True, "append_images": [plain(colour="blue")]}
ODD = {
    "grey": (encode(plain("L", colour=90)), (90, 90, 90)),
    "black and white": (encode(plain("1", colour=1)), (255, 255, 255)),
    "palette": (encode(plain().quantize(4)), RED),
    "transparent palette on white": (transparent_palette(), (255, 255, 255)),
    "half transparent": (encode(plain("RGBA", colour=(0, 0, 0, 128))), (127, 127, 127)),
    "grey with alpha": (encode(plain("LA", colour=(90, 255))), (90, 90, 90)),
    "16 bit grey": (encode(Image.fromarray(np.full((9, 9), 51400, np.uint16))), (200, 200, 200)),  # 200 * 257
    "16 bit colour": (png(8, 16, 2, (b"\0" + struct.pack(">H", 51400) * 3 * 8) * 8), (200, 200, 200)),
    "cmyk jpeg": (encode(plain("CMYK", colour=(0, 255, 255, 0)), "JPEG", quality=95), (255, 0, 0)),
    "large jpeg": (encode(plain(size=(3000, 2000)), "JPEG"), RED),
    "transparent webp": (encode(plain("RGBA", colour=(0, 0, 0, 0)), "WEBP", lossless=True), (255, 255, 255)),
    "animated webp, first frame": (encode(plain(), "WEBP", lossless=True, **SECOND_FRAME), RED),
    "gif": (encode(plain(), "GIF"), RED),
    "tiff of several pages": (encode(plain(), "TIFF", **SECOND_FRAME), RED),
    "tiff of numbers from 0 to 1": (encode(Image.fromarray(np.full((9, 9), 0.4, np.float32)), "TIFF"), (102,) * 3),
    "avif": (encode(plain(), "AVIF", quality=95), RED),
    "jpeg 2000": (encode(plain(), "JPEG2000"), RED),
    "one pixel": (encode(plain(size=(1, 1))), RED),
    "panorama": (encode(plain(size=(6000, 10))), RED),
    "stripes, resized with antialiasing": (encode(STRIPES), (127, 127, 127)),
    "200 megapixels": (lambda: encode(plain("L", (16320, 12240), 90), "JPEG", quality=30), (90, 90, 90)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_read_right(tmp_path, name):
    content, colour = ODD[name]
    path = tmp_path / "image.png"  # whatever it is: the content tells the format
    path.write_bytes(content() if callable(content) else content)
    pixels = images.decode(path)
    assert pixels.shape == (3, 64, 64) and pixels.dtype == np.uint8
    assert np.abs(pixels[:, :, 4:-4].astype(int) - np.array(colour)[:, None, None]).max() <= 3


def exif(*entries):
    """A JPEG whose EXIF block has these entries, the first of which says that it must be turned."""
    turn = struct.pack("<HHI4s", 0x0112, 3, 1, struct.pack("<HH", 6, 0))
    body = struct.pack("<H", 1 + len(entries)) + turn + b"".join(entries) + struct.pack("<I", 0)
    return app1(b"Exif\0\0II*\0" + struct.pack("<I", 8) + body + struct.pack("<IIII", 0, 0, 0, 0))


def app1(payload):
    picture = Image.new("RGB", (60, 60), RED)
    picture.paste((0, 0, 255), (0, 0, 30, 60))  # the left half is blue; turned, the upper one
    jpeg = encode(picture, "JPEG", quality=95)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


BROKEN_EXIF = {  # content, and whether it still says that the photo must be turned
    "whole": (exif(), True),
    "nothing": (app1(b"Exif\0\0"), False),
    "no directory": (app1(b"Exif\0\0" + b"garbage!" * 4), False),
    "cut off": (app1(b"Exif\0\0II*\0" + struct.pack("<I", 8) + struct.pack("<H", 9)), False),
    "rational of zeros": (exif(struct.pack("<HHII", 0x011A, 5, 1, 42)), True),
    "text for a number": (exif(struct.pack("<HHI4s", 0x0100, 2, 4, b"400\0")), True),
    "a directory elsewhere": (exif(struct.pack("<HHII", 0x8769, 4, 1, 50000)), True),
}


@pytest.mark.parametrize("name", BROKEN_EXIF)
def test_a_photo_is_turned_and_a_broken_exif_block_is_no_reason_to_refuse_it(tmp_path, name):
    content, turned = BROKEN_EXIF[name]
    (tmp_path / "a.jpg").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        red, _, blue = images.decode(tmp_path / "a.jpg").astype(int)
    left, above = blue[:, :20].mean() > red[:, :20].mean() + 50, blue[:20].mean() > red[:20].mean() + 50
    assert (left, above) == ((False, True) if turned else (True, False))


def test_a_heic_photo_is_read_where_its_plug_in_is_installed(tmp_path, monkeypatch):
    """A stand-in for pillow-heif: it knows the signature, and every picture is red."""
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    with pytest.raises(Image.UnidentifiedImageError) as error:
        images.decode(tmp_path / "a.heic")
    assert "pip install pillow-heif" in images.unreadable(tmp_path / "a.heic", error.value)

    def register():
        Image.register_open("HEIF", lambda file, name: plain(), lambda head: head[8:12] == b"heic")

    monkeypatch.setitem(sys.modules, "pillow_heif", SimpleNamespace(register_heif_opener=register))
    monkeypatch.setattr(Image, "ID", [*Image.ID])
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    images.formats.cache_clear()
    assert images.decode(tmp_path / "a.heic")[:, 0, 0].tolist() == list(RED)
    images.formats.cache_clear()


def test_any_file_name_is_read_and_named(small):
    names = ["a b.png", 'it\'s "it".png', "line\nbreak.png", "바다.png", "-rf.png", "$(x).png"]
    for name in names:
        (small / "train/a" / name).write_bytes((small / "train/b/0.png").read_bytes())
    assert {f"train/a/{name}" for name in names} <= set(data.load_folder(small).train.names)
    for name in names:
        (small / "train/a" / name).write_bytes(b"broken")
    with pytest.raises(SceneError) as error:
        data.load_folder(small)
    assert all(name.replace("\n", "\\n") in str(error.value) for name in names) and "\n" not in str(error.value)


def test_what_systems_cameras_and_tools_leave_behind_is_passed_over_with_a_word(small, capsys):
    before = data.load_folder(small)
    for place in ("train", "train/a", "val/b"):
        for name in (".DS_Store", "Thumbs.db:encryptable", "desktop.ini", "._0.png", "Icon\r", ".picasa.ini"):
            (small / place / name).write_bytes(b"x")
        for name in (".ipynb_checkpoints", ".thumbnails", "__MACOSX", "@eaDir", ".Trash-1000"):
            pictures(small / place, {name: 1})
    for name in ("clip.MOV", "0.aae", "labels.txt"):
        (small / "train/a" / name).write_bytes(b"x")
    pictures(small, {"unlabelled": 1})
    after = data.load_folder(small)
    assert after.train.names == before.train.names and after.train.classes == before.train.classes
    said = capsys.readouterr().out
    assert "passed over in images: 1 .aae file, 1 .mov file, 1 .txt file, 1 folder unlabelled (neither" in said
    assert "33 hidden or system items" in said


# --- bad input

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
BAD = {
    **{f"truncated.{kind}": encode(NOISE, kind)[:2000] for kind in ("PNG", "JPEG", "WEBP")},
    "damaged.png": encode(NOISE)[:60] + b"\0" * 40 + encode(NOISE)[100:],
    "empty.png": b"",
    "page.png": b"<!DOCTYPE html><html><body>404</body></html>",
    "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
    "script.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "bomb.png": png(20000, 1, 0, b""),
}


def test_all_bad_files_are_listed_at_once_and_cost_the_others_nothing(small, decoded):
    for name, content in BAD.items():
        (small / "train/a" / name).write_bytes(content)
    (small / "train/b/gone.png").symlink_to(small / "nowhere.png")
    (small / "train/b/loop.png").symlink_to(small / "train/b/loop.png")
    (small / "train/b/folder").mkdir()
    os.mkfifo(small / "train/b/pipe.png")
    with pytest.raises(SceneError) as error:
        data.load_folder(small)
    message = str(error.value)
    assert message.startswith(f"{len(BAD) + 4} things in {small} cannot be used: ") and "\n" not in message
    assert "train/b/folder (a folder inside a class)" in message
    assert message.endswith("repair, move or delete them")
    every = settings.runs_dir() / "unusable-images.txt"
    assert f"and {len(BAD) - 4} more (all of them in {every})" in message
    listed = every.read_text().splitlines()
    assert len(listed) == len(BAD) + 4 and all(any(f"train/a/{n} (" in line for line in listed) for n in BAD)
    assert any("phone.heic (a HEIC photo: pip install pillow-heif" in line for line in listed)
    assert any("bomb.png (more than 300 million pixels" in line for line in listed)
    for name in listed:
        shutil.rmtree(path) if (path := small / name.split(" (")[0]).is_dir() else path.unlink()
    decoded.clear()  # what could be read is decoded already
    assert len(data.load_folder(small).train) == 7 and decoded == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "train/c").mkdir(), "train/c .an empty class.*c .a class in train only"),
        (lambda f: pictures(f, {"val/c": 1}), "c .a class in val only"),
        (lambda f: (f / "val/b/0.png").unlink(), "val/b .an empty class"),
        (lambda f: (f / "train/a/0.png").rename(f / "train/0.png"), "train/0.png .a file beside the class folders"),
        (lambda f: (f / "train").rename(f / "other"), "is no dataset: .*no folder train.*expected"),
        (lambda f: [shutil.rmtree(f / name) for name in ("val", "train/b")], "at least 2"),
        (lambda f: f.rename(f.with_name("moved")), "is no dataset: .*No such file.*expected"),
        (lambda f: (shutil.rmtree(f), f.write_bytes(b"PK")), "Not a directory; unpack it first"),
    ],
)
def test_a_wrong_layout_is_explained(small, change, message):
    small = small.rename(small.with_name("images.zip"))
    change(small)
    with pytest.raises(SceneError, match=message):
        data.load_folder(small)


def test_a_folder_and_a_file_without_permission(small, monkeypatch):
    listdir, image_open = os.listdir, Image.open

    def refused(path, *arguments, **options):
        if str(path).endswith(("train/a", "b/0.png")):
            raise PermissionError(errno.EACCES, "Permission denied")
        return (listdir if not options else image_open)(path, *arguments, **options)

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr(Image, "open", refused)
    with pytest.raises(SceneError, match="train/a .Permission denied.*train/b/0.png .Permission denied"):
        data.load_folder(small)


# --- layouts


def test_the_sets_are_known_by_their_usual_names(tmp_path):
    counts = {f"{part}/{name}": n for part, n in (("Train", 6), ("valid", 3), ("test", 2)) for name in "ab"}
    dataset = data.load_folder(pictures(tmp_path / "three", counts))
    assert {name.split("/")[0] for name in dataset.test.names} == {"test"} and len(dataset.test) == 4
    train, holdout = data.holdout_split(dataset.train)
    assert {name.split("/")[0] for name in holdout.names} == {"valid"} and len(holdout) == 6
    assert {name.split("/")[0] for name in train.names} == {"Train"} and len(train) == 12
    for part in ("val", "valid", "Validation", "TEST", "testing"):
        counts = {"train/a": 20, "train/b": 20, f"{part}/a": 2, f"{part}/b": 1}
        dataset = data.load_folder(pictures(tmp_path / f"{part}-alone", counts, (8, 8)))
        assert dataset.test.names[-1] == f"{part}/b/0.png"
        assert [len(each) for each in data.holdout_split(dataset.train)] == [36, 4]
    both = pictures(tmp_path / "both", {"train/a": 2, "train/b": 2, "val/a": 1, "valid/a": 1})
    with pytest.raises(SceneError, match="val and valid mean the same set; keep one of them"):
        data.load_folder(both)
    lonely = pictures(tmp_path / "lonely", {"train/a": 4, "train/b": 4, "val/a": 1, "test/a": 1, "test/b": 1})
    with pytest.raises(SceneError, match="b .a class in train only"):
        data.load_folder(lonely)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["seg_train/seg_train", "seg_test/seg_test"], "folders .* in seg_test/seg_test and seg_train/seg_train"),
        (["photos/train", "photos/val"], "photos/train is there .with a, b.: name .*/images/photos instead"),
        (["train/train"], "1 class; at least 2 are .*, but train is there .with a, b.: name .*/images/train instead"),
        ([""], "folders of images .a, b.: move them into .*/images/train"),
        (["a/b/c/d"], "it has no folder train; expected"),
    ],
)  # fmt: skip
def test_a_folder_that_is_nearly_a_dataset_is_told_what_to_name(tmp_path, names, told):
    folder = pictures(tmp_path / "images", {f"{name}/{label}".lstrip("/"): 2 for name in names for label in "ab"})
    with pytest.raises(SceneError, match=told):
        data.load_folder(folder)


def test_without_val_a_fixed_fifth_of_each_class_is_the_test_set(tmp_path):
    folder = pictures(tmp_path / "images", {"train/a": 20, "train/b": 11, "train/c": 2})
    first, second = data.load_folder(folder), data.load_folder(folder)
    assert first.test.counts() == [4, 2, 1] and first.train.counts() == [16, 9, 1]
    assert first.test.names == second.test.names and not set(first.test.names) & set(first.train.names)
    for split in (first.train, first.test):
        assert np.array_equal(split.images[-1].permute(1, 2, 0), np.asarray(Image.open(folder / split.names[-1])))
    with pytest.raises(SceneError, match="train/b .one image; without a folder val two are needed"):
        data.load_folder(pictures(tmp_path / "few", {"train/a": 5, "train/b": 1}))


def test_no_class_vanishes_on_the_way_into_the_sets(tmp_path, monkeypatch, capsys):
    folder = pictures(tmp_path / "images", {"train/a": 6, "train/b": 6, "val/a": 2, "val/b": 2})
    shutil.copy(folder / "train/a/0.png", folder / "val/a/copy.png")
    monkeypatch.setenv("SCENE_DATA_DIR", str(folder))
    experiments.sets("short")
    assert "left out: 1 training image with the same pixels as a test image" in capsys.readouterr().out
    for i in range(1, 6):
        shutil.copy(folder / f"train/a/{i}.png", folder / f"val/a/copy{i}.png")
    with pytest.raises(SceneError, match="class 'a' has no training image that is not in the test set too"):
        experiments.sets("short")


def test_the_same_kernel_sees_that_an_image_has_changed(small, monkeypatch):
    monkeypatch.setenv("SCENE_DATA_DIR", str(small))
    Image.new("RGB", (64, 64), RED).save(small / "val/a/0.png", compress_level=0)
    before = experiments.sets("short", False)
    assert experiments.sets("short", False)[0] is before[0]  # read once
    run = Run({"experiment": "lenet", "profile": "short", "seed": 0, "dataset": {"key": before[2].key}}, {})
    assert experiments.tested(run).names == before[2].test.names
    Image.new("RGB", (64, 64), RED[::-1]).save(small / "val/a/0.png", compress_level=0)  # in as many bytes
    assert experiments.sets("short", False)[2].test.images[0, :, 0, 0].tolist() == list(RED[::-1])
    with pytest.raises(SceneError, match="images are no longer those of lenet.short.s0; run the notebook again"):
        experiments.tested(run)


# --- cache


def test_an_image_more_or_less_decodes_no_other(small, decoded, capsys):
    before = data.load_folder(small).train.images.clone()
    Image.new("RGB", (64, 64), RED).save(small / "train/a/3.5.png")
    (small / "train/b/0.png").unlink()
    decoded.clear()
    after = data.load_folder(small).train
    assert decoded == ["3.5.png"] and "decoding 1 image (only the first time, 9 were kept)" in capsys.readouterr().out
    assert torch.equal(torch.cat([after.images[:3], after.images[4:]]), torch.cat([before[:4], before[5:]]))
    assert after.images[3, :, 0, 0].tolist() == list(RED) and after.counts() == [5, 2]
    assert sorted(path.suffix for path in settings.cache_dir().glob("pixels-*")) == [".bin", ".json"]


def test_what_has_been_decoded_before_an_interruption_stays_decoded(tmp_path, decoded, monkeypatch):
    folder = pictures(tmp_path / "images", {"train/a": 256, "train/b": 4, "val/a": 1, "val/b": 1}, (8, 8))

    def impatient(path, decode=images.decode):
        if path.parts[-2] == "b":
            raise KeyboardInterrupt
        return decode(path)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(images, "decode", impatient)
        data.load_folder(folder)
    decoded.clear()
    data.load_folder(folder)
    assert len(decoded) == 6


def test_a_cache_is_whole_or_made_again(small, monkeypatch):
    settings.cache_dir().mkdir()
    (settings.cache_dir() / ".pixels-1-2.bin.x.tmp").write_bytes(b"half")  # what a killed run left
    (settings.cache_dir() / ".dataset-1.x.tmp").mkdir()
    with monkeypatch.context() as patch, pytest.raises(SceneError, match="No space left.*free some space"):
        refuse(patch, "os.fsync")
        data.load_folder(small)
    assert [p.name for p in settings.cache_dir().iterdir()] == [".lock"]
    expected = data.load_folder(small).train.images.clone()
    (cache,) = settings.cache_dir().glob("*.bin")
    for content in (b"", cache.read_bytes()[:5000]):
        cache.write_bytes(content)
        assert torch.equal(data.load_folder(small).train.images, expected)


def test_a_cache_that_cannot_be_written(small, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(SceneError, match="Permission denied; set SCENE_CACHE_DIR"):
        refuse(patch, "pathlib.Path.mkdir", errno.EACCES)
        data.load_folder(small)
    data.load_folder(small)
    refuse(monkeypatch, "pathlib.Path.mkdir", errno.EACCES)
    assert len(data.load_folder(small).train) == 7  # a filled cache is only read


def test_a_second_process_waits_for_the_first(small, monkeypatch):
    settings.cache_dir().mkdir()
    lock, said = filelock.FileLock(settings.cache_dir() / ".lock", thread_local=False), []
    lock.acquire()
    monkeypatch.setattr(settings, "say", lambda line: (said.append(line), lock.release()))
    assert len(data.load_folder(small).train) == 7 and "waiting" in said[0]


# --- fetch


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A tiny dataset in git: (folder, its first commit, its second commit)."""
    counts = {"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1}
    folder = pictures(tmp_path_factory.mktemp("git") / "origin", counts)

    def git(*arguments):
        line = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", folder, *arguments]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    first = git("rev-parse", "HEAD").strip()
    git("commit", "-qm", "second", "--allow-empty")
    git("bundle", "create", "../all.bundle", "HEAD", "--all")
    return folder, first, git("rev-parse", "HEAD").strip()


def left_in_cache():
    return sorted(p.name for p in settings.cache_dir().iterdir() if p.name != ".lock")


def fake_git(tmp_path, monkeypatch, end):
    """A git that leaves half a clone and then ends like this."""
    script(tmp_path / "bin/git", f'for last; do :; done\ntouch "$last/half" {tmp_path}/started\n{end}')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def test_fetch_checks_out_the_pinned_commit_once(repository, monkeypatch, capsys):
    folder, first, second = repository
    fetched = fetching.fetch(str(folder), first)
    head = subprocess.run(["git", "-C", fetched, "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert head.strip() == first and "Receiving objects: 100%" in capsys.readouterr().out
    assert len(data.load_folder(fetched).train) == 4
    assert fetching.fetch("nowhere", first) == fetched and fetched.name == left_in_cache()[0]
    monkeypatch.setenv("SCENE_DATA_URL", str(folder.parent / "all.bundle"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as inside a git hook
    assert (fetching.fetch(commit=second) / "train/a/0.png").is_file()


def test_a_truncated_bundle_another_commit_and_a_mirror_of_other_files_leave_nothing(repository, tmp_path, monkeypatch):
    content = (repository[0].parent / "all.bundle").read_bytes()
    (tmp_path / "half.bundle").write_bytes(content[: len(content) // 2])
    with pytest.raises(SceneError, match="cannot fetch the dataset from .*half.bundle: .*; .*SCENE_DATA_URL"):
        fetching.fetch(str(tmp_path / "half.bundle"), repository[1])
    with pytest.raises(SceneError, match="does not hold commit 063473edcb62; set SCENE_DATA_URL to a copy of https"):
        fetching.fetch(str(repository[0]))
    assert left_in_cache() == []
    monkeypatch.setattr(fetching, "fetch", lambda: repository[0])
    with pytest.raises(SceneError, match="are not those of commit 063473edcb62; delete the folder"):
        data.load("short")


DUBIOUS = """fatal: detected dubious ownership in repository at '/x'
To add an exception for this directory, call:

\tgit config --global --add safe.directory /x
fatal: Could not read from remote repository."""


@pytest.mark.parametrize(
    ("says", "remedy"),
    [
        ("fatal: write error: No space left on device", "SCENE_CACHE_DIR"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "check the network"),
        ("fatal: repository 'https://x/' not found", "SCENE_DATA_URL"),
        (DUBIOUS, "if you trust its files, call git config --global --add safe.directory /x; then call again"),
        ("", "git failed; set SCENE_DATA_URL"),  # killed
    ],
)
def test_a_failed_clone_says_what_to_do_and_leaves_nothing(tmp_path, monkeypatch, says, remedy):
    fake_git(tmp_path, monkeypatch, f'echo "{says}" >&2\nexit 128' if says else "kill -9 $$")
    with pytest.raises(SceneError, match=remedy) as error:
        fetching.fetch("https://name:secret@x/")
    message = str(error.value)
    assert says.partition("\n")[0] in message and "secret" not in message and "\n" not in message
    assert left_in_cache() == []


def test_a_fetch_that_is_killed_is_repeated(repository, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fake_git(tmp_path, patch, "exec sleep 2")
        process = subprocess.Popen([sys.executable, "-c", "from scene_utils.support import fetching; fetching.fetch()"],
                                   cwd=settings.project_dir())  # fmt: skip
        while not (tmp_path / "started").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(left_in_cache()) == 1
    fetched = fetching.fetch(str(repository[0]), repository[1])
    assert left_in_cache() == [fetched.name]


def test_without_git_and_on_a_full_disk(monkeypatch):
    refuse(monkeypatch, "tempfile.mkdtemp")
    with pytest.raises(SceneError, match="No space left on device; free some space or set SCENE_CACHE_DIR"):
        fetching.fetch()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SceneError, match="git is not installed: install it, or set SCENE_DATA_DIR"):
        fetching.fetch()


@pytest.mark.parametrize("url", ["--upload-pack=touch pwned", "ext::sh -c 'touch pwned'", "; touch pwned"])
def test_an_address_is_never_a_command(tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SceneError):
        fetching.fetch(url)
    assert not (tmp_path / "pwned").exists()


# --- splits


def test_holdout_is_stratified_fixed_and_disjoint():
    whole = split_of([0] * 40 + [1] * 23)
    train, holdout = data.holdout_split(whole)
    assert holdout.counts() == [4, 2] and train.counts() == [36, 21]
    assert not set(train.names) & set(holdout.names)
    assert data.holdout_split(whole)[1].names == holdout.names
    train, holdout = data.holdout_split(split_of([0, 1, 1, 2, 2, 2], ("a", "b", "c", "none")))
    assert train.counts() == [1, 1, 2, 0] and holdout.counts() == [0, 1, 1, 0]


# --- audit


def photo(seed):
    """A picture with structure at all scales, and headroom to brighten it."""
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    smooth = sum(torch.nn.functional.avg_pool2d(noise, 2 * k + 1, 1, k) * k for k in (0, 1, 3, 8))
    return (smooth * 25 + 110).clamp(30, 200).to(torch.uint8)[0]


def test_audit_finds_exact_and_near_duplicates():
    brighter = (photo(3).float() * 1.1 + 15).to(torch.uint8)
    train = torch.stack([photo(0), photo(1), photo(1), photo(2), photo(3), torch.full((3, 64, 64), 9).byte()])
    test = torch.stack([photo(2), photo(4), photo(4), brighter])
    splits = split_of([0, 0, 1, 1, 0, 0], images=train), split_of([0, 0, 1, 0], images=test)
    audit = data.audit(data.Dataset(*splits, "own images: 2 classes", None, "key"))
    table = audit.table().to_dict("index")
    for where in ("train", "test", "across"):
        assert table[("exact", where)] == {"labels agree": 0, "labels contradict": 1}
    assert table[("near", "across")] == {"labels agree": 1, "labels contradict": 0}
    assert len(audit.pairs) == 4 and audit.flat[0] == "train/a/5.png"
    assert audit.unavoidable == 1 and audit.contradictions() == {"a and b": 3}
    text = " ".join(duplicates.findings(audit, public=False))
    assert all(words in text for words in ("an accuracy of 75.00% is possible", "of 4 test images, 1 (25.00%)"))
    assert "report" not in text
    different = split_of([0, 1, 0, 1], images=torch.stack([photo(i) for i in range(4)]))
    alone = data.audit(data.Dataset(different, different.select([]), "own", None, "key"))
    assert alone.pairs.empty and alone.table().to_numpy().sum() == 0


# --- sample


def test_the_sample_is_real_images_and_holds_a_duplicate():
    sample = data.load()
    assert sample.train.counts() == [64] * 6 and sample.test.counts() == [16] * 6
    assert sample.train.classes == ("buildings", "forests", "glacier", "mountains", "sea", "street")
    assert sample.source == data.URL and sample.commit == data.COMMIT and sample.key != data.COMMIT
    assert len(set(sample.train.names + sample.test.names)) == 480
    pairs = data.audit(sample).pairs
    assert len(pairs) == 1 and pairs["exact"].all() and pairs.loc[0, "sets"] == "across"
    assert len(data.without_duplicates(sample.train, sample.test)) == 383
    assert sum(p.stat().st_size for p in data.SAMPLE_DIR.iterdir()) < 3.5e6


def test_the_sample_follows_its_rule(tmp_path):
    spec = importlib.util.spec_from_file_location("rule", settings.project_dir() / "scripts/make_sample.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    # Each image has its rank by itself, so choosing again from the sample gives the sample, in its order.
    sample = data.load_sample()
    chosen = script.choose(sample)
    assert sum(chosen["train"], []) == list(range(384)) and sum(chosen["val"], []) == list(range(96))
    script.sheet(sample.test.images[:16].numpy()).save(tmp_path / "sheet.png")
    assert np.array_equal(data.read_sheet(tmp_path / "sheet.png", 16), sample.test.images[:16].numpy())


@pytest.mark.parametrize("profile", ["sample", "short"])
def test_a_profile_names_the_recipes_not_the_images(small, monkeypatch, profile):
    monkeypatch.setenv("SCENE_DATA_DIR", str(small))
    assert data.load(profile).train.classes == ("a", "b")
