"""The final model's schedule against the report's formula, epoch by epoch, in both readings."""

import pytest

from scene_utils import results
from scene_utils.catalogue import EXPERIMENTS, REPORTED
from scene_utils.lessons import course
from scene_utils.recipe import learning_rates, literal_rates

PROTOCOL = results.facts()["ensemble_protocol"]
EPOCHS = range(1, PROTOCOL["epochs"] + 1)


def factor(epoch):
    """The report's slide: unchanged up to epoch 10, then 0.5, 0.25, 0.125 and 0.0625, ten epochs each."""
    if epoch <= 10:
        return 1
    if epoch <= 20:
        return 0.5
    if epoch <= 30:
        return 0.25
    return 0.125 if epoch <= 40 else 0.0625


def test_the_recipe_is_the_reports_protocol():
    assert PROTOCOL["scheduler"] == {
        "name": "MultiStepLR",
        "milestones": list(REPORTED.milestones),
        "gamma": REPORTED.gamma,
    }
    assert (REPORTED.epochs, REPORTED.optimizer) == (PROTOCOL["epochs"], PROTOCOL["optimizer"].lower())
    assert REPORTED.learning_rate == PROTOCOL["learning_rate"]


@pytest.mark.parametrize("steps", [1, 7])
def test_multistep_is_the_formula_applied_to_the_initial_rate(steps):
    expected = [PROTOCOL["learning_rate"] * factor(epoch) for epoch in EPOCHS]
    assert learning_rates(REPORTED, steps) == pytest.approx(expected, rel=1e-12)


def test_as_written_the_rate_is_cut_again_at_every_epoch():
    expected, rate = [], PROTOCOL["learning_rate"]
    for epoch in EPOCHS:
        rate *= factor(epoch)
        expected.append(rate)
    assert literal_rates(REPORTED) == pytest.approx(expected, rel=1e-12)
    assert expected[-1] < 1e-30


def test_table_and_formula_tell_the_same():
    table = course.schedule_table(REPORTED)
    assert table["epochs"].tolist() == ["1 to 10", "11 to 20", "21 to 30", "31 to 40", "41 to 50"]
    assert table["factor"].tolist() == [factor(epoch) for epoch in (10, 20, 30, 40, 50)]
    assert table["MultiStepLR"].tolist() == pytest.approx([1e-3 * f for f in table["factor"]])
    assert table["as written"].iloc[-1] == literal_rates(REPORTED)[-1]
    text = course.schedule_formula(REPORTED).data
    for part in (r"1 & t \le 10", r"0.5 & 10 < t \le 20", r"0.0625 & t > 40"):
        assert part in text


def test_every_member_of_the_reports_reading_keeps_the_schedule():
    for name in EXPERIMENTS["ensemble-reported"].members:
        recipe = EXPERIMENTS[name].recipe("full")
        assert learning_rates(recipe) == learning_rates(REPORTED)
        assert recipe.mixup > 0 and EXPERIMENTS[name].depth
