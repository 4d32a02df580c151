"""The engine: batches, schedules, targets, resume, divergence, precision, several processes."""

import copy
import importlib.util
import math
import os
import re
import signal
import socket
import subprocess
import sys
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms import v2

from scene_utils import batches, data, durations, training
from scene_utils.recipe import Recipe, learning_rates, make_optimizer
from scene_utils.support import checkpoints, convolution, devices, settings
from scene_utils.support.settings import SceneError
from tests.fakes import Malicious

QUICK = Recipe(epochs=2, batch_size=64, learning_rate=0.01, precision="float32")


@pytest.fixture(scope="module")
def sets():
    return data.holdout_split(data.load_sample().train)


def small_net(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 5, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(128, 6))


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))


@pytest.mark.parametrize("first", [False, True])
def test_a_run_begun_without_a_gradient_scaler_goes_on_with_one_and_back(sets, tmp_path, monkeypatch, first):
    """A CPU has none, a GPU that is fast at float16 has one: here one for the CPU stands in for it."""
    path = tmp_path / "run.pt"

    def machine(scaled):
        monkeypatch.setattr(devices, "grad_scaler", lambda *_: torch.amp.GradScaler("cpu", enabled=scaled))
        monkeypatch.setattr(devices, "device_name", lambda device: "Tesla T4" if scaled else "cpu (2 threads)")

    machine(first)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(1, patch)
        training.fit(small_net(), *sets, QUICK, path)
    assert ("scaler" in torch.load(path, weights_only=True)) == first
    machine(not first)
    history = training.fit(small_net(), *sets, QUICK, path)
    assert history.status == "finished" and [row["epoch"] for row in history.epochs] == [1, 2]
    assert history.device == ("Tesla T4, then cpu (2 threads)" if first else "cpu (2 threads), then Tesla T4")


def test_values_are_refused_by_name_with_the_allowed_range():
    with pytest.raises(SceneError, match=r"learning_rate -1 .* allowed: 1e-09 to 1000000.0"):
        Recipe(learning_rate=-1)
    with pytest.raises(SceneError, match="schedule 'linear' is unknown; known: constant, multistep"):
        Recipe(schedule="linear")
    with pytest.raises(SceneError, match="epochs nan"):
        Recipe(epochs=math.nan)


def test_normalised_is_what_torchvision_does(sets):
    images = sets[1].images
    pipeline = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(data.MEAN, data.STD)])
    batch = batches.normalize(batches.to_device(images, "cpu"), 64)
    torch.testing.assert_close(batch, pipeline(images), rtol=1e-5, atol=1e-5)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batches.normalize(batches.to_device(images, "cpu"), 128).shape[2:] == (128, 128)


def test_augmentation_is_a_crop_of_the_reflected_image_or_of_its_mirror(sets):
    images = sets[1].images[:8]
    padded = F.pad(images.float(), (4, 4, 4, 4), mode="reflect").byte()
    crops = padded.unfold(2, 64, 1).unfold(3, 64, 1)  # (8, 3, 9, 9, 64, 64)
    pixels = batches.to_device(images, "cpu")
    cut = batches.random_crop_flip(pixels, torch.arange(8), "flip+crop", np.random.default_rng(1))
    given = cut.permute(0, 3, 1, 2)[:, :, None, None]
    found = torch.stack([(crops == each).all((1, 4, 5)) for each in (given, given.flip(-1))], 1)  # (8, 2, 9, 9)
    assert found.flatten(1).any(1).all() and found.any(0).sum() > 4


def test_every_image_is_seen_once_an_epoch_and_the_order_depends_on_seed_and_epoch_alone():
    recipe = QUICK.replace(batch_size=64)
    order = [batches.epoch_batches(129, recipe, epoch) for epoch in (1, 2, 1)]
    assert sorted(np.concatenate(order[0])) == list(range(129))
    assert [len(batch) for batch in order[0]] == [43, 43, 43]  # no batch of a single image
    assert not np.array_equal(np.concatenate(order[0]), np.concatenate(order[1]))
    assert np.array_equal(np.concatenate(order[0]), np.concatenate(order[2]))
    limited = batches.epoch_batches(1000, recipe.replace(images=100), 3)
    assert len(np.unique(np.concatenate(limited))) == 100


