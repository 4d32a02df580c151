"""Sentences: three forms, picked by the interval, the same in both languages."""

from string import Formatter

import numpy as np
import pandas as pd
import pytest

from scene_utils import averaging, evaluation
from scene_utils.support import intervals
from scene_utils.support.settings import SceneError
from scene_utils.text import sentences


def places(text):
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_languages_have_the_same_templates_and_places():
    english, korean = (sentences.SENTENCES[language] for language in sentences.LANGUAGES)
    assert english.keys() == korean.keys()
    for key in english:
        assert places(english[key]) == places(korean[key]), key


@pytest.mark.parametrize(
    ("fixes", "breaks", "form"),
    [(107, 19, "is more accurate"), (19, 107, "is less accurate"), (20, 19, "not to be told apart")],
)
def test_difference_has_three_forms(fixes, breaks, form):
    text = sentences.difference(intervals.compare_counts(fixes, breaks, 3407), "ResNet18", "Mixup")
    assert form in text
    assert f"fixes {fixes}, breaks {breaks} of 3,407 images" in text


def test_difference_is_told_in_images_first():
    text = sentences.difference(intervals.compare_counts(107, 19, 3407), "A", "B")
    told = "fixes 107, breaks 19 of 3,407 images: +2.6 points (95 % interval 2.0 to 3.2)"
    assert told in text


@pytest.mark.parametrize(
    ("correct", "english", "korean"),
    [(2900, "higher", "증가"), (2500, "lower", "감소"), (2710, "not to be told apart", "구분할 수 없음")],
)
def test_against_the_report(correct, english, korean):
    assert english in sentences.against_report("LeNet", correct, 3407, 0.7945)
    assert korean in sentences.against_report("LeNet", correct, 3407, 0.7945, "ko")


@pytest.mark.parametrize(
    ("correct", "english"), [(3300, "is reached"), (3000, "is not reached"), (3213, "cannot tell")]
)
def test_target(correct, english):
    assert english in sentences.target("ensemble", correct, 3407, 0.94)


@pytest.mark.parametrize(("reported", "english"), [(0.03, "survives"), (-0.03, "opposite")])
def test_claims(reported, english):
    comparison = intervals.compare_counts(107, 19, 3407)
    assert english in sentences.claim(reported, comparison, "A", "B")
    undecided = intervals.compare_counts(20, 19, 3407)
    assert "not to be told apart" in sentences.claim(reported, undecided, "A", "B")


@pytest.mark.parametrize(
    ("steps", "english"),
    [
        ([None, None, 50, 20], "it holds"),
        ([None, None, None, 20], "later"),
        ([None, 90, 50, 20], "earlier"),
        ([None] * 4, "no run diverges"),
        ([90, 60, 50, 20], "earlier"),
    ],
)
def test_divergence(steps, english):
    sweep = pd.DataFrame({"learning_rate": [0.001, 0.005, 0.007, 0.02], "diverged_step": steps})
    assert english in sentences.divergence(sweep, 0.007)
    assert "0.007" in sentences.divergence(sweep, 0.007, "ko")


def test_every_sentence_exists_in_korean():
    comparison = intervals.compare_counts(30, 5, 600)
    seeds = intervals.compare_seeds([0.8, 0.81], [0.9, 0.91])
    analysis = averaging.analyse_ensemble([[0, 1], [1, 1]], [0, 1], [0, 1])
    table = evaluation.class_changes([0, 1, 1], [0, 0, 1], [0, 0, 1], ["sea", "street"])
    pairs = evaluation.confused_pairs([[3, 1], [2, 3]], ["sea", "street"])
    for language in sentences.LANGUAGES:
        made = [
            sentences.accuracy("A", 500, 600, language),
            sentences.difference(comparison, "A", "B", language),
            sentences.seeds(seeds, "A", "B", language),
            sentences.calibration((0.05, 0.02), (-0.04, -0.02), "A", "B", language),
            sentences.ensemble(analysis, ["A", "B"], language),
            sentences.changes(table, language),
            sentences.confused(pairs, language),
        ]
        assert all("{" not in text and text.endswith(".") for text in made)
    assert "바다" in sentences.confused(pairs, "ko")
    assert "no class" in sentences.changes(table)


def test_points_and_terms():
    assert sentences.points(0.0258) == "+2.6"
    assert sentences.points(-0.0399) == "−4.0"
    assert sentences.points(-0.0001) == "0.0"
    assert sentences.points(0.8, sign=False) == "80.0"
    assert sentences.term("glacier", "ko") == "빙하"
    assert sentences.term("glacier") == sentences.term("glacier", "en") == "glacier"


def test_unknown_language_is_named():
    with pytest.raises(SceneError, match="'fr' is unknown; known: en, ko"):
        sentences.accuracy("A", 1, 2, "fr")


def test_schedules_the_simplest_of_those_that_cannot_be_told_from_the_best():
    close = {"multistep": [0.71, 0.73, 0.72], "cosine": [0.70, 0.73, 0.72], "constant": [0.50, 0.51, 0.50]}
    first, apart, choice = sentences.schedules(close)
    assert "Over 3 seeds the schedule multistep has the highest mean accuracy on the hold-out, 72.0 ± 1.0 %" in first
    assert apart == "Told apart from multistep: constant; not told apart: cosine."
    assert choice.endswith("here cosine.")
    alone = {"multistep": [0.71, 0.72, 0.72], "constant": [0.50, 0.51, 0.50]}
    assert sentences.schedules(alone)[1].endswith("not told apart: none.")
    assert sentences.schedules(alone, "ko")[2].endswith("multistep.")


@pytest.mark.parametrize(
    ("most_first", "said"),
    [([0.8, 0.81, 0.8], "So I start"), ([0.5, 0.51, 0.5], "other order"), ([0.6, 0.9, 0.4], "do not show")],
)
def test_the_order_of_tuning_has_three_forms(most_first, said):
    comparison = intervals.compare_seeds([0.7, 0.71, 0.7], most_first)
    text = sentences.order(["learning_rate", "mixup"], comparison)
    assert said in text and "learning rate" in text


def test_importances_are_told_from_the_largest_to_the_least():
    text = sentences.importance({"learning_rate": 0.7, "momentum": 0.2, "mixup": 0.1}, 40)
    assert "In 40 trials the learning rate explains 70%" in text
    assert text.endswith("the momentum 20%, and least of all the Mixup strength, 10%.")


@pytest.mark.parametrize(
    ("fixes", "breaks", "said"), [(107, 19, "earns its keep"), (19, 107, "accuracy too"), (20, 19, "16.8 million")]
)
def test_the_second_layer_has_three_forms(fixes, breaks, said):
    assert said in sentences.second_layer(intervals.compare_counts(fixes, breaks, 3407), 16_781_312)


def test_a_grown_member_is_told_by_where_it_differs():
    first, second, labels = np.array([0, 1, 2, 0]), np.array([0, 2, 1, 0]), np.array([0, 2, 2, 1])
    text = sentences.grown(first, second, labels, "ResNet50", "ResNet101")
    assert "answer 2 of 4 test images differently (50.0%); of these ResNet101 has 1 right, ResNet50 1." in text
