"""What a network looks at, and how its signals travel.

The functions of (model, dataset, recipe) are ``artifacts`` of an experiment: they run once, when it is trained,
and what they return is kept beside the record, so that a page can show it where the weights are not at hand.
"""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scene_utils.batches import mixup, normalize, to_device
from scene_utils.data import Dataset, Split
from scene_utils.models import first_filters
from scene_utils.recipe import Recipe
from scene_utils.support.layers import trace

CLASSES = 12  # whose images are explained
MAPS = 16  # activation maps that are kept of one image
STEPS, PATCH = 11, 16  # mixtures from one image to another; side in pixels of the grey square over an image


def shown_images(dataset: Dataset, each: int = 1) -> list[int]:
    """Return the positions in the test set of the first image of each class, then of the second, up to ``each``.

    Of many classes the first ``CLASSES`` are shown.
    """
    shown = range(min(len(dataset.test.classes), CLASSES))
    places = [np.flatnonzero(dataset.test.labels == label) for label in shown]
    return [int(place[nth]) for nth in range(each) for place in places if len(place) > nth]


def to_batch(split: Split, positions: list[int], size: int = 64) -> Tensor:
    """Return images as a network takes them: float32 (n, 3, size, size), normalized, on the CPU."""
    return normalize(to_device(split.images[positions], "cpu"), size)


