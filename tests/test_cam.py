"""Class activation maps: the denser net answers the same, and the map is evidence for the class."""

import numpy as np
import pytest
import torch

from scene_utils import data, explain, models
from scene_utils.recipe import Recipe


@pytest.fixture(scope="module")
def dataset():
    return data.load("sample")


@pytest.mark.parametrize(("depth", "strides"), [(18, None), (50, None), (50, "v1")])
def test_dense_net_answers_as_before_at_every_fourth_place(depth, strides):
    torch.manual_seed(0)
    model = models.resnet(depth, strides=strides).eval()
    images = torch.randn(2, 3, 64, 64)
    stages = [torch.nn.Sequential(*list(net.children())[:-2]) for net in (model, explain.dense(model))]
    with torch.no_grad():
        before, after = (stage(images) for stage in stages)
    assert before.shape[2:] == (2, 2) and after.shape[2:] == (8, 8)
    torch.testing.assert_close(after[..., ::4, ::4], before, rtol=1e-4, atol=1e-4)
    assert model.layer4[0].conv2.dilation == (1, 1)  # the model itself is as it was


def test_map_is_the_evidence_for_the_true_class(dataset):
    torch.manual_seed(0)
    model = models.resnet(18).eval()
    arrays = explain.class_activation(model, dataset, Recipe())
    positions = arrays["cam_images"].tolist()
    labels = dataset.test.labels[positions].tolist()
    assert labels == [*range(6), *range(6)] and len(set(positions)) == 12
    net = explain.dense(model)
    features = []
    net.layer4.register_forward_hook(lambda *call: features.append(call[2]))
    with torch.no_grad():
        logits = net(explain.to_batch(dataset.test, positions))
        evidence = (net.fc.weight[labels][:, :, None, None] * features[0]).sum(1)
    torch.testing.assert_close(
        evidence.mean((1, 2)) + net.fc.bias[labels], logits[range(12), labels], rtol=1e-4, atol=1e-4
    )
    expected = evidence / evidence.abs().amax((1, 2), keepdim=True)
    np.testing.assert_allclose(arrays["cam"].astype(np.float32), expected.numpy(), atol=2e-3)


def test_frozen_features_have_a_map_too(dataset):
    model = models.resnet(18).requires_grad_(False)
    arrays = explain.class_activation(model, dataset, Recipe())
    assert arrays["cam"].shape == (12, 8, 8) and np.isfinite(arrays["cam"]).all()


def test_walk_between_two_images_ends_at_their_classes(dataset):
    class ByColour(torch.nn.Module):  # knows each image by its mean, and is as sure as the mixture is pure
        def __init__(self, means, labels):
            super().__init__()
            self.means, self.labels = torch.nn.Parameter(means), labels

        def forward(self, images):
            distances = torch.cdist(images.flatten(1), self.means)
            near = torch.zeros(len(images), 6).index_add_(1, self.labels, (-distances).softmax(1))
            return near.log()

    positions = explain.shown_images(dataset, each=8)
    means = explain.to_batch(dataset.test, positions).flatten(1)
    model = ByColour(means, dataset.test.labels[positions])
    rows = explain.mixup_interpolation(model, dataset, Recipe())["between"]
    assert rows.shape == (explain.STEPS, 3)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(rows[[0, -1]], [[0, 1, 0], [1, 0, 0]], atol=1e-3)
