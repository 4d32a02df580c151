"""Features in a plane, maps of a network that is made random, and a ResNet18 by the reader's own module."""

import numpy as np
import pytest
import torch
from torch import nn

from scene_utils import data
from scene_utils.lessons import features, live, own_run, saliency
from scene_utils.recipe import Recipe
from scene_utils.support import lite


@pytest.fixture(scope="module")
def images():
    split = data.load_sample().train
    return split.select(range(0, len(split), 8))


class Flat(nn.Module):
    """A network whose features are the mean colours."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 6)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


def test_features_are_what_the_last_layer_reads_and_the_model_can_still_be_trained(images):
    model = Flat()
    found = features.last_input(model, images, Recipe(precision="float32"))
    assert found.shape == (len(images), 3)
    told = features.plane(model, images, Recipe(precision="float32"))
    assert np.shape(told["points"]) == (len(images), 2) and 0 < told["neighbours"] < 1
    model.fc.weight.requires_grad_(True)
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    row = {"features": {"before": told, "after": told}}
    assert len(features.show([row, row], ["a", "b"], images.classes).axes) >= 4
    assert "prediction" in features.show([row, {}], ["a", "b"], images.classes).data
    assert "prediction" in features.show([], ["a", "b"], images.classes).data


def test_agreement_of_maps():
    maps = np.random.default_rng(0).random((2, 5, 5))
    values = saliency.agreement([maps, maps**3, -maps, np.zeros_like(maps)])
    assert values == pytest.approx([1, 1, -1, 0])


def test_edges_ask_no_network_and_parts_cover_it():
    assert saliency.edges(None, torch.rand(2, 3, 9, 9), None).shape == (2, 9, 9)
    net = lite.efficientnet_lite()
    changed = list(saliency.randomised(net))[-1][1]
    same = [name for name, p in changed.named_parameters() if p.ndim > 1 and torch.equal(p, net.get_parameter(name))]
    assert not same


@pytest.mark.parametrize("known", [[0.45, 0.5, 0.55, 0.5], [0.5] * 3], ids=["apart", "equal"])
@pytest.mark.parametrize("accuracy, key", [(0.5, "own.inside"), (0.1, "own.outside")])
def test_an_own_result_is_set_beside_the_range_of_recorded_seeds(accuracy, key, known, monkeypatch):
    told = []
    monkeypatch.setattr(own_run, "recorded", lambda profile: known)
    monkeypatch.setattr(own_run, "run", lambda *_: {"accuracy": accuracy, "own": []})
    monkeypatch.setattr(own_run, "shown", lambda figure, paragraph: told.extend(paragraph.texts))
    own_run.compare("sample", 0)
    assert told[-1].key == key


def test_an_own_run_takes_the_threads_that_are_free_at_each_epoch(monkeypatch):
    free, used, limit = iter((2, 1, 2, 2)), [], torch.get_num_threads()
    pieces = {name: lambda *_, **__: None for name in own_run.PIECES}
    pieces |= {"resnet18": lambda classes: Flat(), "evaluate": lambda *_: (0, 0.5)}
    pieces["train_epoch"] = lambda *_: used.append(torch.get_num_threads())
    monkeypatch.setattr(own_run.training.devices, "free_threads", lambda *_: next(free))
    assert own_run.train(pieces, Recipe(epochs=3, batch_size=8), 16, "sample") == 0.5
    assert used == [2, 1, 2] and torch.get_num_threads() == limit


def test_three_networks_take_turns_in_training_and_are_averaged_afterwards():
    three, x = live.Three(Flat), torch.rand(4, 3, 8, 8)
    three(x).sum().backward()
    assert sum(member.fc.weight.grad is not None for member in three.members) == 1
    mean = torch.stack([member(x).softmax(1) for member in three.members]).mean(0)
    assert torch.allclose(three.eval()(x).exp(), mean, atol=1e-6)
