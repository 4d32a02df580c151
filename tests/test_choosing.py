"""Which model to choose: what counts as a cost, and that table, figure and advice show the same."""

import numpy as np
import pytest

from scene_utils import plots
from scene_utils.lessons import choosing, course, slides
from scene_utils.lessons.checks import conclusions
from scene_utils.text import sentences
from tests.fakes import record

pytestmark = pytest.mark.usefixtures("runs_folder")


def model(name, seconds, **changes):
    """A run with all it takes to be compared."""
    return record(name, seconds=seconds, inference_ms=2.0, title=name, **changes)


def test_a_model_costs_all_trainings_that_it_takes_each_once():
    for name, seconds in (("a", 10.0), ("b", 20.0), ("c", 40.0)):
        model(name, seconds)
    teacher = model("both", 99.0, members=["a.sample.s0", "b.sample.s0"])
    model("student", 5.0, teacher="both.sample.s0 (k)", inputs={})
    mixed = model("mixed", 99.0, members=["student.sample.s0", "a.sample.s0", "c.sample.s0"],
                  recipe={"weights": [0.5, 0.5, 0.0]})  # fmt: skip
    def costs(run):
        return {each.name: each.seconds for each in choosing.trainings(run)}

    assert sum(costs(teacher).values()) == 30  # not 99: what it records of its members is not used twice
    assert costs(mixed) == {"student.sample.s0": 5, "a.sample.s0": 10, "b.sample.s0": 20}


def test_what_was_trained_on_another_kind_of_device_has_no_times_beside_the_others():
    known = choosing.readings([model("a", 1234.0), model("b", 2345.0), model("c", 5.0, device="NVIDIA H100 (one)")])
    table = choosing.table(choosing.costs(known))
    assert table.frame.set_index("model").loc["c"].tolist()[-2:] == ["", ""]
    advice = choosing.advice(known).set_index("what matters")["model"]
    assert "c" not in set(advice.filter(regex="training|prediction"))


def test_of_equally_small_models_the_one_with_times_is_advised():
    usual = [model("a", 1.0, parameters=9), model("b", 1.0, parameters=5)]
    known = choosing.readings([model("c", 1.0, parameters=5, device="NVIDIA H100 (one)"), *usual])
    advice = choosing.advice(known).set_index("what matters")["model"]
    assert advice["the fewest parameters of all"] == "b"


def test_seconds_of_two_kinds_of_device_are_not_added():
    devices = {"a": "cpu (1 thread)", "b": "cpu (1 thread); NVIDIA H100 (one)", "c": "cpu (1 thread); cpu (2 threads)"}
    runs = [model(name, 1234.0, device=device) for name, device in devices.items()]
    assert slides.formatted_runs(runs, "seconds")["seconds"].tolist() == ["1,234", "", "1,234"]


def test_exercise_4_asks_about_models_whose_costs_are_known():
    assert not conclusions.table().isna().any(axis=None)


def test_a_member_of_weight_0_counts_nowhere():
    again = {"b": {"refit": {"images": 9, "seconds": 1.0}}}
    for name in "abc":
        model(name, 1.0, weights=f"{name}.safetensors", **again.get(name, {}))
    recipes = [{"input_size": size, "mixup": 0.0, "augmentation": "flip+cutmix" if size == 80 else "flip",
                "distillation": float(size == 80)} for size in (96, 128, 80)]  # fmt: skip
    mixed = model("mixed", 3.0, members=[f"{name}.sample.s0" for name in "abc"], weights="a; b; c",
                  recipe={"weights": [0.5, 0.5, 0.0], "members": recipes})  # fmt: skip
    assert [run.name for run in mixed.counted] == ["a.sample.s0", "b.sample.s0"] and slides.origin(mixed) == "a, b"
    assert sentences.added(mixed) == sentences.tried(mixed)
    assert sentences.tried(mixed).startswith("images of 96, 128 pixels, a second training of 1 of 2 members")
    assert "c.safetensors" not in course.caption(mixed).data


def test_a_table_and_a_figure_of_the_same_models_show_the_same_seconds():
    known = choosing.readings([model("a", 1234.0), model("b", 56789.0)])
    costs = choosing.costs(known)
    table, alt = choosing.table(costs).frame, plots.cost(costs).alt
    assert all(f"{seconds} s" in alt for seconds in table["seconds of all trainings"])
    assert set(table["seconds of all trainings"]) == {"1,234", "56,789"}


def test_as_good_needs_the_margin_not_the_absence_of_a_difference(monkeypatch):
    rng, right = np.random.default_rng(0), {}
    right["best"] = rng.random(1000) < 0.9
    right["same"] = right["best"] ^ (rng.random(1000) < 0.001)
    right["unclear"] = rng.permutation(right["best"])  # as accurate, on other images
    monkeypatch.setattr(choosing.Reading, "right", property(lambda self: right[self.run.title]))
    known = choosing.readings([model(name, 1.0) for name in right])
    assert [each.title for each in choosing.as_good(known[0], known)] == ["best", "same"]
    assert set(choosing.advice(known).columns) == {"what matters", "model", "why"}
