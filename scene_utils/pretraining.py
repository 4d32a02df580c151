"""What a model starts from: nothing, pretrained weights, or pretraining on the sample itself."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from scene_utils import data, explain, models, results, training
from scene_utils.catalogue import Experiment
from scene_utils.data import Split
from scene_utils.recipe import Recipe
from scene_utils.support import lite, progress, settings
from scene_utils.support.weights import weights_source

ROTATION = "rotation"  # pretraining on the sample itself, where nothing may be downloaded
# What SCENE_WEIGHTS=local takes for each depth: the source in the file's name and the strides it was trained with.
LOCAL_WEIGHTS = {18: ("tiny-imagenet-64px", None), 50: ("imagenet", "v1")}
LOCAL_WEIGHTS |= {101: ("imagenet-grown", "v1"), 152: ("imagenet-grown", "v1")}
PACKAGED = "package"  # weights that a Python package carries


def pretrained_source(experiment: Experiment, profile: str, seed: int, weights: str | None = None) -> str | None:
    """Return the source of pretrained weights of a run; None from scratch."""
    if experiment.packaged:
        return None if profile == "sample" else PACKAGED
    if experiment.depth is None:
        return None
    if profile == "sample":
        return ROTATION
    if chosen := weights or settings.choice("SCENE_WEIGHTS"):
        return chosen
    known = results.find(experiment.name, profile, seed)
    return known.weights_choice if known is not None else "imagenet"


def build(experiment: Experiment, pretrained: str | None, classes: int) -> tuple[nn.Module, str | None]:
    """Return the model before training, and the description of the weights it starts from."""
    if pretrained is None:
        return experiment.build(classes), None
    if pretrained == ROTATION:
        state = pretrain_rotation(experiment.depth)
        return experiment.build(classes, state), "stand-in: told by how much the sample's images were rotated"
    if pretrained == PACKAGED:
        return experiment.build(classes, PACKAGED), lite.packaged_source(int(experiment.architecture[-1]))
    local, strides = LOCAL_WEIGHTS[experiment.depth]
    name = local if pretrained == "local" else pretrained
    source = weights_source(experiment.depth, name)
    own_strides = strides if ".safetensors" in source else None  # torchvision's own files have torchvision's
    return experiment.build(classes, name, own_strides), source


@lru_cache(maxsize=4)
def pretrain_rotation(depth: int) -> dict[str, Tensor]:
    """Return weights of a ResNet that learned to predict rotations of the sample's images (Gidaris et al., 2018).

    A few seconds of training: it shows the way, it is no substitute for ImageNet.
    """
    images = data.load_sample().train.images[::6]
    turned = torch.cat([images.rot90(turns, (2, 3)) for turns in range(4)])
    labels = torch.arange(4).repeat_interleave(len(images))
    turns = Split(turned, labels, ("0", "90", "180", "270"), tuple("" for _ in labels))
    recipe = Recipe(epochs=1, batch_size=32, learning_rate=0.02, schedule="constant", images=64, input_size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.resnet(depth, classes=4)
        with progress.part(0.2):
            progress.begin("stand-in")
            with progress.silent():  # a bar, but no line
                training.fit(model, turns, None, recipe, name="stand-in")
        # after a few steps the norms do not know what to expect, and frozen ones cannot learn it later
        some = explain.to_batch(turns, list(range(0, len(turns), 8)))
        update_bn([some], model, next(model.parameters()).device)
    return {name: value.cpu() for name, value in model.state_dict().items()}
