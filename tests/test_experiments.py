"""Runs and records: found, never stale, whole; the declared experiments; the stand-in for pretrained weights."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
import torch

from scene_utils import data, durations, experiments, models, pretraining, results, trained, training
from scene_utils.__main__ import main
from scene_utils.averaging import choose_weights
from scene_utils.catalogue import EXPERIMENTS, SHOWN_WHERE_RUN
from scene_utils.recipe import Recipe
from scene_utils.support import ledger, settings
from scene_utils.support.settings import SceneError
from scene_utils.text import sentences
from tests.fakes import RECIPE, net, tiny

pytestmark = pytest.mark.usefixtures("runs_folder")


@pytest.fixture
def trainings(monkeypatch):
    """Counts how often something is trained."""
    calls, fit = [], training.fit
    monkeypatch.setattr(training, "fit", lambda *args, **more: calls.append(1) or fit(*args, **more))
    return calls


def test_a_finished_run_is_found_and_its_record_fits_the_schema(trainings, declare):
    declare()
    first, again = experiments.run(tiny()), experiments.run(tiny())
    assert len(trainings) == 1
    assert first.record == again.record
    results.check(again.record)
    assert again.correct == np.trace(again.confusion) == (again.logits.argmax(1) == again.labels).sum()
    assert again.dataset["source"].startswith("https://")
    assert str(settings.runs_dir()) not in json.dumps(again.record)
    assert trained.load_model(again)(torch.zeros(2, 3, 64, 64)).shape == (2, 6)


def test_nothing_stale_is_served(trainings, monkeypatch):
    train, holdout, dataset = experiments.sets("sample")
    changed = dataclasses.replace(dataset, key="other images")
    experiments.run(tiny())
    for count, (name, seed, patch) in enumerate([
        ("another recipe", 0, ()),
        ("another seed", 1, ()),
        ("a changed model", 0, (models, "VERSION", 2)),
        ("a changed engine", 0, (training, "ENGINE_VERSION", 99)),
        ("other images", 0, (experiments, "sets", lambda *a: (train, holdout, changed))),
    ], 2):  # fmt: skip
        if patch:
            monkeypatch.setattr(*patch)
        experiments.run(tiny(learning_rate=0.02), seed=seed)
        assert len(trainings) == count, name


def test_retrain_trains_each_run_once_a_process(trainings, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(results, "now", lambda: "2026-01-02T00:00:00+00:00")
        experiments.run(tiny())
    monkeypatch.setenv("RETRAIN", "1")
    for _ in range(3):
        experiments.run(tiny())
    assert len(trainings) == 2
    monkeypatch.setenv("RETRAIN", "yes")
    with pytest.raises(SceneError, match="RETRAIN 'yes' is neither 0, 1 nor a date; set RETRAIN=1"):
        experiments.run(tiny())


def test_what_is_made_from_runs_follows_their_predictions(declare, trainings):
    """An ensemble and a student of another training, with the same keys, are made anew."""
    member = declare("member", save_epochs=True, refit=True)
    both = declare("both", architecture="ensemble", build=None, members=("member",))
    pupil = declare("student", {"distillation": 1.0}, teacher="both")
    before = [experiments.run(each) for each in (both, pupil)]
    assert [run.record for run in before] == [experiments.run(each).record for each in (both, pupil)]
    assert len(trainings) == 3
    run = experiments.run("member")
    changed = run.arrays | {"train_logits": -run.arrays["train_logits"], "test_logits": -run.arrays["test_logits"]}
    results.write(run.record | experiments.metrics(member, changed, tuple(run.classes)), changed)
    after = [experiments.run(each) for each in (both, pupil)]
    assert len(trainings) == 4
    for old, new in zip(before, after, strict=True):
        assert new.key == old.key and (new.logits != old.logits).any()


def test_a_run_that_serves_a_choice_never_sees_the_test_set(monkeypatch, declare, capsys):
    sets, predict = [], training.predict
    monkeypatch.setattr(training, "predict", lambda *a, **k: sets.append(len(a[1])) or predict(*a, **k))
    run = experiments.run(declare(selection_only=True))
    assert run.evaluated_on == "hold-out" and "test_logits" not in run.arrays
    assert len(experiments.sets("sample")[2].test) not in sets
    run = experiments.run(declare("wild", {"learning_rate": 1e6, "schedule": "constant", "epochs": 3}))  # no accuracy
    assert (run.status, run.accuracy) == ("diverged", None) and run.diverged_step >= 1
    results.check(run.record)
    assert main(["train", "wild"]) == 0 and "wild.sample.s0: diverged, so judged on no set" in capsys.readouterr().out


def test_every_reading_of_the_test_set_stands_in_the_ledger(monkeypatch):
    run = experiments.run(tiny())
    assert ledger.logged(settings.results_dir(), "readings.csv") == []  # the sample's images are no reading
    results.write(run.record | {"profile": "short"}, run.arrays)
    lines = [line.split(",") for line in ledger.logged(settings.results_dir(), "readings.csv")]
    assert [line[5] for line in lines] == ["plain", "mirrored"] and int(lines[0][6]) == run.correct
    readings = pd.read_csv(settings.project_dir() / "report" / "readings.csv", parse_dates=["date"])
    assert list(readings.columns) == ledger.LOGS["readings.csv"]
    assert readings["total"].eq(readings["set"].map({"val": 3407, "sealed": 2400})).all()
    for published in results.records(published=True):
        if published.evaluated_on == "test" and published.status == "finished":
            mine = readings[(readings["key"] == published.key) & (readings["reading"] == "plain")]
            assert published.correct in mine["correct"].tolist(), f"{published.name}: a reading that is not told"


def test_a_history_ends_with_the_record_s_accuracy():
    for run in results.records(published=True):
        if run.evaluated_on == "hold-out" and run.status == "finished":
            assert round(run.history["holdout_accuracy"].iloc[-1] * run.total) == run.correct, run.name


def test_a_torn_pair_of_record_and_arrays_is_not_used(runs_folder, trainings, capsys):
    run = experiments.run(tiny())
    path = runs_folder / "results" / f"{run.name}.npz"
    path.write_bytes(path.read_bytes()[:-20])
    experiments.run(tiny())
    assert len(trainings) == 2
    assert "its arrays are those of another run); delete it to train again" in capsys.readouterr().out


@pytest.mark.parametrize("weighted", [False, True])
def test_an_ensemble_averages_its_members_probabilities(weighted, declare):
    """Where its weights are chosen on the hold-out, also over each image and its mirror image."""
    names = ("tiny1", "tiny2")
    for number, name in enumerate(names, 1):
        declare(name, {"learning_rate": 0.01 * number}, save_epochs=True)
    members = [experiments.run(name) for name in names]
    run = experiments.run(declare("all", architecture="ensemble", build=None, members=names, weighted=weighted))
    kind = "_mirror" if weighted else ""
    weights = run.recipe["weights"] if weighted else (0.5, 0.5)
    if weighted:
        holdout = [member.arrays["holdout_logits_mirror"] for member in members]
        assert tuple(weights) == choose_weights(holdout, run.arrays["holdout_labels"])
    parts = [torch.from_numpy(member.arrays[f"test_logits{kind}"]).float().softmax(1) for member in members]
    expected = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    np.testing.assert_allclose(np.exp(run.logits), expected, atol=2e-3)
    counted = [member for member, weight in zip(members, weights, strict=True) if weight]  # one of weight 0 is not
    assert run.record["inference_ms"] == (1 + weighted) * sum(member.record["inference_ms"] for member in counted)
    assert run.parameters == sum(member.parameters for member in counted)
    assert [each.name for each in run.counted] == [member.name for member in counted]
    assert run.seconds == sum(member.seconds for member in counted)


def test_after_its_choices_a_model_is_trained_again_on_all_images(declare):
    once = experiments.run(tiny(epochs=2))
    run = experiments.run(declare(recipe={"epochs": 2}, refit=True))
    train, holdout, dataset = experiments.sets("sample")
    for name in ("holdout_logits", "holdout_logits_mirror"):
        np.testing.assert_array_equal(run.arrays[name], once.arrays[name])
    assert run.history.drop(columns=["seconds", "elapsed"]).equals(once.history.drop(columns=["seconds", "elapsed"]))
    recipe = Recipe(**run.recipe)
    torch.manual_seed(recipe.seed)
    whole = data.concatenate(train, holdout)
    assert len(set(whole.names)) == len(train) + len(holdout) == run.refit["images"]
    model, _ = pretraining.build(tiny(), None, 6)
    training.fit(model, whole, None, recipe)
    answers = training.predict(model, dataset.test, recipe)
    torch.testing.assert_close(torch.from_numpy(run.arrays["test_logits"]).float(), answers, atol=0.02, rtol=0.01)
    assert run.key != once.key and (run.logits != once.logits).any() and run.seconds > run.history["seconds"].sum()
    torch.testing.assert_close(training.predict(trained.load_model(run), dataset.test, recipe), answers)
    assert "then trained again on all" in sentences.provenance(run)


def test_a_student_learns_its_teachers_answers(monkeypatch, declare):
    teacher = declare("teacher", {"epochs": 3}, refit=True)
    declare("student", {"distillation": 1.0, "temperature": 2.0, "mixup": 0.2}, teacher="teacher", refit=True)
    seen, fit = [], training.fit
    monkeypatch.setattr(training, "fit", lambda *args, **more: seen.append(args) or fit(*args, **more))
    student = experiments.run("student")
    taught = experiments.run("teacher")
    assert student.teacher == f"teacher.sample.s0 ({taught.key})"
    # the teacher has been trained on the hold-out by now, what it teaches is from before
    lessons = [torch.from_numpy(taught.arrays[name]) for name in ("train_logits", "holdout_logits")]
    torch.testing.assert_close(seen[2][5], lessons[0])
    torch.testing.assert_close(seen[3][5], torch.cat(lessons))
    # its answers are enough for another student: the teacher's weights need not be at hand
    trained.model_path(taught.name, taught.key).unlink()
    assert experiments.run("student", retrain=True).correct == student.correct
    # another teacher, another student
    monkeypatch.setitem(EXPERIMENTS, "teacher", dataclasses.replace(teacher, recipes=tiny(learning_rate=0.02).recipes))
    assert experiments.run("student").key != student.key


@pytest.fixture
def slow(monkeypatch):
    """The real dataset's profile on the sample, on a machine where a step takes a minute."""
    sample = experiments.sets("sample")
    monkeypatch.setattr(experiments, "sets", lambda *args: sample)
    monkeypatch.setattr(durations, "step_seconds", lambda *args: 60.0)


