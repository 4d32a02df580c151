"""The ensemble's page: every way of answering, on made-up runs; the final model's schedule in both readings."""

import numpy as np
import pytest

from scene_utils import experiments, results
from scene_utils.catalogue import EXPERIMENTS, REPORTED
from scene_utils.lessons import course, ensembles
from scene_utils.recipe import learning_rates, literal_rates
from scene_utils.results import Run
from tests.fakes import answered

PROTOCOL = results.facts()["ensemble_protocol"]


def member(name, answers, weights="imagenet", holdout=None):
    """A run with these answers, whose hold-out is the first 36 of the 96 test images."""
    run = answered(answers, experiment=name, title=f"{name} + transferred + Mixup", weights=weights, members=[])
    holdout, labels = answers[:36] if holdout is None else holdout, run.labels[:36]
    run.arrays.update(holdout_logits=4 * np.eye(6, dtype=np.float16)[holdout], holdout_labels=labels)
    run.record["history"] = [{"epoch": 1, "holdout_accuracy": float((holdout == labels).mean())}]
    return run


@pytest.fixture
def members():
    """Three members with mistakes in different places; the first is the best on the hold-out alone."""
    labels = experiments.sets("sample")[2].test.labels.numpy()
    wrong, answers = (labels + 1) % 6, []
    for start in (40, 50, 60):
        answers.append(labels.copy())
        answers[-1][start : start + 20] = wrong[start : start + 20]
    grown = "resnet50-imagenet.safetensors (sha256 12345678), ResNet101 grown from ResNet50"
    return [member("A", answers[0]), member("B", answers[1], grown, wrong[:36]), member("C", answers[2], "x")]


def test_every_way_of_answering(members):
    table = ensembles.combinations(members).set_index("way")
    assert list(table.index[:4]) == ["A", "B", "C", "A + B"]
    assert table["correct"].iloc[:3].tolist() == [76, 76, 76]
    assert table.loc["all, majority of votes", "correct"] == 96 - 10 - 10  # where two of three are wrong
    assert len(table) == 7 + 2 and (table["total"] == 96).all()
    weights = ensembles.holdout_weights(members)
    assert sum(weights) == pytest.approx(1) and weights[1] == 0
    assert f"all, weights {' : '.join(f'{weight:g}' for weight in weights)}" in table.index
    assert (ensembles.best_member(members), ensembles.best_member(members[1:])) == (0, 1)  # on the hold-out


def test_members_side_by_side(members):
    figure = ensembles.votes(members, [45])
    truth, *answers = figure.axes[0].get_title().split("\n")
    assert truth.removeprefix("label: ") == members[0].classes[members[0].labels[45]]
    assert answers[0] != answers[1] == answers[2]
    assert ensembles.votes(members, []).data == "*no image*"
    position = ensembles.disputed(members)
    assert len({int(run.logits[position].argmax()) for run in members}) > 1
    bars = np.array([bar.get_width() for bar in ensembles.opinions(members, position).axes[1].patches]).reshape(4, 6)
    assert np.allclose(bars[3], bars[:3].mean(0)) and np.allclose(bars.sum(1), 1)
    (told,) = ensembles.grown(members)
    assert (told.values["first"], told.values["second"], told.values["images"]) == ("A", "B", 20)
    assert len(ensembles.grown([members[0], members[2]])) == 1


def test_the_goal_and_the_reports_own_conditions(members, nothing_published, monkeypatch):
    run = Run(members[0].record | {"experiment": "ensemble"}, members[0].arrays)
    assert course.goal(run).values["target"] == results.facts()["target_accuracy"]
    assert course.goal(Run(run.record | {"dataset": {"commit": None}}, run.arrays)) == ""
    command = "python -m scene_utils train ensemble-reported --profile full"
    assert command in ensembles.under_report(run)
    monkeypatch.setattr(results, "find", lambda name, profile, seed: run if name == "ensemble-reported" else None)
    assert course.verdict(run) in ensembles.under_report(run)


# --- the schedule


def test_the_final_model_has_the_reports_protocol():
    assert PROTOCOL["scheduler"] == {
        "name": "MultiStepLR", "milestones": list(REPORTED.milestones), "gamma": REPORTED.gamma,
    }  # fmt: skip
    assert (REPORTED.epochs, REPORTED.optimizer) == (PROTOCOL["epochs"], PROTOCOL["optimizer"].lower())
    assert REPORTED.learning_rate == PROTOCOL["learning_rate"]
    for name in EXPERIMENTS["ensemble-reported"].members:
        recipe = EXPERIMENTS[name].recipe("full")
        assert (recipe.epochs, recipe.optimizer) == (REPORTED.epochs, REPORTED.optimizer)
        assert learning_rates(recipe) == learning_rates(REPORTED)
        assert recipe.mixup > 0 and EXPERIMENTS[name].depth


def test_both_readings_of_the_schedule():
    """The page compares its table and its formula with what is published, and the rates with PyTorch's."""
    factors = np.repeat(0.5 ** np.arange(5), 10)  # by the report's slide: 1 up to epoch 10, then a half, a quarter, …
    assert learning_rates(REPORTED, 7) == pytest.approx(PROTOCOL["learning_rate"] * factors)
    assert literal_rates(REPORTED) == pytest.approx(PROTOCOL["learning_rate"] * factors.cumprod())
