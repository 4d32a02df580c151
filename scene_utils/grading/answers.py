"""The grader's side: an answer that lives in a notebook's process, used by a check as if it were here.

Numbers, texts and tensors come as copies; any other object, a function or a network, stays where it is, and each call
of it is a message. What a call changes in its arguments (a network's weights, a tensor) is copied back, so that a check
sees it. No message is ever unpickled here.
"""

from __future__ import annotations

import base64
import builtins
import math

import cloudpickle
import torch
from torch import nn

from scene_utils.grading.sandbox import Sandbox

TYPES = {name: getattr(torch, name) for name in ("uint8", "int8", "int16", "int32", "int64", "bool", "float16",
                                                 "bfloat16", "float32", "float64")}  # fmt: skip
LAYERS = {each.__name__: each for each in vars(nn).values() if isinstance(each, type) and each is not nn.Module
          and issubclass(each, nn.Module)}  # fmt: skip


class Remote:
    """An object of the notebook's process."""

    def __init__(self, notebook: Notebook, number: int):
        self._notebook, self._number = notebook, number

    def __reduce__(self):
        from scene_utils.grading import worker

        return worker.resolve, (self._number,)

    def __call__(self, *args, **kwargs):
        return self._notebook.call(self._number, "", args, kwargs)

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return self._notebook.call(self._number, "__len__")

    def __getitem__(self, index):
        return self._notebook.call(self._number, "__getitem__", (index,))

    def __getattr__(self, name: str):
        if name.startswith("_"):
            raise AttributeError(name)
        return self._notebook.call(self._number, name, called=False)


class RemoteNet(nn.Module):
    """A network that computes in the notebook's process; its weights here are copies, its layers have no content."""

    def __init__(self, notebook: Notebook, number: int, weights: dict[str, torch.Tensor], layers: list[nn.Module]):
        nn.Module.__init__(self)
        self._notebook, self._number = notebook, number
        for name, value in weights.items():
            self.register_parameter(name.replace(".", "-"), nn.Parameter(value, requires_grad=False))
        for place, layer in enumerate(layers):
            self.add_module(f"layer {place}", layer)

    def forward(self, *args):
        return self._notebook.call(self._number, "", args, training=self.training)


class Notebook:
    """An executed notebook, of which answers are asked by name."""

    def __init__(self, sandbox: Sandbox):
        self._sandbox = sandbox

    def run(self, cells: list[tuple[str, str]], files: dict[str, str]) -> dict[str, str]:
        """Execute cells and return the errors by the cell's name."""
        errors = self._reply({"ask": "run", "cells": cells, "files": files}).get("errors")
        return {str(name): str(text) for name, text in errors.items()} if isinstance(errors, dict) else {}

    def answer(self, name: str) -> object:
        """The answer that a notebook gives by a name; None where it gives none."""
        return self._decode(self._reply({"ask": "answer", "name": name}).get("value"))

    def call(self, number: int, attribute: str, args=(), kwargs=None, called: bool = True, training=None) -> object:
        """Call an object of the notebook (or a method; or read an attribute), with this process's random numbers."""
        kwargs = kwargs or {}
        header = {"ask": "call", "number": number, "attribute": attribute, "called": called, "training": training}
        reply = self._reply(header, cloudpickle.dumps((args, kwargs, torch.get_rng_state())))
        torch.set_rng_state(self._decode(reply["random"]))
        for argument, change in zip([*args, *kwargs.values()], reply["changed"], strict=True):
            self._change(argument, change)
        return self._decode(reply["value"])

    def _reply(self, header: dict, payload: bytes = b"") -> dict:
        """The reply to a request; an error over there is one of the same name here."""
        reply = self._sandbox.ask(header, payload)
        if "error" in reply:
            name, message = (str(each) for each in reply["error"])
            kind = getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception) and kind is not UnicodeDecodeError:
                try:
                    error = kind(message)
                except TypeError:
                    error = RuntimeError(f"{name}: {message}")
                raise error
            raise RuntimeError(f"{name}: {message}")
        return reply

    def _change(self, argument: object, change: object) -> None:
        if isinstance(argument, nn.Module) and isinstance(change, dict):
            argument.load_state_dict({name: self._decode(each) for name, each in change["state"].items()})
            for module, training in zip(argument.modules(), change["training"], strict=True):
                module.training = bool(training)
        elif isinstance(argument, torch.Tensor) and isinstance(change, dict):
            value = self._decode(change)
            with torch.no_grad():
                argument if torch.equal(argument, value) else argument.copy_(value)

    def _decode(self, value: object) -> object:
        """What a message says."""
        if not isinstance(value, dict):
            return value
        kind = value["kind"]
        if kind == "blank":
            return ...
        if kind in ("tuple", "list"):
            items = [self._decode(each) for each in value["items"]]
            return tuple(items) if kind == "tuple" else items
        if kind == "dict":
            return {self._decode(key): self._decode(each) for key, each in value["items"]}
        if kind in ("tensor", "array"):
            return _numbers(value) if kind == "tensor" else _numbers(value).numpy()
        if kind == "module":
            return self._network(value)
        return Remote(self, int(value["number"]))

    def _network(self, value: dict) -> nn.Module:
        weights = {str(name): self._decode(each) for name, each in value["weights"].items()}
        first, *kinds = [LAYERS.get(name) or type(str(name)[:40], (nn.Module,), {}) for name in value["layers"]]
        layers = [kind.__new__(kind) for kind in kinds]
        for layer in layers:
            nn.Module.__init__(layer)
        return type(first.__name__, (RemoteNet, first), {})(self, int(value["number"]), weights, layers)


def _numbers(value: dict) -> torch.Tensor:
    kind, shape, data = TYPES[value["type"]], [int(n) for n in value["shape"]], base64.b64decode(value["data"])
    if any(n < 0 for n in shape) or math.prod(shape) * kind.itemsize != len(data):
        raise ValueError("a tensor without its numbers")
    return torch.frombuffer(bytearray(data), dtype=kind).reshape(shape) if data else torch.zeros(shape, dtype=kind)