@pytest.mark.parametrize("seed", range(2))
def test_mixup_and_cutmix_are_those_of_torchvision(seed):
    images, labels = torch.rand(8, 3, 32, 32), torch.arange(8) % 6
    targets, kinds = F.one_hot(labels, 6).float(), (v2.MixUp(alpha=0.4, num_classes=6), v2.CutMix(num_classes=6))
    theirs = []
    for kind in kinds:
        torch.manual_seed(seed)
        theirs += kind(images, labels)
    torch.manual_seed(seed)
    ours = [*batches.mixup(images, targets, float(torch._sample_dirichlet(torch.tensor([0.4, 0.4]))[0]))]
    torch.manual_seed(seed)
    share = float(kinds[1]._dist.sample(()))
    column, row = (int(torch.randint(32, (1,))) / 32 for _ in range(2))
    ours += batches.cutmix(images, targets, share, np.array([row, column]))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_half_of_the_batches_are_cut_the_others_mixed_and_targets_add_up():
    pixels = (torch.arange(400) % 2 * 255).to(torch.uint8)[:, None, None, None].expand(-1, 8, 8, 3).contiguous()
    recipe = QUICK.replace(mixup=1.0, batch_size=2, augmentation="flip+crop+cutmix")
    batched = [images for _, images, _ in batches.train_batches(pixels, torch.eye(400), recipe, 1)]
    # an image of one colour stays so when another is laid over it, and has two colours with a piece of another
    pieced = [bool((images.amax((2, 3)) - images.amin((2, 3)) > 1).any()) for images in batched]
    assert len(pieced) == 200 and 30 < sum(pieced) < 70  # half of the batches, half of their pairs of two colours
    targets = F.one_hot(torch.arange(400) % 6, 6).float()
    recipe = QUICK.replace(mixup=1.0, batch_size=4)
    mixed = torch.cat([target for _, _, target in batches.train_batches(pixels, targets, recipe, 1)])
    torch.testing.assert_close(mixed.sum(1), torch.ones(400))
    assert mixed.amax(1).min() < 0.7  # some are mixed well


def test_learning_rates_follow_their_formula():
    recipe, epoch = QUICK.replace(epochs=20, learning_rate=0.1, milestones=(5, 10), gamma=0.5), np.arange(20)
    constant, steps, cosine, cycle = (learning_rates(recipe.replace(schedule=name), steps=3)
                                      for name in ("constant", "multistep", "cosine", "one-cycle"))  # fmt: skip
    assert constant == [0.1] * 20 and steps == pytest.approx([0.1] * 5 + [0.05] * 5 + [0.025] * 10)
    assert cosine == pytest.approx(0.05 * (1 + np.cos(np.pi * epoch / 20)))
    assert max(cycle) == pytest.approx(0.1, rel=0.05) and cycle[0] < 0.01 and cycle[-1] < 0.01


def test_weight_decay_spares_norms_and_biases():
    decayed, spared = make_optimizer(small_net(), QUICK.replace(weight_decay=0.1)).param_groups
    assert decayed["weight_decay"] == 0.1 and all(p.ndim > 1 for p in decayed["params"])
    assert spared["weight_decay"] == 0.0 and all(p.ndim == 1 for p in spared["params"])


@pytest.mark.parametrize(
    ("size", "options"), [(2, {"kernel_size": 3, "padding": 1}), (8, {"kernel_size": 3, "padding": 1, "stride": 2}),
                          (4, {"kernel_size": 1}), (5, {"kernel_size": (1, 3), "stride": (2, 1)})],
)  # fmt: skip
def test_convolutions_over_small_maps_have_torchs_results_and_gradients(size, options):
    plain = torch.nn.Conv2d(8, 12, bias=False, **options)
    ours = copy.deepcopy(plain)
    convolution.use_fast_conv_(ours)
    assert type(copy.deepcopy(ours)) is convolution.Conv2d and ours.state_dict().keys() == plain.state_dict().keys()
    images = torch.randn(6, 8, size, size).to(memory_format=torch.channels_last)
    seen, found, apply = [], [], convolution.ConvWeightGrad.apply
    for net in (plain, ours):
        given = images.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16), pytest.MonkeyPatch.context() as patch:
            patch.setattr(convolution.ConvWeightGrad, "apply", lambda *args: seen.append(1) or apply(*args))
            answer = net(given)
        answer.float().square().sum().backward()
        found.append((answer.float(), given.grad, net.weight.grad))
    assert seen == [1]  # ours took the other way
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2 * float(one.detach().abs().max()))


