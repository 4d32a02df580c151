"""Statistics against published examples, scikit-learn, scipy and torchmetrics."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import recall_score

from scene_utils import averaging, results
from scene_utils import evaluation as ev
from scene_utils.support import intervals, report_facts
from scene_utils.support.settings import SceneError

FACTS = results.facts()


def simulated(seed=0, n=600, classes=4, skill=1.5):
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(99).integers(0, classes, n)
    logits = rng.normal(size=(n, classes)).astype(np.float32)
    logits[np.arange(n), labels] += skill
    return logits, labels


def test_wilsons_and_newcombes_intervals_are_the_published_ones():
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3
    for counts, interval in {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0, 0.1611),
                             (1, 29): (0.0061, 0.1718)}.items():  # fmt: skip
        assert intervals.wilson_interval(*counts) == pytest.approx(interval, abs=5e-5)
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II: 56/70 and 48/80, method 10
    assert intervals.newcombe_interval(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    with pytest.raises(SceneError, match="0 correct of 0"):
        intervals.wilson_interval(0, 0)
    for count in range(1, 200):
        assert intervals.wilson_interval(count, count)[1] == 1 and intervals.wilson_interval(0, count)[0] == 0


def test_confusion_has_the_truth_in_rows_and_pairs_count_both_directions():
    # the example of scikit-learn's confusion_matrix; a fourth class does not occur
    logits = torch.eye(4)[[0, 0, 2, 2, 0, 2]]
    matrix = ev.confusion(torch.tensor([2, 0, 2, 2, 0, 1]), logits, ["a", "b", "c", "d"])
    assert matrix.tolist() == [[2, 0, 0, 0], [0, 0, 1, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    pairs = ev.confused_pairs([[5, 1, 3], [0, 5, 0], [4, 2, 5]], ["a", "b", "c"])
    assert pairs.iloc[0].tolist() == ["a", "c", 7, 3, 4]
    assert pairs["images"].sum() == 10


def test_per_class_recall_agrees_with_scikit_learn():
    logits, labels = simulated()
    table = ev.per_class(labels, logits, list("abcd"))
    assert table["recall"].to_numpy() == pytest.approx(recall_score(labels, logits.argmax(1), average=None))
    row = table.iloc[1]
    assert (row["low"], row["high"]) == intervals.wilson_interval(int(row["correct"]), int(row["total"]))
    empty = ev.per_class([0, 0, 2], [0, 1, 2], ["a", "b", "c"]).loc[1]
    assert empty["total"] == 0 and empty[["recall", "low", "high"]].isna().all()


def test_most_confident_errors_are_sorted_and_wrong():
    logits, labels = simulated()
    errors = ev.most_confident_errors(logits, labels, 5)
    assert len(errors) == 5
    assert (errors["label"] != errors["prediction"]).all()
    assert errors["probability"].is_monotonic_decreasing
    wrong = torch.as_tensor(logits).softmax(1).max(1).values[logits.argmax(1) != labels]
    assert errors["probability"].iloc[0] == pytest.approx(wrong.max().item())
    perfect = np.eye(4)[labels] * 9
    assert ev.most_confident_errors(perfect, labels).empty


def test_calibration_error_is_that_of_torchmetrics_documentation_and_of_the_reliability_table(monkeypatch):
    probabilities = [[0.25, 0.20, 0.55], [0.55, 0.05, 0.40], [0.10, 0.30, 0.60], [0.90, 0.05, 0.05]]
    with monkeypatch.context() as patch:
        patch.setattr(ev, "EDGES", np.linspace(0, 1, 4))
        assert ev.calibration_error(np.log(probabilities), [0, 1, 2, 0]) == pytest.approx(0.2)
    logits, labels = simulated(skill=2)
    table = ev.reliability(logits * 3, labels)
    assert table["count"].sum() == len(labels)
    gaps = (table["confidence"] - table["accuracy"]).abs() * table["count"] / len(labels)
    assert gaps.sum() == pytest.approx(ev.calibration_error(logits * 3, labels), abs=1e-6)
    filled = table[table["count"] > 0]
    assert ((filled["low"] < filled["confidence"]) & (filled["confidence"] <= filled["high"])).all()


def test_calibration_of_an_overconfident_model_is_told_apart():
    logits, labels = simulated(n=1500)
    low, high = ev.compare_calibration(logits, logits * 5, labels)
    difference = ev.calibration_error(logits * 5, labels) - ev.calibration_error(logits, labels)
    assert 0 < low < difference < high
    assert ev.compare_calibration(logits, logits, labels) == (0, 0)


def test_mcnemar_is_the_textbook_example():
    # Fagerland, Lydersen and Laake, 2013: 1 and 7 discordant pairs of 21 patients, exact p = 0.070
    assert intervals.compare_counts(7, 1, 21).p_value == pytest.approx(0.0703, abs=5e-5)


def test_compare_counts_images_and_rests_on_the_seed():
    labels = np.array([0, 0, 1, 1, 2])
    first, second = np.array([0, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 2])
    comparison = ev.compare(first, second, labels)
    assert (comparison.fixes, comparison.breaks, comparison.total) == (2, 1, 5)
    assert comparison.difference == pytest.approx(0.2)
    assert comparison == ev.compare(torch.eye(3)[first], torch.eye(3)[second], torch.tensor(labels))
    with pytest.raises(SceneError, match="same images"):
        ev.compare([0, 1], [0, 1, 1], [0, 1])


def test_bootstrap_over_counts_is_the_bootstrap_over_images():
    change = np.repeat([1, -1, 0], [107, 19, 3281])
    rng = np.random.default_rng(3)
    means = [rng.choice(change, change.size).mean() for _ in range(3000)]
    expected = np.quantile(means, [0.025, 0.975])
    comparison = intervals.compare_counts(107, 19, 3407)
    assert (comparison.low, comparison.high) == pytest.approx(tuple(expected), abs=4e-4)
    assert intervals.compare_counts(0, 0, 3407).verdict == "same"


def test_class_changes_add_up_to_the_comparison():
    (first, labels), (second, _) = simulated(1), simulated(2, skill=2.5)
    changes, comparison = ev.class_changes(first, second, labels, list("abcd")), ev.compare(first, second, labels)
    assert (changes["gained"].sum(), changes["lost"].sum()) == (comparison.fixes, comparison.breaks)
    assert (changes["net"] == changes["gained"] - changes["lost"]).all()


def test_seeds_are_compared_by_welch():
    first, second = [0.81, 0.82, 0.805], [0.84, 0.87, 0.845]
    comparison = intervals.compare_seeds(first, second)
    expected = stats.ttest_ind(second, first, equal_var=False).confidence_interval(0.95)
    assert (comparison.low, comparison.high) == pytest.approx((expected.low, expected.high))
    assert comparison.first_spread == pytest.approx(np.std(first, ddof=1))
    with pytest.raises(SceneError, match="at least two"):
        intervals.compare_seeds([0.8], second)


def test_the_facts_of_the_report_agree_with_themselves():
    assert len(FACTS["results"]) == 7
    assert all(report_facts.agree(FACTS).values())
    for model, result in FACTS["results"].items():
        recalls = np.divide(report_facts.counts(FACTS, model), FACTS["dataset"]["val_counts"])
        assert recalls == pytest.approx(result["per_class"], abs=5.001e-5)
        assert round(report_facts.total(FACTS, model) / sum(FACTS["dataset"]["val_counts"]), 4) == result["accuracy"]
    for row in FACTS["reported_differences"]:
        after, before = (FACTS["results"][row[side]]["accuracy"] for side in ("to", "from"))
        assert after - before == pytest.approx(row["difference"], abs=1e-9)
    wrong = copy.deepcopy(FACTS)
    wrong["results"]["lenet"]["per_class"][0] = 0.7
    assert not report_facts.agree(wrong)["lenet"]


def test_the_average_is_that_of_probabilities_not_of_logits_and_votes_that_are_even_go_by_it():
    one, two = torch.tensor([[0.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    expected = (one.softmax(1) + two.softmax(1)) / 2
    assert averaging.average_probabilities([one, two]) == pytest.approx(expected.numpy(), abs=1e-6)
    weighted = averaging.average_probabilities([one, two], weights=[3, 1])
    assert weighted == pytest.approx((0.75 * one.softmax(1) + 0.25 * two.softmax(1)).numpy(), abs=1e-6)
    a, b, c = np.eye(3)[[0, 0]] * 2, np.eye(3)[[1, 0]] * 2, np.eye(3)[[1, 2]] * 9
    assert averaging.hard_vote([a, b, c]).tolist() == [1, 0]
    assert averaging.hard_vote([a, c]).tolist() == [1, 2]


def test_weights_prefer_the_better_member_not_the_surest():
    (bad, labels), (good, _) = simulated(1, skill=0), simulated(2, skill=3)
    weights = averaging.choose_weights([bad, good], labels)
    assert sum(weights) == pytest.approx(1)
    assert weights[1] >= 0.9
    assert averaging.choose_weights([good, bad, bad], labels)[0] >= 0.8
    (one, labels), (two, _) = simulated(1, skill=2), simulated(2, skill=2)
    for members in ([one, two], [one / 2, two / 2], [one / 2, two]):  # of one skill, not as sure of their answers
        assert 0.4 <= averaging.choose_weights(members, labels)[0] <= 0.6


def test_ensemble_analysis_counts_images():
    labels = np.zeros(5, dtype=int)
    members = [np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 0, 1]), np.array([0, 1, 1, 0, 1])]
    analysis = averaging.analyse_ensemble(members, np.array([0, 0, 1, 0, 1]), labels)
    assert (analysis.total, analysis.disagree, analysis.none_right) == (5, 3, 1)
    assert (analysis.best, analysis.rescued, analysis.lost) == (0, 1, 1)
    assert averaging.analyse_ensemble(members, members[1], labels, best=1).rescued == 0
    row = averaging.shared_errors({"A": np.array([1, 1, 0, 0, 1]), "B": np.array([1, 2, 0, 0, 0])}, labels).iloc[0]
    assert row.tolist() == ["A + B", 2, 2, 1.2]
