"""Classify photos of one's own with the best model at hand: shipped with the package, or trained here.

    model = classify.load()
    model.predict(Path("photos").glob("*.jpg"))  # or a list, or one; a table: a row a photo, a column a class
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import torch
from PIL import Image

from scene_utils import data, experiments, results, trained
from scene_utils.results import Run
from scene_utils.support import fetching, images, progress, settings
from scene_utils.support.settings import SceneError

Photo = str | Path | BinaryIO | np.ndarray
BEST_FIRST = ("full", "short", "sample")
NOTHING = (
    "no trained weights in the runs folder: published records carry answers, not weights;"
    " train a model first, for instance with: python -m scene_utils train resnet18_transfer --profile short"
)


def best_run(profile: str | None = None) -> Run | None:
    """Return the run with the best hold-out accuracy among those whose weights are at hand.

    An ensemble counts where all its members' weights are there. Without ``profile`` the profiles are looked
    through from ``full`` to ``sample``; None is returned where nothing has been trained. With images of one's own
    (``SCENE_DATA_DIR``) what was trained on them comes first, and otherwise nothing that was trained on one's own.
    The images themselves are not needed.
    """
    profiles = BEST_FIRST if profile is None else (settings.profile(profile),)
    usable = [run for name in profiles for run in results.records(name) if is_usable(run)]
    own = fetching.own_key() if settings.data_dir() else None
    for runs in ([r for r in usable if r.dataset["key"] == own], [r for r in usable if r.dataset["commit"]]):
        for name in profiles:
            if found := [run for run in runs if run.profile == name]:
                return max(found, key=lambda run: run.holdout_accuracy)
    return None


def is_usable(run: Run) -> bool:
    """Whether a run can answer, and has been judged on a test set."""
    judged = run.status == "finished" and run.evaluated_on == "test"
    return judged and all(each and trained.model_path(each.name, each.key) for each in trained.members(run))


def read_photo(photo: str | Path | BinaryIO) -> np.ndarray:
    """Read a photo as the datasets' images are read: uint8 (3, 64, 64), resized as a whole.

    Raises:
        SceneError: for a file that cannot be read, naming it.
    """
    with open_photo(photo) as image:
        return images.small(image)


@contextlib.contextmanager
def open_photo(photo: str | Path | BinaryIO) -> Iterator[Image.Image]:
    """Open a photo as ``images.opened`` opens an image.

    Raises:
        SceneError: for a file that cannot be read, naming it.
    """
    if isinstance(photo, str | Path):
        photo = Path(photo).expanduser()
    try:
        with warnings.catch_warnings(action="ignore"), images.opened(photo) as image:
            yield image
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        reason = images.unreadable(photo, error)
        if "JPEG" not in reason:
            reason += "; check the path" if getattr(error, "strerror", None) else "; save the photo again, as JPEG"
        raise SceneError(f"photo {file_name(photo)} cannot be read: {reason}") from error


def file_name(photo: Photo) -> str:
    """Return the name of a photo without its folder; of pixels, which have none, ``photo``."""
    return Path(photo).name if isinstance(photo, str | Path) else getattr(photo, "name", "photo")


class Model:
    """A trained model (or ensemble), loaded once, that answers for any photos."""

    def __init__(self, run: Run) -> None:
        self.run, self.nets = run, trained.nets(run)

    def predict(self, photos: Photo | Iterable[Photo]) -> pd.DataFrame:
        """Return the probability of each class, a column a class, for each photo, a row a photo, named by its file.

        A photo that cannot be read is named, and the others are answered.

        Args:
            photos: one or more (in a list, or as ``Path.glob`` finds them): paths, open files, or pixels as
                ``read_photo`` returns them.

        Raises:
            SceneError: where no photo can be read.
        """
        alone = isinstance(photos, str | Path | np.ndarray) or hasattr(photos, "read")
        names, pixels, bad = [], [], []
        for photo in [photos] if alone else photos:
            try:
                pixels.append(photo if isinstance(photo, np.ndarray) else read_photo(photo))
                names.append(file_name(photo))
            except SceneError as error:
                bad.append(str(error))
        if not pixels:
            raise SceneError("; ".join(bad) or "no photo to classify; check the folder and the pattern")
        for line in bad:
            settings.say(line)
        batch = torch.from_numpy(np.array(pixels, dtype=np.uint8).reshape(-1, 3, images.SIDE, images.SIDE))
        split = data.Split(batch, torch.zeros(len(batch), dtype=torch.int64), tuple(self.run.classes), ())
        answers = trained.predict(self.run, self.nets, split).double().softmax(1).numpy()
        return pd.DataFrame(answers, index=names, columns=self.run.classes)


def load(profile: str | None = None) -> Model:
    """Load the best model at hand (``best_run``): the shipped one, until a better one has been trained.

    Raises:
        SceneError: where there is none for the profile.
    """
    run = best_run(profile)
    if run is None:
        raise SceneError(NOTHING)
    return Model(run)


# --- in a notebook


def description(run: Run) -> str:
    """Say in one line which model answers."""
    line = f"answered by {run.title}: profile {run.profile}, {holdout_words(run)}, trained on {run.dataset['source']}"
    if settings.data_dir() and run.dataset["key"] != fetching.own_key():
        line += f"; no model has been trained on SCENE_DATA_DIR ({settings.data_dir()}) yet"
    return line


def holdout_words(run: Run) -> str:
    """Say how accurate a run is on the set that models are chosen by."""
    return f"{run.holdout_accuracy:.1%} of the hold-out correct"


def own_photo(photo: str | Path | None = None):
    """Show a photo with its probabilities; without one a file chooser, or an example where nobody watches.

    The best model at hand answers: the one shipped with the package, until a better one has been trained. Where there
    is none, one line says what to do.
    """
    run = best_run()
    if run is None:
        print(NOTHING)
        return None
    print(description(run))
    if photo is not None:
        return show(photo, run)
    if progress.watched():
        return chooser(run)
    print('no photo given (photo = "path/to/photo.jpg"); an image of the hold-out instead')
    _, holdout, _ = experiments.sets()
    return show(holdout.images[0].numpy(), run, "/".join(Path(holdout.names[0]).parts[-2:]))


def show(photo: str | Path | BinaryIO | np.ndarray, run: Run, name: str = ""):
    """Draw a photo as the model sees it, beside its probabilities."""
    from scene_utils import plots  # the command line draws nothing, and need not wait for it

    pixels = photo if isinstance(photo, np.ndarray) else read_photo(photo)
    answer = Model(run).predict(pixels).iloc[0].sort_values(ascending=False)
    return plots.photo(pixels, answer, name or file_name(photo))


def chooser(run: Run):
    """Return a file chooser (ipywidgets) that shows the probabilities of every photo that is chosen."""
    import ipywidgets
    from IPython.display import display

    button = ipywidgets.FileUpload(accept="image/*", multiple=True, description="Photos")
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


def uploads(value: Sequence[Mapping] | Mapping[str, Mapping]) -> Iterator[BinaryIO]:
    """Yield the files of an ipywidgets ``FileUpload``, whose value differs between versions 7 (Colab) and 8."""
    if isinstance(value, Mapping):
        value = [{"name": name, "content": file["content"]} for name, file in value.items()]
    for each in value:
        file = io.BytesIO(bytes(each["content"]))
        file.name = each["name"]
        yield file
