"""The architectures of the series."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from scene_utils.support.lrn import LocalResponseNorm
from scene_utils.support.settings import SceneError
from scene_utils.support.weights import GROWN, find_weights, load_weights, read_weights

VERSION = 1  # raised by hand when a model changes so that old results no longer stand for it
BLOCKS = {18: (2, 2, 2, 2), 26: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
BLOCKS |= {101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
BOTTLENECKS = (26, 50, 101, 152)  # the depths whose blocks are bottlenecks


class LeNet(nn.Module):
    """LeNet for 3 x 64 x 64 images (after LeCun et al., 1998), without an activation after the convolutions.

    Takes float (N, 3, 64, 64) and returns logits (N, classes). ``relu`` adds a ReLU after each convolution.
    """

    def __init__(self, classes: int = 6, relu: bool = False) -> None:
        super().__init__()
        self.activation = nn.ReLU() if relu else nn.Identity()
        self.conv1 = nn.Conv2d(3, 20, kernel_size=5)
        self.pool1 = nn.MaxPool2d(kernel_size=2)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.pool2 = nn.MaxPool2d(kernel_size=2)
        self.fc1 = nn.Linear(50 * 13 * 13, 500)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(500, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.activation(self.conv1(x)))
        x = self.pool2(self.activation(self.conv2(x)))
        x = self.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


class CustomLeNet(nn.Module):
    """The report's wider LeNet: three convolutions with 128, 256 and 512 kernels, then 4096 neurons.

    Takes float (N, 3, 64, 64) and returns logits (N, classes). ``relu`` adds a ReLU after each convolution.
    """

    def __init__(self, classes: int = 6, relu: bool = False) -> None:
        super().__init__()
        self.activation = nn.ReLU() if relu else nn.Identity()
        self.conv1 = nn.Conv2d(3, 128, kernel_size=8)
        self.pool1 = nn.MaxPool2d(kernel_size=2)
        self.conv2 = nn.Conv2d(128, 256, kernel_size=8)
        self.pool2 = nn.MaxPool2d(kernel_size=2)
        self.conv3 = nn.Conv2d(256, 512, kernel_size=4)
        self.pool3 = nn.MaxPool2d(kernel_size=2)
        self.fc1 = nn.Linear(512 * 3 * 3, 4096)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(4096, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.activation(self.conv1(x)))
        x = self.pool2(self.activation(self.conv2(x)))
        x = self.pool3(self.activation(self.conv3(x)))
        x = self.relu(self.fc1(x.flatten(1)))
        return self.fc2(x)


class AlexNet(nn.Module):
    """The report's AlexNet for 3 x 64 x 64 images (after Krizhevsky et al., 2012).

    Takes float (N, 3, 64, 64) and returns logits (N, classes). The report's net drops out logits too
    (``logit_dropout``) and leaves out the second fully connected layer of the original (``second_fc``).
    """

    def __init__(self, classes: int = 6, logit_dropout: bool = True, second_fc: bool = False) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(3, 96, kernel_size=5, padding=2)
        self.LRN1 = LocalResponseNorm(5)
        self.pool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv2 = nn.Conv2d(96, 256, kernel_size=5, padding=2)
        self.LRN2 = LocalResponseNorm(5)
        self.pool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.conv3 = nn.Conv2d(256, 384, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, kernel_size=3, padding=1)
        self.conv5 = nn.Conv2d(384, 256, kernel_size=3, padding=1)
        self.pool3 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.fc1 = nn.Linear(256 * 7 * 7, 4096)
        self.Drop1 = nn.Dropout(0.5)
        self.hidden = nn.Identity()
        if second_fc:
            self.hidden = nn.Sequential(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5))
        self.fc2 = nn.Linear(4096, classes)
        self.Drop2 = nn.Dropout(0.5) if logit_dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.LRN1(self.relu(self.conv1(x))))
        x = self.pool2(self.LRN2(self.relu(self.conv2(x))))
        x = self.relu(self.conv3(x))
        x = self.relu(self.conv4(x))
        x = self.pool3(self.relu(self.conv5(x)))
        x = self.Drop1(self.relu(self.fc1(x.flatten(1))))
        return self.Drop2(self.fc2(self.hidden(x)))


def resnet(
    depth: int,
    classes: int = 6,
    weights: str | Mapping[str, Tensor] | None = None,
    strides: str | None = None,
    shortcuts: bool = True,
) -> nn.Module:
    """Return torchvision's ResNet (He et al., 2016): float (N, 3, H, W) to logits (N, classes).

    Args:
        depth: 18 or 34 (blocks of two convolutions), 26, 50, 101 or 152 (bottlenecks of three).
        weights: ``None`` starts at random; ``imagenet`` and ``imagenet-v2`` are torchvision's; another word
            is the source in ``<architecture>-<source>.safetensors`` in ``SCENE_WEIGHTS_DIR``;
            ``<source>-grown`` makes ResNet101 and 152 from the ResNet50's file; a state dict is taken as it
            is. The last layer is new in all of them.
        strides: ``v1`` halves the size in a stage's first 1 x 1 convolution, as the first ResNets did, and
            not in the 3 x 3 that follows, as torchvision's do; names and shapes of the weights are the same.
        shortcuts: ``False`` leaves the shortcuts out: a plain net, as a control.

    Raises:
        SceneError: for an unknown depth or strides, and where the weights cannot be had or do not fit.
    """
    if depth not in BLOCKS:
        raise SceneError(f"depth {depth} is no ResNet; known: {', '.join(map(str, BLOCKS))}")
    if strides not in (None, "v1") or (strides == "v1" and depth < 50):
        raise SceneError(f"strides {strides!r} are unknown at depth {depth}; known: None, 'v1' from depth 50 on")
    if isinstance(weights, str):
        if not shortcuts:
            raise SceneError(f"weights {weights!r} belong to nets with shortcuts; plain nets need weights=None")
        state = read_weights(path := find_weights(depth, weights))
    from scene_utils.support import resnet_blocks  # imports torchvision, which takes a second

    block = resnet_blocks.KINDS[depth in BOTTLENECKS, shortcuts]
    model = resnet_blocks.ResNet(block, list(BLOCKS[depth]), num_classes=classes)
    if strides == "v1":
        for first in (model.layer2[0], model.layer3[0], model.layer4[0]):
            first.conv1.stride, first.conv2.stride = first.conv2.stride, first.conv1.stride
    if isinstance(weights, str):
        load_weights(model, state, path.name, grow=weights.endswith(GROWN))
    elif weights is not None:
        load_weights(model, weights, "given as a state dict")
    return model


def first_filters(model: nn.Module) -> Tensor:
    """Return the kernels of the first convolution: float32 (kernels, channels, height, width) on the CPU."""
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    return first.weight.detach().float().cpu().contiguous()
