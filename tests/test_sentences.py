"""Sentences: the interval picks the form, and both languages say every form."""

import numpy as np
import pandas as pd
import pytest

from scene_utils import averaging, evaluation
from scene_utils.support import intervals
from scene_utils.text import LANGUAGES, number, render, sentences, term, with_particle
from tests.fakes import record

COUNTS = {"higher": (107, 19), "lower": (19, 107), "same": (20, 19)}  # images fixed and broken, of 3,407


def form(text):
    """The key of the form that was picked."""
    return text.values.get("form", text).key


def speaks(text):
    """Check that a text has no open place in either language."""
    for language in LANGUAGES:
        said = render(text, language)
        assert "{" not in said and said.rstrip().endswith((".", ":"))
    return text


@pytest.mark.parametrize("verdict", COUNTS)
def test_the_interval_picks_the_form(verdict):
    compared = intervals.compare_counts(*COUNTS[verdict], 3407)
    text = speaks(sentences.difference(compared, "ResNet18", "Mixup"))
    assert form(text) == f"difference.{verdict}"
    assert (text.values["fixes"], text.values["breaks"]) == COUNTS[verdict]
    assert form(speaks(sentences.second_layer(compared, 16_781_312))) == f"second_layer.{verdict}"
    interval = compared.low, compared.high
    assert form(speaks(sentences.calibration((0.05, 0.02), interval, "A", "B"))) == f"calibration.{verdict}"
    correct = {"higher": (2900, 3300), "lower": (2500, 3000), "same": (2710, 3213)}[verdict]
    assert form(speaks(sentences.against_report("LeNet", correct[0], 3407, 0.7945))) == f"report.{verdict}"
    assert form(speaks(sentences.target("ensemble", correct[1], 3407, 0.94))) == f"target.{verdict}"


@pytest.mark.parametrize(
    ("reported", "verdict", "expected"),
    [(0.03, "higher", "confirmed"), (-0.03, "lower", "confirmed"), (-0.03, "higher", "contradicted"),
     (0.03, "lower", "contradicted"), (-0.03, "same", "open")],
)  # fmt: skip
def test_claims_survive_by_their_interval(reported, verdict, expected):
    compared = intervals.compare_counts(*COUNTS[verdict], 3407)
    assert form(speaks(sentences.claim(reported, compared))) == f"claim.{expected}"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([None, None, 50, 20], "confirmed"),
        ([None, None, None, 20], "higher"),
        ([None, 90, 50, 20], "lower"),
        ([None] * 4, "never"),
        ([90, 60, 50, 20], "lower"),
    ],
)
def test_divergence(steps, expected):
    sweep = pd.DataFrame({"learning_rate": [0.001, 0.005, 0.007, 0.02], "diverged_step": steps})
    assert form(speaks(sentences.divergence(sweep, 0.007))) == f"divergence.{expected}"
    assert form(speaks(sentences.divergence(sweep, None))) == "divergence.own"


def test_other_sentences_are_said_in_both_languages():
    seeds = intervals.compare_seeds([0.8, 0.81], [0.9, 0.91])
    analysis = averaging.analyse_ensemble([[0, 1], [1, 1]], [0, 1], [0, 1])
    table = evaluation.class_changes([0, 1, 1], [0, 0, 1], [0, 0, 1], ["sea", "street"])
    pairs = evaluation.confused_pairs([[3, 1], [2, 3]], ["sea", "street"])
    for text in (sentences.accuracy("A", 500, 600), sentences.seeds(seeds, "A", "B"), sentences.changes(table),
                 sentences.ensemble(analysis, ["A", "B"]), sentences.confused(pairs)):  # fmt: skip
        speaks(text)
    assert sentences.changes(table).values["lost"].key == "no_class"
    assert "바다" in render(sentences.confused(pairs), "ko")
    assert term("glacier", "ko") == "빙하" and term("glacier", "en") == "glacier"


def test_numbers_and_particles():
    assert [number(0.0258, "+pp"), number(-0.0399, "pp"), number(-0.0001, "+pp")] == ["+2.6", "−4.0", "0.0"]
    words = {"바다": "바다는", "숲": "숲은", "ResNet18": "ResNet18은", "94%": "94%는", "LeNet2": "LeNet2는"}
    assert {word: with_particle(word, "은/는") for word in words} == words
    assert [with_particle(word, "으로/로") for word in ("길", "숲", "바다")] == ["길로", "숲으로", "바다로"]


def test_schedules_take_the_simplest_of_those_without_a_significant_difference():
    close = {"multistep": [0.71, 0.73, 0.72], "cosine": [0.70, 0.73, 0.72], "constant": [0.50, 0.51, 0.50]}
    first, apart, choice = map(speaks, sentences.schedules(close))
    assert (first.values["best"], first.values["seeds"]) == ("multistep", 3)
    assert first.values["best_mean"] == pytest.approx(0.72)
    assert (apart.values["apart"], apart.values["same"]) == (["constant"], ["cosine"])
    assert choice.values["choice"] == "cosine"
    alone = sentences.schedules({"multistep": [0.71, 0.72, 0.72], "constant": [0.50, 0.51, 0.50]})
    assert alone[1].values["same"].key == "none" and alone[2].values["choice"] == "multistep"


def test_importances_from_the_largest_to_the_least():
    text = speaks(sentences.importance({"learning_rate": 0.7, "momentum": 0.2, "mixup": 0.1}, 40))
    shares = [text.values[f"{place}_share"] for place in ("first", "second", "last")]
    assert text.values["first"] == "learning rate" and shares == [0.7, 0.2, 0.1]


def test_where_a_grown_member_differs():
    first, second, labels = np.array([0, 1, 2, 0]), np.array([0, 2, 1, 0]), np.array([0, 2, 2, 1])
    counts = speaks(sentences.grown(first, second, labels, "ResNet50", "ResNet101")).values
    assert [counts[name] for name in ("images", "total", "second_right", "first_right")] == [2, 4, 1, 1]


def test_small_print_of_an_ensemble_names_what_its_members_were_trained_with(runs_folder):
    members = {"resnet50_final": "2.11.0", "resnet101_final": "2.14.1", "resnet152_final": "2.11.0"}
    names = [record(name, versions={"torch": torch, "engine": 1}, epochs=4).name for name, torch in members.items()]
    told = sentences.provenance(record("ensemble", members=names, epochs=1))
    assert "torch 2.11.0, 2.14.1," in told and "epochs: 4," in told
