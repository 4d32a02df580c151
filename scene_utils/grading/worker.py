"""The notebook's side: executes its cells, then answers what the grader asks. Nothing here is trusted.

What a notebook could do to this program changes its answers alone, which it may give as it likes; whether they are
right is decided in the grader's process.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import sys
from multiprocessing.connection import Connection

import cloudpickle
import numpy as np
import torch
from torch import nn

MOST, LONGEST = 100_000, 16 * 2**20  # items of an iterator, bytes of a reply
OBJECTS: list[object] = []


def resolve(number: int) -> object:
    """An object that the grader knows by its number."""
    return OBJECTS[number]


def encode(value: object) -> object:
    """A value as JSON; what has no such form stays here and goes by number."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if value is ...:
        return {"kind": "blank"}
    if isinstance(value, torch.Tensor):
        return _numbers(value, "tensor")
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return _numbers(torch.from_numpy(np.ascontiguousarray(value)), "array", value.shape)
    if isinstance(value, nn.Module):
        return _module(value)
    if isinstance(value, dict):
        return {"kind": "dict", "items": [[encode(key), encode(each)] for key, each in value.items()]}
    if isinstance(value, tuple | list):
        return {"kind": type(value).__name__ if type(value) is tuple else "list", "items": [encode(e) for e in value]}
    if hasattr(value, "__iter__") and not hasattr(value, "__getitem__") and not isinstance(value, type):
        return {"kind": "list", "items": [encode(each) for each in itertools.islice(value, MOST)]}
    return _reference(value)


def _reference(value: object) -> dict:
    OBJECTS.append(value)
    return {"kind": "object", "number": len(OBJECTS) - 1, "name": type(value).__name__}


def _numbers(tensor: torch.Tensor, kind: str, shape: tuple[int, ...] | None = None) -> dict:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy().tobytes() if len(flat) else b""
    shape = tensor.shape if shape is None else shape
    text = base64.b64encode(data).decode()
    return {"kind": kind, "type": str(tensor.dtype).removeprefix("torch."), "shape": list(shape), "data": text}


def _module(module: nn.Module) -> dict:
    """A network: it computes here, and the grader knows its layers by name, and its weights."""
    own = {name: encode(value.detach()) for name, value in module.named_parameters()}
    kinds = [type(each) for each in module.modules()]
    layers = [kind.__name__ if kind.__module__.startswith("torch.nn.") else f"own {kind.__name__}" for kind in kinds]
    return _reference(module) | {"kind": "module", "layers": layers, "weights": own}


def _changed(value: object) -> object:
    """What a call may have changed in an argument: a network's state, a tensor's values."""
    if isinstance(value, nn.Module):
        state = {name: encode(each) for name, each in value.state_dict().items() if torch.is_tensor(each)}
        return {"state": state, "training": [each.training for each in value.modules()]}
    return encode(value) if isinstance(value, torch.Tensor) else None


def call(header: dict, payload: bytes) -> dict:
    """Call an object, or a method of it, with the grader's arguments and random numbers."""
    args, kwargs, random = cloudpickle.loads(payload)
    target = OBJECTS[header["number"]]
    if header["attribute"]:
        target = getattr(target, header["attribute"])
    torch.set_rng_state(random)
    if header["training"] is not None:
        target.train(header["training"])
    value = encode(target(*args, **kwargs) if header["called"] else target)
    changed = [_changed(each) for each in [*args, *kwargs.values()]]
    return {"value": value, "changed": changed, "random": encode(torch.get_rng_state())}


def run(shell, cells: list[list[str]], files: dict[str, str]) -> dict:
    """Execute cells, going on after errors; return the errors by the cell's name."""
    for name, text in files.items():
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    errors = {}
    for name, source in cells:
        result = shell.run_cell(source)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            errors[name] = f"{type(error).__name__}: {error}"[:300]
    return {"errors": errors}


def main(number: int) -> None:
    """Serve the grader until it has no more questions."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    sys.path.insert(0, os.getcwd())
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    connection = Connection(number)
    connection.send_bytes(b"ready")
    while True:
        header, payload = json.loads(connection.recv_bytes()), connection.recv_bytes()
        try:
            if header["ask"] == "run":
                reply = run(shell, header["cells"], header["files"])
            elif header["ask"] == "answer":
                reply = {"value": encode(shell.user_ns.get(header["name"]))}
            else:
                reply = call(header, payload)
        except BaseException as error:
            reply = {"error": [type(error).__name__, str(error)[:300]]}
        text = json.dumps(reply).encode()
        too_long = json.dumps({"error": ["ValueError", f"more than {LONGEST // 2**20} MB"]}).encode()
        connection.send_bytes(text if len(text) < LONGEST else too_long)


if __name__ == "__main__":
    sys.modules["scene_utils.grading.worker"] = sys.modules["__main__"]  # the grader names it so
    main(int(sys.argv[1]))
