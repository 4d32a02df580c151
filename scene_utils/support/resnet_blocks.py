"""Blocks of ResNets: torchvision's, and the same without their shortcuts, as a control."""

from __future__ import annotations

from torch import Tensor
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

__all__ = ["KINDS", "PlainBlock", "PlainBottleneck", "ResNet"]


class PlainBlock(BasicBlock):
    """A ResNet block of two convolutions without its shortcut."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample=None, *rest, **named) -> None:
        super().__init__(inplanes, planes, stride, None, *rest, **named)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)))


class PlainBottleneck(Bottleneck):
    """A ResNet block of three convolutions without its shortcut."""

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample=None, *rest, **named) -> None:
        super().__init__(inplanes, planes, stride, None, *rest, **named)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)))


# by whether the block has three convolutions, and whether it has a shortcut
KINDS = {
    (False, True): BasicBlock,
    (True, True): Bottleneck,
    (False, False): PlainBlock,
    (True, False): PlainBottleneck,
}
