import torch
import torch.nn.functional as F

from scene_utils.lessons import our_scene
from scene_utils.lessons.checks import convolution
from tests.answers.training import cnns, conv, large, one_class


def small(monkeypatch):
    """With the goal that a second of training reaches."""
    monkeypatch.setattr(convolution, "CNN_GOAL", 0.35)
    return cnns(), [conv(8), one_class(), large(), conv(8)[:-1], conv]


def unfolded(images, weight, bias, stride=1, padding=0):
    windows = F.unfold(images, weight.shape[-1], padding=padding, stride=stride)
    height, width = ((side + 2 * padding - weight.shape[-1]) // stride + 1 for side in images.shape[2:])
    return (weight.flatten(1) @ windows + bias.view(-1, 1)).view(len(images), -1, height, width)


def windows(maps, size, stride):
    return maps.unfold(2, size, stride).unfold(3, size, stride)


def one_by_one(net, images):
    return torch.stack([net.eval()(image[None])[0].argmax() for image in images])


def careful(net, images):
    with torch.no_grad():
        return net.eval()(images).softmax(1).max(1).indices


STEP = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
PAIRS = torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(0))

ANSWERS = {
    "conv2d": (
        [our_scene.conv2d, F.conv2d, unfolded],
        [
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(images, weight.flip(3), bias, stride, padding),
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(images, weight, None, stride, padding),
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(images, weight, bias, stride),
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(images, weight, bias, 1, padding),
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(
                images[:, :1], weight[:, :1], bias, stride, padding
            ),
        ],
    ),
    "layers_needed": ([32, 32.0, torch.tensor(32)], [31, 33, 64, 0, 31.5]),
    "max_pool": (
        [
            F.max_pool2d,
            lambda maps, size, stride: windows(maps, size, stride).amax((4, 5)),
            lambda maps, size, stride: windows(maps, size, stride).flatten(4).sort(4).values[..., -1].numpy(),
        ],
        [
            F.avg_pool2d,
            lambda maps, size, stride: windows(maps, size, stride).amin((4, 5)),
            lambda maps, size, stride: F.max_pool2d(maps, size),
            lambda maps, size, stride: F.max_pool2d(maps.clamp(min=0), size, stride),
            lambda maps, size, stride: windows(maps, size, stride)[..., 0, 0],
        ],
    ),
    "colour_filter": (
        [
            [[[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[0] * 3] * 3, [[0, 0, 0], [0, -1, 0], [0, 0, 0]]],
            torch.stack([STEP, -2 * STEP, STEP]),
            (PAIRS - PAIRS.mean(0)).numpy(),
        ],
        [torch.zeros(3, 3, 3), torch.ones(3, 3, 3), torch.stack([STEP] * 3), STEP, torch.eye(3).expand(3, 3, 3)],
    ),
    "predict": (
        [one_by_one, careful, lambda net, images: net.eval()(images).argmax(1).numpy()],
        [
            lambda net, images: net(images).argmax(1),
            lambda net, images: net.eval()(images).argmin(1),
            lambda net, images: net.eval()(images),
            lambda net, images: torch.zeros(len(images)),
            lambda net, images: (net(images), net.eval()(images).argmax(1))[1],
        ],
    ),
    "small_cnn": small,
}
