"""A2: the shipped model outside the notebook: in other runtimes, on changed pictures, on a class it does not know.

What is measured here is kept as a table beside the run records, with a key, and found again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from scipy.special import softmax
from torch import Tensor, nn

from scene_utils import batches, catalogue, classify, experiments, plots, results, trained, training
from scene_utils.data import Split
from scene_utils.lessons import runtime
from scene_utils.lessons.trials import kept
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import progress, settings
from scene_utils.support.devices import processor
from scene_utils.support.images import PIXELS_VERSION, SIDE
from scene_utils.support.intervals import counted
from scene_utils.support.settings import SceneError
from scene_utils.text import Text, say

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
RECALL = 0.95  # fraction of the photos of known classes that a threshold must let pass
CALIBRATION = 256  # training images that the 8-bit numbers are scaled by
SUFFIXES = {"torch": ".pt2", "onnx": ".onnx", "int8": ".int8.onnx"}  # the files of an exported model


def missing() -> str:
    """Return one line that names the packages to install for ONNX; empty where they are there."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}; call: pip install {' '.join(absent)}" if absent else ""


def versions() -> dict[str, str]:
    """Return the versions of what exports and runs a model."""
    return {name: version(name) for name in ("torch", *(() if missing() else PACKAGES))}


def no_compiler(profile: str) -> str:
    """Say why ``torch.compile`` is left out; empty where it is not."""
    if profile == "sample":
        return "torch.compile takes a minute before its first answer: measured in the profiles short and full"
    found = any(shutil.which(name) for name in ("g++", "clang++", "cl"))
    return "" if found else "torch.compile needs a C++ compiler, and this machine has none: left out"


def shipped(profile: str, seed: int = 0) -> Run:
    """Return the run of the model that comes with the package; on images of one's own, the same model trained on them.

    Raises:
        SceneError: where the record of the shipped model is missing.
    """
    if settings.data_dir():
        return experiments.run("lite0", profile, seed)
    return trained.shipped_run()


def seen(run: Run, holdout: Split) -> str:
    """Warn where the hold-out is another than the one that judged the run while it was trained."""
    return "" if len(holdout) == len(run.arrays["holdout_labels"]) else say("deploy.seen")


# --- another runtime


