"""Live experiments: one thing differs, runs are kept, the prediction comes first, the sentence says what ten show."""

import json
from types import SimpleNamespace

import pytest

from scene_utils import data
from scene_utils.lessons import live
from scene_utils.report import series
from scene_utils.support import settings
from scene_utils.support.settings import SceneError
from scene_utils.text import sentences


@pytest.mark.parametrize("name", live.DECLARED)
def test_declared_sides_differ_and_published_pairs_are_those_declared(name):
    first, second = (live.side(name, which, "short", 101, data.COMMIT) for which in live.SIDES)
    assert first.key != second.key and first.experiment.title != second.experiment.title
    assert live.DECLARED[name].get("measure", "accuracy") in live.MEASURES
    small = live.side(name, "first", "sample", 0, "")
    assert small.images * small.recipe.epochs <= 1200  # seconds
    other = live.side(name, "second", "sample", 0, "")
    assert small.images / other.images == first.images / second.images
    published = live.rows(settings.published_dir() / "live" / f"{name}.json")
    assert not published or len(published) == 2 * len(live.recorded(name)) == 20


@pytest.mark.usefixtures("nothing_published")
def test_a_pair_is_trained_once_after_a_prediction_and_shown_beside_the_recorded_ones(monkeypatch, capsys):
    live.compare("rate", "sample", 0)
    assert "prediction first" in capsys.readouterr().out and not settings.results_dir().exists()
    shown = []
    monkeypatch.setattr(live, "shown", lambda *parts: shown.append(parts))
    live.compare("rate", "sample", 0, guess=4)
    kept = live.kept("rate", "sample")
    before = kept.read_bytes()
    assert len(json.loads(before)) == 2 and "+4.0 points" in shown[0][1].markdown()
    monkeypatch.setattr(live, "train", None)  # nothing is trained again
    live.compare("rate", "sample", 0, guess=1)
    monkeypatch.setenv("SCENE_TRAIN", "0")
    live.compare("rate", "sample", 9, guess=1)
    assert kept.read_bytes() == before and len(shown) == 3 and "Your pair" not in shown[2][1].markdown()
    monkeypatch.setenv("SCENE_TRAIN", "1")
    monkeypatch.setattr(live, "train", lambda side, profile: {"accuracy": 0.3, "seconds": 1})
    live.compare("rate", "sample", 5, guess=1)  # two pairs in one folder
    live.compare("rate", "sample", 5, guess=1, learning_rate=0.02)
    assert "folder: 2" in shown[3][1].markdown() and "folder" not in shown[4][1].markdown()
    assert "yours: learning rate 0.02" in shown[4][0].axes[0].get_yticklabels()[1].get_text()


@pytest.mark.usefixtures("nothing_published")
def test_recorded_pairs_are_published_and_found(monkeypatch):
    monkeypatch.setattr(live, "train", lambda side, profile: {"accuracy": 0.5, "seconds": 1})
    monkeypatch.setattr(live.experiments, "sets", lambda profile: (None, None, SimpleNamespace(key=data.COMMIT)))
    with pytest.raises(SceneError, match="of the real dataset; call with --profile short"):
        live.record("rate")
    live.record("rate", "short", count=3)
    assert len(live.recorded("rate")) == 3
    monkeypatch.setattr(live.experiments, "own_images", lambda: True)
    assert live.recorded("rate") == []
    with pytest.raises(SceneError, match="known: .*rate"):
        live.pair("other", "short", 0)


def test_a_page_is_executed_again_when_its_recorded_pairs_are_published():
    files = series.record_files("00b_training", "short", 0)
    assert settings.published_dir() / "live" / "momentum.json" in files


@pytest.mark.parametrize(("wrong", "clear"), [(0, True), (1, True), (2, False), (10, True)])
def test_nine_of_ten_pairs_are_a_clear_effect(wrong, clear):
    pairs = [(0.5, 0.4 if i < wrong else 0.6) for i in range(10)]
    said = " ".join(sentences.live(["a", "b"], [*pairs, (0.5, 0.7)], 10, True, 0.02, "hold-out accuracy"))
    assert f"{max(wrong, 10 - wrong)} of 10" in said and ("Pool" in said) != clear
    assert "+20.0 points; you predicted +2.0 points" in said