def test_a_long_training_says_how_long_before_it_begins(slow, capsys, monkeypatch):
    experiments.run(tiny(), "short")  # 5 steps of a minute, 1 epoch
    assert "on this machine" not in capsys.readouterr().out
    monkeypatch.setattr(durations, "step_seconds", lambda *args: 3600.0)
    experiments.run(tiny(), "short", seed=1)
    line = capsys.readouterr().out.splitlines()[0]
    assert re.match(r"tiny\.short\.s1: about \d h on this machine, .*; sooner: the profile sample", line)
    experiments.run(tiny(), "sample")
    assert "on this machine" not in capsys.readouterr().out


def test_what_is_done_of_a_training_is_not_announced_again(slow, capsys, tmp_path):
    train, _, _ = experiments.sets()
    train, path = train.select(range(64)), tmp_path / "run.pt"
    training.fit(net(), train, None, RECIPE.replace(epochs=2), path)
    for checkpoints, told in {(path,): "60 min", (path, tmp_path / "none.pt"): "2 h"}.items():
        capsys.readouterr()
        durations.announce("tiny", net(), train, RECIPE.replace(epochs=62), *checkpoints)
        assert f"tiny: about {told} " in capsys.readouterr().out


def test_the_series_says_how_long_what_it_lacks_will_take(slow, declare, monkeypatch):
    declare()
    declare("student", teacher="tiny")
    count, seconds = experiments.time_needed("short")
    own = [each for each in EXPERIMENTS.values() if not each.members and not each.case]
    assert count == len([each for each in own if not each.name.endswith(("-reported", *SHOWN_WHERE_RUN))])
    assert seconds > 60 * EXPERIMENTS["resnet18"].recipe("short").epochs
    experiments.run("student", "short")  # and its teacher
    fewer, less = experiments.time_needed("short")
    assert fewer == count - 2 and less < seconds
    monkeypatch.setenv("RETRAIN", "2999-01-01T00:00:00+00:00")
    assert experiments.time_needed("short")[0] == count
    monkeypatch.setattr(experiments, "is_finished", lambda *args: True)
    assert experiments.time_needed("short") == (0, 0.0)


