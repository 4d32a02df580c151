import math

import numpy as np
import torch
from scipy import stats

from scene_utils.lessons.checks.questions import SPACE


def by_means(trials, name):
    means = trials.groupby(name)["accuracy"].transform("mean")
    return means.var(ddof=0) / max(trials["accuracy"].var(ddof=0), 1e-12)


def by_squares(trials, name):
    mean, groups = trials["accuracy"].mean(), trials.groupby(name)["accuracy"]
    total = ((trials["accuracy"] - mean) ** 2).sum()
    return 0.0 if total < 1e-15 else float((groups.size() * (groups.mean() - mean) ** 2).sum() / total)


def by_regression(trials, name):
    table = np.stack([(trials[name] == level).to_numpy(float) for level in trials[name].unique()], 1)
    y = trials["accuracy"].to_numpy()
    rest = y - table @ np.linalg.lstsq(table, y, rcond=None)[0]
    return 0.0 if y.var() < 1e-15 else torch.tensor(1 - rest.var() / y.var())


def needed(spread, difference, quantile=lambda n: stats.t.ppf(0.975, 2 * n - 2), factor=2):
    n = 2
    while quantile(n) * spread * math.sqrt(factor / n) > difference:
        n += 1
    return n


def half(spread, n):
    return stats.t.isf(0.025, 2 * n - 2) * spread * (2 / n) ** 0.5


def copied(start, levels, score):
    best = dict(start)
    for name in levels:
        for level in levels[name]:
            trial = best | {name: level}
            if score(trial) > score(best):
                best = trial
    return best


def by_max(start, levels, score):
    for name, values in levels.items():
        start = max(({**start, name: value} for value in values), key=score)
    return start


def remembered(start, levels, score):
    best, top = start.copy(), score(start)
    for name in levels:
        for trial in [{**best, name: value} for value in levels[name]]:
            value = score(trial)
            best, top = (trial, value) if value > top else (best, top)
    return best


def aliased(start, levels, score):
    best = start
    for name in levels:
        for level in levels[name]:
            trial = best
            trial[name] = level
            if score(trial) > score(best):
                best = trial
    return best


def everything(start, levels, score):
    return max(({"rate": r, "decay": d} for r in levels["rate"] for d in levels["decay"]), key=score)


ORDER = ("rate", "momentum", "batch_size", "mixup", "weight_decay")


def passes(train, levels, budget, order=ORDER, times=2):
    best = {name: values[0] for name, values in levels.items()}
    top, left = train(best), budget - 1
    for name in order * times:
        start = dict(best)
        for value in levels[name]:
            if value == start[name] or left == 0:
                continue
            trial, left = start | {name: value}, left - 1
            accuracy = train(trial)
            best, top = (trial, accuracy) if accuracy > top else (best, top)
    return best


def climb(train, levels, budget, place=None, left=None):
    place, left = place or dict.fromkeys(levels, 1), left or budget
    known = {}

    def value(where):
        key = tuple(where.values())
        if key not in known and len(known) < left:
            known[key] = train({name: levels[name][i] for name, i in where.items()})
        return known.get(key, -1)

    moved = True
    while moved:
        moved = False
        for name in ORDER:
            for step in (1, -1):
                there = place | {name: place[name] + step}
                if 0 <= there[name] < len(levels[name]) and value(there) > value(place):
                    place, moved = there, True
    return {name: levels[name][i] for name, i in place.items()}


def random_then_climb(train, levels, budget):
    generator = np.random.default_rng(1)
    drawn = [{name: int(generator.integers(4)) for name in levels} for _ in range(8)]
    best = max(drawn, key=lambda where: train({name: levels[name][i] for name, i in where.items()}))
    return climb(train, levels, budget, best, budget - 8)


def at_random(train, levels, budget):
    generator = np.random.default_rng(0)
    drawn = [{name: each[generator.integers(4)] for name, each in levels.items()} for _ in range(budget)]
    return max(drawn, key=train)


ANSWERS = {
    "equal_updates": ([32, 31.8, torch.tensor(31.82)], [8, 2, 128, 33, -32]),
    "share_explained": (
        [by_means, by_squares, by_regression],
        [
            lambda trials, name: trials.groupby(name)["accuracy"].mean().var(ddof=0) / trials["accuracy"].var(ddof=0),
            lambda trials, name: by_means(trials, name) ** 0.5,
            lambda trials, name: trials[[name, "accuracy"]].corr().iloc[0, 1] ** 2,
            lambda trials, name: 1 - by_means(trials, name),
            lambda trials, name: by_means(trials, "learning_rate"),
        ],
    ),
    "seeds_needed": (
        [
            needed,
            lambda s, d: torch.tensor(next(n for n in range(2, 9999) if half(s, n) <= d)),
            lambda s, d: float(np.argmax([half(s, n) <= d for n in range(2, 999)]) + 2),
        ],
        [
            lambda s, d: max(2, math.ceil(2 * (1.96 * s / d) ** 2)),
            lambda s, d: needed(s, d, factor=1),
            lambda s, d: needed(s, d, lambda n: stats.t.ppf(0.95, 2 * n - 2)),
            lambda s, d: needed(s, d, lambda n: stats.t.ppf(0.975, n - 1)),
            lambda s, d: needed(s, d) + 1,
        ],
    ),
    "one_at_a_time": (
        [copied, by_max, remembered],
        [
            aliased,
            everything,
            lambda start, levels, score: start,
            lambda start, levels, score: copied(start, {"rate": levels["rate"]}, score),
            lambda start, levels, score: copied(start, levels, lambda values: -score(values)),
        ],
    ),
    "search": (
        [passes, climb, random_then_climb],
        [
            at_random,
            lambda train, levels, budget: passes(train, levels, budget, tuple(SPACE)[::-1], 1),
            lambda train, levels, budget: passes(train, levels, budget, tuple(SPACE), 1),
            lambda train, levels, budget: passes(train, levels, 10 * budget, times=3),
            lambda train, levels, budget: {name: each[1] for name, each in levels.items()},
        ],
    ),
}