class Deployed(nn.Module):
    """A trained network with its preparation: uint8 pixels (N, 3, 64, 64) to logits (N, classes)."""

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.net, self.size = net, recipe.input_size
        offset, divisor = batches.SCALES[recipe.pixel_scale]
        self.register_buffer("offset", offset.view(3, 1, 1))
        self.register_buffer("divisor", divisor.view(3, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        images = (pixels.float() - self.offset) / self.divisor
        images = nn.functional.interpolate(images, (self.size, self.size), mode="bilinear", align_corners=False)
        return self.net(images)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters say to developers off the page."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def export(run: Run, train: Split) -> dict[str, Path]:
    """Write a model as files that need neither this package nor its source, where they are not there yet.

    Returns:
        Paths in the runs folder: ``torch`` for PyTorch alone (``torch.export``), ``onnx`` for any runtime that reads
        ONNX, ``int8`` the same with 8-bit integers; the last two only where their packages are installed. All take
        uint8 pixels of any number of images.
    """
    key = results.run_key(run=run.key, calibration=train.names, versions=versions())
    stem = settings.runs_dir() / "exports" / f"{run.name}.{key}"
    paths = {kind: stem.with_name(stem.name + suffix) for kind, suffix in SUFFIXES.items()}
    if missing():
        paths = {"torch": paths["torch"]}
    if not all(path.exists() for path in paths.values()):
        with tempfile.TemporaryDirectory() as place, quiet():
            made = _export(run, Path(place), train)
            for kind, path in paths.items():
                settings.atomic_write(path, made[kind].read_bytes())
    return paths


def _export(run: Run, place: Path, train: Split) -> dict[str, Path]:
    model = Deployed(trained.load_model(run), Recipe(**run.recipe)).eval()
    example = torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8)
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("images")},))
    made = {kind: place / f"model{suffix}" for kind, suffix in SUFFIXES.items()}
    torch.export.save(program, made["torch"])
    if not missing():
        names = {"input_names": ["pixels"], "output_names": ["logits"]}
        torch.onnx.export(program, f=made["onnx"], external_data=False, **names)
        some = np.random.default_rng(0).permutation(len(train))[: min(CALIBRATION, len(train) // 10)]
        quantize(made["onnx"], made["int8"], train.images[some])
    return made


class Calibration:
    """Training images, a batch at a time, as ONNX Runtime's quantization asks for them."""

    def __init__(self, images: Tensor) -> None:
        self.rest = iter(images.split(runtime.BATCH))

    def get_next(self) -> dict[str, np.ndarray] | None:
        chunk = next(self.rest, None)
        return None if chunk is None else {"pixels": chunk.numpy()}


def quantize(path: Path, output: Path, images: Tensor) -> None:
    """Write an ONNX file with 8-bit integers for weights and activations; ``images`` show how large these become.

    Args:
        images: uint8 (N, 3, 64, 64), of the training set.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(str(prepared), str(output), Calibration(images), per_channel=True)


def answers(path: Path, images: Tensor) -> np.ndarray:
    """Return the logits of ONNX Runtime: float32 (N, classes)."""
    answer = runtime.load("onnx", str(path))
    return np.concatenate([answer(chunk.numpy()) for chunk in images.split(runtime.BATCH)])


def runtimes(profile: str) -> dict[str, tuple[str, str]]:
    """Return every way of running the model that is possible here: its name, its kind and its file."""
    found = {"PyTorch, eager": ("eager", "torch")}
    if not no_compiler(profile):
        found["PyTorch, compiled"] = ("compiled", "torch")
    if not missing():
        found |= {"ONNX Runtime, 32 bits": ("onnx", "onnx"), "ONNX Runtime, 8 bits": ("onnx", "int8")}
    return found


def exports(run: Run, train: Split, holdout: Split, profile: str) -> pd.DataFrame:
    """Measure every way of running a model on the hold-out, each in a process of its own with one thread.

    Returns:
        Columns way, file_mb, memory_mb, single_ms, batch_ms (milliseconds of one core for an image), correct, total,
        accuracy, low, high, differ (predictions that differ from the first way's), largest (difference of logits).
    """
    possible = runtimes(profile)

    @progress.part()
    def make() -> pd.DataFrame:
        paths, rows, first = export(run, train), [], None
        progress.begin("exports")
        for way, (kind, file) in possible.items():
            told, logits = measured(kind, paths[file], holdout.images)
            first, predicted = logits if first is None else first, logits.argmax(1)
            correct = int((predicted == holdout.labels.numpy()).sum())
            rows.append({"way": way, "file_mb": paths[file].stat().st_size / 1e6, **told,
                         **counted(correct, len(logits)), "differ": int((predicted != first.argmax(1)).sum()),
                         "largest": float(np.abs(logits - first).max())})  # fmt: skip
            progress.advance(1 / len(possible))
        return pd.DataFrame(rows)

    key = results.run_key(run=run.key, names=holdout.names, ways=list(possible), versions=versions(),
                          processor=processor())  # fmt: skip
    return kept(f"exports.{profile}.csv", key, make)


def measured(kind: str, path: Path, images: Tensor) -> tuple[dict[str, float], np.ndarray]:
    """Run a model in a process of its own: what ``runtime`` measures, and its logits.

    Raises:
        SceneError: where that process fails, with the last line that it wrote.
    """
    with tempfile.TemporaryDirectory() as place:
        pixels, logits = Path(place) / "pixels.npy", Path(place) / "logits.npy"
        np.save(pixels, images.numpy())
        command = [sys.executable, runtime.__file__, kind, str(path), str(pixels), str(logits)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SceneError(f"{kind} of {path.name} failed: {reason}; run the page again, or in another profile")
        return json.loads(done.stdout.splitlines()[-1]), np.load(logits)


# --- other pictures


def tilted(image: Image.Image) -> Image.Image:
    """Turn an image by 10 degrees; what comes in at the corners is its mirrored edge."""
    from torchvision.transforms.v2 import functional  # slow to import

    turned = functional.pad(image, 16, padding_mode="reflect").rotate(10, Image.Resampling.BICUBIC)
    return functional.center_crop(turned, (image.height, image.width))


def by_phone(image: Image.Image) -> Image.Image:
    """Take a picture as a phone sends it: an upright part of 3:4, 960 x 1280 pixels, JPEG; read as any photo is."""
    eighth = image.width // 8
    tall = image.crop((eighth, 0, image.width - eighth, image.height)).resize((960, 1280), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    tall.save(file, "JPEG", quality=80)
    file.seek(0)
    return Image.fromarray(classify.read_photo(file).transpose(1, 2, 0))


def drawn(image: Image.Image) -> Image.Image:
    """Leave the edges only, as dark lines on white."""
    return ImageOps.grayscale(image).filter(ImageFilter.CONTOUR).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "mirrored": ImageOps.mirror,
    "from a phone (3:4, JPEG)": by_phone,
    "turned by 10 degrees": tilted,
    "turned by 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "upside down": ImageOps.flip,
    "dark (a quarter of the light)": lambda image: ImageEnhance.Brightness(image).enhance(0.25),
    "without colour": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "drawn": drawn,
}


def changed(images: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    """Return images after one of ``CHANGES``: uint8 (N, 3, 64, 64)."""
    from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

    return torch.stack([pil_to_tensor(change(to_pil_image(image))) for image in images])


def changes(image: Tensor) -> Figure:
    """Show what the changes make of one image (3, 64, 64)."""
    made = torch.cat([changed(image[None], change) for change in CHANGES.values()])
    titles = [textwrap.fill(name, 16) for name in CHANGES]
    return plots.image_grid(made, titles, columns=5, alt="One image, and what each change makes of it.")


def under_changes(run: Run, holdout: Split, profile: str) -> pd.DataFrame:
    """Return a run's accuracy on the hold-out after each change: columns change, confidence, those of ``counted``."""
    @progress.part()
    def make() -> pd.DataFrame:
        rows, ((model, recipe),) = [], trained.nets(run)
        progress.begin("changed pictures")
        for name, change in CHANGES.items():
            split = Split(changed(holdout.images, change), holdout.labels, holdout.classes, holdout.names)
            logits = training.predict(model, split, recipe)
            correct = int((logits.argmax(1) == holdout.labels).sum())
            rows.append({"change": name, "confidence": confidence(logits).mean()} | counted(correct, len(holdout)))
            progress.advance(1 / len(CHANGES))
        return pd.DataFrame(rows)

    key = results.run_key(run=run.key, names=holdout.names, changes=list(CHANGES), pixels=PIXELS_VERSION)
    return kept(f"changes.{profile}.csv", key, make)


# --- none of these


def confidence(logits) -> np.ndarray:
    """Return the probability of the predicted class of each image, the *max softmax*: (N,)."""
    return softmax(np.asarray(logits, dtype=float), axis=1).max(axis=1)


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """Return the probability that a known image has the higher confidence of a pair with an unknown one."""
    from sklearn.metrics import roc_auc_score  # slow to import

    truth = np.r_[np.ones(len(known)), np.zeros(len(unknown))]
    return float(roc_auc_score(truth, np.r_[known, unknown]))


def threshold(known: np.ndarray, recall: float = RECALL) -> float:
    """Return the confidence at or above which at least ``recall`` of the known images lie, and hardly more."""
    return float(np.quantile(known, 1 - recall, method="lower"))


def leave_one_out(profile: str, seed: int = 0) -> list[Run]:
    """Return the runs of the small model with each class left out in turn; none where there are fewer than three."""
    classes = len(experiments.sets(profile)[1].classes)
    names = catalogue.WITHOUT[:classes] if classes > 2 else ()
    return experiments.run_all(names, profile, seed)


def left_out(run: Run, classes: Sequence[str]) -> str:
    """Return the class that a run of ``leave_one_out`` does not know."""
    return next(name for name in classes if name not in run.classes)


def pair(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return a run's confidence on the hold-out: of images of the classes that it knows, and of the one left out."""
    return confidence(run.arrays["holdout_logits"]), confidence(run.arrays["unknown_logits"])


def recognition(runs: Sequence[Run], classes: Sequence[str]) -> pd.DataFrame:
    """Return one row for each class left out: how well a threshold on confidence recognizes it.

    Columns: left out, accuracy (on the classes that are known), images (of the class left out), likely (what it is
    predicted as most), auroc, threshold (at ``RECALL``), false_positives (fraction that passes), low, high.
    """
    rows = []
    for run in runs:
        known, unknown = pair(run)
        limit = threshold(known)
        predicted = np.bincount(run.arrays["unknown_logits"].argmax(1), minlength=len(run.classes))
        passes = counted(int((unknown >= limit).sum()), len(unknown))
        rows.append({"left out": left_out(run, classes), "accuracy": run.accuracy, "images": len(unknown),
                     "likely": run.classes[predicted.argmax()], "auroc": auroc(known, unknown), "threshold": limit,
                     "false_positives": passes["accuracy"], "low": passes["low"], "high": passes["high"]})  # fmt: skip
    return pd.DataFrame(rows)


def confidences(runs: Sequence[Run], classes: Sequence[str]) -> Figure:
    """Draw how the confidence in known classes and in the one left out is spread, one panel for each class left out."""
    columns = min(3, len(runs))
    height = -(-len(runs) // columns)
    figure, axes = plots.subplots(height, columns, (3 * columns, 2.1 * height), sharex=True, squeeze=False)
    bins = np.linspace(0, 1, 21)
    for axis in axes.flat[len(runs) :]:
        axis.axis("off")
    for axis, run in zip(axes.flat, runs, strict=False):
        for values, name, style in zip(pair(run), ("known", "left out"), ({}, {"hatch": "//"}), strict=True):
            weights = np.full(len(values), 1 / len(values))
            axis.hist(values, bins, weights=weights, alpha=0.55, label=name, **style)
        axis.axvline(threshold(pair(run)[0]), color=plots.INK, linewidth=1, linestyle="--")
        axis.set_title(f"without {left_out(run, classes)}", fontsize=9)
    axes[0, 0].legend(fontsize=8, loc="upper left")
    figure.supxlabel("confidence: the probability of the predicted class", fontsize=9)
    figure.supylabel("fraction of images", fontsize=9)
    told = (f"{left_out(run, classes)} {auroc(*pair(run)):.2f}" for run in runs)
    figure.alt = "Confidence in known classes and in the class left out; AUROC by class left out: " + ", ".join(told)
    return figure


def price(run: Run) -> pd.DataFrame:
    """Return what a threshold costs on the hold-out, in fractions: one row for each fraction that should pass."""
    logits, labels = run.arrays["holdout_logits"], run.arrays["holdout_labels"]
    sure, right = confidence(logits), logits.argmax(1) == labels
    rows = []
    for recall in (1.0, 0.99, 0.95, 0.9, 0.8):
        passes = sure >= (limit := threshold(sure, recall))
        rows.append({
            "should pass": f"{recall:.0%}",
            "threshold": limit,
            "refused": 1 - passes.mean(),
            "accuracy of the rest": right[passes].mean(),
            "correct but refused": (right & ~passes).sum() / right.sum(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def strangers(count: int = 32) -> dict[str, Tensor]:
    """Return pictures that show no scene at all, uint8 (N, 3, 64, 64) each: digits, noise, even grey."""
    from sklearn.datasets import load_digits

    digits = torch.from_numpy(load_digits().images[:count]).float()[:, None] / 16 * 255
    digits = nn.functional.interpolate(digits, (SIDE, SIDE), mode="nearest").repeat(1, 3, 1, 1).byte()
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, SIDE, SIDE), dtype=np.uint8))
    grey = torch.linspace(0, 255, count).byte()[:, None, None, None].expand(count, 3, SIDE, SIDE)
    return {"handwritten digits": digits, "noise": noise, "one grey": grey.contiguous()}


def of_strangers(run: Run, limit: float) -> pd.DataFrame:
    """Return what a run says of pictures without a scene: columns pictures, passes (fraction), confidence, likely."""
    rows, model, recipe = [], trained.load_model(run), Recipe(**run.recipe)
    for name, images in strangers().items():
        unknown = Split(images, torch.zeros(len(images), dtype=torch.int64), tuple(run.classes), ())
        logits = training.predict(model, unknown, recipe)
        sure = confidence(logits)
        likely = run.classes[int(logits.argmax(1).bincount(minlength=len(run.classes)).argmax())]
        rows.append({"pictures": name, "passes": (sure >= limit).mean(), "confidence": sure.mean(), "likely": likely})
    return pd.DataFrame(rows)


def published_without() -> list[Run]:
    """Return the finished runs with a class left out, without training any.

    Raises:
        SceneError: where one is missing.
    """
    runs = {name: results.find(name, "short") for name in catalogue.WITHOUT}
    if absent := [name for name, run in runs.items() if run is None]:
        raise SceneError(f"no record of {', '.join(absent)}; run: python -m scene_utils train NAME --profile short")
    return list(runs.values())


# --- sentences


def compared(table: pd.DataFrame) -> list[Text]:
    """Compare each way of running the model (``exports``) with the first, in a sentence each."""
    first = table.iloc[0].add_prefix("first_")
    return [say("deploy.compared", times=first["first_single_ms"] / row["single_ms"], **first, **row)
            for _, row in table.iloc[1:].iterrows()]  # fmt: skip


def recognized(table: pd.DataFrame) -> list[Text]:
    """Say for which class left out a threshold works best and worst (``recognition``); nothing for an empty table."""
    if table.empty:
        return []
    table = table.set_index(table["left out"].map(settings.escaped))
    auroc, passing, likely = table["auroc"], table["false_positives"], table["likely"].map(settings.escaped)
    return [
        say("deploy.recognized", recall=RECALL, passing=passing.mean(), classes=len(table)),
        say("deploy.recognized.auroc", best=auroc.idxmax(), high=auroc.max(), worst=auroc.idxmin(), low=auroc.min(),
            likely=likely[auroc.idxmin()]),
        say("deploy.recognized.passing", best=passing.idxmin(), low=passing.min(), worst=passing.idxmax(),
            high=passing.max()),
    ]  # fmt: skip


def speedup(table: pd.DataFrame) -> str:
    """Say how many times as fast 8 bits are as 32 in ONNX Runtime, one image at a time."""
    times = table.set_index("way")["single_ms"].filter(like="ONNX").to_numpy()
    return f"{times[0] / times[1]:.1f}" if len(times) == 2 else "not measured"


def accuracy_of(changed: pd.DataFrame, change: str) -> str:
    """Return the accuracy after a change, in words."""
    return f"{changed.set_index('change')['accuracy'][change]:.3f}"


def passing(table: pd.DataFrame) -> str:
    """Return how many of 100 photos of an unknown class pass the threshold; ``not measured`` for an empty table."""
    return "not measured" if table.empty else f"{100 * table['false_positives'].mean():.0f}"
