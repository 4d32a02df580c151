"""The notebook's side: executes its cells, then answers what the grader asks. Nothing here is trusted.

What a notebook could do to this program changes its answers alone, which it may give as it likes; whether they are
right is decided in the grader's process.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from multiprocessing.connection import Connection

import cloudpickle
import numpy as np
import torch
from torch import nn

MOST = 100_000  # items of an iterator
LONGEST, LARGEST = 16 * 2**20, 256 * 2**20  # bytes of a reply: its text, its tensors
OBJECTS: list[object] = []
NUMBERS = bytearray()  # of the tensors of the reply that is being written


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
        return _numbers(torch.from_numpy(value.copy()), "array")
    if isinstance(value, nn.Module):
        return _module(value)
    if isinstance(value, dict):
        return {"kind": "dict", "items": [[encode(key), encode(each)] for key, each in value.items()]}
    if isinstance(value, tuple | list):
        return {"kind": "tuple" if type(value) is tuple else "list", "items": [encode(each) for each in value]}
    if hasattr(value, "__iter__") and not hasattr(value, "__getitem__") and not isinstance(value, type):
        return {"kind": "list", "items": [encode(each) for each in itertools.islice(value, MOST)]}
    return _reference(value)


def _reference(value: object) -> dict:
    OBJECTS.append(value)
    return {"kind": "object", "number": len(OBJECTS) - 1, "name": type(value).__name__}


def _numbers(tensor: torch.Tensor, kind: str) -> dict:
    flat, start = tensor.detach().cpu().contiguous().reshape(-1), len(NUMBERS)
    NUMBERS.extend(flat.view(torch.uint8).numpy().data if len(flat) else b"")
    place = {"start": start, "end": len(NUMBERS)}
    return {"kind": kind, "type": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)} | place


def _module(module: nn.Module) -> dict:
    """A network: it computes here, and the grader knows its layers by name, and what they contain."""
    layers = []
    for path, each in module.named_modules():
        kind = type(each)
        name = kind.__name__ if kind.__module__.startswith("torch.nn.") else f"own {kind.__name__}"
        own = [{key: encode(value) for key, value in named.items()} for named in (each._parameters, each._buffers)]
        layers.append({"path": path, "name": name, "weights": own[0], "buffers": own[1], "training": each.training})
    return _reference(module) | {"kind": "module", "layers": layers}


def contents(module: nn.Module) -> dict[str, torch.Tensor]:
    """Weights and buffers of a network by name."""
    return dict([*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)])


def forward(module: nn.Module, args: tuple, state: dict) -> dict:
    """Call a network with the contents and modes that the grader has given it; say what moved, and what it watches."""
    with torch.no_grad():
        for name, value in state["changed"].items():
            contents(module)[name].copy_(value)
    for path, each in module.named_modules():
        each.training = path in state["training"]
    versions, seen = {name: value._version for name, value in contents(module).items()}, []

    def note(path: str):
        def hook(_: nn.Module, inputs: tuple, output: object) -> None:
            if inputs and isinstance(inputs[0], torch.Tensor) and isinstance(output, torch.Tensor):
                seen.append([path, list(inputs[0].shape), list(output.shape)])

        return hook

    hooks = [module.get_submodule(path).register_forward_hook(note(path)) for path in state["watched"]]
    try:
        value = encode(module(*args))
    finally:
        for hook in hooks:
            hook.remove()
    moved = {name: encode(each) for name, each in contents(module).items() if each._version != versions.get(name)}
    return {"value": value, "moved": moved, "seen": seen}


def _changed(value: object) -> object:
    """What a call may have changed in an argument: a network's state, a tensor's values."""
    if isinstance(value, nn.Module):
        state = {name: encode(each) for name, each in value.state_dict().items() if torch.is_tensor(each)}
        return {"state": state, "training": [each.training for each in value.modules()]}
    return encode(value) if isinstance(value, torch.Tensor) else None


def call(header: dict, payload: bytes) -> dict:
    """Call an object, or a method of it, with the grader's arguments and random numbers."""
    args, kwargs, random, state = cloudpickle.loads(payload)
    target = OBJECTS[header["number"]]
    if header["attribute"]:
        target = getattr(target, header["attribute"])
    torch.set_rng_state(random)
    if state is not None:
        reply = forward(target.get_submodule(state["path"]), args, state)
    else:
        reply = {"value": encode(target(*args, **kwargs) if header["called"] else target)}
    changed = [_changed(each) for each in [*args, *kwargs.values()]]
    return reply | {"changed": changed, "random": encode(torch.get_rng_state())}


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
        NUMBERS.clear()
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
        if len(text) >= LONGEST or len(NUMBERS) >= LARGEST:
            text = json.dumps({"error": ["ValueError", f"more than {LARGEST // 2**20} MB"]}).encode()
            NUMBERS.clear()
        connection.send_bytes(text)
        connection.send_bytes(bytes(NUMBERS))


if __name__ == "__main__":
    sys.modules["scene_utils.grading.worker"] = sys.modules["__main__"]  # the grader names it so
    main(int(sys.argv[1]))
