"""Images of one's own: two classes and fifty, odd names, no mistake at all, and models that know nothing."""

import dataclasses
import json
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from scene_utils import catalogue, data, evaluation, experiments, explain, plots, results
from scene_utils.lessons import course, duplicates, ensembles, labels, live, rating, sketches, trials
from scene_utils.report import series
from scene_utils.support import audit as audits
from scene_utils.support import settings
from scene_utils.support.settings import escaped
from scene_utils.text import say, sentences
from tests.fakes import pictures

ODD = ["$1_to_$5", "<5cm"]
RATES = [f"lenet-rate-{rate}" for rate in catalogue.LEARNING_RATES]
INCHES = 18  # of a figure of bounded size


def photos(folder, names, train, val, grey=False):
    counts = {f"{part}/{name}": count for part, count in (("train", train), ("val", val)) for name in names}
    return pictures(folder, counts, (16, 16), grey)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A function that makes images of one's own, and these runs on them with a share of right answers."""
    monkeypatch.setenv("SCENE_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("SCENE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SCENE_DATA_DIR", str(tmp_path / "photos"))
    monkeypatch.setattr(settings, "published_dir", lambda: tmp_path / "published")

    def make(names, right, runs, train=4, val=2):
        photos(tmp_path / "photos", names, train, val)
        for name in runs:
            write(name, right)
        return experiments.sets("sample")

    yield make
    plots.use_style()


def write(name, right):
    """Write a record with made-up answers, as a training on these images would."""
    experiment = catalogue.get(name)
    train, holdout, dataset = experiments.sets("sample", experiment.drop_test_duplicates)
    generator, arrays = np.random.default_rng(len(name)), {}
    for kind, split in (("holdout", holdout), ("test", dataset.test)):
        truth = split.labels.numpy()
        chance = generator.integers(0, len(train.classes), len(truth))
        answers = np.where(generator.random(len(truth)) < right, truth, chance)
        arrays[f"{kind}_labels"] = truth
        arrays[f"{kind}_logits"] = (9 * np.eye(len(train.classes))[answers]).astype(np.float16)
        arrays[f"{kind}_logits_mirror"] = arrays[f"{kind}_logits"]
    arrays["holdout_curve"] = np.stack([np.eye(len(train.classes), dtype=np.uint8)[answers]] * 2, axis=-1)
    row = {"loss": 0.5, "accuracy": right, "holdout_loss": 0.5, "holdout_accuracy": right, "learning_rate": 0.01}
    arrays |= {"cam_images": np.array(explain.shown_images(dataset, 2))}
    arrays["cam"] = np.ones((len(arrays["cam_images"]), 4, 4), np.float16)
    task = experiments.Task(experiment, "sample", 0, None, None, train, holdout, dataset)
    record = experiments.make_record(
        task, arrays, [{"epoch": epoch, "seconds": 0.5} | row for epoch in (1, 2)], key=name, status="finished",
        diverged_step=None, seconds=1.0, parameters=10, device="cpu", precision="float32",
        recipe=dataclasses.asdict(experiment.recipe("sample")), weights=None, weights_choice=None, inference_ms=1.0,
    )  # fmt: skip
    results.write(record, arrays)


def drawn(figure):
    """Draw a figure as a notebook does, and check that it is no larger for many classes."""
    assert max(figure.get_size_inches()) <= INCHES + 2.5, figure.alt
    assert plots.svg(figure)
    return figure


@pytest.mark.parametrize("count", [2, 50])
def test_what_pages_show_of_a_model_without_a_mistake(own, count):
    names = ODD if count == 2 else [f"class {number}" for number in range(count)]
    train, _, dataset = own(names, 1.0, ("resnet18", *catalogue.MEMBERS))
    run = results.find("resnet18", "sample")
    assert run.correct == run.total == 2 * count
    members = [results.find(name, "sample") for name in catalogue.MEMBERS]
    assert "makes no mistake on these" in course.mistakes(run).data
    assert "contradicts no label" in course.contradictions(run).data
    assert "No label is doubted" in course.doubtful("sample", pd.DataFrame()).data
    assert sentences.confused(evaluation.confused_pairs(run.confusion, run.classes)) == say("confused.never")
    assert "no image" in ensembles.votes(members, []).data
    assert course.ceiling(run) and course.calibration(run, run) and not course.limits(run)
    table = ensembles.combinations(members)
    assert (table["accuracy"] == 1).all()
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    shares = pd.Series(1 / count, index=run.classes)
    one_each = [train.images[train.labels == label][:3] for label in range(count)]
    first = torch.stack([images[0] for images in one_each])
    for figure in (
        plots.confusion_matrix(run.confusion, run.classes),
        course.per_class_figure(run),
        plots.class_counts({"train": train.counts(), "test set": dataset.test.counts()}, run.classes),
        plots.class_samples(one_each, run.classes),
        sketches.colour_means(np.full((count, 3), 0.5), np.full((count, 3), 0.1), run.classes),
        plots.class_changes(evaluation.class_changes(run.logits, run.logits, run.labels, run.classes)),
        sketches.soft_labels(first, np.eye(count), run.classes),
        plots.photo(image, shares, "a photo"),
        ensembles.opinions(members, ensembles.disputed(members)),
        course.class_activation_maps({"plain": run}),
        course.class_activation_maps({"plain": run}, nth=2),
    ):
        drawn(figure)


def test_comparisons_with_the_report_follow_the_images_not_the_names_of_their_classes(own, monkeypatch):
    own(results.facts()["dataset"]["classes"], 0.5, ("resnet18", "resnet18_mixup", *RATES))
    run, mixup = (results.find(name, "sample") for name in ("resnet18", "resnet18_mixup"))
    assert course.reported(run) is None
    assert "report" not in course.verdict(run)
    assert course.goal(run) == course.claim(run, mixup) == course.limits(run) == ""
    assert course.against(run, 0.9431) == "" and course.reported_changes(run, mixup) is None
    assert labels.contradicted(run)["verdict"].isna().all()
    assert experiments.own_images() and live.recorded("rate") == []
    monkeypatch.setattr(labels, "verdicts", lambda: pd.DataFrame({"image": experiments.tested(run).names}))
    sheet = rating.sheet(experiments.tested(run))
    assert sheet["control"].all() and rating.agreement(sheet, "o" * len(sheet)).key == "rating.controls"
    sweep = course.sweep([results.find(name, "sample") for name in RATES])
    assert sentences.divergence(sweep, None).key == "divergence.own"
    theirs = dataclasses.replace(run, record=run.record | {"dataset": {"commit": data.COMMIT}})
    assert course.reported(theirs)["accuracy"] == results.facts()["results"]["resnet18"]["accuracy"]


def test_classes_may_be_named_like_numbers_or_like_nothing(own, monkeypatch):
    names = ["7", "NA"]
    own(names, 1.0, (), train=12)
    rows = [("train/7/0.png", "7", "NA", 0.1, 0.9), ("train/NA/0.png", "NA", "7", 0.2, 0.8)]
    made = pd.DataFrame(rows, columns=[*labels.TEXT, "label_probability", "likely_probability"])
    trials.kept("t.csv", "k", lambda: made, labels.TEXT)
    table = trials.kept("t.csv", "k", None, labels.TEXT)
    assert table["label"].tolist() == names and table["likely_probability"].tolist() == [0.9, 0.8]
    assert len(course.doubtful("sample", table).axes) >= 2


def test_names_with_signs_stand_in_sentences_as_they_are(own):
    own(ODD, 0.5, ("lenet",), train=12, val=12)
    run = results.find("lenet", "sample")
    told = sentences.confused(evaluation.confused_pairs(np.array([[5, 3], [1, 7]]), ODD))
    assert escaped(ODD[0]) == "\\$1\\_to\\_\\$5" and f"{escaped(ODD[0])} and {escaped(ODD[1])}, 4 images" in told
    changes = pd.DataFrame({"class": ODD, "gained": [3, 0], "lost": [0, 2], "net": [3, -2]})
    assert escaped(ODD[0]) in sentences.changes(changes) and escaped(ODD[1]) in sentences.changes(changes)
    assert escaped(ODD[1]) in course.guessed("most confused", None, ODD[1])
    figure = plots.image_grid(experiments.tested(run).images[:2], ["a $ and\na $", ODD[0]])
    assert [axis.get_title() for axis in figure.axes] == ["a $ and\na $", ODD[0]] and plots.svg(figure)


def test_letters_without_a_font_are_said_once(capsys):
    settings.say_once.cache_clear()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for name in ("\U00013000", "\U00013001"):  # hieroglyphs
            plots.svg(plots.bars({name: 0.5}, "share"))
    assert not found and capsys.readouterr().out.count("no installed font has all letters") == 1


def test_near_copies_are_counted_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(audits, "PAIRS", 30)
    images = torch.zeros(40, 3, 64, 64, dtype=torch.uint8)
    images[20:] = torch.arange(64, dtype=torch.uint8).view(1, 1, 64)
    split = data.Split(images, torch.arange(40) % 2, ("a", "b"), tuple(f"train/{i}.png" for i in range(40)))
    audit = data.audit(data.Dataset(split, split.select([0, 20]), "own images", None, "key"))
    assert 30 <= len(audit.pairs) < 700
    assert any("more pairs than 30" in sentence for sentence in duplicates.findings(audit, public=False))


def test_the_first_page_on_the_smallest_set(own, tmp_path):
    photos(tmp_path / "photos", ODD, 6, 3, grey=True)
    output = series.execute(series.notebooks_dir() / "01_data.ipynb", tmp_path / "01.ipynb", {"profile": "sample"})
    text = json.dumps(series.read_notebook(output), ensure_ascii=False)
    assert "own images: 2 classes" in text and "the report's weakest model" not in text.split('"outputs"', 1)[0]
