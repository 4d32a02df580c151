"""What the pages on the small networks rest on: the loop written out, the report's table, curves in words."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scene_utils import batches, catalogue, experiments, models, recipe, results, training
from scene_utils.lessons import course
from scene_utils.results import Run
from scene_utils.support import intervals, layers


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_the_loop_written_out_gives_the_first_loss_of_fit(schedule):
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
    history = training.fit(fitted, train, holdout, plan)
    assert seen == 96 and history.epochs[0]["loss"] == pytest.approx(total / seen, rel=1e-4)
    for mine, theirs in zip(net.parameters(), fitted.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs.cpu(), rtol=1e-3, atol=1e-5)


def test_custom_lenet_has_the_rows_of_the_report():
    assert layers.layer_table(models.CustomLeNet()).equals(course.structure("custom_lenet"))


def test_every_rate_of_the_sweep_is_an_experiment_that_never_sees_the_test_set():
    assert max(catalogue.LEARNING_RATES) / min(catalogue.LEARNING_RATES) >= 100
    assert results.facts()["lenet_divergence"]["learning_rate_at_least"] in catalogue.LEARNING_RATES
    for rate in catalogue.LEARNING_RATES:
        experiment = catalogue.get(f"lenet-rate-{rate}")
        assert experiment.selection_only and experiment.recipe("short").learning_rate == rate


def test_relu_is_the_only_difference_in_the_two_by_two():
    for name in ("lenet", "custom_lenet"):
        plain, relu = catalogue.get(name), catalogue.get(f"{name}-relu")
        assert plain.recipes == relu.recipes
        assert isinstance(plain.build(6).activation, torch.nn.Identity)
        assert isinstance(relu.build(6).activation, torch.nn.ReLU)


def run(accuracy, holdout_accuracy, epochs=2):
    row = {"loss": 1.0, "holdout_loss": 1.2, "accuracy": accuracy, "holdout_accuracy": holdout_accuracy}
    record = {
        "title": "net", "history": [row | {"epoch": epoch} for epoch in range(1, epochs + 1)],
        "recipe": {"images": None}, "dataset": {"counts": {"train": 1000, "holdout": 100}},
    }  # fmt: skip
    return Run(record, {})


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [((0.95, 0.75), "by heart"), ((0.5, 0.75), "harder"), ((0.8, 0.78), "not to be told apart")],
)
def test_the_gap_between_training_and_hold_out_has_three_forms(accuracies, words):
    assert words in course.reading(run(*accuracies))[-1]


def test_a_single_epoch_has_no_course_to_tell():
    assert len(course.reading(run(0.5, 0.5, epochs=1))) == 1


def test_gap_agrees_with_a_published_example():
    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II: 56/70 and 48/80, method 10
    assert intervals.newcombe_interval(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_sweep_keeps_the_step_of_a_diverged_run():
    ended = Run({"recipe": {"learning_rate": 0.4}, "history": [{"epoch": 1}], "diverged_step": 5,
                 "status": "diverged"}, {})  # fmt: skip
    done = Run({"recipe": {"learning_rate": 0.1}, "history": [{"loss": 0.5, "holdout_accuracy": 0.6}],
                "diverged_step": None, "status": "finished"}, {})  # fmt: skip
    table = course.sweep([ended, done])
    assert table["diverged_step"].isna().tolist() == [False, True] and table["loss"].tolist()[1] == 0.5
    assert np.isnan(table["loss"][0])
