"""Cases: designs as data, their seeds and runs, the sealed set, the estimator and the rule that decides."""

import dataclasses
import itertools
import re
import shutil
import tomllib
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from scene_utils import batches, cases, catalogue, data, experiments, results
from scene_utils.__main__ import main
from scene_utils.catalogue import EXPERIMENTS
from scene_utils.lessons import limits, orders, project, tuning, verdicts
from scene_utils.lessons.trials import Trials
from scene_utils.recipe import Recipe
from scene_utils.report import series
from scene_utils.support import intervals, ledger, settings
from scene_utils.support.settings import SceneError
from scene_utils.text import join, render, say

DIFFERS = {  # the fields of the recipes in which the two sides may differ, whatever the grids choose
    "mixup": {"mixup"},
    "transfer": set(),
    "custom_lenet": {"learning_rate"},
    "relu": {"learning_rate"},
    "schedule": {"learning_rate", "schedule"},
    "calibration": {"mixup"},
}
pytestmark = pytest.mark.usefixtures("runs_folder")


@pytest.mark.parametrize("run", [r for r in results.records(published=True)], ids=lambda run: run.name)
def test_published_keys_stay_what_they_are(run):
    """A renamed field or experiment would orphan days of training."""
    experiment = catalogue.get(run.experiment)
    if run.members:
        members = [results.find(name.split(".")[0], run.profile, run.seed) for name in run.members]
        key = results.run_key(members=[member.key for member in members], experiment=experiment.name)
    else:
        teacher = results.find(experiment.teacher, run.profile, run.seed) if experiment.teacher else None
        images = SimpleNamespace(key=run.dataset["key"])
        task = experiments.Task(experiment, run.profile, run.seed, run.weights_choice, teacher, None, None, images)
        key = task.key
    assert key == run.key


# --- designs


def ours():
    """Names of the series' own cases: neither somebody's project nor a draft."""
    return [name for name in catalogue.declare_cases() if cases.design(name).get("family", "project") != "project"]


@pytest.mark.parametrize("case", ours())
def test_a_design_is_whole(case):
    design = cases.design(case)
    assert design["claim"] and design["family"] in ("primary", "ours", "described")
    contrast = design.get("contrast", {})
    assert sum(contrast.values()) == 0
    for name in contrast:
        assert len(cases.arm(name, case).seeds) >= 3, f"{name}: one seed cannot decide"
    if "detectable" in design:
        images = 3407 + 6 * data.SEALED
        assert cases.detectable(case, images) == pytest.approx(design["detectable"], abs=6e-4)


@pytest.mark.parametrize("case", DIFFERS)
def test_one_thing_differs(case):
    sides = [cases.arm(name, case) for name in cases.design(case)["contrast"]]
    recipes = [side.recipe for side in sides]
    fields = {field for recipe in recipes for field in recipe}
    differ = {field for field in fields if len({str(recipe.get(field)) for recipe in recipes}) > 1}
    print(case, {field: [recipe.get(field) for recipe in recipes] for field in differ})
    assert differ <= DIFFERS[case]
    assert len({side.pretrained for side in sides}) == (2 if case == "transfer" else 1)
    arms = [cases.design(other)["arms"][name] for other, name in (side.name.split(".") for side in sides)]
    grids = [arm["grid"] for arm in arms if "grid" in arm]
    if "learning_rate" in DIFFERS[case]:
        assert len(grids) == 2 and grids[0] == grids[1], "the same effort of tuning"


def test_seeds_follow_from_the_design_and_are_used_once():
    every = [seed for arm in cases.arms() for seed in arm.seeds]
    assert len(set(every)) == len(every) and min(every) >= 100_000
    for function, name, known in ((cases.design, "mixups", "calibration, custom"), (cases.arm, "mixup.none", "plain")):
        with pytest.raises(SceneError, match=f"known: .*{known}"):
            function(name)