def test_distillation_is_cross_entropy_against_the_teachers_softened_answers(sets):
    logits, teacher = torch.randn(5, 6), torch.randn(5, 6)
    recipe = QUICK.replace(distillation=1.0, temperature=2.0)
    loss = training.loss_function(logits, torch.zeros(5, 6), recipe, (teacher / 2).softmax(1))
    expected = -((teacher / 2).softmax(1) * (logits / 2).log_softmax(1)).sum() * 4
    torch.testing.assert_close(loss, expected)
    with pytest.raises(SceneError, match="needs a teacher's logits for"):
        training.fit(small_net(), *sets, QUICK.replace(distillation=0.5))


def test_mixup_mixes_a_teachers_answers_like_the_labels(sets, monkeypatch):
    train, holdout = sets
    seen, loss_function = [], training.loss_function
    monkeypatch.setattr(training, "loss_function", lambda *args: seen.append(args) or loss_function(*args))
    sure = 40.0 * torch.nn.functional.one_hot(train.labels, len(train.classes)).float()  # knows every label
    recipe = QUICK.replace(epochs=1, mixup=0.5, distillation=0.5, temperature=1.0)
    training.fit(small_net(), train, holdout, recipe, teacher_logits=sure)
    for _, truth, _, taught in seen:
        torch.testing.assert_close(truth, taught, atol=1e-5, rtol=0)
    assert any(0.05 < truth.max(1).values.min() < 0.95 for _, truth, _, _ in seen)


def stop_after(epochs, monkeypatch):
    """Press the stop button once so many epochs have been saved."""
    save = training.save_checkpoint

    def stop(path, parts, history, recipe):
        save(path, parts, history, recipe)
        if len(history.epochs) == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_checkpoint", stop)


@pytest.mark.skipif(torch.cuda.is_available(), reason="threads are chosen where the processor trains")
def test_threads_follow_what_is_free_and_an_interrupted_run_repeats_them(sets, tmp_path, monkeypatch):
    choices = iter([2, 1, 2, 9, 9])
    monkeypatch.setattr(training.devices, "free_threads", lambda since, limit: next(choices))
    recipe, used = QUICK.replace(epochs=3), []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    stop_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        training.fit(small_net(), *sets, recipe, tmp_path / "run.pt")
    monkeypatch.setattr(training, "save_checkpoint", lambda *_: None)
    history = training.fit(small_net(), *sets, recipe, tmp_path / "run.pt")
    limit = torch.get_num_threads()
    assert [row["threads"] for row in history.epochs] == [2, 1, 2]
    assert used == [2, limit, 1, 2, limit]


@pytest.mark.parametrize(("others", "threads"), [(0.0, 4), (0.3, 4), (0.9, 3), (3.2, 1), (4.0, 1)])
def test_a_thread_for_each_core_that_is_free(others, threads, monkeypatch):
    monkeypatch.delenv("SCENE_THREADS", raising=False)
    monkeypatch.setattr(devices.os, "cpu_count", lambda: 4)
    since, cores = (0, 0), namedtuple("cores", ["user", "idle"])
    monkeypatch.setattr(devices.psutil, "cpu_times", lambda: cores(10 * others + 8, 5))
    monkeypatch.setattr(devices, "time", SimpleNamespace(monotonic=lambda: 10, process_time=lambda: 8))
    assert devices.free_threads(since, 4) == threads
    assert devices.free_threads(since, 1) == 1
    monkeypatch.setenv("SCENE_THREADS", "3")
    assert devices.free_threads(since, 4) == 3
    monkeypatch.setenv("SCENE_THREADS", "many")
    with pytest.raises(SceneError, match="SCENE_THREADS 'many' is no whole number"):
        devices.free_threads(since, 4)


