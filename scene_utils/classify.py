"""Classify photos of one's own with the best model at hand: shipped with the package, or trained here."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import torch
from PIL import Image

from scene_utils import data, evaluation, experiments, progress, results, settings
from scene_utils.results import Run
from scene_utils.settings import SceneError

BEST_FIRST = ("full", "short", "sample")
NOTHING = (
    "no trained weights in the runs folder: published records carry answers, not weights;"
    " train a model first, for instance with: python -m scene_utils train resnet18_transfer --profile short"
)


def holdout_accuracy(run: Run) -> float:
    """Return the accuracy on the hold-out, by which models are chosen."""
    right = run.arrays["holdout_logits"].argmax(1) == run.arrays["holdout_labels"]
    return float(right.mean())


def best_run(profile: str | None = None) -> Run | None:
    """Return the run with the best hold-out accuracy among those whose weights are at hand.

    An ensemble counts where all its members' weights are there. Without ``profile`` the profiles are looked
    through from ``full`` to ``sample``; None is returned where nothing has been trained. With images of one's own
    (``SCENE_DATA_DIR``) only what was trained on them counts.
    """
    for name in BEST_FIRST if profile is None else (settings.profile(profile),):
        runs = [run for run in results.records(name) if run.status == "finished" and run.evaluated_on == "test"]
        if os.environ.get("SCENE_DATA_DIR"):
            own = experiments.sets(name)[2].key
            runs = [run for run in runs if run.dataset["key"] == own]
        usable = [run for run in runs if all(has_weights(member) for member in experiments.members(run))]
        if usable:
            return max(usable, key=holdout_accuracy)
    return None


def has_weights(run: Run | None) -> bool:
    """Whether the trained weights of a run are in the runs folder, or shipped."""
    return run is not None and experiments.model_path(run.name, run.key) is not None


def read_photo(photo: str | Path | BinaryIO) -> np.ndarray:
    """Read a photo as the datasets' images are read: uint8 (3, 64, 64), resized as a whole.

    Raises:
        SceneError: for a file that cannot be read, naming it.
    """
    try:
        return data.decode(photo)
    except Image.UnidentifiedImageError:
        reason = "no PNG, JPEG or WebP image; convert it to one of these"
    except OSError as error:
        reason = f"{error.strerror or 'damaged'}; check the path, or save the photo again"
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = f"{type(error).__name__}; save the photo again, smaller"
    raise SceneError(f"photo {file_name(photo)} cannot be read: {reason}")


def file_name(photo: str | Path | BinaryIO) -> str:
    """Return the name of a photo without its folder."""
    return Path(photo).name if isinstance(photo, str | Path) else getattr(photo, "name", "photo")


def classify(photo: str | Path | BinaryIO | np.ndarray, run: Run) -> pd.Series:
    """Return the probability of each class, highest first.

    Args:
        photo: a path, an open file, or pixels as ``read_photo`` returns them.
        run: a run whose weights are at hand, such as ``best_run`` finds.

    Raises:
        SceneError: for a photo that cannot be read, and where weights are missing.
    """
    pixels = photo if isinstance(photo, np.ndarray) else read_photo(photo)
    split = data.Split(torch.tensor(pixels)[None], torch.zeros(1, dtype=torch.int64), tuple(run.classes), ("",))
    probabilities = evaluation.average_probabilities([experiments.answer(run, split)])[0]
    return pd.Series(probabilities, index=run.classes, name="probability").sort_values(ascending=False)


# --- in a notebook


def told(run: Run) -> str:
    """Say in one line which model answers."""
    return (
        f"answered by {run.title}: profile {run.profile}, {holdout_accuracy(run):.1%} of the hold-out right,"
        f" trained on {run.dataset['source']}"
    )


def own_photo(photo: str | Path | None = None):
    """Show a photo with its probabilities; without one a file chooser, or an example where nobody watches.

    The best model at hand answers: the one shipped with the package, until a better one has been trained. Where there
    is none, one line says what to do.
    """
    run = best_run()
    if run is None:
        print(NOTHING)
        return None
    print(told(run))
    if photo is not None:
        return show(photo, run)
    if progress.watched():
        return chooser(run)
    print('no photo given (photo = "path/to/photo.jpg"); an image of the hold-out instead')
    _, holdout, _ = experiments.sets()
    return show(holdout.images[0].numpy(), run, holdout.names[0])


def show(photo: str | Path | BinaryIO | np.ndarray, run: Run, name: str = ""):
    """Draw a photo as the model sees it, beside its probabilities."""
    from scene_utils import plots  # the command line draws nothing, and need not wait for it

    pixels = photo if isinstance(photo, np.ndarray) else read_photo(photo)
    return plots.photo(pixels, classify(pixels, run), name or file_name(photo))


def chooser(run: Run):
    """Return a file chooser (ipywidgets) that shows the probabilities of every photo that is chosen."""
    import ipywidgets
    from IPython.display import display

    button = ipywidgets.FileUpload(accept="image/png,image/jpeg,image/webp", multiple=True, description="Photos")
    output = ipywidgets.Output()

    def answer(change: Mapping) -> None:
        with output:
            for file in uploads(change["new"]):
                try:
                    display(show(file, run))
                except SceneError as error:
                    print(error)

    button.observe(answer, names="value")
    return ipywidgets.VBox([button, output])


def uploads(value: Sequence[Mapping] | Mapping[str, Mapping]) -> list[BinaryIO]:
    """Return the files of an ipywidgets ``FileUpload``, whose value differs between versions 7 (Colab) and 8."""
    if isinstance(value, Mapping):
        value = [{"name": name, "content": file["content"]} for name, file in value.items()]
    files = []
    for each in value:
        file = io.BytesIO(bytes(each["content"]))
        file.name = each["name"]
        files.append(file)
    return files
