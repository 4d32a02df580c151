import numpy as np
import torch
import torch.nn.functional as F


def stratified(labels, fraction, seed):
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(labels == label) for label in labels.unique()]
    return np.concatenate([generator.permutation(each)[: round(fraction * len(each))] for each in members])


def by_sorting(labels, fraction, seed):
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order[labels[order].argsort(stable=True)]
    starts = torch.bincount(labels).cumsum(0).tolist()
    spans = zip([0, *starts], starts, strict=False)
    return torch.cat([order[a : a + round(fraction * (b - a))] for a, b in spans]).tolist()


def split_by(draw):
    def function(split, seed):
        order = draw(len(split), seed)
        return split.images[order], split.labels[order]

    return function


def permutation(count, seed):
    return np.random.default_rng(seed).permutation(count)


def drawn(count, seed):
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def correlations(flips=True, shifts=True, threshold=0.9):
    """A search among mirrored and shifted copies: correlation of grey images, over all shifts at once by a Fourier
    transform."""

    def function(images):
        grey = F.avg_pool2d(images.float().mean(1), 2)
        grey = grey - grey.mean((1, 2), keepdim=True)
        grey = grey / grey.norm(dim=(1, 2), keepdim=True)
        found = set()
        for other in [grey, *([grey.flip(2)] if flips else [])]:
            spectra = torch.fft.rfft2(grey)[:, None] * torch.fft.rfft2(other).conj()[None]
            match = torch.fft.irfft2(spectra)
            match = match.amax((2, 3)) if shifts else match[:, :, 0, 0]
            first, second = torch.nonzero(match > threshold, as_tuple=True)
            found |= {(i, j) for i, j in zip(first.tolist(), second.tolist(), strict=True) if i < j}
        return sorted(found)

    return function


CLOSEST = ("mountains", "sea")
ANSWERS = {
    "closest_colours": (
        [CLOSEST, CLOSEST[::-1], list(CLOSEST)],
        [("forests", "glacier"), ("sea", "sea"), ("forests", "sky"), "mountains", ("street", "forests")],
    ),
    "test_images_needed": ([8700, 8700.0, torch.tensor(8700)], [8600, 8800, 3407, 8650, -100]),
    "shuffled": (
        [split_by(permutation), split_by(drawn), split_by(lambda n, seed: drawn(n, seed + 1).tolist())],
        [
            lambda split, seed: (split.images[permutation(len(split), seed)], split.labels),
            lambda split, seed: (split.images, split.labels),
            split_by(lambda n, seed: permutation(n, 0)),
            split_by(lambda n, seed: np.random.default_rng(seed).integers(0, n, n)),
            lambda split, seed: split.images[permutation(len(split), seed)],
        ],
    ),
    "stratified": (
        [stratified, by_sorting, lambda labels, fraction, seed: torch.tensor(by_sorting(labels, fraction, seed + 1))],
        [
            lambda labels, fraction, seed: permutation(len(labels), seed)[: round(fraction * len(labels))],
            lambda labels, fraction, seed: stratified(labels, fraction, 0),
            lambda labels, fraction, seed: stratified(labels, 1 - fraction, seed),
            lambda labels, fraction, seed: stratified(labels, fraction, None),
            lambda labels, fraction, seed: np.isin(np.arange(len(labels)), stratified(labels, fraction, seed)),
        ],
    ),
    "find_copies": (
        [correlations(), correlations(threshold=0.88), lambda images: {pair[::-1] for pair in correlations()(images)}],
        [correlations(flips=False), correlations(shifts=False, flips=False), correlations(threshold=0.5),
         lambda images: [], lambda images: [(i, j) for i in range(len(images)) for j in range(i)]],
    ),
}  # fmt: skip
