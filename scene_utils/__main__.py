"""Command line: ``python -m scene_utils COMMAND``. The Makefile calls it; so may you."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from scene_utils.support.settings import PROFILES, SceneError


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; an error that a user can mend is one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that is not UTF-8
    options = vars(_parser().parse_args(arguments))
    try:
        options.pop("command")(**options)
    except SceneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}; mend that, then call again", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    return 0


def _flag(text: str) -> dict:
    return {"action": "store_true", "help": text}


DEFAULT = "(default: SCENE_PROFILE, else sample)"
PROFILE = {"--profile": {"help": f"{', '.join(PROFILES)} {DEFAULT}"}}
EDITION = PROFILE | {"--seed": {"type": int, "default": 0}}
OPTIONS = {  # of each command: the function of its name below
    "fetch": {},
    "train": EDITION | {"names": {"metavar": "EXPERIMENT", "nargs": "+"},
                        "--retrain": _flag("train again though a finished run exists")},
    "case": PROFILE | {
        "names": {"metavar": "CASE", "nargs": "*"},
        "--grids": _flag("only the trainings that choose"),
        "--status": _flag("which arms are done, about how many core-hours are left"),
        "--judge": _flag("read test set and sealed set, once, and write the verdicts"),
        "--unfinished": _flag("with --judge: though other cases wait for runs"),
    },
    "project": PROFILE | {"name": {"metavar": "CASE", "nargs": "?", "help": "name of your committed design"},
                          "--draft": {"metavar": "NUMBER", "help": "print a design to complete, by student number"}},
    "live": {"names": {"metavar": "LIVE", "nargs": "*", "help": "names from lessons/live.toml (default: all)"},
             "--profile": {"help": f"short or full: the images are the same {DEFAULT}"},
             "--seeds": {"type": int, "default": 10, "help": "number of recorded pairs (default: 10)"}},
    "classify": {"photos": {"metavar": "PHOTO", "nargs": "+", "type": Path},
                 "--profile": {"help": "only models of this profile (default: the best that is there)"}},
    "app": {"--port": {"type": int, "help": "port to listen on (default: the first free one from 7860 up)"},
            "--host": {"default": "127.0.0.1", "help": "address to listen on (default: this machine alone)"},
            "--profile": {"help": f"whose training images are searched for similar ones {DEFAULT}"}},
    "estimate": EDITION,
    "report": EDITION | {
        "--no-training": _flag("train nothing: name the runs that are missing"),
        "options": {"metavar": "SNAKEMAKE_OPTION", "nargs": "*", "help": "after --: for a cluster, say"},
    },
    "publish": EDITION,
    "publish-runs": {}, "student": {}, "colab": {}, "site": {},
    "grade": {"folder": {"metavar": "FOLDER", "type": Path, "help": "returned notebooks, in any folders below"},
              "--profile": {"help": f"whose images answers are checked on {DEFAULT}"},
              "--seconds": {"type": int, "default": 300, "help": "of a processor, for each notebook (default: 300)"},
              "--trusted": _flag("without walls: limits on time and memory alone")},
    "check-numbers": {},
    "predictions": {"--profile": {"help": f"runs of this profile {DEFAULT}"}},
    "cards": {},
    "execute": EDITION | {"name": {"metavar": "NOTEBOOK", "help": "name of a notebook, such as 02_lenet"},
                          "output": {"type": Path, "help": "path of the executed notebook"}},
    "assemble": EDITION | {"--conclude": _flag("execute 10_conclusions first: a lesson has failed")},
}  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scene_utils", description="Scenes: data, runs, report.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, options in OPTIONS.items():
        function = globals()[f"_{name.replace('-', '_')}"]
        added = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        added.set_defaults(command=function)
        for option, told in options.items():
            added.add_argument(option, **told)
    return parser


def _fetch() -> None:
    """Clone the dataset into the cache folder."""
    from scene_utils.support import fetching

    print(fetching.fetch())


def _train(names: list[str], profile: str | None, seed: int, retrain: bool) -> None:
    """Train experiments, or go on with interrupted runs."""
    from scene_utils import catalogue, experiments

    for experiment in [catalogue.get(name) for name in names]:  # an unknown name is refused before any training
        run = experiments.run(experiment, profile, seed, retrain)
        if run.status == "finished":
            told = f"{run.correct:,} of {run.total:,} images of the {run.judged_on} right"
            told += "" if run.dataset["commit"] else f" ({run.dataset['source']})"
        else:  # it has no numbers
            told = f"{run.status}, so judged on no set"
        print(f"{run.name}: {told}")


def _case(names: list[str], profile: str | None, grids: bool, status: bool, judge: bool, unfinished: bool) -> None:
    """Run what is missing of a case: what its grids choose, then its arms with their seeds; or show how far all are."""
    from scene_utils import catalogue, experiments
    from scene_utils.lessons import limits, orders, verdicts

    for name in names:
        if name in ("nan", "order"):
            print({"nan": limits.limits, "order": orders.run}[name](profile).to_string(index=False))
        else:
            experiments.run_case(name, profile, seeds=not grids)
        judged_on = "the training's own loss" if name == "nan" else "the hold-out"
        print(f"case {name}: judged on {judged_on}; test set and sealed set are not read")
    if status or not names and not judge:
        print(verdicts.status(names or catalogue.declare_cases()).to_string(index=False))
        print("choices are made on the hold-out; case --judge reads test set and sealed set")
    if judge:
        judged = [f"{name} on {verdicts.judged_on(name)}" for name in verdicts.judge(unfinished)]
        print(f"judged: {', '.join(judged) or 'nothing new'}")


def _project(name: str | None, draft: str | None, profile: str | None) -> None:
    """Run the final project's case by its committed design, and give its verdict on the hold-out; or draft a design."""
    from scene_utils.lessons import project

    if draft or not name:
        print(project.variant(draft or ""), end="")
    else:
        print(project.judge(name, project.settings.profile(profile)))


