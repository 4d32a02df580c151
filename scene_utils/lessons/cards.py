"""The shipped model's threshold for "none of these", its model card, and the embedded sample's data card.

All three are made from published records, and written by ``python -m scene_utils cards``.
"""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import numpy as np

from scene_utils import data, evaluation, trained
from scene_utils.lessons import deploy
from scene_utils.results import Run
from scene_utils.support import settings

NONE_OF_THESE = trained.SHIPPED / "none_of_these.json"
MODEL_CARD, DATA_CARD = (settings.project_dir() / "report" / f"{kind}_CARD.md" for kind in ("MODEL", "DATA"))


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


def model_card(run: Run, unknown: dict) -> str:
    """Return the card of a model in the form of model hubs: YAML front matter, then Markdown.

    Args:
        unknown: what ``none_of_these`` returns.
    """
    table, wrong = evaluation.per_class(run.labels, run.logits, run.classes), run.confusion.copy()
    np.fill_diagonal(wrong, 0)
    table = table.assign(other=[run.classes[i] for i in wrong.argmax(1)], images=wrong.max(1))
    return filled("model_card", run=run, unknown=unknown, classes=table.to_dict("records"))


def data_card() -> str:
    """Return the card of the embedded sample, in the same form."""
    sample = data.load_sample()
    rows = zip(sample.train.classes, sample.train.counts(), sample.test.counts(), strict=True)
    return filled("data_card", sample=sample, classes=rows)


def filled(template: str, **values: object) -> str:
    """Fill in one of the templates beside this file."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), trim_blocks=True,
                                     keep_trailing_newline=True, undefined=jinja2.StrictUndefined)  # fmt: skip
    return environment.get_template(f"{template}.md.j2").render(values, data=data)


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
