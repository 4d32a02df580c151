"""What pages say of choices, curves, training time and weights; the loop that a page writes out."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from scene_utils import batches, catalogue, experiments, models, pretraining, recipe, results, training
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
        "epochs": 3, "seconds": 30.0, "weights": None, "weights_choice": None, "recipe": {"images": None},
        "dataset": {"commit": None, "counts": {"train": 1000, "holdout": 100}},
    }  # fmt: skip
    arrays = {"test_logits": np.eye(6, dtype=np.float32)[answers] * 9, "test_labels": LABELS}
    return Run(record | fields, arrays)


def history(*accuracies, seconds=10.0, **more):
    return [{"epoch": e, "holdout_accuracy": a, "seconds": seconds} | more for e, a in enumerate(accuracies, 1)]


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_the_loop_written_out_trains_like_fit(schedule):
    train, holdout, _ = experiments.sets("sample")
    plan = catalogue.get("lenet").recipe("sample")
    plan = plan.replace(epochs=1, images=96, precision="float32", schedule=schedule)
    torch.manual_seed(0)
    net = models.LeNet(len(train.classes))
    optimizer = recipe.make_optimizer(net, plan)
    scheduler = recipe.make_scheduler(optimizer, plan, batches.steps_per_epoch(len(train), plan))
    pixels = batches.to_device(train.images, "cpu")
    targets = F.one_hot(train.labels, len(train.classes)).float()
    total = seen = 0
    for _, images, target in batches.train_batches(pixels, targets, plan, epoch=1):
        loss = F.cross_entropy(net(images), target, label_smoothing=plan.label_smoothing)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step()
        total, seen = total + loss.item() * len(images), seen + len(images)
    torch.manual_seed(0)
    fitted = models.LeNet(len(train.classes))
    done = training.fit(fitted, train, holdout, plan)
    assert seen == 96 and done.epochs[0]["loss"] == pytest.approx(total / seen, rel=1e-4)
    for mine, theirs in zip(net.parameters(), fitted.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.cpu(), rtol=1e-3, atol=1e-4 if theirs.is_cuda else 1e-5)  # TF32


@pytest.mark.parametrize("name", ["lenet", "custom_lenet"])
def test_relu_is_the_only_difference_in_the_two_by_two(name):
    plain, relu = catalogue.get(name), catalogue.get(f"{name}-relu")
    assert plain.recipes == relu.recipes
    assert isinstance(plain.build(6).activation, torch.nn.Identity)
    assert isinstance(relu.build(6).activation, torch.nn.ReLU)


def test_every_rate_of_the_sweep_is_an_experiment_that_never_sees_the_test_set():
    assert max(catalogue.LEARNING_RATES) / min(catalogue.LEARNING_RATES) >= 100
    assert results.facts()["lenet_divergence"]["learning_rate_at_least"] in catalogue.LEARNING_RATES
    for rate in catalogue.LEARNING_RATES:
        experiment = catalogue.get(f"lenet-rate-{rate}")
        assert experiment.selection_only and experiment.recipe("short").learning_rate == rate


def test_the_sweep_keeps_the_step_of_a_diverged_run():
    ended = run(recipe={"learning_rate": 0.4}, history=[{"epoch": 1}], diverged_step=5, status="diverged")
    done = run(recipe={"learning_rate": 0.1}, history=history(0.6, loss=0.5), diverged_step=None)
    table = course.sweep([ended, done])
    assert table["diverged_step"].isna().tolist() == [False, True] and table["loss"].tolist()[1] == 0.5
    assert np.isnan(table["loss"][0])


@pytest.mark.parametrize(("accuracies", "gap"), [((0.95, 0.75), 1), ((0.5, 0.75), -1), ((0.8, 0.78), 0)])
def test_the_gap_between_training_and_hold_out_has_an_interval(accuracies, gap):
    curves = history(0.5, accuracies[1], accuracy=accuracies[0], loss=1.0, holdout_loss=1.2)
    value, (low, high) = course.gap(run(history=curves))
    assert value == pytest.approx(accuracies[0] - accuracies[1]) and (low > 0) - (high < 0) == gap
    assert len(course.describe_curves(run(history=curves))) == 3
    assert len(course.describe_curves(run(history=curves[-1:]))) == 1  # one epoch has no course to tell


def test_a_choice_names_what_leads_and_what_is_significantly_lower():
    runs = {"0": run(11), "0.2": run(10), "1": run(120), "4": run(600, status="diverged", correct=None)}
    said = [course.choice(runs, used) for used in ("", "0", "0.2", "1")]
    assert all(": 0.2." in each and "590" in each and ": 1." in each and ": 0." in each for each in said)
    assert len({each.values["parts"][-1].values["form"].key for each in said[1:]}) == 3
    tied, clear = dict.fromkeys(("0", "0.2", "1"), run(100)), {"0": run(100), "0.2": run(10), "1": run(120)}
    assert ": 0, 0.2, 1." in course.choice(tied) and ": 0, 1." in course.choice(clear)


def test_the_first_epoch_with_an_accuracy():
    table = pd.DataFrame(history(0.5, 0.7, 0.6))
    assert [course.reached(table, goal) for goal in (0.5, 0.65, 0.8)] == [(1, 10.0), (2, 20.0), None]


def test_training_time_is_compared_in_seconds_in_epochs_or_not_at_all():
    slow = run(history=history(0.5, 0.6, 0.7), title="plain", processor="A")
    fast = {"history": history(0.65, 0.75, 0.8), "title": "transferred"}
    there, back = course.time_to_accuracy(slow, run(**fast, processor="A"))
    assert "epoch 2, at 20 s: 1.5 times as fast" in there and "never" in back
    for other in ({"device": "cuda", "processor": "A"}, {"processor": "B"}, {}):  # another one, or not known
        elsewhere = course.time_to_accuracy(slow, run(**fast, **other))[0]
        assert "epoch 2" in elsewhere and " s;" not in elsewhere and "times" not in elsewhere


def test_a_page_says_whose_weights():
    named = run(weights="resnet18-f37072fd.pth (sha256 f37072fd)", weights_choice="imagenet", title="transferred")
    assert "resnet18-f37072fd.pth" in course.pretrained_source(named)
    below = course.caption(run(), named).data
    assert "plain: from scratch, 3 epochs" in below and "transferred: weights resnet18-f37072fd.pth" in below
    assert "Gidaris" in course.pretrained_source(run(weights_choice=pretraining.ROTATION))


@pytest.mark.parametrize("nth", [1, 2])
def test_runs_without_an_array_are_left_out_with_a_word(capsys, nth):
    net = run(profile="sample", dataset={"commit": None, "key": experiments.sets("sample")[2].key})
    with_maps = Run(net.record, net.arrays | {"cam": np.ones((12, 8, 8)), "cam_images": np.arange(12)})
    figure = course.class_activation_maps({"plain": net, "transferred": with_maps}, nth)
    said = capsys.readouterr().out
    assert "plain" in said and "RETRAIN=1" in said and "transferred" not in said and "transferred" in figure.alt
    for show in (course.class_activation_maps, course.first_filters, course.mixup_interpolation):
        assert show({"plain": net}).data == ""


def test_first_filters_are_the_largest():
    filters = np.zeros((20, 3, 7, 7))
    filters[7] = 1
    figure = course.first_filters({"transferred": Run(run().record, {"first_filters": filters})}, n=2)
    shown = [axis.get_images()[0].get_array() for axis in figure.axes]
    assert len(shown) == 2 and shown[0].max() == 1 and shown[1].max() == 0.5


def test_what_is_known_of_a_model_below_the_report():
    weights = "r50.safetensors (sha256 00aa11bb); r50.safetensors (sha256 00aa11bb), ResNet101 grown from ResNet50"
    means = {"mixup": 0.2, "augmentation": "flip+crop+cutmix", "distillation": 0}
    recipes = [means | {"input_size": size} for size in (96, 80)]
    below = run(30, accuracy=570 / 600, epochs=4, history=history(0.5, 0.7, 0.8, 0.81), weights=weights,
                recipe={"members": recipes}, refit={"images": 5000, "seconds": 1})  # fmt: skip
    below.arrays["test_logits_mirror"] = run(24).logits
    verdicts = pd.Series(["label"] * 12 + ["both"] * 8 + [None] * 10)
    told = sentences.limits(below, 0.96, verdicts).values
    assert (told["short"], told["middle"], told["before"], told["after"]) == (6, 3, 0.8, 0.81)
    assert told["weights"] == "r50.safetensors, ResNet101 grown from ResNet50" and told["mirrored"] == 0.96
    assert [told[name] for name in ("judged", "mistakes", "label", "answer", "both")] == [20, 30, 12, 0, 8]
    tried = told["tried"].values["parts"]
    assert tried[0].values["sizes"] == [96, 80] and tried[1:3] == ["Mixup", "CutMix"]
    assert tried[3].values["images"] == 5000
    # on other images than the report's there is nothing to say
    assert course.limits(below) == "" and course.reported_changes(run(), run(experiment="resnet18_mixup")) is None
