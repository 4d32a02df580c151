"""What is kept of a trained network, activation maps, what layers cost, how gradients travel, what depth brings."""

import dataclasses
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from scene_utils import data, explain, models
from scene_utils.lessons import depth
from scene_utils.recipe import Recipe
from scene_utils.results import Run
from tests.fakes import split_of

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


@pytest.fixture
def white(dataset):
    images = split_of([0, 1], images=255)
    return dataclasses.replace(dataset, train=images, test=images)


def test_occlusion_finds_what_the_answer_hangs_on(white):
    kept = explain.occlusion(Corner(), white, RECIPE)
    heat = kept["occlusion"].astype(float)
    assert heat.shape == (2, 64, 64) and kept["occlusion_images"].tolist() == [0, 1]
    assert (heat[:, :32, :32] > 0).all() and np.allclose(heat[:, 32:], 0) and np.allclose(heat[:, :, 32:], 0)


def test_first_layer_strongest_first(white):
    model = Corner()
    kept = explain.first_layer(model, white, RECIPE)
    assert kept["first_filters"].shape == (8, 3, 3, 3) and kept["first_maps"].shape == (8, 64, 64)
    means = kept["first_maps"].astype(float).mean((1, 2))
    assert (np.diff(means) <= 1e-3).all() and means[0] > 0
    filters = model.conv1.weight.detach().numpy()
    assert sorted(kept["first_filters"].reshape(8, -1).tolist()) == sorted(filters.reshape(8, -1).tolist())


def test_normalization_measures_the_change(dataset):
    class Net(nn.Sequential):
        def forward(self, x):
            return self.LRN2(self.LRN1(x))

    net = Net(OrderedDict(LRN1=nn.Identity(), LRN2=nn.Softplus(), fc2=nn.Linear(1, 1)))
    first, second = explain.normalization(net, dataset, RECIPE)["normalization"]
    assert first == 0 and second > 0


# --- class activation maps


@pytest.mark.parametrize(("layers", "strides"), [(18, None), (50, "v1")])
def test_dense_net_answers_as_before_at_every_fourth_place(layers, strides):
    torch.manual_seed(0)
    model = models.resnet(layers, strides=strides).eval()
    images = torch.randn(2, 3, 64, 64)
    stages = [nn.Sequential(*list(net.children())[:-2]) for net in (model, explain.dense(model))]
    with torch.no_grad():
        before, after = (stage(images) for stage in stages)
    assert before.shape[2:] == (2, 2) and after.shape[2:] == (8, 8)
    torch.testing.assert_close(after[..., ::4, ::4], before, rtol=1e-4, atol=1e-4)
    assert model.layer4[0].conv2.dilation == (1, 1)  # the model itself is as it was


def test_map_is_the_evidence_for_the_true_class(dataset):
    torch.manual_seed(0)
    model = models.resnet(18).eval().requires_grad_(False)  # frozen features have a map too
    arrays = explain.class_activation(model, dataset, Recipe())
    positions = arrays["cam_images"].tolist()
    labels = dataset.test.labels[positions].tolist()
    assert labels == [*range(6), *range(6)] and len(set(positions)) == 12
    net, features = explain.dense(model), []
    net.layer4.register_forward_hook(lambda *call: features.append(call[2]))
    logits = net(explain.to_batch(dataset.test, positions))
    evidence = (net.fc.weight[labels][:, :, None, None] * features[0]).sum(1)
    answers = evidence.mean((1, 2)) + net.fc.bias[labels]
    torch.testing.assert_close(answers, logits[range(12), labels], rtol=1e-4, atol=1e-4)
    expected = evidence / evidence.abs().amax((1, 2), keepdim=True)
    np.testing.assert_allclose(arrays["cam"].astype(np.float32), expected.numpy(), atol=2e-3)


