"""Intervals and tests: of one accuracy, of the difference of two, over images and seeds (statsmodels, SciPy).

Intervals are pairs (low, high) at 95 %. SciPy's and statsmodels' functions are imported where they are used: they take
half a second, which ``classify`` would pay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cache

import numpy as np

from scene_utils.support.settings import SceneError

LEVEL = 0.95
RESAMPLES = 20_000

Interval = tuple[float, float]


# --- one accuracy, or two on different images


def wilson_interval(correct: int, total: int) -> Interval:
    """Wilson's score interval for ``correct`` of ``total`` (Wilson, 1927; statsmodels)."""
    from statsmodels.stats.proportion import proportion_confint

    if not 0 <= correct <= total or total == 0:
        raise SceneError(f"no interval for {correct} correct of {total}; evaluate at least one image")
    low, high = proportion_confint(correct, total, alpha=1 - LEVEL, method="wilson")
    return min(float(low), correct / total), max(float(high), correct / total)  # at 0 and 1 rounding may leave it out


def counted(correct: int, total: int) -> dict[str, float]:
    """Return correct, total, accuracy and its interval, low and high."""
    low, high = wilson_interval(correct, total)
    return {"correct": correct, "total": total, "accuracy": correct / total, "low": low, "high": high}


def newcombe_interval(correct: int, total: int, other_correct: int, other_total: int) -> Interval:
    """Newcombe's interval for the first accuracy minus the second, on different images (statsmodels)."""
    from statsmodels.stats.proportion import confint_proportions_2indep

    low, high = confint_proportions_2indep(
        correct, total, other_correct, other_total, method="newcomb", compare="diff", alpha=1 - LEVEL
    )
    return float(low), float(high)


# --- a difference, and what its interval says


def verdict(interval: Interval) -> str:
    """``higher`` for an interval above zero, ``lower`` for one below, else ``same``: not to be told apart."""
    low, high = interval
    return "higher" if low > 0 else "lower" if high < 0 else "same"


@dataclass(frozen=True)
class Estimate:
    """A difference of accuracies, or another contrast of them.

    Attributes:
        difference: of the second minus the first.
        low, high: its 95 % interval.
        p_value: of the two-sided test against zero.
    """

    difference: float
    low: float
    high: float
    p_value: float

    @property
    def verdict(self) -> str:
        """``higher``, ``lower`` or ``same``: the interval decides."""
        return verdict((self.low, self.high))


# --- two models on the same images


@dataclass(frozen=True)
class Comparison(Estimate):
    """Two models on the same images: the paired bootstrap's interval, McNemar's exact test.

    Attributes:
        fixes: images wrong in the first model and right in the second.
        breaks: images right in the first model and wrong in the second.
        total: number of images.
    """

    fixes: int
    breaks: int
    total: int


def compare_counts(fixes: int, breaks: int, total: int, seed: int = 0) -> Comparison:
    """Compare two models on the same images by the images that the second fixes and breaks.

    The paired bootstrap draws images with replacement; as only fixes and breaks move the difference, drawing
    their numbers from a multinomial distribution is the same and takes milliseconds.
    """
    from statsmodels.stats.contingency_tables import mcnemar

    shares = np.array([fixes, breaks, total - fixes - breaks]) / total
    drawn = np.random.default_rng(seed).multinomial(total, shares, size=RESAMPLES)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / total, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    p_value = mcnemar([[0, breaks], [fixes, 0]], exact=True).pvalue if fixes + breaks else 1.0
    return Comparison((fixes - breaks) / total, float(low), float(high), float(p_value), fixes, breaks, total)


# --- several seeds


@dataclass(frozen=True)
class SeedComparison(Estimate):
    """Accuracies of two recipes over seeds: means, standard deviations, Welch's t-test."""

    first_mean: float
    first_spread: float
    second_mean: float
    second_spread: float
    seeds: int


def compare_seeds(first: Sequence[float], second: Sequence[float]) -> SeedComparison:
    """Compare two recipes by their accuracies over seeds (``welch``).

    Raises:
        SceneError: with fewer than two seeds a recipe.
    """
    if min(len(first), len(second)) < 2:
        raise SceneError(f"{len(first)} and {len(second)} seeds tell no spread; run at least two a recipe")
    means = [of for each in (first, second) for of in (float(np.mean(each)), float(np.std(each, ddof=1)))]
    return SeedComparison(*astuple(welch(first, second)), *means, min(len(first), len(second)))


