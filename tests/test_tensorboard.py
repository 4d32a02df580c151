"""Curves for TensorBoard: written where they are asked for, and without a trace in what is trained."""

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from scene_utils import experiments, training
from scene_utils.recipe import Recipe
from scene_utils.support import settings
from scene_utils.support.settings import SceneError

RECIPE = Recipe(epochs=3, batch_size=64, learning_rate=0.01, augmentation="flip+crop", precision="float32")
INSTALLED = importlib.util.find_spec("tensorboard") is not None


def train(folder, monkeypatch, curves, checkpoint=True):
    """Train for three epochs; returns weights, history and the files of curves."""
    monkeypatch.setenv("SCENE_RUNS_DIR", str(folder))
    monkeypatch.setenv("SCENE_TENSORBOARD", curves)
    train, holdout, _ = experiments.sets("sample")
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(16), nn.Flatten(), nn.Dropout(0.2), nn.Linear(48, 6))
    file = folder / "net.pt" if checkpoint else None
    history = training.fit(net, train, holdout, RECIPE, file, name="net")
    return net.state_dict(), history, sorted((folder / "tensorboard").rglob("events*"))


@pytest.mark.skipif(not INSTALLED, reason="TensorBoard is not installed")
def test_curves_are_those_of_the_history_and_change_nothing(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plain, without, none = train(tmp_path / "plain", monkeypatch, "0")
    state, history, (events,) = train(tmp_path / "curves", monkeypatch, "1")
    assert none == [] and events.parent.name == "net"
    assert all(torch.equal(plain[name], state[name]) for name in state)
    curves = EventAccumulator(str(events)).Reload()
    for name in ("loss", "accuracy", "holdout_loss", "holdout_accuracy", "learning_rate"):
        values = [row[name] for row in history.epochs]
        assert values == [row[name] for row in without.epochs]
        assert np.allclose([point.value for point in curves.Scalars(name)], values)
        assert [point.step for point in curves.Scalars(name)] == [1, 2, 3]
    # trials that keep nothing leave no curves either
    assert train(tmp_path / "trial", monkeypatch, "1", checkpoint=False)[2] == []


def test_without_tensorboard_a_line_says_so_and_the_training_goes_on(tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name))
    settings.say_once.cache_clear()
    _, history, files = train(tmp_path, monkeypatch, "1")
    assert history.status == "finished" and files == []
    assert "TensorBoard is not installed" in capsys.readouterr().out


def test_another_value_is_refused(monkeypatch):
    monkeypatch.setenv("SCENE_TENSORBOARD", "yes")
    with pytest.raises(SceneError, match="SCENE_TENSORBOARD 'yes' is unknown; known: 0, 1"):
        settings.check_environment()