def _live(names: list[str], profile: str | None, seeds: int) -> None:
    """Run and publish the recorded pairs of live experiments, what is missing of them."""
    from scene_utils.lessons import live

    for name in names or live.DECLARED:
        print(f"{name}: accuracies on the hold-out, in {live.record(name, profile, seeds)}")


def _classify(photos: list[Path], profile: str | None) -> None:
    """Classify photos with the best model at hand: shipped with the package, or trained here."""
    from scene_utils import classify

    began = time.monotonic()
    model, bad = classify.load(profile), []
    print(classify.description(model.run), flush=True)
    for photo in photos:
        try:
            answer = model.predict([photo]).iloc[0].sort_values(ascending=False)
            print(f"{photo.name}: " + ", ".join(f"{name} {p:.1%}" for name, p in answer.items()), flush=True)
        except SceneError as error:
            bad.append(photo.name)
            print(error, flush=True)
    took = f"in {time.monotonic() - began:.1f} s; the model has {classify.holdout_words(model.run)}"
    print(f"{len(photos) - len(bad)} of {len(photos)} photos answered {took}")
    if bad:
        raise SceneError(f"{len(bad)} of {len(photos)} photos could not be read: {', '.join(bad)}")


def _app(port: int | None, host: str, profile: str | None) -> None:
    """Open a web page on this machine that says what photos show (needs the requirement app)."""
    from scene_utils import app

    app.serve(host, port, profile)


def _estimate(profile: str | None, seed: int) -> None:
    """Say about how long the trainings that the series still needs take on this machine."""
    from scene_utils import durations, experiments

    count, seconds = experiments.time_needed(profile, seed)
    print(f"trainings to do: {count}, {durations.time_here(seconds)}" if count else "trainings to do: none")


def _report(profile: str | None, seed: int, no_training: bool, options: list[str]) -> None:
    """Execute what is out of date in the series, and write the report."""
    from scene_utils.report import series

    if no_training:
        os.environ["SCENE_TRAIN"] = "0"
    made = series.run(profile, seed, options)
    print(f"report: {made} (accuracies on the test set, choices on the hold-out)")


def _publish(profile: str | None, seed: int) -> None:
    """Copy a report, its records and outputs into the folder report, the notebooks and the README."""
    from scene_utils.report import publish

    publish.publish(profile, seed)


def _publish_runs() -> None:
    """Copy every finished run of the real dataset into the folder report/results."""
    from scene_utils.report import publish

    new = publish.publish_runs()
    publish.write_tables()
    print("".join(f"{name}\n" for name in new), end="")
    print(f"published runs: {len(new)} new (judged on test set or hold-out, as each record says)")


def _student() -> None:
    """Write copies of the notebooks without solutions and outputs into the folder student."""
    from scene_utils.report import publish

    print(f"notebooks without solutions: {publish.student()}")


def _colab() -> None:
    """Write the repository's address, set in pyproject.toml, into the notebooks' first cell, with a Colab badge."""
    from scene_utils.report import colab

    changed = colab.write()
    print(f"address {colab.repository() or '(none)'}: {len(changed)} notebooks changed")


def _site() -> None:
    """Write notebooks, report, glossary and handbook as linked pages into the folder build/site."""
    from scene_utils.report import site

    print(f"site: {site.write()}")


def _grade(folder: Path, profile: str | None, seconds: int, trusted: bool) -> None:
    """Mark returned notebooks: a table on the screen, and with all remarks in marks.csv in their folder."""
    from scene_utils.grading import marks, sandbox

    limits = sandbox.Limits(seconds=seconds)
    table = marks.grade(folder, marks.settings.profile(profile), not trusted, limits)
    print(f"\n{marks.summary(table).to_string(index=False)}\n\nevery exercise, with its remark: {folder / marks.TABLE}")


def _check_numbers() -> None:
    """Recompute all published accuracies from their logits and compare them with what is published."""
    from scene_utils.report import publish

    print("\n".join(publish.check_numbers()))


def _predictions(profile: str | None) -> None:
    """Write the predictions of all runs of a profile, image by image, as one table."""
    from scene_utils import predictions

    rows = predictions.write(profile)
    runs = rows.groupby(["model", "seed"]).ngroups
    print(f"{len(rows):,} predictions of {runs} runs on test set and hold-out: {predictions.path(profile)}")


def _cards() -> None:
    """Write the shipped model's threshold and card, and the sample's card, from the published records."""
    from scene_utils.lessons import cards

    for path in cards.write():
        print(path)
    print("accuracy on the test set, threshold on the hold-out")


def _execute(name: str, output: Path, profile: str | None, seed: int) -> None:
    """Execute one notebook (what the graph calls)."""
    from scene_utils.report import series

    series.execute_job(name, output, series.settings.profile(profile), seed)


def _assemble(profile: str | None, seed: int, conclude: bool) -> None:
    """Write the report's pages from what has been executed (what the graph calls)."""
    from scene_utils.report import assemble, series

    if conclude:
        series.conclude(profile, seed)
    assemble.write(profile, seed)


if __name__ == "__main__":
    sys.exit(main())
