"""Each check of an exercise takes three right answers, refuses five wrong ones, and survives any."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from scene_utils.lessons import checks
from tests.answers import ANSWERS


def verdict(check, answer, capsys):
    """What a check prints last; it leaves the random numbers alone."""
    before = torch.random.get_rng_state()
    assert checks.CHECKS[check](answer) is None
    line = capsys.readouterr().out.splitlines()[-1]
    assert re.match("right$|not yet: .{10}|not answered yet$", line)
    assert torch.equal(torch.random.get_rng_state(), before)
    return line


@pytest.mark.parametrize("check", checks.CHECKS)
def test_each_check_takes_three_right_answers_and_refuses_five_wrong_ones(check, capsys, monkeypatch):
    answers = ANSWERS[check]
    right, wrong = answers(monkeypatch) if callable(answers) else answers
    assert [verdict(check, answer, capsys)[:8] for answer in wrong] == ["not yet:"] * 5
    assert [verdict(check, answer, capsys) for answer in right] == ["right"] * 3  # a wrong one has spoilt nothing


def raises(*_, **__):
    raise RuntimeError("several\nlines")


def leaves(*_, **__):
    raise SystemExit


HOSTILE = ["0.5", "right", "", [], {}, object(), float("nan"), torch.zeros(2, 7), np.zeros((1, 1, 1, 1)), True]
HOSTILE += [raises, leaves, lambda *_, **__: "right", lambda *_, **__: torch.zeros(0), lambda: 1, int, nn.Linear]
HOSTILE += [lambda *_, **__: None, lambda *_, **__: ..., lambda *_, **__: (..., ...)]


@pytest.mark.parametrize("check", checks.CHECKS)
def test_a_check_survives_any_answer(check, capsys):
    assert [verdict(check, blank, capsys) for blank in (None, ...)] == ["not answered yet"] * 2
    for answer in HOSTILE:
        assert verdict(check, answer, capsys) != "right"
