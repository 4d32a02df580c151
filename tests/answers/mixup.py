import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from scene_utils.lessons.checks import mixup
from tests.answers.training import cnns, conv


def by_grid(logits, labels):
    return min(np.geomspace(0.1, 10, 400), key=lambda t: F.cross_entropy(logits / t, labels).item())


def by_descent(logits, labels):
    log = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([log], 0.1)
    for _ in range(200):
        optimizer.zero_grad()
        F.cross_entropy(logits / log.exp(), labels).backward()
        optimizer.step()
    return log.exp().detach()


def by_thirds(logits, labels):
    low, high = 0.1, 10.0
    while high - low > 1e-3:
        a, b = low + (high - low) / 3, high - (high - low) / 3
        better = F.cross_entropy(logits / a, labels) < F.cross_entropy(logits / b, labels)
        low, high = (low, b) if better else (a, high)
    return low


def with_partner(images, targets, share):
    partner = torch.randperm(len(images))
    return torch.lerp(images[partner], images, share), torch.lerp(targets[partner], targets, share)


def joined(images, targets, share):
    order = torch.rand(len(images)).argsort()
    return share * images + (1 - share) * images[order], share * targets + (1 - share) * targets.index_select(0, order)


def rolled(images, targets, share):
    shift = int(torch.randint(1, len(images), ()))
    return tuple(share * each + (1 - share) * each.roll(shift, 0) for each in (images, targets))


def mixed(images, targets, share):
    def partner(values):
        return values[torch.randperm(len(values))]

    return torch.lerp(partner(images), images, share), torch.lerp(partner(targets), targets, share)


def pasted(images, targets, top, left, height, width):
    box = (..., slice(top, top + height), slice(left, left + width))
    out = images.clone()
    out[box] = images.roll(-1, 0)[box]
    part = height * width / images[0, 0].numel()
    return out, (1 - part) * targets + part * targets.roll(-1, 0)


def masked(images, targets, top, left, height, width):
    mask = torch.zeros(images.shape[2:])
    mask[top : top + height, left : left + width] = 1
    return (tuple(torch.lerp(each, torch.cat([each[1:], each[:1]]), weight)
                  for each, weight in ((images, mask), (targets, mask.mean()))))  # fmt: skip


def one_by_one(images, targets, top, left, height, width):
    out, goals = images.clone(), targets.clone()
    for i in range(len(images)):
        j = (i + 1) % len(images)
        out[i, :, top : top + height, left : left + width] = images[j, :, top : top + height, left : left + width]
        goals[i] = targets[i] + (targets[j] - targets[i]) * height * width / images[0, 0].numel()
    return list((out, goals))


def changing(images, targets, top, left, height, width):
    out, goals = pasted(images, targets, top, left, height, width)
    return images.copy_(out), goals


def honest(monkeypatch):
    """With the goals that a second of training reaches; wrong are those with another temperature."""
    monkeypatch.setattr(mixup, "HONEST_ACCURACY", 0.35)
    monkeypatch.setattr(mixup, "HONEST_GAP", 0.12)
    first = cnns()[0]
    bold, shy = (nn.Sequential(first, Times(factor)) for factor in (20, 0.01))
    return cnns(), [bold, shy, conv(8), conv(8)[:-1], conv]


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, logits):
        return logits * self.factor


ANSWERS = {
    "mixed_target": ([0.9 * 0.7 + 0.1 / 6, 0.6467, torch.tensor(0.64667)], [0.7, 0.63, 0.73, 0.6667, 1.2]),
    "best_temperature": (
        [by_grid, by_descent, by_thirds],
        [
            lambda logits, labels: 1.0,
            lambda logits, labels: 1 / by_grid(logits, labels),
            lambda logits, labels: min((0.5, 1, 2), key=lambda t: F.cross_entropy(logits / t, labels)),
            lambda logits, labels: F.cross_entropy(logits, labels),
            lambda logits, labels: logits.std(),
        ],
    ),
    "mixed_with_anyone": (
        [with_partner, joined, rolled],
        [
            mixed,
            lambda images, targets, share: (images, targets),
            lambda images, targets, share: with_partner(images, targets, 1 - share),
            lambda images, targets, share: (with_partner(images, targets, share)[0], targets),
            lambda images, targets, share: tuple(torch.lerp(e.roll(1, 0), e, share) for e in (images, targets)),
        ],
    ),
    "cutmix": (
        [pasted, masked, one_by_one],
        [
            changing,
            lambda images, targets, *box: (pasted(images, targets, *box)[0], targets),
            lambda images, targets, *box: (pasted(images, targets, *box)[0], (targets + targets.roll(-1, 0)) / 2),
            lambda images, targets, top, left, height, width: pasted(images, targets, left, top, width, height),
            lambda images, targets, *box: (images, pasted(images, targets, *box)[1]),
        ],
    ),
    "honest_net": honest,
}