def test_runs_of_cases_keep_to_their_designs():
    started = [run for run in results.records(published=True) if "design" in run.record]
    seeds = {arm.experiment: arm.seeds for arm in cases.arms()}
    for run in started:
        assert run.evaluated_on == "hold-out" and "test_labels" not in run.arrays and "sealed_labels" not in run.arrays
        assert run.record["design"].split()[1] == cases.digest(run.record["design"].split()[0]), run.name
        assert run.seed in seeds.get(run.experiment, (0,)), f"{run.name}: not a seed of its design"
        train, holdout, _ = run.dataset["counts"].values()
        assert train + holdout + 6 * data.SEALED <= 13_627


def test_choices_are_what_the_grids_say():
    for name, made in cases.chosen().items():
        arm = cases.arm(name)
        accuracies = {}
        for value, experiment in arm.grid_experiments().items():
            run = results.find(experiment, "short")
            if run is not None:
                accuracies[value] = run.accuracy or 0.0
        if "value" in made and len(accuracies) == len(made["tried"]):
            assert cases.best_value(accuracies) == made["value"], name


def test_a_grid_is_extended_at_its_edge(monkeypatch, tmp_path):
    monkeypatch.setattr(cases, "CHOSEN", tmp_path / "chosen.toml")
    arm = cases.arm("mixup.plain")
    assert not cases.note_choice(arm, {0.02: 0.7, 0.05: 0.72, 0.1: 0.75, 0.2: 0.8})
    assert cases.arm("mixup.plain").grid == {"learning_rate": [0.02, 0.05, 0.1, 0.2, 0.4]}
    assert cases.note_choice(arm, {0.02: 0.7, 0.05: 0.72, 0.1: 0.75, 0.2: 0.8, 0.4: 0.3})
    after = cases.arm("mixup.plain")
    assert after.recipe["learning_rate"] == 0.2 and after.missing == ()
    assert cases.arm("transfer.transferred").recipe["learning_rate"] == 0.2


def test_a_draft_is_refused_in_one_line_and_costs_the_others_nothing(tmp_path, monkeypatch, capsys):
    draft = project.variant("1")
    drafts = {"cut": draft[:-1] + "= [", "empty_arm": draft + "[arms.more]", "field": draft + "speed = 3",
              "utf16": None, "no_model": draft.replace("model", "net"), "of.two": draft, "nothing": "",
              "net": draft.replace("resnet18", "lenet").replace("lenet", "vgg"),
              "like": draft + '[arms.more]\ntitle = "m"\nlike = "more"'}  # fmt: skip
    shutil.copytree(cases.DESIGNS, designs := tmp_path / "designs")
    monkeypatch.setattr(cases, "DESIGNS", designs)
    monkeypatch.setattr(cases, "CHOSEN", designs / "chosen.toml")
    monkeypatch.setattr(catalogue, "EXPERIMENTS", dict(EXPERIMENTS))
    for name, text in drafts.items():
        (designs / f"{name}.toml").write_bytes(draft.encode("utf-16") if text is None else text.encode())
    (designs / "mine.toml").write_text(draft)
    named = catalogue.declare_cases()
    assert set(named) - set(ours()) == {"mine", "nothing"} and "case-mine-with_it" in catalogue.EXPERIMENTS
    assert {arm.name.split(".")[0] for arm in cases.arms()} >= {"mixup", "mine"}
    assert verdicts.status(named)["case"].tolist()[-1] == "all"
    for name in drafts.keys() - {"nothing"}:
        for command in (["case", name], ["project", name]):
            assert main([*command, "--profile", "sample"]) == 1
            said = capsys.readouterr().err
            assert said.startswith("error: ") and said.count("\n") == 1 and name in said, said
    assert main(["project", "nothing"]) == 1 and "does not say yet: claim, direction" in capsys.readouterr().err


# --- the sealed set


