"""The grader's side: an answer that lives in a notebook's process, used by a check as if it were here.

Numbers, texts and tensors come as copies; any other object, a function or a network, stays where it is, and each call
of it is a message. What a call changes in its arguments (a network's weights, a tensor) is copied back, so that a check
sees it. No message is ever unpickled here.
"""

from __future__ import annotations

import builtins
import contextlib
import math

import cloudpickle
import torch
from torch import nn

from scene_utils.grading import worker
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
    """A network, or a layer of one, that computes in the notebook's process.

    Weights and buffers here are copies. What a check changes in them is sent before the next call, what the call moves
    comes back, and forward hooks are called with tensors that have a shape and no values. ``_known`` has the versions
    of the tensors that are the same there.
    """

    def forward(self, *args):
        own = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        changed = {name: each.detach() for name, each in own.items() if self._known.get(id(each)) != each._version}
        layers = dict(self.named_modules())
        state = {"path": self._path, "changed": changed,
                 "training": [path for path, layer in layers.items() if layer.training],
                 "watched": [path for path, layer in layers.items() if path and layer._forward_hooks]}  # fmt: skip
        reply = self._notebook.request(self._number, "", args, {}, state=state)
        value = self._notebook.decode(reply["value"])
        with torch.no_grad():
            for name, new in reply["moved"].items():
                own[name].copy_(self._notebook.decode(new))
        self._known.update({id(each): each._version for each in own.values()})
        for path, before, after in reply["seen"]:
            for hook in layers[path]._forward_hooks.values():
                hook(layers[path], (torch.empty(before, device="meta"),), torch.empty(after, device="meta"))
        return value


class Notebook:
    """An executed notebook, of which answers are asked by name."""

    def __init__(self, sandbox: Sandbox):
        self._sandbox, self._numbers = sandbox, b""

    def run(self, cells: list[tuple[str, str]], files: dict[str, str]) -> dict[str, str]:
        """Execute cells and return the errors by the cell's name."""
        errors = self._reply({"ask": "run", "cells": cells, "files": files}).get("errors")
        return {str(name): str(text) for name, text in errors.items()} if isinstance(errors, dict) else {}

    def answer(self, name: str) -> object:
        """The answer that a notebook gives by a name; None where it gives none."""
        return self.decode(self._reply({"ask": "answer", "name": name}).get("value"))

    def call(self, number: int, attribute: str, args=(), kwargs=None, called: bool = True) -> object:
        """Call an object of the notebook (or a method; or read an attribute), with this process's random numbers."""
        return self.decode(self.request(number, attribute, args, kwargs or {}, called)["value"])

    def request(self, number: int, attribute: str, args, kwargs: dict, called: bool = True, state=None) -> dict:
        """The reply to a call: ``value``; of a network with a ``state`` also what has ``moved``, what hooks have seen.

        Random numbers go on from here, and what the call has changed in its arguments is changed here, too.
        """
        header = {"ask": "call", "number": number, "attribute": attribute, "called": called}
        reply = self._reply(header, cloudpickle.dumps((args, kwargs, torch.get_rng_state(), state)))
        torch.set_rng_state(self.decode(reply["random"]))
        for argument, change in zip([*args, *kwargs.values()], reply["changed"], strict=True):
            self._change(argument, change)
        return reply

    def _reply(self, header: dict, payload: bytes = b"") -> dict:
        """The reply to a request; an error over there is one of the same name here."""
        reply, self._numbers = self._sandbox.ask(header, payload)
        if "error" in reply:
            name, message = (str(each) for each in reply["error"])
            error, kind = RuntimeError(f"{name}: {message}"), getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception):
                with contextlib.suppress(TypeError):  # one that is not made of a message alone
                    error = kind(message)
            raise error
        return reply

    def _change(self, argument: object, change: object) -> None:
        if isinstance(argument, nn.Module) and isinstance(change, dict):
            argument.load_state_dict({name: self.decode(each) for name, each in change["state"].items()})
            for module, training in zip(argument.modules(), change["training"], strict=True):
                module.training = bool(training)
        elif isinstance(argument, torch.Tensor) and isinstance(change, dict):
            value = self.decode(change)
            with torch.no_grad():
                argument if torch.equal(argument, value) else argument.copy_(value)

    def decode(self, value: object) -> object:
        """What a message says."""
        if not isinstance(value, dict):
            return value
        kind = value["kind"]
        if kind == "blank":
            return ...
        if kind in ("tuple", "list"):
            items = [self.decode(each) for each in value["items"]]
            return tuple(items) if kind == "tuple" else items
        if kind == "dict":
            return {self.decode(key): self.decode(each) for key, each in value["items"]}
        if kind in ("tensor", "array"):
            found = _tensor(value, self._numbers[int(value["start"]) : int(value["end"])])
            return found if kind == "tensor" else found.numpy()
        if kind == "module":
            return self._network(value)
        return Remote(self, int(value["number"]))

    def _network(self, value: dict) -> nn.Module:
        known: dict[int, int] = {}
        made: dict[str, nn.Module] = {}
        for layer in value["layers"]:
            path, kind = str(layer["path"]), LAYERS.get(layer["name"]) or nn.Module
            each = object.__new__(type(str(layer["name"])[:40], (RemoteNet, kind), {}))
            nn.Module.__init__(each)
            each._notebook, each._number, each._path, each._known = self, int(value["number"]), path, known
            for name, own in layer["weights"].items():
                weight = None if own is None else nn.Parameter(self.decode(own), requires_grad=False)
                each.register_parameter(str(name), weight)
            for name, own in layer["buffers"].items():
                each.register_buffer(str(name), self.decode(own))
            known |= {id(own): own._version for own in [*each.parameters(), *each.buffers()]}
            each.training = bool(layer["training"])
            above, _, name = path.rpartition(".")
            if path:
                made[above].add_module(name, each)
            made[path] = each
        return made[""]


def _tensor(value: dict, data: bytes) -> torch.Tensor:
    kind, shape = TYPES[value["type"]], [int(n) for n in value["shape"]]
    if any(n < 0 for n in shape) or math.prod(shape) * kind.itemsize != len(data):
        raise ValueError("a tensor without its numbers")
    return torch.frombuffer(bytearray(data), dtype=kind).reshape(shape) if data else torch.zeros(shape, dtype=kind)
