"""Make the embedded sample again from the real dataset: ``python scripts/make_sample.py [FOLDER]``.

The rule: of each class and set, the first 64 (``train``) or 16 (``val``) images in the order of the SHA-256
of their names, such as ``train/sea/12.png``; images whose exact pixels stand in both sets go before all
others, so that the sample holds such a pair. Each class and set is one WebP contact sheet without loss, in
rows of eight.
"""

import json
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from scene_utils import data
from scene_utils.support import audit

COUNTS = {"train": 64, "val": 16}
COLUMNS = 8


def choose(dataset: data.Dataset) -> dict[str, list[list[int]]]:
    """Indices of the sample: set -> class -> images."""
    parts = {"train": dataset.train, "val": dataset.test}
    shared = set(audit.digests(dataset.train.images)) & set(audit.digests(dataset.test.images))
    chosen = {}
    for part, split in parts.items():
        twin = [digest in shared for digest in audit.digests(split.images)]
        rank = [sha256(name.encode()).digest() for name in split.names]
        order = sorted(range(len(split)), key=lambda i, twin=twin, rank=rank: (not twin[i], rank[i]))
        by_class = [[i for i in order if split.labels[i] == label] for label in range(len(split.classes))]
        chosen[part] = [indices[: COUNTS[part]] for indices in by_class]
    return chosen


def sheet(images: np.ndarray) -> Image.Image:
    """Lay (n, 3, side, side) images out in rows of ``COLUMNS``."""
    n, side = len(images), data.SIDE
    tiles = images.reshape(n // COLUMNS, COLUMNS, 3, side, side).transpose(0, 3, 1, 4, 2)
    return Image.fromarray(tiles.reshape(n // COLUMNS * side, COLUMNS * side, 3))


def main(folder: Path) -> None:
    """Write the contact sheets and ``names.json`` into ``folder``."""
    dataset = data.load("full")
    chosen = choose(dataset)
    classes = dataset.train.classes
    names = {"source": data.URL, "commit": data.COMMIT, "licence": data.LICENCE, "classes": classes}
    folder.mkdir(parents=True, exist_ok=True)
    for part, split in (("train", dataset.train), ("val", dataset.test)):
        names[part] = {}
        for label, indices in zip(classes, chosen[part], strict=True):
            sheet(split.images[indices].numpy()).save(
                folder / f"{part}-{label}.webp", lossless=True, quality=100, method=6, exact=True
            )
            names[part][label] = [split.names[i].rsplit("/", 1)[1] for i in indices]
    (folder / "names.json").write_text(json.dumps(names, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else data.SAMPLE_DIR)