RESUME = {
    "one-cycle, EMA, Mixup": {"ema": 0.9, "mixup": 0.4, "schedule": "one-cycle"},
    "AdamW, cosine": {"optimizer": "adamw", "schedule": "cosine", "learning_rate": 1e-3},
    "multistep, crop": {"schedule": "multistep", "milestones": (1, 2), "augmentation": "flip+crop"},
}


@pytest.mark.parametrize("name", RESUME)
def test_an_interrupted_run_ends_like_an_uninterrupted_one(name, sets, tmp_path, monkeypatch, capsys):
    recipe = QUICK.replace(epochs=3, images=96, batch_size=32, **RESUME[name])
    whole = small_net()
    history = training.fit(whole, *sets, recipe)

    stop_after(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        training.fit(small_net(), *sets, recipe, tmp_path / "run.pt")
    assert "stopped after 1 of 3 epochs; run the same again to go on" in capsys.readouterr().out
    monkeypatch.undo()

    resumed = small_net(seed=5)  # whatever it starts from, the checkpoint decides
    again = training.fit(resumed, *sets, recipe, tmp_path / "run.pt")
    assert same(whole.state_dict(), resumed.state_dict())
    drop = ("seconds", "elapsed")
    rows = [[{k: v for k, v in row.items() if k not in drop} for row in h.epochs] for h in (history, again)]
    assert rows[0] == rows[1]


def test_timing_a_step_changes_and_says_nothing(sets, capsys):
    model = small_net().train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    assert 0 < durations.step_seconds(model, sets[0], QUICK.replace(distillation=0.5, images=10)) < 60
    assert same(before, model.state_dict()) and torch.equal(state, torch.get_rng_state()) and model.training
    assert capsys.readouterr().out == ""


def test_an_interrupt_waits_until_a_checkpoint_is_whole(sets, tmp_path, monkeypatch):
    write = settings.atomic_write

    def stopped(path, content):
        signal.raise_signal(signal.SIGINT)
        return write(path, content)

    monkeypatch.setattr(settings, "atomic_write", stopped)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            training.fit(small_net(), *sets, QUICK.replace(epochs=2), tmp_path / "net.pt")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(torch.load(tmp_path / "net.pt", weights_only=True)["history"]["epochs"]) == 1


def test_a_changed_recipe_never_resumes_an_old_checkpoint(sets, tmp_path, capsys, monkeypatch):
    path = tmp_path / "run.pt"
    monkeypatch.setattr(training, "SHORT", 0)
    training.fit(small_net(), *sets, QUICK, path)
    assert checkpoints.epochs_done(path) == QUICK.epochs
    training.fit(fresh := small_net(), *sets, QUICK.replace(learning_rate=0.02), path)
    assert "made by another recipe, starting over" in capsys.readouterr().out
    training.fit(expected := small_net(), *sets, QUICK.replace(learning_rate=0.02))
    assert same(fresh.state_dict(), expected.state_dict())


def test_a_checkpoint_that_is_torn_or_holds_code_is_named_and_executes_nothing(sets, tmp_path):
    path = tmp_path / "run.pt"
    torch.save({"model": Malicious(tmp_path / "executed")}, path)
    for content in (path.read_bytes(), path.read_bytes()[:300]):
        path.write_bytes(content)
        assert checkpoints.epochs_done(path) == 0
        with pytest.raises(SceneError, match="run.pt cannot be read .* delete it to start over"):
            training.fit(small_net(), *sets, QUICK, path)
    assert not (tmp_path / "executed").exists()


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_its_history(sets, tmp_path):
    recipe = QUICK.replace(learning_rate=1e6, schedule="constant", epochs=5)
    history = training.fit(small_net(), *sets, recipe, tmp_path / "run.pt")
    assert history.status == "diverged" and history.diverged_step >= 1
    assert 1 <= len(history.epochs) < 5
    again = training.fit(small_net(), *sets, recipe, tmp_path / "run.pt")
    assert again.diverged_step == history.diverged_step  # it is not tried again


def test_the_averaged_weights_are_those_that_are_evaluated(sets):
    net = small_net()
    history = training.fit(net, *sets, QUICK.replace(ema=0.9))
    logits = training.predict(net, sets[1], QUICK)
    torch.testing.assert_close(logits, history.holdout_logits[-1])


def test_frozen_features_stay_as_they_are(sets):
    net = small_net()
    before = copy.deepcopy(net.state_dict())
    training.fit(net, *sets, QUICK.replace(trainable="last", epochs=1))
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value.cpu(), before[name])}
    assert changed == {"6.weight", "6.bias"}


