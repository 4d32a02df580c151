"""Judge labels yourself: images and two words, blind and in random order, beside the verdicts of the recorded rater."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import cohen_kappa_score

from scene_utils import experiments, plots
from scene_utils.data import Split
from scene_utils.lessons import labels
from scene_utils.text import Text, say

JUDGED, CONTROLS = 30, 10
LETTERS = {"a": "a", "b": "b", "o": "both", "n": "neither"}  # what a reader may answer


def sheet(test: Split, seed: int = 0) -> pd.DataFrame:
    """Return the images to judge: those that the rater has judged, and controls that every reader should get right.

    Columns index (of the test image), a and b (a word each: the label and another class, in random order), label,
    recorded (the rater's verdict; for a control ``label``), control.
    """
    rng, place = np.random.default_rng(seed), {name: i for i, name in enumerate(test.names)}
    known = labels.verdicts()
    if experiments.own_images():  # another image may have the same name
        known = known.head(0)
    known = known[known["image"].isin(place)].drop_duplicates("image")
    chosen = known.sample(min(JUDGED, len(known)), random_state=seed)
    rows = [(place[row.image], row.label, row.answer, row.verdict, False) for row in chosen.itertuples()]
    for i in rng.permutation([i for name, i in place.items() if name not in set(known["image"])])[:CONTROLS]:
        label = test.classes[test.labels[i]]
        rows.append((int(i), label, str(rng.choice([c for c in test.classes if c != label])), "label", True))
    table = pd.DataFrame(rows, columns=["index", "label", "other", "recorded", "control"])
    table = table.iloc[rng.permutation(len(table))].reset_index(drop=True)
    swapped = rng.random(len(table)) < 0.5
    other = table.pop("other")
    return table.assign(a=other.where(swapped, table["label"]), b=table["label"].where(swapped, other))


def show(rows: pd.DataFrame, test: Split) -> Figure:
    """Show the images with their numbers and both words."""
    titles = [f"{number}\na: {row.a}\nb: {row.b}" for number, row in enumerate(rows.itertuples(), 1)]
    return plots.image_grid(test.images[rows["index"].tolist()], titles, columns=8, alt="The images to judge.")


def verdicts(rows: pd.DataFrame, answers: str) -> list[str]:
    """Return a reader's letters as the rater's words: ``label``, ``answer``, ``both``, ``neither``."""
    told = []
    for letter, row in zip(answers, rows.itertuples(), strict=True):
        word = LETTERS[letter]
        told.append(word if len(word) > 1 else "label" if getattr(row, word) == row.label else "answer")
    return told


def agreement(rows: pd.DataFrame, answers: str | None) -> Text:
    """Say how far a reader agrees with the recorded rater (Cohen's kappa, 1960; scikit-learn), and the controls."""
    letters = "".join(answers.lower().split()) if answers else ""
    if len(letters) != len(rows) or set(letters) - set(LETTERS):
        return say("rating.none", images=len(rows), given=len(letters))
    mine = pd.Series(verdicts(rows, letters))
    judged, control = ~rows["control"], rows["control"]
    told = {"passed": int((mine[control] == "label").sum()), "controls": int(control.sum())}
    if not judged.any():
        return say("rating.controls", **told)
    kappa = cohen_kappa_score(mine[judged], rows["recorded"][judged], labels=list(labels.VERDICTS))
    same = int((mine[judged] == rows["recorded"][judged]).sum())
    return say("rating", kappa=float(kappa), same=same, judged=int(judged.sum()), **told)