def kernels(model: nn.Module, dataset: Dataset, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return the first convolution's kernels in their own order: ``first_filters`` float32 (K, 3, h, w)."""
    return {"first_filters": first_filters(model).numpy()}


@torch.no_grad()
def first_layer(model: nn.Module, dataset: Dataset, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return the first convolution's kernels, and what it makes of one test image.

    Returns:
        ``first_filters`` float32 (K, 3, h, w), the strongest kernels first; ``first_maps`` float16
        (``MAPS``, H, W), the first of them after the ReLU; ``first_image`` (1,), the image's position in the
        test set.
    """
    position = shown_images(dataset)[0]
    filters = first_filters(model)
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    batch = to_batch(dataset.test, [position], recipe.input_size).to(first.weight.device)
    maps = first(batch)[0].relu().float().cpu()
    order = maps.mean((1, 2)).argsort(descending=True)
    return {
        "first_filters": filters[order].numpy(),
        "first_maps": maps[order[:MAPS]].half().numpy(),
        "first_image": np.array([position]),
    }


@torch.no_grad()
def occlusion(model: nn.Module, dataset: Dataset, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return how much a model's answer loses where a grey square hides a part of the image.

    The method of Zeiler and Fergus (2014), as Captum has it.

    Returns:
        ``occlusion`` float16 (n, H, W): the loss of probability of the model's own answer, averaged over the
        squares that cover a pixel, for one test image a class; ``occlusion_images`` (n,), their positions.
    """
    from captum.attr import Occlusion

    positions = shown_images(dataset)
    device = next(model.parameters()).device
    batch = to_batch(dataset.test, positions, recipe.input_size).to(device)
    side = PATCH * recipe.input_size // dataset.test.images.shape[2]
    step = side // 2 if recipe.images is None else side  # a quick look where the training is one too
    maps = Occlusion(lambda images: model(images).softmax(1)).attribute(
        batch,
        strides=(batch.shape[1], step, step),
        sliding_window_shapes=(batch.shape[1], side, side),
        target=model(batch).argmax(1),
        baselines=0.0,  # the mean colour
    )
    return {"occlusion": maps[:, 0].half().cpu().numpy(), "occlusion_images": np.array(positions)}


@torch.no_grad()
def normalization(model: nn.Module, dataset: Dataset, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return by how much AlexNet's local response normalizations change their input.

    Returns:
        ``normalization`` float32 (2,): for LRN1 and LRN2, the length of the change over the length of the
        input, measured on one test image a class.
    """
    changes: list[float] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        changes.append(float((output - inputs[0]).norm() / inputs[0].norm()))

    with model.LRN1.register_forward_hook(note), model.LRN2.register_forward_hook(note):
        model(to_batch(dataset.test, shown_images(dataset), recipe.input_size).to(model.fc2.weight.device))
    return {"normalization": np.array(changes, dtype=np.float32)}


def dense(model: nn.Module) -> nn.Module:
    """Return a copy of a ResNet whose last stage answers at four times as many places along each side.

    A ResNet halves the size five times: of 64 x 64 pixels its last stage keeps 2 x 2 places. In the copy the last
    two stages do not halve, and their kernels reach as much further (the à trous algorithm, as in DeepLab; Chen
    et al., 2015). Every fourth place along each side answers exactly as before, the others stand between them.
    """
    model, reach = copy.deepcopy(model), 1
    for stage in (model.layer3, model.layer4):
        for name, layer in stage.named_modules():
            if not isinstance(layer, nn.Conv2d):
                continue
            halves, layer.stride = layer.stride == (2, 2), (1, 1)
            if "downsample" in name:  # beside the chain, and of one pixel
                continue
            layer.dilation = (reach, reach)
            layer.padding = tuple(side // 2 * reach for side in layer.kernel_size)
            reach *= 2 if halves else 1
    return model


def class_activation(model: nn.Module, dataset: Dataset, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return where a ResNet sees evidence for the true class of two test images a class.

    Grad-CAM (Selvaraju et al., 2017; Captum) on the last stage, made ``dense``. As only an average and one
    layer follow that stage, it is the class activation map of Zhou et al. (2016).

    Returns:
        ``cam`` float16 (n, H, W): positive where the image speaks for its class; ``cam_images`` (n,), the
        images' positions in the test set.
    """
    from captum.attr import LayerGradCam

    positions = shown_images(dataset, each=2)
    net = dense(model).float().eval().requires_grad_(True)
    batch = to_batch(dataset.test, positions, recipe.input_size).to(net.fc.weight.device)
    target = dataset.test.labels[positions].to(batch.device)
    maps = LayerGradCam(net, net.layer4).attribute(batch, target=target)[:, 0].detach()
    maps = maps / maps.abs().amax((1, 2), keepdim=True).clamp_min(1e-12)  # each to its own largest value
    return {"cam": maps.half().cpu().numpy(), "cam_images": np.array(positions)}


@torch.no_grad()
def mixup_interpolation(model: nn.Module, dataset: Dataset, recipe: Recipe) -> dict[str, np.ndarray]:
    """Return what a model says of mixtures of two test images, from one to the other.

    Mixup's authors (Zhang et al., 2018) want it to walk evenly between the two classes.

    Returns:
        ``between`` float32 (``STEPS``, 3): the mean probability of the first image's class, of the second's and
        of all others, for shares of the first image from 0 to 1.
    """
    positions = shown_images(dataset, each=8)  # a class follows another, so that neighbours differ
    device = next(model.parameters()).device
    batch = to_batch(dataset.test, positions, recipe.input_size).to(device)
    target = F.one_hot(dataset.test.labels[positions], len(dataset.test.classes)).float().to(device)
    differ = (target != target.roll(1, 0)).any(1)
    rows = []
    for lam in torch.linspace(0, 1, STEPS).tolist():
        probabilities = model(mixup(batch, target, lam)[0]).float().softmax(1)
        first, second = ((probabilities * each).sum(1) for each in (target, target.roll(1, 0)))
        rows.append(torch.stack([first, second, 1 - first - second])[:, differ].mean(1))
    return {"between": torch.stack(rows).cpu().numpy()}


# --- before training


def layer_costs(model: nn.Module, input_size: tuple[int, int, int] = (3, 64, 64)) -> pd.DataFrame:
    """Return what each convolution and fully connected layer costs: columns layer, weights, multiplications.

    Weights include biases; multiplications are those of one image on its way forward.
    """
    rows = []
    for step in trace(model, input_size):
        if isinstance(step.module, nn.Conv2d | nn.Linear):
            weights = sum(parameter.numel() for parameter in step.module.parameters())
            positions = step.output[1] * step.output[2] if len(step.output) == 3 else 1
            rows.append((step.name, weights, step.module.weight.numel() * positions))
    return pd.DataFrame(rows, columns=["layer", "weights", "multiplications"])


def gradient_norms(model: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """Return the norm of the loss's gradient at the output of each block of a ResNet, first block first.

    Args:
        images: float32 (N, 3, H, W), normalized; ``labels`` int64 (N,).
    """
    outputs: list[Tensor] = []
    with contextlib.ExitStack() as hooks:
        for block in (*model.layer1, *model.layer2, *model.layer3, *model.layer4):
            hooks.enter_context(block.register_forward_hook(lambda module, inputs, output: outputs.append(output)))
        loss = F.cross_entropy(model.train()(images), labels)
    return [float(gradient.norm()) for gradient in torch.autograd.grad(loss, outputs)]