def test_what_cannot_be_had_is_refused_with_what_can_before_any_training(monkeypatch, tmp_path, trainings):
    monkeypatch.setenv("SCENE_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("SCENE_WEIGHTS", "local")
    sample = experiments.sets("sample")
    with monkeypatch.context() as patch:
        patch.setattr(experiments, "sets", lambda *a: sample)
        with pytest.raises(SceneError, match="SCENE_WEIGHTS_DIR holds no resnet18-tiny-imagenet-64px.safetensors"):
            experiments.run("transfer-alone", profile="short")
    with pytest.raises(SceneError, match="experiment 'lenett' is unknown; known: lenet, custom_lenet"):
        experiments.run("lenett")
    with pytest.raises(SceneError, match="profile 'long' is unknown; known: sample, short, full"):
        experiments.run("lenet", profile="long")
    monkeypatch.setenv("SCENE_RUN_DIR", "x")
    with pytest.raises(SceneError, match="SCENE_RUN_DIR is unknown; known: SCENE_PROFILE"):
        experiments.run(tiny())
    assert not trainings


def test_the_seven_models_of_the_report_are_declared_in_both_readings():
    for name in results.facts()["results"]:
        assert EXPERIMENTS[name].drop_test_duplicates and not EXPERIMENTS[f"{name}-reported"].drop_test_duplicates


def test_the_stand_in_knows_rotations_and_says_what_it_is():
    model, source = pretraining.build(EXPERIMENTS["resnet18_transfer"], pretraining.ROTATION, 6)
    state = pretraining.pretrain_rotation(18)
    assert "stand-in" in source and model.fc.out_features == 6
    assert torch.equal(model.conv1.weight, state["conv1.weight"])
