"""The table of predictions: every finished run, image by image."""

import re

import numpy as np
import pandas as pd
import pytest

from scene_utils import experiments, predictions
from scene_utils.__main__ import main
from scene_utils.lessons import conclusions
from scene_utils.support.settings import SceneError


@pytest.fixture
def runs(runs_folder, declare, capsys):
    chosen = {"selection_only": True}
    kinds = {"judged": {}, "chosen": chosen, "five": chosen | {"without": 1}}
    runs = {name: experiments.run(declare(name, **options)) for name, options in kinds.items()}
    capsys.readouterr()
    return runs


def test_every_run_is_in_the_table_with_its_accuracy(runs, tmp_path, monkeypatch, capsys):
    assert main(["predictions", "--profile", "sample"]) == 0 and "of 3 runs" in capsys.readouterr().out
    table = pd.read_csv(predictions.path("sample"))
    assert list(table.columns) == [*predictions.COLUMNS, *(f"p_{name}" for name in runs["judged"].classes)]
    right = (table["label"] == table["predicted"]).groupby([table["model"], table["set"]]).agg(["sum", "size"])
    for name, on in (("judged", "test"), ("chosen", "holdout"), ("five", "holdout")):
        assert right.loc[(name, on)].tolist() == [runs[name].correct, runs[name].total]
    assert set(table["set"][table["model"] != "judged"]) == {"holdout"}
    assert table["p_forests"].isna().equals(table["model"] == "five"), "a class that it does not know"
    assert np.allclose(table.filter(like="p_").sum(axis=1), 1, atol=1e-4)
    names = table.loc[(table["model"] == "judged") & (table["set"] == "test"), "image"]
    assert tuple(names) == experiments.sets("sample")[2].test.names
    with pytest.raises(SceneError, match="those of other images"):
        predictions.of_set(runs["judged"], "test", experiments.sets("sample")[1])
    monkeypatch.setenv("SCENE_RUNS_DIR", str(tmp_path / "empty"))
    with pytest.raises(SceneError, match="no finished run"):
        predictions.table("sample")


def test_a_page_counts_where_a_model_is_less_or_more_sure_than_right(runs, capsys):
    records = conclusions.Records("sample")
    rows = conclusions.predictions_of(records, "judged", "never_run")
    assert "never_run" in capsys.readouterr().out and len(rows) == runs["judged"].total
    assert rows.equals(predictions.of_set(runs["judged"], "test", records.sets[2].test))
    nothing = conclusions.predictions_of(records, "never_run")
    assert nothing.empty and set(nothing.columns) == set(rows.columns)
    told = conclusions.sureness(pd.DataFrame({"z": [2.5, 3, 0, -2.1]})).data
    assert re.findall(r"\d+ ", told)[:2] == ["2 ", "4 "]