def test_the_sealed_set_shares_nothing_with_the_others():
    train, holdout, dataset = experiments.sets("sample")
    rest, sealed = experiments.sealed_sets("sample")
    assert set(rest.names) | set(sealed.names) == set(train.names)
    assert not set(rest.names) & set(sealed.names)
    assert sealed.counts() == [count // 4 for count in train.counts()]
    again = data.sealed_split(train, holdout, dataset.test)[1]
    assert again.names == sealed.names


def test_near_duplicates_go_together():
    train, holdout, dataset = experiments.sets("sample")
    images = train.images.clone()
    images[1::2] = (images[::2][: len(images[1::2])].float() * 0.97).to(torch.uint8)  # pairs, a little darker
    pairs = data.Split(images, train.labels[::2].repeat_interleave(2)[: len(train)], train.classes, train.names)
    _, sealed = data.sealed_split(pairs, holdout, dataset.test)
    numbers = {pairs.names.index(name) for name in sealed.names}
    assert numbers and all(number ^ 1 in numbers for number in numbers)


def test_the_public_sealed_set_is_listed_once():
    names = data.SEALED_FILES.read_text(encoding="utf-8").split()
    assert len(set(names)) == len(names) == 6 * data.SEALED
    assert Counter(name.split("/")[0] for name in names) == dict.fromkeys(data.load_sample().train.classes, data.SEALED)


# --- the runs


@pytest.fixture
def arm(monkeypatch):
    name = "case-ensemble-resnet50"  # no grid, mirrored
    small = EXPERIMENTS[name].recipes["sample"].replace(images=16, batch_size=8)
    recipes, lenet = dict.fromkeys(("sample", "short"), small), catalogue.ARCHITECTURES["lenet"]
    from_scratch = dataclasses.replace(EXPERIMENTS[name], recipes=recipes, depth=None, build=lenet)
    monkeypatch.setitem(EXPERIMENTS, name, from_scratch)
    return name


def test_an_arm_is_judged_on_the_hold_out_and_keeps_the_rest_unread(arm):
    run = experiments.run(arm, "sample", 574938)
    assert run.evaluated_on == "hold-out" and run.total == len(experiments.sets("sample")[1])
    assert run.arrays["sealed_logits"].shape == (len(experiments.sealed_sets("sample")[1]), 6)
    assert run.arrays["test_logits_mirror"].shape == run.arrays["test_logits"].shape == (96, 6)
    assert {"test_labels", "sealed_labels"}.isdisjoint(run.arrays)
    assert run.record["design"] == f"ensemble {cases.digest('ensemble')}"
    assert run.dataset["counts"]["train"] == len(experiments.sealed_sets("sample")[0])
    assert run.record["on_training_set"].keys() == {"loss", "accuracy"}
    assert run.record["processor"]

    log = (settings.results_dir() / "started.csv").read_text().splitlines()
    assert log[0] == "date,experiment,profile,seed,key" and log[1].endswith(f"{arm},sample,574938,{run.key}")


def test_a_case_without_its_choice_is_not_run_on_the_sample(monkeypatch, tmp_path):
    monkeypatch.setattr(cases, "CHOSEN", tmp_path / "chosen.toml")
    with pytest.raises(SceneError, match="run it with --profile short first"):
        experiments.run_case("mixup", "sample")


def test_limits_are_found_by_bisection_and_kept(monkeypatch):
    asked = []

    def diverges(setting, rate, profile, seed):
        asked.append(rate)
        return rate >= 0.007 * (2 if setting["momentum"] == 0 else 1)

    monkeypatch.setattr(limits, "diverges", diverges)
    table = limits.limits("sample")
    mean = table[(table["loss"] == "mean") & (table["momentum"] == 0.9)]
    assert (mean["limit"] == 0.007).all() and set(mean["seed"]) == {0, 1, 2}
    assert len(asked) < 18 * 7 * 3
    total = table[(table["loss"] == "sum") & (table["batch_size"] == 32) & (table["momentum"] == 0.9)]
    assert total["limit"].tolist() == pytest.approx([0.007 / 32] * len(total))


def test_a_training_that_diverges_is_a_row_and_is_not_repeated(monkeypatch):
    setting = {"pixel_scale": "byte", "momentum": 0.9, "batch_size": 32}
    assert limits.diverges(setting, 2.0, "sample", 0) and not limits.diverges(setting, 1e-6, "sample", 0)
    monkeypatch.setenv("SCENE_TRAIN", "0")  # found, and what is missing is named
    assert limits.diverges(setting, 2.0, "sample", 0)
    with pytest.raises(SceneError, match="a training of nan.sample is missing, .* call: python -m scene_utils case"):
        limits.diverges(setting, 1.0, "sample", 0)
    assert len(limits.kept("sample").rows()) == 2


# --- the estimator


def simulated(rng, seeds, images=400, seed_spread=0.25, shift=0.0):
    """Two arms whose images differ in difficulty, alike for both in part, with a shift for each seed."""
    difficulty = rng.normal(1.5, 1.5, images)
    own = [rng.normal(0, 0.7, images) for _ in range(2)]
    arms = {}
    for name, more, move in zip("ab", own, (0, shift), strict=True):
        logits = difficulty + more + move + rng.normal(0, seed_spread, (seeds, 1))
        arms[name] = rng.random((seeds, images)) < 1 / (1 + np.exp(-logits))
    return arms


@pytest.mark.parametrize("seeds", [3, 6])
def test_the_interval_covers_the_truth_as_often_as_it_says(seeds):
    rng = np.random.default_rng(seeds)
    found = [intervals.estimate(simulated(rng, seeds), {"a": -1, "b": 1}) for _ in range(2000)]
    coverage = np.mean([each.low <= 0 <= each.high for each in found])
    assert 0.935 <= coverage <= 0.97
    assert np.mean([each.p_value < 0.05 for each in found]) == pytest.approx(1 - coverage, abs=1e-9)


def test_an_estimate_knows_both_sources_of_chance():
    rng = np.random.default_rng(0)
    arms = simulated(rng, 4, shift=0.5)
    found = intervals.estimate(arms, {"a": -1, "b": 1})
    assert found.difference == pytest.approx(arms["b"].mean() - arms["a"].mean())
    same = {name: np.repeat(right[:1], 4, 0) for name, right in arms.items()}  # no chance of the seed
    images_alone = intervals.estimate(same, {"a": -1, "b": 1})
    d = same["b"][0].astype(float) - same["a"][0]
    low, high = stats.ttest_1samp(d, 0).confidence_interval()
    assert (images_alone.low, images_alone.high) == pytest.approx((low, high))
    assert intervals.estimate(arms, {"a": 1, "b": -1}).p_value == pytest.approx(found.p_value)
    with pytest.raises(SceneError, match="two seeds"):
        intervals.estimate({"a": np.ones((1, 9)), "b": np.ones((3, 9))}, {"a": -1, "b": 1})


def test_the_rule_needs_significance_and_the_sealed_set_to_agree():
    assert cases.verdict("greater", 0.02, 0.01, 0.03) == "holds"
    assert cases.verdict("greater", -0.02, 0.01, -0.01) == "does not hold"
    assert cases.verdict("less", -0.02, 0.01, -0.01) == "holds"
    assert cases.verdict("greater", 0.02, 0.06, 0.03) == "open"
    assert cases.verdict("greater", 0.02, 0.01, -0.001) == "open"
    assert intervals.holm((0.01, 0.04, 0.03)) == pytest.approx([0.03, 0.06, 0.06])


def test_the_ladder_holds_the_claimed_rate():
    rates = cases.ladder("nan")
    assert cases.design("nan")["limit"] in rates
    assert all(1.25 < b / a < 1.6 for a, b in itertools.pairwise(rates))


# --- verdicts


def test_open_cases_say_what_they_exclude_and_why_they_are_open():
    found = {name: verdicts.verdict(name).found for name in ("mixup", "ensemble", "nan", "deeper", "longer")}
    assert found["mixup"].endswith("Differences beyond +0.3 points are outside the interval.")
    assert "not adjusted for the number of claims" in found["ensemble"] and "with 3 trios" in found["ensemble"]
    assert "none have the limit within one step of 0.007" in found["nan"] and "nearest limit is 0.014" in found["nan"]
    assert "to ResNet34 −0.1 points, from ResNet26 to ResNet50 −4.4 points" in found["deeper"]
    assert found["longer"].startswith("The deficit of the deeper networks goes from 3.4 points at 4 epochs to 2.3 at")
    deficits = verdicts.deficits(rows := verdicts.rows_of("longer")).values  # by the sizes of the sets
    assert deficits["first"] - deficits["second"] == pytest.approx(rows["difference"].difference)


@pytest.fixture
def judged(monkeypatch):
    """Runs of all arms: those of ``mixup.mixup`` have 15 % more of 5,000 correct, ensembles two members of three."""
    labels = {"val": np.zeros(3000, int), "sealed": np.zeros(2000, int)}

    def runs_of(arm):
        made, rng = [], np.random.default_rng(list(arm.name.encode()))  # the same runs at each call
        for i, seed in enumerate(arm.seeds):
            arrays = {}
            for of, array in verdicts.SETS.items():
                wrong = rng.random(len(labels[of])) < (0.1 if arm.name == "mixup.mixup" else 0.25)
                arrays[f"{array}_logits"] = arrays[f"{array}_logits_mirror"] = np.stack([1 - wrong, 0.9 * wrong], 1)
            record = {"experiment": arm.experiment, "profile": "short", "seed": seed, "key": f"{arm.name}{i}",
                      "date": "2026", "dataset": {"commit": "c"}, "accuracy": 0.8, "seconds": 1.0,
                      "device": "cpu (1 thread)"}  # fmt: skip
            record["status"] = "finished"
            record["on_training_set"] = {"loss": 1.0 + arm.name.endswith("custom")}
            made.append(results.Run(record, arrays))
        return made

    monkeypatch.setattr(verdicts, "runs_of", runs_of)
    monkeypatch.setattr(verdicts, "labels_of_sets", lambda: labels)
    monkeypatch.setattr(orders, "progress", lambda profile: (0, 170))
    monkeypatch.setattr(verdicts, "kept", lambda: Trials("cases.made-up.csv", verdicts.COLUMNS, {}))  # none published


def test_cases_are_judged_once_by_the_ledger_and_shown(judged):
    assert "case order --profile short" in verdicts.said("mixup") and verdicts.JUDGE in verdicts.said("student")
    assert verdicts.judge() == ["student"]  # which does not open the sealed set
    with pytest.raises(SceneError, match="still wait for runs: order"):
        verdicts.judge()
    assert set(verdicts.judge(unfinished=True)) >= {"mixup", "ensemble", "calibration"}
    assert verdicts.judge(unfinished=True) == []
    read = [line for line in ledger.logged(settings.results_dir(), "readings.csv") if "case mixup" in line]
    assert len(read) == 2 * 12 and {line.split(",")[4] for line in read} == {"val", "sealed"}
    words = {name: verdicts.verdict(name).word for name in ("mixup", "deeper", "ensemble", "order")}
    assert words == {"mixup": "holds", "deeper": "open", "ensemble": "holds", "order": "missing"}
    table = verdicts.table((*verdicts.PRIMARY, *verdicts.OURS)).frame.set_index("claim")
    assert table.loc["Mixup raises ResNet18's accuracy", "adjusted p"] == "< 0.001"
    assert "does not overfit" in verdicts.said("custom_lenet") and "takes 3 trainings" in verdicts.said("ensemble")
    transfer = verdicts.said("transfer")
    assert "ResNet18 + transferred 0.8000 (6); ResNet18, transferred features frozen 0.8000 (3)." in transfer
    assert "to ResNet34 " in (told := verdicts.said("deeper")) and "are outside the interval" in told
    assert "chosen at 4 epochs" in told and " at 4 epochs to " in verdicts.said("longer")
    assert table["verdict"].iloc[-3] == "open, runs missing: 0 of 170 runs exist"
    assert table["verdict"].iloc[-1].endswith("; run before the design")
    assert "order --profile short" in verdicts.commands().markdown()


@pytest.fixture
def diverge(judged, monkeypatch):
    """A function that lets the first runs of an arm diverge: they have no numbers."""

    def diverge(name, count=1):
        known = verdicts.runs_of

        def runs_of(arm):
            runs = known(arm)
            for run in runs[: count * (arm.name == name)]:
                run.record.update(status="diverged", accuracy=None)
                run.record.pop("on_training_set", None)
                run.arrays.clear()
            return runs

        monkeypatch.setattr(verdicts, "runs_of", runs_of)

    return diverge


def test_a_case_with_a_diverged_run_is_open_is_not_judged_and_keeps_no_other_waiting(diverge, monkeypatch):
    monkeypatch.setattr(orders, "progress", lambda profile: (170, 170))
    compared = {"difference": intervals.welch([0, 1], [0, 1])}
    monkeypatch.setitem(verdicts.SPECIAL, "order", (lambda case: compared, verdicts.by_order))
    diverge("custom_lenet.lenet")
    diverge("ensemble.resnet50")
    assert verdicts.waiting() == [] and verdicts.progress("custom_lenet") == (8, 8)
    assert {"mixup", "student"} <= (done := set(verdicts.judge())) and not done & {"custom_lenet", "relu", "ensemble"}
    assert verdicts.judge() == []
    assert not any("case custom_lenet" in line for line in ledger.logged(settings.results_dir(), "readings.csv"))
    given = verdicts.verdict("custom_lenet")
    assert (given.word, given.p_value) == ("open", "")
    assert given.found.startswith("8 of 8 planned runs were made and 1 of them")
    assert "8개 중 8개" in render(given.found, "ko")
    assert "than LeNet. **Verdict: open" in verdicts.said("custom_lenet")
    assert "its members. **Verdict: open" in verdicts.said("ensemble")
    assert verdicts.adjusted("custom_lenet") == 1 and verdicts.adjusted("mixup") < 0.05
    assert "custom_lenet" not in verdicts.commands().markdown()
    assert verdicts.status(["custom_lenet"])["runs"].tolist()[:2] == ["3 of 4, 1 diverged", "4 of 4"]
    known = verdicts.runs_of
    monkeypatch.setattr(verdicts, "runs_of", lambda arm: [*known(arm)[:-1], None])  # what is missing changes nothing
    assert verdicts.verdict("custom_lenet").found.startswith("6 of 8 planned runs were made and 1 of")
    assert "custom_lenet" not in verdicts.waiting() and "mixup" in verdicts.waiting()


def test_a_diverged_run_of_a_case_without_arms_leaves_it_open_too(monkeypatch):
    lost = results.Run({"status": "diverged", "experiment": "e", "profile": "short", "seed": 0, "date": "2027"}, {})
    monkeypatch.setattr(results, "find", lambda *_: lost)
    for case, runs in (("student", 2), ("goal", 1)):
        assert f"made and {runs} of them diverged" in verdicts.said(case)


def test_exploratory_arms_say_their_diverged_runs(diverge):
    diverge("custom_lenet.lenet-long")
    diverge("custom_lenet.custom-relu", 2)
    told = join(verdicts.beside("custom_lenet"))
    assert "LeNet 0.8000 (4); CustomLeNet 0.8000 (4); " in told
    assert "ReLU 0.8000 (1); CustomLeNet + ReLU: 2 diverged (of 3); LeNet, 30 epochs: 1 diverged (of 1);" in told
    assert "LeNet(30 Epoch): 1번 발산 (1번 중)" in render(told, "ko")


def test_the_losses_are_compared_where_both_arms_have_a_finished_run(diverge):
    diverge("custom_lenet.lenet", 3)
    assert "losses are 1.000 and 2.000" in join(verdicts.beside("custom_lenet"))
    diverge("custom_lenet.lenet", 4)
    assert "losses" not in join(verdicts.beside("custom_lenet"))


def test_the_same_runs_on_another_device_are_told_from_their_table(runs_folder):
    table = Trials("devices.short.csv", verdicts.DEVICES, {}).rows()
    assert (table.groupby(["experiment", "seed"])["key"].nunique() == 1).all()
    counts = verdicts.by_device().set_index(["network", "device"])
    assert counts.loc[("LeNet", "NVIDIA H100 80GB HBM3"), ["runs", "diverged"]].tolist() == [4, 2]
    for row in table[~table["device"].str.contains("NVIDIA")].itertuples():
        run = results.find(row.experiment, "short", row.seed)
        assert (run.key, run.date, run.device, run.status) == (row.key, row.date, row.device, row.status)
    told = join(verdicts.on_another_device("custom_lenet"))
    assert "CustomLeNet on NVIDIA H100 80GB HBM3 0 of 4, CustomLeNet on cpu 1 of 1. Only the runs on cpu count" in told
    assert "those of LeNet were made there first. The rate of CustomLeNet was chosen on NVIDIA" in told
    assert "CustomLeNet (cpu) 1번 중 1번" in render(told, "ko") and "ReLU" not in told
    assert join(verdicts.on_another_device("relu")).endswith("others did not: LeNet.")
    settings.atomic_write(runs_folder / "results" / "devices.short.csv", ",".join(verdicts.DEVICES) + "\n")
    assert verdicts.on_another_device("relu") == []


@pytest.mark.parametrize("case", ["student", "order"])
def test_a_case_is_judged_again_when_what_it_is_made_from_changes(case, monkeypatch):
    before = verdicts.key(case)
    monkeypatch.setattr(results, "find", lambda name, *_: SimpleNamespace(key="new"))
    orders.kept("short").add(dict.fromkeys(orders.COLUMNS, 1), replacing={})
    assert verdicts.key(case) != before


def test_every_case_is_shown_on_a_page_and_said_in_the_design_s_words():
    root = settings.project_dir()
    sources = [*root.glob("notebooks/*.ipynb"), *root.glob("scene_utils/lessons/*.py")]
    calls = re.findall(r"verdicts\.(?:show|said)\(([^)]*)\)", "".join(p.read_text(encoding="utf-8") for p in sources))
    assert set(re.findall(r"[a-z_]{3,}", " ".join(calls))) >= set(ours())
    assert {*verdicts.PRIMARY, *verdicts.OURS, *verdicts.DESCRIBED} == set(ours())
    for text in (path.read_text(encoding="utf-8") for path in root.glob("notebooks/[0A]*.ipynb")):
        shown = set(re.findall(r'"case\.claim\.(\w+)"', text))  # in its outputs, whatever showed it
        assert all(set(cases.files(case)) <= set(series.case_files(text)) for case in shown)
    for name in ours():
        assert say(f"case.claim.{name}") == cases.design(name)["claim"]
        assert (cases.design(name)["family"] == "primary") == (name in verdicts.PRIMARY)


@pytest.mark.parametrize(("file", "pages"), {
    "case-mixup-plain.short.s7.json": "06 07 10",  # with which transfer is compared
    "case-mixup-mixup-grid-0.2.short.s0.json": "06 10",
    "case-custom_lenet-lenet-relu.short.s7.json": "02 03 10",
    "lite0.short.s0.json": "10 A1",
    "ensemble-reported.full.s0.json": "08 10",
    "nan.short.csv": "02 10",
    "devices.short.csv": "02 03 10",
    "cases.short.csv": "02 03 05 06 07 08 09 10 A1",
}.items())  # fmt: skip
def test_what_a_case_is_made_from_puts_the_pages_out_of_date_that_show_it_and_no_other(file, pages):
    path = settings.atomic_write(settings.results_dir() / file, "")
    found = [name for name in series.notebooks() if path in series.record_files(name, "sample", 0)]
    assert [name.partition("_")[0] for name in found] == pages.split()


def test_equivalence_needs_a_margin():
    rng = np.random.default_rng(0)
    first, noise = rng.random(3000) < 0.9, rng.random(3000) < 0.01
    assert intervals.equivalence(first, first ^ noise, 0.02).p_value < 0.001
    assert intervals.equivalence(first, first ^ noise, 0.0005).p_value > 0.05
    assert intervals.welch([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]).p_value == pytest.approx(0.0213, abs=1e-4)


def test_every_order_has_as_many_updates_and_its_winner_is_trained_again(monkeypatch):
    for size in tuning.LEVELS["batch_size"]:
        recipe = orders.recipe({"batch_size": size}, "short", 0)
        assert recipe.epochs * orders.IMAGES // size == cases.design("order")["updates"]
    monkeypatch.setattr(tuning, "study", lambda profile: None)
    monkeypatch.setattr(tuning, "importances", lambda *_: dict.fromkeys(tuning.LEVELS, 0.2))
    history = SimpleNamespace(status="finished", epochs=[{"holdout_accuracy": 0.5}], seconds=1.0)
    monkeypatch.setattr(tuning.training, "fit", lambda *_, **__: history)
    monkeypatch.setitem(cases.design("order"), "searches", 2)
    assert orders.run("sample").shape == (2, 2) and orders.progress("sample") == (68, 68)


def test_pixel_scales():
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    byte, unit = (batches.normalize(pixels, 64, scale) for scale in ("byte", "unit"))
    assert torch.equal(byte, pixels.permute(0, 3, 1, 2).float()) and torch.allclose(unit, byte / 255)


def test_the_published_trials_of_the_tuning_study_are_still_found(monkeypatch):
    table = tuning.trials("short")
    images = SimpleNamespace(key=data.COMMIT)
    monkeypatch.setattr(experiments, "sets", lambda *_: (None, None, images))
    assert len(table) and set(table["key"]) == {tuning.study_key("short", 0)}


# --- the final project


def test_a_student_number_draws_a_design_in_which_one_thing_differs():
    drafts = [project.variant(f"2026{number}") for number in range(100, 160)]
    assert project.variant(" 2026100 ") == drafts[0] and len({draft.partition(":")[2] for draft in drafts}) > 30
    for design in map(tomllib.loads, drafts):
        recipes = [Recipe(**design["recipe"] | design["arms"][name]["recipe"]).fields() for name in design["contrast"]]
        differs = {field for field in recipes[0] if recipes[0][field] != recipes[1].get(field)}
        assert len(differs - {"learning_rate"}) == 1
    assert {tomllib.loads(draft)["recipe"]["epochs"] for draft in drafts} == set(project.EPOCHS)


def test_a_project_is_decided_on_the_hold_out_by_a_committed_design(tmp_path, monkeypatch):
    with pytest.raises(SceneError, match="is unknown"):
        project.committed("nobodys")
    monkeypatch.setattr(cases, "DESIGNS", tmp_path)
    (tmp_path / "mine.toml").write_text(project.variant("1"))
    with pytest.raises(SceneError, match="mine.toml does not say yet: claim, equal, differs; complete"):
        project.committed("mine")
    (tmp_path / "complete.toml").write_text(project.variant("1").replace('"..."', '"something"'))
    with pytest.raises(SceneError, match="complete.toml is not committed as it is"):
        project.committed("complete")
    rng = np.random.default_rng(0)
    right = {name: rng.random((5, 400)) < rate for name, rate in (("without", 0.6), ("with_it", 0.9))}
    told = {"direction": "greater", "contrast": {"without": -1, "with_it": 1}}
    assert project.said(told, right).endswith("verdict: holds")
    assert project.said(told | {"direction": "less"}, right).endswith("verdict: does not hold")


def test_what_a_grid_tries_keeps_predicted_classes_alone_and_so_does_an_arm_whose_probabilities_nothing_asks():
    assert EXPERIMENTS["case-custom_lenet-lenet"].answers and EXPERIMENTS["case-mixup-plain-grid-0.02"].answers
    kept = [EXPERIMENTS[f"case-{name}"] for name in ("mixup-plain", "mixup-mixup", "ensemble-resnet50")]
    assert not any(each.answers for each in kept)  # calibration and averages are