def estimate(correct: Mapping[str, np.ndarray], contrast: Mapping[str, float]) -> Estimate:
    """Estimate a contrast of arms with both sources of chance: images, crossed with seeds nested in the arm.

    With D_i the contrast of the fractions of seeds that are correct on image i, the variance of its mean is
    var(D) / N + sum of c² s² / n - sum of c² MS / (N n): s² is the variance of an arm's accuracy between its n seeds,
    MS the mean square of the interaction of seed and image, which the first two parts both contain. The sum is not
    taken to be below either of them. Degrees of freedom by Satterthwaite (1946).

    Args:
        correct: for each arm booleans (seeds, images), the same images in all.
        contrast: coefficient of each arm; they add up to zero.

    Raises:
        SceneError: for an arm with fewer than two seeds, or other images than the first.
    """
    count = {matrix.shape[1] for matrix in correct.values()}
    if len(count) > 1 or min(len(correct[name]) for name in contrast) < 2:
        raise SceneError("a contrast needs two seeds or more of each arm, on the same images; run the missing seeds")
    images = count.pop()
    mean_difference = sum(c * correct[name].mean(0) for name, c in contrast.items())
    image_part = mean_difference.var(ddof=1) / images
    seed_parts, interaction = [], 0.0
    for name, c in contrast.items():
        right = np.asarray(correct[name], float)
        seeds_ = len(right)
        accuracy = right.mean(1)
        residual = right - right.mean(0) - accuracy[:, None] + right.mean()
        mean_square = (residual**2).sum() / ((seeds_ - 1) * (images - 1))
        seed_parts.append((c**2 * accuracy.var(ddof=1) / seeds_, seeds_ - 1))
        interaction += c**2 * mean_square / (images * seeds_)
    seed_part = sum(part for part, _ in seed_parts)
    variance = max(image_part + seed_part - interaction, image_part, seed_part)
    below = image_part**2 / (images - 1) + sum(part**2 / degrees for part, degrees in seed_parts)
    degrees = variance**2 / below if below else float("inf")
    return _estimate(float(mean_difference.mean()), float(variance) ** 0.5, float(degrees))


def _estimate(difference: float, error: float, degrees: float) -> Estimate:
    from scipy import stats

    reach = float(stats.t.ppf((1 + LEVEL) / 2, degrees)) * error
    p_value = float(2 * stats.t.sf(abs(difference) / error, degrees)) if error else float(difference == 0)
    return Estimate(difference, difference - reach, difference + reach, p_value)


def welch(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Estimate the mean of ``second`` minus that of ``first``, one value per seed (Welch's t; statsmodels)."""
    from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

    means = CompareMeans(DescrStatsW(np.asarray(second, float)), DescrStatsW(np.asarray(first, float)))
    error = float(means.std_meandiff_separatevar)
    degrees = float(means.dof_satt()) if error else float("inf")
    return _estimate(float(means.d1.mean - means.d2.mean), error, degrees)


def equivalence(first: np.ndarray, second: np.ndarray, margin: float) -> Estimate:
    """Estimate ``second`` minus ``first`` on the same images; the p-value is that of two one-sided tests.

    It is small where the difference lies within ``margin`` on either side (Schuirmann, 1987; statsmodels).
    """
    from statsmodels.stats.weightstats import DescrStatsW

    differences = DescrStatsW(second.astype(float) - first.astype(float))
    if not differences.std:  # the same predictions
        return Estimate(0.0, 0.0, 0.0, 0.0)
    low, high = differences.tconfint_mean(alpha=1 - LEVEL)
    p_value = float(differences.ttost_mean(-margin, margin)[0])
    return Estimate(float(differences.mean), float(low), float(high), p_value)


@cache  # statsmodels collects garbage at each call
def holm(p_values: tuple[float, ...]) -> tuple[float, ...]:
    """Return Holm's adjusted p-values (Holm, 1979; statsmodels), in the order given."""
    from statsmodels.stats.multitest import multipletests

    return tuple(multipletests(p_values, method="holm")[1].tolist())
