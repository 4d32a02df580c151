"""A reader's own photo: read, answered by the best trained model, and one clear line where that cannot be."""

import dataclasses
import io
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scene_utils import __main__ as command_line
from scene_utils import catalogue, classify, experiments, plots, results, trained, training
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import fetching, intervals, progress, settings
from scene_utils.support.settings import SceneError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two LeNets of one epoch and their ensemble, in a runs folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCENE_RUNS_DIR", str(tmp_path_factory.mktemp("runs")))
        patch.setattr("scene_utils.support.settings.published_dir", lambda: tmp_path_factory.mktemp("published"))
        for name in ("lenet", "lenet-relu"):
            experiment = catalogue.EXPERIMENTS[name]
            quick = experiment.recipes["sample"].replace(epochs=1, images=96)
            quick = dataclasses.replace(experiment, recipes={"short": quick}, save_epochs=True)
            patch.setitem(catalogue.EXPERIMENTS, name, quick)
        both = dataclasses.replace(catalogue.EXPERIMENTS["ensemble"], members=("lenet", "lenet-relu"))
        patch.setitem(catalogue.EXPERIMENTS, "ensemble", both)
        yield {name: experiments.run(name, "sample") for name in ("lenet", "lenet-relu", "ensemble")}


@pytest.fixture
def photo(tmp_path):
    """A photo of 300 x 200 with transparency."""
    path = tmp_path / "my photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_the_best_run_is_the_one_that_the_hold_out_prefers(runs, monkeypatch):
    preferred = {"lenet": 0.2, "lenet-relu": 0.9, "ensemble": 0.3}
    monkeypatch.setattr(Run, "holdout_accuracy", property(lambda run: preferred[run.experiment]))
    assert classify.best_run().name == "lenet-relu.sample.s0"
    assert classify.best_run("short") is None
    monkeypatch.setattr(trained, "model_path", lambda name, key: name.startswith("lenet."))  # nor has the ensemble
    assert classify.best_run().experiment == "lenet"


@pytest.fixture
def cloned(runs_folder, monkeypatch):
    """The published runs alone."""
    monkeypatch.setattr(settings, "published_dir", lambda: settings.project_dir() / "report" / "results")


def test_right_after_cloning_the_shipped_model_answers(cloned):
    (shipped,) = trained.SHIPPED.glob("*.safetensors")
    assert shipped.stat().st_size <= 8_000_000
    run = classify.best_run()
    assert f"{run.name}.{run.key}" == shipped.stem and run.classes == results.facts()["dataset"]["classes"]
    test = experiments.sets("sample")[2].test
    logits = training.predict(trained.load_model(run), test, Recipe(**run.recipe))
    right = int((logits.argmax(1) == test.labels).sum())
    low, high = intervals.wilson_interval(right, len(test))
    assert low <= run.accuracy <= high  # the sample's test images are among those of the record
    answer = classify.Model(run).predict(test.images[0].numpy()).iloc[0]
    assert answer.idxmax() == run.classes[logits[0].argmax()] and answer.sum() == pytest.approx(1)


def test_what_a_model_says_about_a_test_image_is_what_its_record_says(runs):
    _, _, dataset = experiments.sets("sample")
    for name in ("lenet", "ensemble"):
        run = runs[name]
        told = classify.Model(run).predict(dataset.test.images[5].numpy()).iloc[0]
        expected = pd.Series(np.exp(run.logits[5]) / np.exp(run.logits[5]).sum(), index=run.classes)
        assert told.sum() == pytest.approx(1)
        pd.testing.assert_series_equal(told, expected, atol=0.02, rtol=0, check_names=False, check_dtype=False)


def test_a_photo_that_cannot_be_read_is_named_with_a_remedy(photo):
    with pytest.raises(SceneError, match="photo gone.jpg cannot be read: No such file"):
        classify.read_photo(photo.parent / "gone.jpg")
    photo.write_bytes(b"no image")
    with pytest.raises(SceneError, match="photo my photo.png cannot be read: no image .* Pillow reads; save the photo"):
        classify.read_photo(photo)
    torn = io.BytesIO()
    Image.new("RGB", (99, 99)).save(torn, "PNG")
    with pytest.raises(SceneError, match="cannot be read: .*save the photo again"):
        classify.read_photo(io.BytesIO(torn.getvalue()[:80]))


def test_the_page_shows_a_photo_an_example_or_a_chooser(runs, photo, monkeypatch, capsys):
    assert isinstance(classify.own_photo(photo), plots.Figure)
    assert "answered by" in capsys.readouterr().out
    assert isinstance(classify.own_photo(None), plots.Figure)
    assert "no photo given" in capsys.readouterr().out
    monkeypatch.setattr(progress, "watched", lambda: True)
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    button, _ = classify.own_photo(None).children
    content = memoryview(photo.read_bytes())
    button.value = ({"name": "a.png", "type": "image/png", "size": len(content), "content": content,
                     "last_modified": results.datetime.datetime.now()},)  # fmt: skip
    assert [type(each) for each in shown] == [plots.Figure]


