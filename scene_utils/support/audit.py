"""Duplicates: images that stand in a dataset twice, exactly or nearly, and what that means for its labels."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

# Two images are near duplicates when their detail correlates above this. On the real dataset every pair above
# it shows one scene (looked at by eye); the first pairs of two scenes, alike in their frames, come at 0.87.
NEAR = 0.9
PAIRS = 20_000  # that are looked at: the frames of a film alone make millions


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        pairs: one row per pair of duplicates: ``first`` and ``second`` (file names), ``sets`` (train, test,
            across), ``exact`` (same pixels), ``agree`` (same label), ``similarity`` (1 for exact pairs).
        flat: all file names by contrast, lowest first: images that hardly anyone could label lead it.
        unavoidable: test images that any model gets wrong, since their pixels stand in the test set with
            several labels and only one of them can be given.
        test_size: number of test images.
    """

    pairs: pd.DataFrame
    flat: tuple[str, ...]
    unavoidable: int
    test_size: int

    @property
    def complete(self) -> bool:
        """Whether all pairs have been counted, and not only the first ``PAIRS``."""
        return len(self.pairs) < PAIRS

    def table(self) -> pd.DataFrame:
        """Number of pairs by kind and set, split by whether their labels agree or contradict."""
        kind = self.pairs["exact"].map({True: "exact", False: "near"})
        label = self.pairs["agree"].map({True: "labels agree", False: "labels contradict"})
        counts = pd.crosstab([kind, self.pairs["sets"]], label)
        rows = pd.MultiIndex.from_product([("exact", "near"), ("train", "test", "across")], names=["pixels", "folders"])
        counts = counts.reindex(index=rows, columns=["labels agree", "labels contradict"], fill_value=0)
        return counts.rename_axis(columns=None)

    def in_train(self, exact: bool) -> pd.DataFrame:
        """The pairs of a test image (``second``) and its copy in the training set (``first``)."""
        return self.pairs[(self.pairs["sets"] == "across") & (self.pairs["exact"] == exact)]

    def contradictions(self) -> dict[str, int]:
        """Exact pairs whose labels contradict, counted by their two classes, most frequent first."""
        rows = self.pairs[self.pairs["exact"] & ~self.pairs["agree"]]
        classes = rows[["first", "second"]].map(lambda name: name.split("/")[1])
        return dict(Counter(" and ".join(sorted(pair)) for pair in classes.to_numpy()).most_common())


def audit(images: Tensor, labels: Sequence[int], names: Sequence[str], train_size: int) -> Audit:
    """Look for duplicates inside and across the sets, and for images without contrast.

    Exact duplicates have the same pixels. Near duplicates have the same detail: the correlation of their grey
    images at 32 x 32, less a blurred copy, is above ``NEAR``, whatever their brightness and colour. Mirrored
    and shifted copies are not looked for.

    Args:
        images: uint8 (N, 3, 64, 64): the training set, then the test set.
        labels, names: label and file name of each image.
        train_size: number of training images.
    """
    groups: dict[bytes, list[int]] = {}
    for i, digest in enumerate(digests(images)):
        groups.setdefault(digest, []).append(i)
    pairs = itertools.chain.from_iterable(itertools.combinations(group, 2) for group in groups.values())
    exact = dict.fromkeys(itertools.islice(pairs, PAIRS), 1.0)
    rows = []
    for (i, j), similarity in (near_pairs(images) | exact).items():
        sets = "train" if j < train_size else "test" if i >= train_size else "across"
        rows.append((names[i], names[j], sets, (i, j) in exact, labels[i] == labels[j], similarity))
    columns = {"first": str, "second": str, "sets": str, "exact": bool, "agree": bool, "similarity": float}
    table = pd.DataFrame(rows, columns=list(columns)).astype(columns)
    table = table.sort_values(["exact", "similarity", "first", "second"], ascending=[False, False, True, True])

    contrast = torch.cat([part.float().mean(1).flatten(1).std(1) for part in images.split(1024)])
    flat = tuple(names[i] for i in contrast.argsort(stable=True).tolist())
    unavoidable = 0
    for group in groups.values():
        given = Counter(labels[i] for i in group if i >= train_size)
        unavoidable += given.total() - max(given.values(), default=0)
    return Audit(table.reset_index(drop=True), flat, unavoidable, len(images) - train_size)


def digests(images: Tensor) -> list[bytes]:
    """One hash of the pixels for every image of a uint8 tensor (N, 3, H, W)."""
    return [hashlib.blake2b(image.data, digest_size=16).digest() for image in images.numpy()]


def duplicate_groups(images: Tensor) -> np.ndarray:
    """Group number (N,) of each image: images that are alike, directly or through others, share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components  # a fifth of a second, which ``classify`` would pay

    pairs = list(near_pairs(images))
    first: dict[bytes, int] = {}
    pairs += [(first.setdefault(digest, i), i) for i, digest in enumerate(digests(images))]
    rows, columns = zip(*pairs, strict=True)
    graph = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(images), len(images)))
    return connected_components(graph, directed=False)[1]


def near_pairs(images: Tensor) -> dict[tuple[int, int], float]:
    """Pairs of positions whose images have the same detail, with its correlation."""
    detail = []
    for part in images.split(1024):
        grey = F.adaptive_avg_pool2d(part.float().mean(1, keepdim=True), 32)
        blurred = F.interpolate(F.adaptive_avg_pool2d(grey, 8), size=(32, 32), mode="bilinear")
        detail.append(F.normalize((grey - blurred).flatten(1)))
    detail = torch.cat(detail)
    found = {}
    for start in range(0, len(detail), 1024):
        product = detail[start : start + 1024] @ detail[start:].T
        for i, j in (product > NEAR).nonzero().tolist():
            if i < j:
                found[start + i, start + j] = min(product[i, j].item(), 1.0)
        if len(found) > PAIRS:
            break
    return found
