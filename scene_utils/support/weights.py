"""Pretrained weights: find the file, check it, read it without executing anything in it, fit it to a net.

A source is named by one word. ``imagenet`` and ``imagenet-v2`` are torchvision's weights; any other word
stands for the file ``<architecture>-<word>.safetensors`` in the folder ``SCENE_WEIGHTS_DIR``. There is no
silent fallback.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scene_utils.support import progress
from scene_utils.support.settings import SceneError, named_folder

TORCHVISION = {"imagenet": "IMAGENET1K_V1", "imagenet-v2": "IMAGENET1K_V2"}
GROWN = "-grown"  # ResNet101 and 152 from a ResNet50's file
RESNET50 = (3, 4, 6, 3)  # its blocks in each stage


def weights_source(depth: int, weights: str | None) -> str:
    """Say which weights ``resnet(depth, weights=weights)`` starts from; to be called before any training.

    Returns:
        The file's name and the first eight digits of its SHA-256, never a path.

    Raises:
        SceneError: where the weights cannot be had, with the remedies.
    """
    if weights is None:
        return "none (from scratch)"
    path = find_weights(depth, weights)
    grown = f", ResNet{depth} grown from ResNet50" if weights.endswith(GROWN) else ""
    return f"{path.name} (sha256 {fingerprint(path)[:8]}){grown}"


def find_weights(depth: int, weights: str) -> Path:
    """Return the file that holds ``weights``; without ``SCENE_WEIGHTS_DIR`` torchvision's is downloaded.

    Raises:
        SceneError: where there is no such file, naming what was looked for, what is there and the remedies.
    """
    source = weights.removesuffix(GROWN)
    if weights != source:
        if depth not in (101, 152):
            raise SceneError(f"weights {weights!r} at depth {depth}: only ResNet101 and 152 grow from ResNet50")
        depth = 50
    folder, url = named_folder("SCENE_WEIGHTS_DIR"), torchvision_url(depth, source)
    if folder is None and url is None:
        known = "imagenet, imagenet-v2 (from depth 50 on)"
        raise SceneError(
            f"weights {weights!r} are not torchvision's ({known}) for ResNet{depth};"
            f" set SCENE_WEIGHTS_DIR to a folder that holds resnet{depth}-{source}.safetensors"
        )
    if folder is None:
        return download(url)
    wanted = ([url.rsplit("/", 1)[1]] if url else []) + [f"resnet{depth}-{source}.safetensors"]
    for name in wanted:
        if (folder / name).is_file():
            return folder / name
    found = sorted(path.name for path in folder.glob("*") if path.suffix in (".safetensors", ".pth"))
    raise SceneError(
        f"weights {weights!r}: the folder in SCENE_WEIGHTS_DIR holds no {' and no '.join(wanted)}"
        f" (it holds: {', '.join(found) or 'no weights'}); put that file there, choose weights that are there"
        + (", or connect to the network and unset SCENE_WEIGHTS_DIR" if url else "")
    )


def torchvision_url(depth: int, source: str) -> str | None:
    """Address of torchvision's own weights, ``None`` where it has none under that name."""
    import torchvision

    versions = torchvision.models.get_model_weights(f"resnet{depth}").__members__
    return versions[TORCHVISION[source]].url if TORCHVISION.get(source) in versions else None


def download(url: str) -> Path:
    """Fetch one of torchvision's files into torch's own cache, once; the checksum in its name is verified."""
    name = url.rsplit("/", 1)[1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            progress.line(f"downloading torchvision's {name}, once")
            torch.hub.download_url_to_file(url, str(path), checksum_in(name), progress=sys.stderr.isatty())
        except (OSError, RuntimeError) as error:
            raise SceneError(
                f"weights {name} cannot be downloaded ({one_line(error)}); connect to the network,"
                " or put the file into a folder and name that in SCENE_WEIGHTS_DIR"
            ) from error
    return path


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from ``.safetensors`` or torchvision's ``.pth`` without executing anything in it.

    Raises:
        SceneError: for a wrong checksum, an unreadable file, one that holds code, values that are not finite.
    """
    fingerprint(path)
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file can raise anything
        raise SceneError(
            f"weights {path.name} cannot be read as plain tensors ({type(error).__name__}: {one_line(error)})"
            "; nothing in it was executed; fetch it again from a source that you trust"
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SceneError(f"weights {path.name} hold no state dict (names and tensors); fetch the file again")
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise SceneError(f"weights {path.name}: {broken[0]} holds nan or inf; fetch the file again")
    return dict(state)


def load_weights(model: nn.Module, state: Mapping[str, Tensor], name: str, grow: bool = False) -> None:
    """Put ``state`` into ``model`` in place; the classifier ``fc`` keeps its random start.

    Args:
        name: what to call the weights in an error.
        grow: ``state`` is a ResNet50's; the blocks that ``model`` has beyond it start as identities.

    Raises:
        SceneError: where a name or a shape does not fit, before anything is changed.
    """
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    own = {key: value for key, value in model.state_dict().items() if not key.startswith("fc.")}
    if grow:
        state = net2deeper(own, state)
    # old files do not count batches
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    for problem, keys in (("has no", missing), ("has an unknown", unknown), ("has another shape of", wrong)):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise SceneError(
                f"weights {name} do not fit this net: the file {problem} {keys[0]}{more};"
                " choose the file of the same architecture"
            )
    model.load_state_dict(state, strict=False)


def net2deeper(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Complete a ResNet50's ``state`` to the state ``own`` of a deeper net, which then computes the same.

    The additional blocks stand at the end of each stage. The weight of their last norm is zero (Goyal et al.,
    2017), so that they add nothing to the shortcut and are identities (Chen et al., 2016: Net2DeeperNet).
    The rest of such a block starts at random, and learns as soon as that weight has left zero.
    """
    added = {}
    for key, value in own.items():
        block = re.match(r"layer(\d)\.(\d+)\.", key)
        if block and int(block[2]) >= RESNET50[int(block[1]) - 1]:
            added[key] = torch.zeros_like(value) if key.endswith("bn3.weight") else value
    return {**state, **added}


def checksum_in(name: str) -> str | None:
    """The start of a SHA-256 that torchvision writes into a file's name: ``resnet18-f37072fd.pth``."""
    match = re.search(r"-([0-9a-f]{8,})\.pth$", name)
    return match[1] if match else None


def fingerprint(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal; refuse the file where its name promises another one."""
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SceneError(f"weights {path.name} cannot be read ({error.strerror}); mend that first") from error
    if not found.startswith(checksum_in(path.name) or ""):
        raise SceneError(f"weights {path.name}: the SHA-256 is not the one in the name; fetch the file again")
    return found


def one_line(error: Exception) -> str:
    """The first line of an error, without what follows the first sentence."""
    return (str(error).strip().splitlines() or [""])[0].split(". ")[0][:120]
