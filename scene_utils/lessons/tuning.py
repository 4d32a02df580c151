"""A small hyperparameter study of LeNet: Optuna's search, and tuning one at a time, each trial kept in one table.

The table ``tuning.<profile>.s<seed>.csv`` lies beside the run records, is published with them and found again;
an interrupted search goes on after its last trial. The hold-out judges, the test set is never read.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import optuna
import pandas as pd
import torch
from optuna.distributions import CategoricalDistribution

from scene_utils import catalogue, experiments, models, results, training
from scene_utils.data import Split
from scene_utils.lessons.trials import Trials
from scene_utils.recipe import Recipe
from scene_utils.support import progress, settings

# Every search chooses among these, and tuning one at a time starts where the report's conditions are.
LEVELS: dict[str, tuple[float, ...]] = {
    "learning_rate": (0.001, 0.004, 0.016, 0.064),
    "batch_size": (32, 64, 128, 256),
    "momentum": (0.0, 0.5, 0.9, 0.95),
    "weight_decay": (0.0, 0.0001, 0.001, 0.01),
    "mixup": (0.0, 0.1, 0.3, 1.0),
}
START = {name: getattr(catalogue.REPORTED, name) for name in LEVELS}
BUDGET = 1 + sum(len(levels) - 1 for levels in LEVELS.values())  # trainings that one at a time takes

RECIPES = {
    "sample": catalogue.OURS.replace(epochs=1, images=96, precision="float32"),
    "short": catalogue.OURS.replace(epochs=4, images=4000),
    "full": catalogue.OURS.replace(epochs=8),
}
TRIALS = {"sample": 16, "short": 40, "full": 60}  # of the study

COLUMNS = ("search", "trial", *LEVELS, "training_seed", "accuracy", "seconds", "key")
DISTRIBUTIONS = {name: CategoricalDistribution(levels) for name, levels in LEVELS.items()}


def trials(profile: str | None = None, seed: int = 0, key: str | None = None) -> pd.DataFrame:
    """Return the trials of all searches from the runs folder, else the published ones; no row where there are none.

    Columns: search, trial (from 1), one for each of ``LEVELS``, training_seed, accuracy (hold-out), seconds, key.
    """
    return kept(profile, seed, key).rows()


def kept(profile: str | None = None, seed: int = 0, key: str | None = None) -> Trials:
    """Return the table in which these trials are kept."""
    name = f"tuning.{settings.profile(profile)}.s{settings.seed(seed)}.csv"
    return Trials(name, COLUMNS, {} if key is None else {"key": key}, (*LEVELS, "accuracy", "seconds"))


def trial(
    search: str, number: int, values: Mapping[str, float], profile: str, seed: int, training_seed: int | None = None
) -> float:
    """Return the hold-out accuracy of a search's trial: found, taken from the same training, or trained now.

    A training that diverges counts as chance: one over the number of classes.
    """
    recipe = RECIPES[profile].replace(**values, seed=seed if training_seed is None else training_seed)
    place, decides = {"search": search, "trial": number}, {**values, "training_seed": recipe.seed}
    command = f"ONLY=09_questions make report PROFILE={profile} SEED={seed}"
    table, sets = kept(profile, seed, study_key(profile, seed)), experiments.sets(profile)[:2]
    return float(table.find_or_train(place, decides, lambda: train(recipe, *sets), command)["accuracy"])


def study_key(profile: str, seed: int) -> str:
    """Return the hash that a kept trial must carry to be taken for one of this study."""
    _, _, dataset = experiments.sets(profile)
    return results.run_key(
        base=RECIPES[profile].fields(), levels=LEVELS, data=dataset.key, seed=seed,
        model=models.VERSION, engine=training.ENGINE_VERSION,
    )  # fmt: skip


def train(recipe: Recipe, training_set: Split, holdout: Split, name: str = "trial") -> dict[str, float]:
    """Train a LeNet and return its hold-out ``accuracy``, whether it ``diverged``, and the ``seconds`` that took."""
    torch.manual_seed(recipe.seed)
    net = models.LeNet(len(training_set.classes))
    with progress.part():
        progress.begin(name)
        with progress.silent():  # a bar, but no line for each
            history = training.fit(net, training_set, holdout, recipe, name=name)
    diverged = history.status == "diverged"
    accuracy = 1 / len(training_set.classes) if diverged else history.epochs[-1]["holdout_accuracy"]
    return {"accuracy": accuracy, "diverged": int(diverged), "seconds": round(history.seconds, 1)}


# --- searches


@progress.part()
def study(profile: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Search with Optuna's Tree-structured Parzen Estimator (Bergstra et al., 2011); return its trials in order.

    Columns are those of ``LEVELS`` and accuracy. ``RETRAIN=1`` starts the whole table anew.
    """
    profile, seed = settings.profile(profile), settings.seed(seed)
    since = settings.retrain_since()
    if since is not None:
        table = kept(profile, seed)
        written = [path.stat().st_mtime for path in results.places(table.name)]
        if not written or written[0] < datetime.datetime.fromisoformat(since).timestamp():
            table.write(table.rows().head(0))  # though published rows exist
    search = quiet_study(seed)
    for number in range(1, TRIALS[profile] + 1):
        asked = search.ask(DISTRIBUTIONS)
        with progress.part(1 / (TRIALS[profile] - number + 1)):
            search.tell(asked, trial("study", number, asked.params, profile, seed))
        if number % 10 == 0:
            best = search.best_value
            progress.line(f"study: trial {number} of {TRIALS[profile]}, best hold-out accuracy {best:.3f}")
    return pd.DataFrame([done.params | {"accuracy": done.value} for done in search.trials])


