"""A2: exports that answer alike, changed pictures, a class left out, and the cards that are made from records."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from scene_utils import catalogue, data, experiments, results, trained, training
from scene_utils.lessons import cards, deploy
from scene_utils.recipe import Recipe
from scene_utils.support import settings
from scene_utils.support.settings import SceneError
from tests.fakes import split_of, without_class

pytestmark = pytest.mark.usefixtures("runs_folder")


def net(classes=6):
    return nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


@pytest.fixture
def run(declare):
    return experiments.run(declare("tiny", {"input_size": 32}, build=net))


# --- one class left out


def test_without_a_class_the_others_move_up():
    rest, out = data.without_class(split_of([0, 1, 2, 0, 1, 2], "abc", range(6)), 1)
    assert rest.classes == ("a", "c") and rest.labels.tolist() == [0, 1, 0, 1]
    assert [int(name[8]) for name in rest.names] == rest.images[:, 0, 0, 0].tolist() == [0, 2, 3, 5]
    assert out.names == ("train/b/1.png", "train/b/4.png") and out.images[:, 0, 0, 0].tolist() == [1, 4]
    for classes, position in (("ab", 0), ("abc", 3)):
        with pytest.raises(SceneError, match="cannot be left out"):
            data.without_class(split_of([0] * 6, classes), position)


def test_a_run_without_a_class_never_sees_it_in_training(declare, monkeypatch):
    trained, fit = [], training.fit
    monkeypatch.setattr(training, "fit", lambda *given, **more: trained.extend(given[1:3]) or fit(*given, **more))
    run = experiments.run(declare("tiny-without", build=net, selection_only=True, without=2))
    _, holdout, _ = experiments.sets("sample")
    assert all("glacier" not in split.classes and not any("/glacier/" in n for n in split.names) for split in trained)
    assert deploy.left_out(run, holdout.classes) == "glacier" and len(run.classes) == 5
    assert run.arrays["unknown_logits"].shape == (holdout.counts()[2], 5)
    assert run.total == len(holdout) - holdout.counts()[2] and "test_logits" not in run.arrays


def test_the_trainings_of_the_page_differ_in_the_class_alone():
    recipes = {str(catalogue.get(name).recipe("short").fields()) for name in catalogue.WITHOUT}
    assert len(recipes) == 1
    assert [catalogue.get(name).without for name in catalogue.WITHOUT] == list(range(6))
    assert all(catalogue.get(name).teacher is None for name in catalogue.WITHOUT), "a teacher knows every class"


# --- the threshold


def test_auroc_counts_pairs_and_the_threshold_keeps_its_recall():
    random = np.random.default_rng(0)
    known, unknown = random.beta(8, 2, 300), random.beta(4, 3, 200)
    pairs = (known[:, None] > unknown).mean()
    assert deploy.auroc(known, unknown) == pytest.approx(pairs)
    for recall in (1.0, 0.95, 0.5):
        limit = deploy.threshold(known, recall)
        assert recall <= (known >= limit).mean() <= recall + 2 / len(known)


def test_recognition_has_a_row_for_each_class_and_finds_the_worst(monkeypatch):
    table = deploy.recognition([without_class(0, 6), without_class(1, 3), without_class(2, 0)], "abc")
    assert table["left out"].tolist() == ["a", "b", "c"] and table["auroc"].is_monotonic_decreasing
    assert table["auroc"].iloc[2] == pytest.approx(0.5, abs=0.1)
    assert table["false_positives"].between(table["low"], table["high"]).all()
    assert "worst for c" in deploy.recognized(table)[1] and deploy.recognized(table.head(0)) == []
    assert r"best for a\_b" in deploy.recognized(table.replace("a", "a_b"))[1]  # names are escaped
    assert "without a" in deploy.confidences([without_class(0, 6)], "abc").axes[0].get_title()
    monkeypatch.setattr(experiments, "sets", lambda *arguments: (split_of([0, 1]), split_of([0, 1]), None))
    assert deploy.leave_one_out("sample") == []  # of two classes none can be left out


# --- other pictures


def test_changes_are_what_their_names_say():
    images = data.load_sample().test.images[:2]
    made = {name: deploy.changed(images, change) for name, change in deploy.CHANGES.items()}
    assert all(each.shape == images.shape and each.dtype == torch.uint8 for each in made.values())
    assert torch.equal(made["as it is"], images) and torch.equal(made["mirrored"], images.flip(3))
    assert torch.equal(made["upside down"], images.flip(2))
    dark = made["dark (a quarter of the light)"].float()
    assert (dark - images.float() / 4).abs().max() <= 1
    grey = made["drawn"]
    assert torch.equal(grey[:, 0], grey[:, 1]) and grey.float().mean() > images.float().mean(), "lines on white"
    # from a phone: the middle three quarters, drawn wide again
    tall = nn.functional.interpolate(images[:, :, :, 8:56].float(), (64, 64), mode="bilinear")
    assert (made["from a phone (3:4, JPEG)"].float() - tall).abs().mean() < 12


def test_a_table_is_made_once_for_a_key():
    made = []

    def make():
        made.append(1)
        return pd.DataFrame({"way": ["x"], "value": [1.5]})

    tables = [deploy.kept("t.sample.csv", key, make) for key in ("a", "a", "b")]
    assert len(made) == 2
    pd.testing.assert_frame_equal(tables[0], tables[1])


def test_accuracy_under_changes_is_that_of_predictions(run):
    holdout = experiments.sets("sample")[1]
    table = deploy.under_changes(run, holdout, "sample").set_index("change")
    right = (run.arrays["holdout_logits"].argmax(1) == run.arrays["holdout_labels"]).sum()
    assert table["correct"]["as it is"] == right and set(table.index) == set(deploy.CHANGES)
    strangers = deploy.strangers(5)  # pictures without a scene
    assert all(each.shape == (5, 3, 64, 64) and each.dtype == torch.uint8 for each in strangers.values())


# --- another runtime


def test_the_preparation_travels_with_the_network_and_without_onnx_the_page_measures_the_rest(run, monkeypatch):
    monkeypatch.setattr(deploy, "PACKAGES", ("onnx_that_nobody_has",))
    train, holdout, _ = experiments.sets("sample")
    recipe = Recipe(**run.recipe)
    ours = training.predict(trained.load_model(run), holdout, recipe)
    assert torch.allclose(deploy.Deployed(trained.load_model(run), recipe)(holdout.images), ours, atol=1e-4)
    assert deploy.missing() == "not installed: onnx_that_nobody_has; call: pip install onnx_that_nobody_has"
    assert list(deploy.export(run, train)) == ["torch"]
    table = deploy.exports(run, train, holdout, "sample")
    assert table["way"].tolist() == ["PyTorch, eager"] and deploy.speedup(table) == "not measured"
    assert table["correct"][0] == (run.arrays["holdout_logits"].argmax(1) == run.arrays["holdout_labels"]).sum()
    (broken := settings.runs_dir() / "broken.pt2").write_bytes(b"no model")
    with pytest.raises(SceneError, match="eager of broken.pt2 failed"):  # one line
        deploy.measured("eager", broken, torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


@pytest.mark.skipif(bool(deploy.missing()), reason=deploy.missing())
def test_onnx_answers_alike_and_eight_bits_nearly(run, capfd):
    train, holdout, _ = experiments.sets("sample")
    capfd.readouterr()  # the training's line
    table = deploy.exports(run, train, holdout, "sample").set_index("way")
    assert capfd.readouterr() == ("", ""), "exporters speak to developers"
    assert list(table.index) == ["PyTorch, eager", "ONNX Runtime, 32 bits", "ONNX Runtime, 8 bits"]
    assert table["largest"]["ONNX Runtime, 32 bits"] < 1e-4 and table["differ"]["ONNX Runtime, 32 bits"] == 0
    assert table["largest"]["ONNX Runtime, 8 bits"] < 0.5
    assert (table[["memory_mb", "file_mb", "single_ms", "batch_ms"]] > 0).all(axis=None)
    assert len(deploy.compared(table.reset_index())) == 2
    few, all_of_them = (deploy.answers(deploy.export(run, train)["onnx"], holdout.images[:n]) for n in (3, None))
    assert np.allclose(few, all_of_them[:3], atol=1e-5), "any number of images"


# --- cards


def test_the_cards_are_those_of_the_records():
    """Run ``make cards`` where this fails."""
    run, runs = deploy.shipped("short"), deploy.published_without()
    unknown = cards.none_of_these(run, runs)
    assert json.loads(cards.NONE_OF_THESE.read_text()) == unknown
    assert cards.MODEL_CARD.read_text() == cards.model_card(run, unknown)
    assert cards.DATA_CARD.read_text() == cards.data_card()
    passes = deploy.confidence(run.arrays["holdout_logits"]) >= unknown["threshold"]
    assert passes.mean() == pytest.approx(deploy.RECALL, abs=0.002)
    for path in (cards.MODEL_CARD, cards.DATA_CARD):  # what hubs read
        _, matter, text = path.read_text().split("---\n", 2)
        assert yaml.safe_load(matter)["license"] in ("mit", "cc0-1.0") and "\n## " in text
        page = cards.shown(path)
        assert page.startswith("```yaml\n") and "\n# " not in page and "\n## " not in page


def test_the_shipped_model_has_a_record_and_own_images_their_own_model(monkeypatch):
    assert deploy.shipped("sample").experiment == "lite0"
    monkeypatch.setattr(trained, "SHIPPED", settings.runs_dir())
    with pytest.raises(SceneError, match="no record belongs to the weights"):
        deploy.shipped("sample")
    asked = []
    monkeypatch.setattr(experiments, "run", lambda *arguments: asked.append(arguments))
    monkeypatch.setenv("SCENE_DATA_DIR", "photos")
    deploy.shipped("sample", 3)
    assert asked == [("lite0", "sample", 3)]
    monkeypatch.setattr(results, "find", lambda *arguments: None)
    with pytest.raises(SceneError, match="no record of lite0-without-0"):  # found without training
        deploy.published_without()
