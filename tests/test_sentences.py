"""Sentences: three forms, picked by the interval, the same in both languages."""

from string import Formatter

import pandas as pd
import pytest

from scene_utils import evaluation, sentences
from scene_utils.settings import SceneError


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
    text = sentences.difference(evaluation.compare_counts(fixes, breaks, 3407), "ResNet18", "Mixup")
    assert form in text
    assert f"fixes {fixes}, breaks {breaks} of 3,407 images" in text


def test_difference_is_told_in_images_first():
    text = sentences.difference(evaluation.compare_counts(107, 19, 3407), "A", "B")
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
    comparison = evaluation.compare_counts(107, 19, 3407)
    assert english in sentences.claim(reported, comparison, "A", "B")
    undecided = evaluation.compare_counts(20, 19, 3407)
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
    comparison = evaluation.compare_counts(30, 5, 600)
    seeds = evaluation.compare_seeds([0.8, 0.81], [0.9, 0.91])
    analysis = evaluation.analyse_ensemble([[0, 1], [1, 1]], [0, 1], [0, 1])
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
