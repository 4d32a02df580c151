"""The hyperparameter study: its orders, its budget, its table that is found again, its importances."""

import datetime
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from scene_utils import experiments
from scene_utils.lessons import tuning
from scene_utils.support import settings


def score(values):
    """A made-up hold-out accuracy: the learning rate matters most, and momentum only at a high one."""
    rate = 0.1 * math.log10(values["learning_rate"] / 0.001)
    return 0.3 + rate + (0.05 * values["momentum"] if values["learning_rate"] > 0.01 else 0)


@pytest.fixture
def trained(nothing_published, monkeypatch):
    """An empty runs folder, and trainings that take no time; the list of those that were done."""
    done = []

    def train(recipe, *sets):
        done.append(recipe)
        return {"accuracy": score(vars(recipe)), "seconds": 1.0}

    monkeypatch.setattr(tuning, "train", train)
    return done


def test_every_recipe_may_have_the_levels():
    assert all(tuning.START[name] in levels for name, levels in tuning.LEVELS.items())
    for recipe in tuning.RECIPES.values():
        for name, levels in tuning.LEVELS.items():
            assert all(getattr(recipe.replace(**{name: level}), name) == level for level in levels)


def test_one_at_a_time_keeps_the_best_level_and_takes_its_budget(trained):
    order = list(tuning.LEVELS)
    rows = tuning.one_at_a_time(order, "in order", "sample")
    assert len(rows) == tuning.BUDGET == len(trained)
    assert rows.loc[0, order].to_dict() == tuning.START
    assert tuning.winner(rows)["learning_rate"] == 0.064
    assert tuning.winner(rows)["momentum"] == 0.95
    changed = (rows[order].iloc[1:] != pd.Series(tuning.START)[order]).any()
    assert changed["learning_rate"] and (rows["learning_rate"].iloc[4:] == 0.064).all()
    assert tuning.again(tuning.START, "winner", "sample", n=2) == [score(tuning.START)] * 2
    assert [recipe.seed for recipe in trained[-2:]] == [1, 2]


def test_the_order_matters_where_one_setting_hides_another(trained):
    forwards, backwards = ["learning_rate", "momentum"], ["momentum", "learning_rate"]
    rest = [name for name in tuning.LEVELS if name not in forwards]
    first = tuning.one_at_a_time(forwards + rest, "forwards", "sample")
    second = tuning.one_at_a_time(backwards + rest, "backwards", "sample")
    assert first["accuracy"].max() > second["accuracy"].max()


def test_nothing_is_trained_twice_and_an_interrupted_study_goes_on(trained, monkeypatch):
    whole = tuning.study("sample")
    assert len(whole) == tuning.TRIALS["sample"]
    count = len(trained)
    pd.testing.assert_frame_equal(tuning.study("sample"), whole)
    assert len(trained) == count

    path = settings.results_dir() / "tuning.sample.s0.csv"
    table = tuning.trials("sample")
    settings.atomic_write(path, table.head(5).to_csv(index=False))
    pd.testing.assert_frame_equal(tuning.study("sample"), whole)
    distinct, kept = (len(each.drop_duplicates(list(tuning.LEVELS))) for each in (table, table.head(5)))
    assert len(trained) == count + distinct - kept
    monkeypatch.setenv("RETRAIN", "1")
    before = len(trained)
    pd.testing.assert_frame_equal(tuning.study("sample"), whole)
    assert len(trained) == before, "this process has trained it"
    monkeypatch.setattr(settings, "STARTED", datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2))
    pd.testing.assert_frame_equal(tuning.study("sample"), whole)
    assert len(trained) == before + len(whole.drop_duplicates(list(tuning.LEVELS)))


def test_two_that_want_the_same_trial_train_it_once(trained, monkeypatch):
    train = tuning.train
    monkeypatch.setattr(tuning, "train", lambda *given: time.sleep(0.2) or train(*given))
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda search: tuning.trial(search, 1, tuning.START, "sample", 0), ["a", "a", "b"]))
    assert len(trained) == 1 and found == [score(tuning.START)] * 3 and len(tuning.trials("sample")) == 2


def test_published_trials_are_found_and_those_of_another_study_are_not(trained):
    whole = tuning.study("sample")
    path = settings.results_dir() / "tuning.sample.s0.csv"
    published = settings.published_dir() / path.name
    settings.atomic_write(published, path.read_bytes())
    path.unlink()
    count = len(trained)
    pd.testing.assert_frame_equal(tuning.study("sample"), whole)
    assert len(trained) == count and not path.exists()
    assert len(tuning.trials("sample")) == len(whole)
    assert len(tuning.trials("sample", 0, key="another")) == 0
    assert len(tuning.trials("sample", 1)) == 0


def test_importances_find_what_matters_and_add_up():
    names = list(tuning.LEVELS)
    rows = [dict(zip(names, (rate, size, 0.9, 0.0, mixup), strict=True))
            for rate in tuning.LEVELS["learning_rate"] for size in (32, 256) for mixup in (0.0, 1.0)]  # fmt: skip
    table = pd.DataFrame(rows)
    table["accuracy"] = [score(row) for row in rows]
    found = tuning.importances(table)
    assert list(found)[0] == "learning_rate" and found["learning_rate"] > 0.9
    assert sum(found.values()) == pytest.approx(1)
    assert set(tuning.importances(table.assign(accuracy=0.5)).values()) == {0.0}


def test_a_training_counts_as_chance_where_it_diverges():
    recipe = tuning.RECIPES["sample"].replace(learning_rate=1e5, images=32, batch_size=4)
    train, holdout, _ = experiments.sets("sample")
    assert tuning.train(recipe, train, holdout)["accuracy"] == 1 / len(train.classes)
