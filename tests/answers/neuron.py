import numpy as np
import torch
import torch.nn.functional as F


def thirds(images):
    return F.adaptive_avg_pool2d(images.float(), (3, 1)).flatten(1)


def edges(images):
    x = images.float()
    return torch.cat([x.diff(dim=3).abs().mean((2, 3)), x.diff(dim=2).abs().mean((2, 3))], 1)


def overflowing(scores, label):
    return -(scores.exp() / scores.exp().sum()).log()[label]

ANSWERS = {
    "probabilities": (
        [[1 / 6, 1 / 3, 1 / 2], (0.1667, 0.3333, 0.5), torch.tensor([1.0, 2, 3]) / 6],
        [[0.2, 0.3, 0.5], [1 / 3] * 3, [1, 2, 3], [1 / 2, 1 / 3, 1 / 6], [-1 / 6, 1 / 3, 5 / 6]],
    ),
    "cross_entropy": (
        [
            lambda scores, label: scores.logsumexp(0) - scores[label],
            lambda scores, label: F.cross_entropy(scores[None], torch.tensor([label])).item(),
            lambda scores, label: -(scores - scores.max()).softmax(0)[label].log().double(),
        ],
        [
            overflowing,
            lambda scores, label: scores.log_softmax(0)[label],
            lambda scores, label: -scores.log_softmax(0).mean(),
            lambda scores, label: -scores.log_softmax(0)[label] / np.log(2),
            lambda scores, label: -scores.log_softmax(0),
        ],
    ),
    "softmax": (
        [
            lambda z: z.softmax(1),
            lambda z: (z - z.amax(1, keepdim=True)).exp() / (z - z.amax(1, keepdim=True)).exp().sum(1, keepdim=True),
            lambda z: F.log_softmax(z, dim=-1).exp().numpy(),
        ],
        [
            lambda z: z.softmax(0),
            lambda z: z.sigmoid() / z.sigmoid().sum(1, keepdim=True),
            lambda z: z.flatten().softmax(0).view(z.shape),
            lambda z: (2 * z).softmax(1),
            lambda z: (z - z.mean(0)).softmax(1),
        ],
    ),
    "rate_that_fails": ([50, 20.0, torch.tensor(100.0)], [0.1, 3, -50, 1e38, float("inf")]),
    "features": (
        [
            lambda images: torch.cat([thirds(images), edges(images)], 1),
            lambda images: torch.cat([F.adaptive_avg_pool2d(images.float(), 2).flatten(1), edges(images)], 1),
            lambda images: torch.cat([thirds(images), edges(images)], 1).numpy() / 255,
        ],
        [
            lambda images: images.float().mean((2, 3)),
            lambda images: F.adaptive_avg_pool2d(images.float(), 3).flatten(1),
            lambda images: torch.zeros(len(images), 5),
            lambda images: edges(images) - edges(images).mean(0),
            lambda images: edges(images)[:10],
        ],
    ),
}
