"""Logs that only grow: every training that was started, and every reading of the test set (the ledger)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from scene_utils.support import settings

# They lie in the runs folder and, joined, among what is published.
LOGS = {
    "started.csv": ["date", "experiment", "profile", "seed", "key"],
    "readings.csv": ["date", "experiment", "profile", "seed", "set", "reading", "correct", "total", "key", "why"],
}


def note(log: str, *values: object) -> None:
    """Append a line to one of ``LOGS`` in the runs folder."""
    path = settings.results_dir() / log
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "" if path.exists() else ",".join(LOGS[log]) + "\n"
    with open(path, "a", encoding="utf-8") as file:  # one short write: lines of two processes do not mix
        file.write(f"{head}{','.join(map(str, values))}\n")


def hand_out(record: Mapping, predicted: np.ndarray, labels: np.ndarray, of: str, reading: str, why: str) -> np.ndarray:
    """Return which images of a test set a run has correct, booleans (N,): the only way to them, by the ledger.

    The line is written first: a reading that is lost is still a reading. The sample's images and images of one's own
    are not entered.

    Args:
        predicted: logits (N, classes) or predicted classes (N,).
        of: ``val`` or ``sealed``; ``reading``: ``plain``, ``mirrored`` or how several runs are combined.
    """
    correct = (predicted.argmax(1) if predicted.ndim == 2 else predicted) == labels
    if record["dataset"]["commit"] is not None and record["profile"] != "sample":
        run = [record[field] for field in ("date", "experiment", "profile", "seed")]
        note("readings.csv", *run, of, reading, int(correct.sum()), len(labels), record["key"], why)
    return correct


def note_readings(record: Mapping, arrays: Mapping[str, np.ndarray]) -> None:
    """Enter what a finished run reads of the test set: as it is, and averaged with the mirror image."""
    if record["evaluated_on"] == "test":
        for name, reading in (("test_logits", "plain"), ("test_logits_mirror", "mirrored")):
            if name in arrays:
                hand_out(record, arrays[name], arrays["test_labels"], "val", reading, "a run has finished")


def readings() -> pd.DataFrame:
    """Return the whole ledger, published and in the runs folder, oldest first: the columns of ``LOGS``, as words."""
    folders = settings.published_dir().parent, settings.results_dir()
    paths = [path for folder in folders if (path := folder / "readings.csv").exists()]
    tables = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in paths]
    table = pd.concat([pd.DataFrame(columns=LOGS["readings.csv"]), *tables]).drop_duplicates()
    return table.sort_values("date", kind="stable", ignore_index=True).astype({"correct": int, "total": int})


def logged(folder: Path, log: str) -> list[str]:
    """Return the lines of a folder's log, without its head."""
    path = folder / log
    return path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
