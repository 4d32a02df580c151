"""Sentences that pages make of choices, of training time and of borrowed weights."""

import numpy as np
import pandas as pd
import pytest

from scene_utils import experiments, pretraining, results
from scene_utils.lessons import course
from scene_utils.results import Run
from scene_utils.text import sentences

CLASSES = results.facts()["dataset"]["classes"]
LABELS = np.arange(600) % 6


def run(wrong=0, **fields):
    """A run that has the first ``wrong`` images wrong."""
    answers = LABELS.copy()
    answers[:wrong] = (answers[:wrong] + 1) % 6
    record = {
        "experiment": "resnet18", "title": "plain", "profile": "short", "seed": 0, "status": "finished",
        "evaluated_on": "test", "correct": 600 - wrong, "total": 600, "classes": CLASSES, "device": "cpu",
        "epochs": 3, "seconds": 30.0, "weights": None, "weights_choice": None,
        "dataset": {"commit": None},
    }  # fmt: skip
    arrays = {"test_logits": np.eye(6, dtype=np.float32)[answers] * 9, "test_labels": LABELS}
    return Run(record | fields, arrays)


def history(*accuracies, seconds=10.0):
    return [{"epoch": e, "holdout_accuracy": a, "seconds": seconds} for e, a in enumerate(accuracies, 1)]


def test_choice_has_three_forms():
    assert "does not choose" in course.choice({"0": run(100), "0.2": run(99)})
    clear = course.choice({"0": run(100), "0.2": run(10), "1": run(120)})
    assert clear.startswith("Of 600 hold-out images 0.2 has most right, 590.") and "The hold-out chooses it" in clear
    assert "0, 0.2 and 1 have most right, 500." in course.choice(dict.fromkeys(("0", "0.2", "1"), run(100)))
    assert "0 and 0.2 have most right, 500." in course.choice({"0": run(100), "0.2": run(100), "1": run(120)})
    partly = course.choice(
        {"0": run(11), "0.2": run(10), "1": run(120), "4": run(600, status="diverged", correct=None)}
    )
    assert partly.endswith("Less accurate: 1. Not to be told apart from it: 0.")


@pytest.mark.parametrize(
    ("used", "place"),
    [("0", "not to be told apart from the best"), ("0.2", "the best here"), ("1", "less accurate here than the best")],
)
def test_choice_says_where_the_one_that_goes_on_stands(used, place):
    runs = {"0": run(11), "0.2": run(10), "1": run(120)}
    assert course.choice(runs, used).endswith(f"What follows uses {used}: {place}.")


def test_reached():
    table = pd.DataFrame(history(0.5, 0.7, 0.6))
    assert course.reached(table, 0.5) == (1, 10.0)
    assert course.reached(table, 0.65) == (2, 20.0)
    assert course.reached(table, 0.8) is None


def test_worth_in_seconds_epochs_or_never():
    slow = run(history=history(0.5, 0.6, 0.7), title="plain", processor="A")
    fast = run(history=history(0.65, 0.75, 0.8), title="transferred", processor="A")
    there, back = course.worth(slow, fast)
    assert there == (
        "plain ends with a hold-out accuracy of 70.0%, after 3 epochs and 30 s;"
        " transferred has it after epoch 2, at 20 s: 1.5 times as fast."
    )
    assert back.endswith("after 3 epochs; plain never has it in its 3 epochs.")
    for other in ({"device": "cuda", "processor": "A"}, {"processor": "B"}, {}):  # another one, or not known
        elsewhere = course.worth(slow, run(history=history(0.65, 0.75, 0.8), **other))[0]
        assert elsewhere.endswith("has it after epoch 2.") and " s;" not in elsewhere


def test_a_page_says_whose_weights():
    named = run(weights="resnet18-f37072fd.pth (sha256 f37072fd)", weights_choice="imagenet", title="transferred")
    assert "resnet18-f37072fd.pth" in course.pretrained_source(named)
    below = course.caption(run(), named).data
    assert "plain: from scratch, 3 epochs" in below and "transferred: weights resnet18-f37072fd.pth" in below
    assert "Gidaris" in course.pretrained_source(run(weights_choice=pretraining.ROTATION))


def test_report_stands_beside_its_own_data_only():
    assert course.reported_changes(run(), run(experiment="resnet18_mixup")) is None


@pytest.mark.parametrize("nth", [1, 2])
def test_looks_leaves_out_runs_without_maps(capsys, nth):
    net = run(profile="sample", dataset={"commit": None, "key": experiments.sets("sample")[2].key})
    with_maps = Run(net.record, net.arrays | {"cam": np.ones((12, 8, 8)), "cam_images": np.arange(12)})
    figure = course.looks({"plain": net, "transferred": with_maps}, nth)
    assert capsys.readouterr().out == "plain: recorded without this; RETRAIN=1 trains it again and keeps it\n"
    assert "transferred" in figure.alt
    assert course.looks({"plain": net}).data == ""


def test_first_filters_are_the_largest():
    filters = np.zeros((20, 3, 7, 7))
    filters[7] = 1
    kept = Run(run().record, {"first_filters": filters})
    figure = course.first_filters({"transferred": kept}, n=2)
    shown = [axis.get_images()[0].get_array() for axis in figure.axes]
    assert len(shown) == 2 and shown[0].max() == 1 and shown[1].max() == 0.5
    assert course.first_filters({"plain": run()}).data == "" == course.walk({"plain": run()}).data


def test_what_is_known_of_a_model_below_the_report():
    weights = "r50.safetensors (sha256 00aa11bb); r50.safetensors (sha256 00aa11bb), ResNet101 grown from ResNet50"
    means = {"mixup": 0.2, "augmentation": "flip+crop+cutmix", "distillation": 0}
    recipes = [means | {"input_size": size} for size in (96, 80)]
    fields = {"accuracy": 570 / 600, "epochs": 4, "history": history(0.5, 0.7, 0.8, 0.81), "weights": weights,
              "recipe": {"members": recipes}, "refit": {"images": 5000, "seconds": 1}}  # fmt: skip
    below = run(30, **fields)
    below.arrays["test_logits_mirror"] = run(24).logits
    verdicts = pd.Series(["label"] * 12 + ["both"] * 8 + [None] * 10)
    text = sentences.limits(below, 0.96, verdicts)
    assert "stays 6 images below the report" in text and "0.8000 after epoch 3 and 0.8100 after epoch 4" in text
    assert "began with r50.safetensors, ResNet101 grown from ResNet50; with" in text and "has 0.9600 on the" in text
    assert "looked at 20 of its 30 mistakes finds the label alone right in 12, the answer alone in 0, both in 8" in text
    assert text.endswith(
        "Tried: images of 96, 80 pixels, Mixup, CutMix, after all choices a second training, on all 5,000 images."
    )
    # on other images than the report's there is nothing to say
    assert course.limits(below) == ""
