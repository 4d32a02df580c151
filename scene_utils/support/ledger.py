"""Logs that only grow: every training that was started, and every reading of the test set (the ledger)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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


def note_readings(record: dict, arrays: dict[str, np.ndarray]) -> None:
    """Enter a run's readings of the public test set, as it is and averaged with the mirror image, into the ledger."""
    if record["evaluated_on"] != "test" or record["dataset"]["commit"] is None or record["profile"] == "sample":
        return
    labels = arrays.get("test_labels")
    for name, reading in (("test_logits", "plain"), ("test_logits_mirror", "mirrored")):
        if name in arrays:
            correct = int((arrays[name].argmax(1) == labels).sum())
            run = [record[field] for field in ("date", "experiment", "profile", "seed")]
            note("readings.csv", *run, "val", reading, correct, len(labels), record["key"], "a run has finished")


def logged(folder: Path, log: str) -> list[str]:
    """Return the lines of a folder's log, without its head."""
    path = folder / log
    return path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
