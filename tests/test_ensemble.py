"""What the pages say and draw of ensembles and of studies, on made-up runs."""

import numpy as np
import pandas as pd
import pytest

from scene_utils import averaging, classify, data, experiments, plots, results
from scene_utils.lessons import course, sketches
from scene_utils.results import Run

CLASSES = ["buildings", "forests", "glacier", "mountains", "sea", "street"]


def member(name, answers, weights="imagenet", holdout=None, sure=4.0):
    """A run of the sample's 96 test images with these answers, all equally sure."""
    labels = experiments.sets("sample")[2].test.labels.numpy()
    answers = np.asarray(answers)
    logits = (sure * np.eye(6)[answers]).astype(np.float16)
    holdout = answers[:36] if holdout is None else np.asarray(holdout)
    arrays = {"test_logits": logits, "test_labels": labels, "holdout_labels": labels[:36]}
    arrays["holdout_logits"] = (sure * np.eye(6)[holdout]).astype(np.float16)
    record = {"experiment": name, "title": f"{name} + transferred + Mixup", "profile": "sample", "seed": 0}
    record |= {"evaluated_on": "test", "weights": weights, "classes": CLASSES, "members": []}
    record["dataset"] = {"key": experiments.sets("sample")[2].key, "commit": data.COMMIT}
    record |= {"total": len(labels), "correct": int((answers == labels).sum())}
    record["history"] = [{"epoch": 1, "holdout_accuracy": float((holdout == labels[:36]).mean())}]
    return Run(record, arrays)


@pytest.fixture
def members():
    """Three members with mistakes in different places; the first is the best on the hold-out alone."""
    labels = experiments.sets("sample")[2].test.labels.numpy()
    wrong = (labels + 1) % 6
    answers = []
    for start in (40, 50, 60):
        own = labels.copy()
        own[start : start + 20] = wrong[start : start + 20]
        answers.append(own)
    grown = "resnet50-imagenet.safetensors (sha256 12345678), ResNet101 grown from ResNet50"
    return [member("A", answers[0]), member("B", answers[1], grown, wrong[:36]), member("C", answers[2], "x")]


def test_every_way_of_answering(members):
    table = course.ways(members).set_index("way")
    assert list(table.index[:4]) == ["A", "B", "C", "A + B"]
    assert table["correct"].iloc[:3].tolist() == [76, 76, 76]
    assert table.loc["all, majority of votes", "correct"] == 96 - 10 - 10  # where two of three are wrong
    assert len(table) == 7 + 2 and (table["total"] == 96).all()
    (weighted,) = [way for way in table.index if "weights" in way]
    weights = [float(each) for each in weighted.removeprefix("all, weights ").split(" : ")]
    assert sum(weights) == pytest.approx(1) and weights[1] == 0


def test_the_best_member_is_chosen_on_the_hold_out(members):
    assert course.best_member(members) == 0
    assert course.best_member(members[1:]) == 1


def test_shared_errors():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    first, second = np.array([1, 1, 0, 0, 1, 1, 1, 1]), np.array([1, 2, 0, 0, 1, 1, 0, 0])
    row = averaging.shared_errors({"A": first, "B": second}, labels).iloc[0]
    assert row.tolist() == ["A + B", 3, 2, 1.0]


def test_votes_are_shown_with_every_answer(members):
    figure = course.votes(members, [45])
    truth, *answers = figure.axes[0].get_title().split("\n")
    assert truth.removeprefix("truth: ") == CLASSES[members[0].labels[45]] and len(answers) == 3
    assert answers[0] != answers[1] == answers[2]
    assert course.votes(members, []).data == "*no image*"


def test_opinions_of_the_image_they_quarrel_about(members):
    position = course.disputed(members)
    assert len({int(run.logits[position].argmax()) for run in members}) > 1
    figure = course.opinions(members, position)
    bars = np.array([bar.get_width() for bar in figure.axes[1].patches]).reshape(4, 6)
    assert np.allclose(bars[3], bars[:3].mean(0)) and np.allclose(bars.sum(1), 1)


def test_grown_members_and_others(members):
    (line,) = course.grown(members)
    assert "B was grown from A" in line and "answer 20 of 96 test images differently" in line
    assert "None of this page's members was grown" in course.grown([members[0], members[2]])[0]


def test_the_goal_and_the_reports_own_conditions(members, tmp_path, monkeypatch):
    monkeypatch.setenv("SCENE_RUNS_DIR", str(tmp_path))
    monkeypatch.setattr("scene_utils.support.settings.published_dir", lambda: tmp_path)
    run = Run(members[0].record | {"experiment": "ensemble"}, members[0].arrays)
    assert "94%" in course.goal(run)
    assert course.goal(Run(run.record | {"dataset": {"commit": None}}, run.arrays)) == ""
    text = course.reported_reading(run).data
    assert "Not run" in text and "python -m scene_utils train ensemble-reported --profile full" in text
    monkeypatch.setattr(results, "find", lambda name, profile, seed: run if name == "ensemble-reported" else None)
    assert "94%" in course.reported_reading(run).data


def test_figures_draw_what_they_are_given():
    table = pd.DataFrame({"way": ["A", "B"], "accuracy": [0.5, 0.7], "low": [0.4, 0.6], "high": [0.6, 0.8]})
    axis = plots.intervals(table, "way").axes[0]
    assert axis.lines[0].get_xdata().tolist() == [0.5, 0.7]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["A", "B"]

    trials = pd.DataFrame({"rate": [0.1, 0.1, 0.2], "size": [32, 64, 32], "accuracy": [0.2, 0.4, 0.9]})
    axes = sketches.hyperparameter_levels(trials, ["rate", "size"]).axes
    assert axes[0].lines[1].get_ydata().tolist() == pytest.approx([0.3, 0.9])
    assert axes[1].lines[1].get_ydata().tolist() == pytest.approx([0.55, 0.4])

    probabilities = pd.Series({"sea": 0.8, "street": 0.2})
    figure = plots.photo(np.zeros((3, 64, 64), np.uint8), probabilities, "a.png")
    assert [bar.get_width() for bar in figure.axes[1].patches] == [0.8, 0.2]
    assert "sea 80.0%" in figure.alt


def test_no_photo_is_asked_for_where_nobody_can_answer(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SCENE_RUNS_DIR", str(tmp_path))
    monkeypatch.setattr("scene_utils.support.settings.published_dir", lambda: tmp_path)
    assert classify.own_photo() is None
    assert capsys.readouterr().out.strip() == classify.NOTHING