def test_walk_between_two_images_ends_at_their_classes(dataset):
    class ByColour(nn.Module):  # knows each image by its mean, and is as sure as the mixture is pure
        def __init__(self, means, labels):
            super().__init__()
            self.means, self.labels = nn.Parameter(means), labels

        def forward(self, images):
            distances = torch.cdist(images.flatten(1), self.means)
            return torch.zeros(len(images), 6).index_add_(1, self.labels, (-distances).softmax(1)).log()

    positions = explain.shown_images(dataset, each=8)
    means = explain.to_batch(dataset.test, positions).flatten(1)
    model = ByColour(means, dataset.test.labels[positions])
    rows = explain.mixup_interpolation(model, dataset, Recipe())["between"]
    assert rows.shape == (explain.STEPS, 3)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(rows[[0, -1]], [[0, 1, 0], [1, 0, 0]], atol=1e-3)


# --- costs, gradients


def test_layer_costs_by_hand():
    costs = explain.layer_costs(models.LeNet()).set_index("layer")
    assert costs.loc["conv1"].tolist() == [20 * (3 * 25 + 1), 20 * 3 * 25 * 60 * 60]
    assert costs.loc["fc2"].tolist() == [500 * 6 + 6, 500 * 6]
    assert costs["weights"].sum() == depth.count(models.LeNet())


def test_gradient_norms_are_those_of_the_block_outputs(dataset):
    torch.manual_seed(0)
    net, some = models.resnet(18), [0, 60, 120, 180]
    images, labels = explain.to_batch(dataset.train, some), dataset.train.labels[some]
    norms = explain.gradient_norms(net, images, labels)
    assert len(norms) == sum(models.BLOCKS[18]) and min(norms) > 0
    # by hand: the last block's output is averaged over positions, then meets the last layer
    net.train()
    features = {}
    net.layer4.register_forward_hook(lambda module, inputs, output: features.update(last=output))
    share = (net(images).softmax(1) - torch.eye(6)[labels]) / 4
    gradient = share @ net.fc.weight / features["last"].shape[2:].numel()
    assert norms[-1] == pytest.approx(float(gradient.detach().norm() * features["last"].shape[2]), rel=1e-3)
    assert all(parameter.grad is None for parameter in net.parameters())


# --- depth


def run_of(layers: int, accuracies: list[list[bool]], shortcuts: bool = True, status: str = "finished") -> Run:
    """A run whose net is right on the images where ``accuracies[epoch][image]`` is true."""
    right = np.array(accuracies)
    history = [{"epoch": e, "holdout_accuracy": float(row.mean()), "seconds": 2.0} for e, row in enumerate(right, 1)]
    record = {
        "experiment": f"depth-{layers}" + ("" if shortcuts else "-plain"), "model": f"resnet{layers}",
        "status": status, "evaluated_on": "hold-out", "epochs": len(right), "history": history,
    }  # fmt: skip
    labels = np.zeros(right.shape[1], dtype=int)
    return Run(record, {"holdout_labels": labels, "holdout_logits": np.stack([right[-1], ~right[-1]], -1)})


def test_patience_table():
    lengths = {1: [1], 2: [1, 2], 8: [2, 4, 8], 50: [12, 25, 50]}
    assert {epochs: depth.lengths(epochs) for epochs in lengths} == lengths
    runs = [run_of(18, [[0, 0], [1, 0], [1, 0], [1, 1]]), run_of(34, [[0, 0], [0, 0], [0, 0], [1, 0]], False)]
    table = depth.patience([*runs, run_of(50, [[1, 1]], status="diverged")])
    assert table["epochs"].tolist() == [1, 2, 4] * 2 and table["seconds"].tolist() == [2, 4, 8] * 2
    assert table["holdout_accuracy"].tolist() == [0, 0.5, 1, 0, 0, 0.5]
    assert table["net"].unique().tolist() == ["ResNet18", "plain 34"]
    assert depth.pairs([run_of(18, [[1]], False, "diverged")], runs) == []


def test_findings_compare_neighbours_with_the_same_kind_of_block():
    runs = [run_of(layers, [np.arange(400) % 10 < right]) for layers, right in ((50, 4), (18, 9), (152, 2), (34, 9))]
    told = [text.values for text in depth.findings([*runs, run_of(101, [[1]], status="diverged")])]
    assert [(each["first"], each["second"]) for each in told] == [("ResNet18", "ResNet34"), ("ResNet50", "ResNet152")]
    assert [each["points"] for each in told] == [0, pytest.approx(-0.2)] and depth.findings(runs[:1]) == []
