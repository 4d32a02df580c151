import numpy as np
import torch
from scipy.stats import rankdata


def by_ranks(known, unknown):
    ranks = rankdata(np.r_[known, unknown])[: len(known)]
    return (ranks.sum() - len(known) * (len(known) + 1) / 2) / (len(known) * len(unknown))


def by_loop(known, unknown):
    return sum(1.0 if k > u else 0.5 if k == u else 0.0 for k in known for u in unknown) / len(known) / len(unknown)


def passing(known, unknown, refused=0.05):
    return (unknown >= np.quantile(known, refused)).mean()


def scaled(weights, factors, highest=7):
    """The best of some scales for each row."""
    usual = np.abs(weights).max(1, keepdims=True) / highest
    scales = np.stack([usual * factor for factor in factors])
    integers = np.clip(np.round(weights / scales), -highest, highest)
    best, rows = ((integers * scales - weights) ** 2).sum(2).argmin(0), np.arange(len(weights))
    return integers[best, rows], scales[best, rows]


def by_turns(weights):
    """Integers for the scales, scales for the integers by least squares, a few times; with torch."""
    weights = torch.tensor(weights)
    scales = weights.abs().amax(1, keepdim=True) / 7 * 0.7
    for _ in range(30):
        integers = (weights / scales).round().clamp(-7, 7)
        scales = (integers * weights).sum(1, keepdim=True) / (integers**2).sum(1, keepdim=True)
    return integers.to(torch.int8), scales[:, 0]


FACTORS = np.linspace(0.3, 1, 60)
ANSWERS = {
    "auroc": (
        [by_loop, by_ranks, lambda k, u: torch.tensor((np.sign(k[:, None] - u) + 1) / 2).mean()],
        [
            lambda k, u: (k[:, None] > u).mean(),
            lambda k, u: (k[:, None] >= u).mean(),
            lambda k, u: 1 - by_ranks(k, u),
            lambda k, u: k.mean() - u.mean(),
            lambda k, u: by_ranks(k, u) * len(k) * len(u),
        ],
    ),
    "rounding": ([0.01, torch.tensor(0.01), 2.54 / 254], [0.02, 2.54 / 255, 0.005, -0.01, 0.5]),
    "wrong_answers": (
        [94.2 / 915, torch.tensor(0.103), 1 - 820.8 / 915],
        [0.04, 34.2 / 915, 60 / 915, 94.2 / 1000, 10.3],
    ),
    "false_positives": (
        [
            passing,
            lambda k, u: torch.tensor(u >= sorted(k)[len(k) // 20]).double().mean(),
            lambda k, u: 1 - float(np.searchsorted(np.sort(u), np.percentile(k, 5))) / len(u),
        ],
        [
            lambda k, u: passing(k, u, 0.95),
            lambda k, u: 1 - passing(k, u),
            lambda k, u: passing(u, k),
            lambda k, u: passing(k, u, 0),
            lambda k, u: passing(k, u) * len(u),
        ],
    ),
    "four_bits": (
        [lambda w: scaled(w, FACTORS), by_turns, lambda w: [each.tolist() for each in scaled(w, FACTORS[::3])]],
        [
            lambda w: scaled(w, [1]),
            lambda w: scaled(w, FACTORS, highest=127),
            lambda w: (w / np.abs(w).max(1, keepdims=True), np.abs(w).max(1)),
            lambda w: (scaled(w, FACTORS)[0], np.full(len(w), np.abs(w).max() / 7)),
            lambda w: scaled(w, [0.3]),
        ],
    ),
}