def test_where_nothing_is_trained_there_is_one_clear_line(runs, photo, capsys, monkeypatch):
    monkeypatch.setattr(classify, "BEST_FIRST", ("full",))
    assert classify.own_photo(photo) is None
    (line,) = capsys.readouterr().out.splitlines()
    assert "python -m scene_utils train" in line
    assert command_line.main(["classify", str(photo), "--profile", "full"]) == 1
    assert capsys.readouterr().err == f"error: {classify.NOTHING}\n"


def test_the_command_answers_each_photo_and_one_bad_one_costs_the_others_nothing(runs, photo, capsys):
    assert command_line.main(["classify", str(photo), str(photo)]) == 0
    first, *answers, last = capsys.readouterr().out.splitlines()
    assert first.startswith("answered by")
    assert answers[0] == answers[1] and answers[0].startswith("my photo.png: ")
    assert str(photo.parent) not in "".join(answers)
    assert last.startswith("2 of 2 photos answered in ") and "of the hold-out correct" in last
    bad = photo.with_name("phone.heic")
    bad.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    assert command_line.main(["classify", str(photo), str(bad), str(photo.parent), str(photo)]) == 1
    said = capsys.readouterr()
    assert said.out.count("my photo.png: ") == 2 and "2 of 4 photos answered" in said.out
    assert "photo phone.heic cannot be read: a HEIC photo: pip install pillow-heif" in said.out
    assert said.err.startswith("error: 2 of 4 photos could not be read: phone.heic, ")


def test_three_lines_of_python_as_in_the_readme(cloned, tmp_path, monkeypatch, photo):
    readme = (settings.project_dir() / "README.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(from scene_utils import classify\n.*\n.*\n)```", readme)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (300, 200), "green").save(tmp_path / "photo.jpg")
    names = {}
    exec(lines.replace("print(", "table = ("), names)
    table = names["table"]
    assert list(table.index) == ["photo.jpg"] and list(table.columns) == results.facts()["dataset"]["classes"]
    assert table.sum(axis=1).iloc[0] == pytest.approx(1)
    both = names["model"].predict(["photo.jpg", photo])
    assert both.loc["photo.jpg"].to_numpy() == pytest.approx(table.iloc[0].to_numpy(), abs=1e-3)


def test_any_photos_are_answered_but_those_that_cannot_be_read_which_are_named(runs, photo, capsys):
    model = classify.Model(runs["lenet"])
    bad = photo.with_name("bad.png")
    bad.write_bytes(b"no image")
    found = model.predict(photo.parent.glob("*.png"))  # not only lists
    assert list(found.index) == ["my photo.png"] and "photo bad.png cannot be read" in capsys.readouterr().out
    content = memoryview(photo.read_bytes())
    old, new = {photo.name: {"content": bytes(content)}}, ({"name": photo.name, "content": content},)  # of ipywidgets
    uploads = [*classify.uploads(old), *classify.uploads(new)]
    for each in (photo, str(photo), *uploads):
        pd.testing.assert_frame_equal(model.predict(each), found, atol=1e-3)
    for each in (classify.read_photo(photo), open(photo, "rb")):
        assert np.allclose(model.predict(each), found, atol=1e-3)
    nothing = photo.parent.glob("*.gif")
    for photos, message in ((bad, "photo bad.png cannot be read"), (nothing, "no photo to classify")):
        with pytest.raises(SceneError, match=message):
            model.predict(photos)


def test_own_images_choose_the_model_and_are_not_needed_for_it(runs, photo, monkeypatch, capsys):
    monkeypatch.setenv("SCENE_DATA_DIR", str(photo.parent / "gone"))
    assert command_line.main(["classify", str(photo)]) == 0
    assert "no model has been trained on SCENE_DATA_DIR" in capsys.readouterr().out
    own = Run(runs["lenet"].record | {"dataset": {"commit": None, "key": "own", "source": "own images"}}, {})
    monkeypatch.setattr(classify, "is_usable", lambda run: run.experiment == "lenet-relu" or run is own)
    monkeypatch.setattr(results, "records", lambda profile: [own, runs["lenet-relu"]] * (profile == "sample"))
    assert classify.best_run() is runs["lenet-relu"]
    monkeypatch.setattr(fetching, "own_key", lambda: "own")
    monkeypatch.setattr(Run, "holdout_accuracy", 0.5)
    assert classify.best_run() is own
    monkeypatch.delenv("SCENE_DATA_DIR")
    assert classify.best_run() is runs["lenet-relu"]
