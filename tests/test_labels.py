"""Doubtful labels and verdicts: found where labels were changed, counted where a person judged."""

import numpy as np
import pandas as pd
import pytest

from scene_utils import experiments, results
from scene_utils.lessons import course, duplicates, labels, rating
from scene_utils.results import Run
from tests.fakes import answered, split_of

pytestmark = pytest.mark.usefixtures("runs_folder")


def blobs(n=600, changed=12, classes=3):
    """Points in well-separated clusters, the labels of the first ``changed`` moved to the next class."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, n)
    values = 4 * np.eye(classes)[truth] + rng.normal(size=(n, classes)) * 0.5
    given = truth.copy()
    given[:changed] = (given[:changed] + 1) % classes
    return values.astype(np.float32), given


def test_changed_labels_are_the_doubtful_ones(monkeypatch):
    values, given = blobs()
    images, dataset = split_of(given, "abc"), experiments.sets("sample")[2]
    monkeypatch.setattr(labels, "everything", lambda profile: (images, dataset))
    monkeypatch.setattr(labels, "features", lambda *arguments: values)
    table = labels.issues("sample")
    assert set(table["image"]) <= set(images.names[:12]) and len(table) >= 10
    assert (table["likely_probability"] > 0.5).all() and (table["label_probability"] < 0.5).all()
    # found again, not computed again
    monkeypatch.setattr(labels, "features", None)
    pd.testing.assert_frame_equal(labels.issues("sample"), table)


def test_no_image_is_judged_by_a_model_that_was_fitted_to_it():
    rng = np.random.default_rng(1)
    values, given = rng.normal(size=(200, 50)).astype(np.float32), rng.integers(0, 2, 200)  # nothing to learn
    right = (labels.cross_validated(values, given).argmax(1) == given).mean()
    assert right < 0.65  # known by heart it would be 1


def test_verdicts_are_joined_by_image_and_answer(monkeypatch):
    _, _, dataset = experiments.sets("sample")
    truth = dataset.test.labels.numpy()
    answers = truth.copy()
    answers[[3, 50, 90]] = (truth[[3, 50, 90]] + 1) % 6
    run = answered(answers)
    run.arrays["test_logits"][50] *= 2  # the surest
    # the last verdict is about another answer than the one given
    said = [(50, answers[50], "answer"), (3, answers[3], "both"), (90, truth[90], "label")]
    rows = [(dataset.test.names[i], "", dataset.test.classes[a], v) for i, a, v in said]
    judged = pd.DataFrame(rows, columns=["image", "label", "answer", "verdict"])
    monkeypatch.setattr(labels, "verdicts", lambda: judged)
    table = labels.contradicted(run)
    assert table["index"].tolist()[0] == 50 and set(table["index"]) == {3, 50, 90}
    assert table.set_index("index")["verdict"].dropna().to_dict() == {50: "answer", 3: "both"}
    counts = labels.counted(table)["images"]
    assert counts[labels.VERDICTS["answer"]] == counts[labels.VERDICTS["both"]] == 1 and counts.sum() == 2
    told = course.ceiling(run).values
    assert [told[name] for name in ("mistakes", "judged", "agree", "both")] == [3, 2, 1, 1]
    # another image of the same name has not been judged
    monkeypatch.setattr(experiments, "tested", lambda run: dataset.test)
    own = Run(run.record | {"dataset": {"commit": None}}, run.arrays)
    assert labels.contradicted(own)["verdict"].isna().all()
    monkeypatch.setattr(labels, "verdicts", lambda: judged.head(0))
    assert course.ceiling(run).key == "ceiling.none"


def test_committed_verdicts_are_words_that_are_known():
    table = labels.verdicts()
    assert set(table["verdict"]) <= set(labels.VERDICTS)
    classes = results.facts()["dataset"]["classes"]
    assert set(table["label"]) | set(table["answer"]) <= set(classes)
    assert not table.duplicated(["image", "answer"]).any()


def test_a_reader_judges_blind_and_sees_kappa(monkeypatch):
    test = experiments.sets("sample")[2].test
    known = pd.DataFrame({"image": test.names[:40:2], "label": [test.classes[i] for i in test.labels[:40:2]],
                          "answer": "sea", "verdict": ["label", "answer", "both", "neither"] * 5})  # fmt: skip
    known = known[known["label"] != "sea"]
    monkeypatch.setattr(labels, "verdicts", lambda: known)
    rows = rating.sheet(test)
    assert rows["control"].sum() == rating.CONTROLS and len(rows) == len(known) + rating.CONTROLS
    assert 0 < (rows["a"] == rows["label"]).mean() < 1 and not rows["control"].is_monotonic_increasing
    alike = {"label": ("b", "a"), "answer": ("a", "b"), "both": "oo", "neither": "nn"}
    letters = "".join(alike[row.recorded][row.a == row.label] for row in rows.itertuples())
    told = rating.agreement(rows, letters).values
    assert told["kappa"] == pytest.approx(1) and told["passed"] == told["controls"] == rating.CONTROLS
    guess = rating.agreement(rows, "a" * len(rows)).values
    assert guess["kappa"] < 0.5 and guess["passed"] < rating.CONTROLS
    assert rating.agreement(rows, "ab").key == "rating.none"


def test_pairs_are_named_with_their_sets():
    train, holdout, dataset = experiments.sets("sample")
    pairs = pd.DataFrame({"first": [train.names[0], train.names[1]],
                          "second": [holdout.names[0], dataset.test.names[0]], "agree": [True, False]})  # fmt: skip
    table = duplicates.files(pairs, train, holdout)
    assert table["sets"].tolist() == ["training set and test set", "training set and hold-out"]