def test_mirror_averaging_does_not_care_which_way_an_image_points(sets):
    net, holdout = small_net(), sets[1]
    mirrored = data.Split(holdout.images.flip(3), holdout.labels, holdout.classes, holdout.names)
    first, second = (training.predict(net, split, QUICK, mirror=True) for split in (holdout, mirrored))
    torch.testing.assert_close(first, second)
    assert not torch.allclose(first, training.predict(net, holdout, QUICK))


def test_two_sizes_of_set_that_are_hard(sets):
    train, holdout = sets
    few = train.select(range(0, len(train), 60))
    history = training.fit(small_net(), few, holdout.select([0]), QUICK.replace(batch_size=len(few) - 1))
    assert history.status == "finished"  # a last batch of one would break the norm
    with pytest.raises(SceneError, match="too few; add images"):
        training.fit(small_net(), train.select([0]), holdout, QUICK)


# --- curves for TensorBoard: written where they are asked for, and without a trace in what is trained


def test_curves_are_those_of_the_history_and_change_nothing(sets, tmp_path, monkeypatch, capsys):
    def train(folder, curves, checkpoint=True):
        monkeypatch.setenv("SCENE_RUNS_DIR", str(tmp_path / folder))
        monkeypatch.setenv("SCENE_TENSORBOARD", curves)
        file = tmp_path / folder / "net.pt" if checkpoint else None
        history = training.fit(model := small_net(), *sets, QUICK.replace(images=64), file, name="net")
        return model.state_dict(), history.epochs, sorted((tmp_path / folder / "tensorboard").rglob("events*"))

    plain, without, none = train("plain", "0")
    assert none == []
    if importlib.util.find_spec("tensorboard"):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        state, epochs, (events,) = train("curves", "1")
        assert same(plain, state) and events.parent.name == "net"
        curves = EventAccumulator(str(events)).Reload()
        for name in ("loss", "accuracy", "holdout_loss", "holdout_accuracy", "learning_rate"):
            assert [row[name] for row in epochs] == [row[name] for row in without]
            assert [point.step for point in curves.Scalars(name)] == [1, 2]
            assert np.allclose([point.value for point in curves.Scalars(name)], [row[name] for row in epochs])
        assert train("trial", "1", checkpoint=False)[2] == []  # trials that keep nothing leave no curves either
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name))
    settings.say_once.cache_clear()
    assert len(train("missing", "1")[1]) == 2 and "TensorBoard is not installed" in capsys.readouterr().out
    monkeypatch.setenv("SCENE_TENSORBOARD", "yes")
    with pytest.raises(SceneError, match="SCENE_TENSORBOARD 'yes' is unknown; known: 0, 1"):
        settings.check_environment()


TWO = """
import torch
from scene_utils import data, models, training
from scene_utils.recipe import Recipe
torch.manual_seed(0)
recipe = Recipe(epochs=1, batch_size=64, learning_rate=0.01, precision="float32", augmentation="flip+crop", mixup=0.2,
                images=128)
history = training.fit(models.LeNet(), *data.holdout_split(data.load_sample().train), recipe)
print("LOSS", history.epochs[0]["loss"])
"""


def test_two_processes_give_the_loss_of_one(capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    env = os.environ | group | {"SCENE_DEVICE": "cpu", "TQDM_DISABLE": "1"}
    both = [
        subprocess.Popen([sys.executable, "-c", TWO], env=env | {"RANK": rank, "LOCAL_RANK": rank},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in "01"
    ]  # fmt: skip
    exec(TWO, {})
    said = [*(child.communicate()[0] for child in both), capsys.readouterr().out]
    assert [child.returncode for child in both] == [0, 0], said
    first, second, alone = (float(re.search(r"LOSS (\S+)", text)[1]) for text in said)
    assert first == second == pytest.approx(alone, abs=1e-4)
