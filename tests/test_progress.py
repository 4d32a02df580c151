"""What a reader sees while something trains: one bar for each call, and one switch for what is not wanted."""

import re

import pytest
import torch

from scene_utils import catalogue, durations, experiments, training
from scene_utils.lessons import tuning
from scene_utils.recipe import Recipe
from scene_utils.support import progress, settings
from tests.fakes import net, tiny

RECIPE = Recipe(epochs=2, batch_size=32, learning_rate=0.01, images=64, precision="float32")
pytestmark = pytest.mark.usefixtures("nothing_published")


@pytest.fixture
def bars(monkeypatch):
    """What appears on a notebook's page: one list of states for each bar."""
    shown = []

    class Handle:
        def __init__(self, data):
            self.states = [data]
            shown.append(self.states)

        def update(self, data, raw):
            self.states.append(data)

    monkeypatch.setattr(progress, "on_page", lambda: True)
    monkeypatch.setattr(progress, "watched", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda data, raw, display_id: Handle(data))
    return shown


def fit(**changes):
    train, holdout, _ = experiments.sets("sample")
    torch.manual_seed(0)
    return training.fit(net(), train, holdout, RECIPE.replace(**changes), name="net")


FRAME = ("deploy", "marks")  # around exporters and answers that print by themselves


def test_no_module_takes_a_stream_away():
    """tqdm, IPython and others flush ``sys.stdout``: what is not wanted goes through ``progress.silent``."""
    for path in (settings.project_dir() / "scene_utils").rglob("*.py"):
        taken = r"redirect_std\w+\(None|\bsys\.std(out|err) *[+:]?=" + "|redirect_std" * (path.stem not in FRAME)
        assert not re.search(taken, path.read_text(encoding="utf-8")), path.name


def test_the_switch_silences_lines_and_bar(bars, capsys):
    with progress.silent():
        fit()
    assert bars == [] and capsys.readouterr() == ("", "")
    fit()
    assert len(bars) == 1 and capsys.readouterr().out.startswith("net: 2 epochs, loss ")


def test_a_bar_says_how_long_it_will_take_and_ends_full(bars):
    fit()
    first, *_, last = (state["text/plain"] for state in bars[0])
    assert first == "0%, ? left" and last.startswith("100%, 0") and "left" not in last
    assert "<small>net</small>" in bars[0][0]["text/html"] and "net" not in bars[0][-1]["text/html"]
    assert 'value="1.0000"' in bars[0][-1]["text/html"]


@pytest.fixture
def small(declare):
    """An ensemble and its student, all of them tiny, each of them trained twice."""
    for name in "ab":
        declare(name, refit=True)
    declare("both", members=("a", "b"), weighted=True)
    declare("student", {"distillation": 0.5}, teacher="both", refit=True)


@pytest.mark.parametrize("call", [
    lambda: experiments.run_all(("a", "b"), "sample"),
    lambda: experiments.run("student", "sample"),
    lambda: tuning.again(tuning.START, "x", "sample", n=2),
], ids=["several runs", "an ensemble and its student", "a study"])  # fmt: skip
def test_a_call_that_trains_often_has_one_bar(call, bars, small):
    call()
    assert len(bars) == 1 and 'value="1.0000"' in bars[0][-1]["text/html"]
    call()
    assert len(bars) == 1, "a bar for what is found"


def test_a_finished_run_is_one_line(bars, capsys):
    experiments.run(tiny(), "sample")
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(".sample.s0: 1 epoch, loss ")[0] for line in lines] == ["tiny"]


def test_what_was_found_or_done_before_fills_the_bar(bars):
    with progress.part():
        with progress.part(0.5):
            pass  # found
        with progress.part():
            progress.begin("net", 0.5)
            assert 'value="0.7500"' in bars[0][0]["text/html"]
            progress.advance(0.5)
    assert 'value="1.0000"' in bars[0][-1]["text/html"]


def test_an_error_leaves_the_bar_where_it_was_and_the_next_call_starts_anew(bars):
    with pytest.raises(KeyboardInterrupt), progress.part():
        progress.begin("net")
        progress.advance(0.25)
        raise KeyboardInterrupt
    assert 'value="0.2500"' in bars[0][-1]["text/html"]
    fit()
    assert len(bars) == 2


def test_without_a_reader_there_is_no_bar_but_a_line_now_and_then(monkeypatch, capsys):
    assert not progress.watched()
    fit()
    assert len(capsys.readouterr().out.splitlines()) == 1
    monkeypatch.setattr(progress, "EVERY", 0)
    fit()
    out, err = capsys.readouterr()
    assert err == ""
    said = [line.split(", loss")[0] for line in out.splitlines()]
    assert said == ["net: epoch 1/2", "net: 2 epochs"]


def test_a_terminal_s_bar_ends_at_its_end_and_lines_stand_above_it(monkeypatch, capsys, recwarn):
    monkeypatch.setattr(progress, "watched", lambda: True)
    with progress.part():
        for _, share in progress.shared("abc"):
            with progress.part(share):
                progress.begin("net")
                for _ in range(30):
                    progress.advance(1 / 30)
        progress.line("net: done")
    out, err = capsys.readouterr()
    assert out == "net: done\n" and "100%|" in err and "-00:00" not in err and not recwarn.list


def test_the_efforts_of_a_series_are_those_of_its_parts():
    assert progress.shared(["a", "b"], {"a": 1, "b": 3}.get) == [("a", 0.25), ("b", 1.0)]
    assert {each.architecture for each in catalogue.EXPERIMENTS.values()} == set(durations.COST)


@pytest.mark.parametrize("hours, told", [(0.01, "5 min"), (0.4, "25 min"), (3.2, "3 h"), (30, "30 h"), (50, "2 days")])
def test_a_long_time_is_told_roughly(hours, told):
    assert progress.roughly(hours * 3600) == f"about {told}"
