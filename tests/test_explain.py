"""What is kept of a trained network, what layers cost, how gradients travel, what depth brings."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from scene_utils import data, explain, models
from scene_utils.data import Dataset
from scene_utils.lessons import course, depth
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from scene_utils.support import layers

RECIPE = Recipe(images=4)


@pytest.fixture(scope="module")
def dataset():
    return data.load_sample()


class Corner(nn.Module):
    """Answers class 1 the more surely, the brighter the upper left quarter is."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        bright = x[:, :, :32, :32].mean((1, 2, 3))
        return torch.stack([torch.zeros_like(bright), bright + 4], 1)


def white_dataset(dataset: Dataset) -> Dataset:
    white = data.Split(torch.full((2, 3, 64, 64), 255, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"), ("", ""))
    return Dataset(white, white, dataset.source, dataset.commit, dataset.key)


def run_of(layers: int, accuracies: list[list[bool]], shortcuts: bool = True) -> Run:
    """A run whose net is right on the images where ``accuracies[epoch][image]`` is true."""
    right = np.array(accuracies)
    curve = np.stack([right, ~right], -1).astype(np.float16)
    history = [{"epoch": e, "holdout_accuracy": float(row.mean()), "seconds": 2.0} for e, row in enumerate(right, 1)]
    record = {
        "experiment": f"depth-{layers}" + ("" if shortcuts else "-plain"), "model": f"resnet{layers}",
        "status": "finished", "evaluated_on": "hold-out", "epochs": len(right), "history": history,
    }  # fmt: skip
    labels = np.zeros(right.shape[1], dtype=int)
    return Run(record, {"holdout_curve": curve, "holdout_labels": labels, "holdout_logits": curve[-1]})


def test_occlusion_finds_what_the_answer_hangs_on(dataset):
    kept = explain.occlusion(Corner(), white_dataset(dataset), RECIPE)
    heat = kept["occlusion"].astype(float)
    assert heat.shape == (2, 64, 64) and kept["occlusion_images"].tolist() == [0, 1]
    assert (heat[:, :32, :32] > 0).all() and np.allclose(heat[:, 32:], 0) and np.allclose(heat[:, :, 32:], 0)


def test_first_layer_strongest_first(dataset):
    torch.manual_seed(0)
    model = Corner()
    kept = explain.first_layer(model, white_dataset(dataset), RECIPE)
    assert kept["first_filters"].shape == (8, 3, 3, 3) and kept["first_maps"].shape == (8, 64, 64)
    means = kept["first_maps"].astype(float).mean((1, 2))
    assert (np.diff(means) <= 1e-3).all() and means[0] > 0
    own = {tuple(each.flatten().tolist()) for each in model.conv1.weight.detach().numpy()}
    assert {tuple(each.flatten().tolist()) for each in kept["first_filters"]} == own


def test_normalization_measures_the_change(dataset):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.LRN1, self.LRN2, self.fc2 = nn.Identity(), nn.Softplus(), nn.Linear(1, 1)

        def forward(self, x):
            return self.LRN2(self.LRN1(x))

    first, second = explain.normalization(Net(), dataset, RECIPE)["normalization"]
    assert first == 0 and second > 0


def test_alexnet_table_equals_the_report():
    assert layers.layer_table(models.AlexNet()).equals(course.structure("alexnet"))
    assert len(course.structure("alexnet")) == 22


def test_layer_costs_by_hand():
    costs = explain.layer_costs(models.LeNet()).set_index("layer")
    assert costs.loc["conv1"].tolist() == [20 * (3 * 25 + 1), 20 * 3 * 25 * 60 * 60]
    assert costs.loc["fc2"].tolist() == [500 * 6 + 6, 500 * 6]
    assert costs["weights"].sum() == sum(p.numel() for p in models.LeNet().parameters())


def test_gradient_norms_are_those_of_the_block_outputs(dataset):
    torch.manual_seed(0)
    net = models.resnet(18)
    images = explain.to_batch(dataset.train, [0, 60, 120, 180])
    norms = explain.gradient_norms(net, images, dataset.train.labels[[0, 60, 120, 180]])
    assert len(norms) == sum(models.BLOCKS[18]) and min(norms) > 0
    # by hand: the last block's output is averaged over positions, then meets the last layer
    net.train()
    features = {}
    net.layer4.register_forward_hook(lambda module, inputs, output: features.update(last=output))
    logits = net(images)
    share = (logits.softmax(1) - torch.eye(6)[dataset.train.labels[[0, 60, 120, 180]]]) / 4
    gradient = share @ net.fc.weight / features["last"].shape[2:].numel()
    assert norms[-1] == pytest.approx(float(gradient.detach().norm() * features["last"].shape[2]), rel=1e-3)
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("epochs, expected", [(1, [1]), (2, [1, 2]), (8, [2, 4, 8]), (50, [12, 25, 50])])
def test_lengths(epochs, expected):
    assert depth.lengths(epochs) == expected


def test_patience_table():
    runs = [run_of(18, [[0, 0], [1, 0], [1, 0], [1, 1]]), run_of(34, [[0, 0], [0, 0], [0, 0], [1, 0]], False)]
    table = depth.patience(runs)
    assert table["epochs"].tolist() == [1, 2, 4] * 2 and table["seconds"].tolist() == [2, 4, 8] * 2
    assert table["holdout_accuracy"].tolist() == [0, 0.5, 1, 0, 0, 0.5]
    assert table["net"].unique().tolist() == ["ResNet18", "plain 34"]
    assert depth.last_doubling(runs) == {"ResNet18": 0.5, "plain 34": 0.5}


def test_slope_is_that_of_the_fitted_line():
    generator = np.random.default_rng(0)
    runs = [run_of(layers, generator.random((1, 400)) < 0.9 - layers / 400) for layers in (18, 34, 50, 101)]
    accuracies = [np.mean(run.arrays["holdout_curve"][0].argmax(1) == 0) for run in runs]
    slope, low, high = depth.mean(depth.slopes(runs, 1))
    assert slope == pytest.approx(np.polyfit(np.log2([18, 34, 50, 101]), accuracies, 1)[0])
    assert low < slope < high < 0


@pytest.mark.parametrize("last, said", [(1.0, "catch up"), (0.3, "do not show that longer"), (0.1, "fall back")])
def test_findings_take_the_form_that_the_interval_picks(last, said):
    def right(share):
        return np.arange(1000) % 10 < 10 * share

    runs = [run_of(18, [right(0.9)] * 4), run_of(152, [right(0.3), right(0.3), right(0.3), right(last)])]
    early, late, patience = depth.findings(runs)
    assert "deeper is worse" in early and said in patience
    assert ("deeper is better" if last == 1 else "deeper is worse") in late
    assert len(depth.findings(runs, "ko")) == 3 and depth.findings(runs[:1]) == []


def test_diverged_runs_are_left_out():
    good, bad = run_of(18, [[1, 0]]), run_of(18, [[1, 0]], False)
    bad.record["status"] = "diverged"
    assert depth.pairs([bad], [good]) == [] and isinstance(depth.patience([bad]), pd.DataFrame)