@progress.part()
def one_at_a_time(order: Sequence[str], search: str, profile: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Tune one hyperparameter after the other, from ``START``: try its other levels, keep the best, go on.

    Args:
        order: names of ``LEVELS``, the first to be tuned first.
        search: what to call this search.

    Returns:
        Its ``BUDGET`` trials in order, with the columns of ``LEVELS`` and accuracy.
    """
    profile, seed = settings.profile(profile), settings.seed(seed)

    def score(values: Mapping[str, float], number: int) -> float:
        with progress.part(1 / (BUDGET - number + 1)):
            return trial(search, number, values, profile, seed)

    return pd.DataFrame(in_turn(order, score))


def in_turn(order: Sequence[str], score: Callable[[Mapping[str, float], int], float]) -> list[dict]:
    """Tune one hyperparameter after the other, from ``START``; return the trials in order.

    Args:
        score: the accuracy of a trial, given its values and its number, from 1.
    """
    rows = [START | {"accuracy": score(START, 1)}]
    for name in order:
        start = winner(pd.DataFrame(rows))
        for level in LEVELS[name]:
            if level != start[name]:
                values = start | {name: level}
                rows.append(values | {"accuracy": score(values, len(rows) + 1)})
    return rows


def importances(study_trials: pd.DataFrame, seed: int = 0) -> dict[str, float]:
    """Return how important each hyperparameter is for accuracy, largest first; they add up to one.

    Functional ANOVA (Hutter et al., 2014; Optuna). All are zero where all trials came out the same.
    """
    search = quiet_study(seed)
    for row in study_trials.to_dict("records"):
        params = {name: row[name] for name in LEVELS}
        search.add_trial(optuna.trial.create_trial(params=params, distributions=DISTRIBUTIONS, value=row["accuracy"]))
    if np.ptp(study_trials["accuracy"]) == 0:
        return dict.fromkeys(LEVELS, 0.0)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    found = optuna.importance.get_param_importances(search, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}


def winner(search_trials: pd.DataFrame) -> dict[str, float]:
    """Return the hyperparameters of the best trial among the first ``BUDGET``; the first among equals."""
    row = search_trials.head(BUDGET)["accuracy"].idxmax()
    return {name: type(LEVELS[name][0])(search_trials.loc[row, name]) for name in LEVELS}


@progress.part()
def again(
    values: Mapping[str, float], search: str, profile: str | None = None, seed: int = 0, n: int = 3
) -> list[float]:
    """Train a winner again with ``n`` other seeds: what remains of its accuracy when luck is not chosen too."""
    profile, seed = settings.profile(profile), settings.seed(seed)
    accuracies = []
    for i, share in progress.shared(range(1, n + 1)):
        with progress.part(share):
            accuracies.append(trial(f"{search}, again", i, values, profile, seed, seed + i))
    return accuracies


def quiet_study(seed: int) -> optuna.Study:
    """Return an empty study that maximises, and says nothing on stderr."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
