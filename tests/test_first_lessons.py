"""The first lessons: each check takes three right answers and refuses five wrong ones; my_scene.py; the glossary."""

import linecache
import re

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from scene_utils.lessons import checks, mine, our_scene
from scene_utils.report import publish, series
from scene_utils.support.settings import SceneError

LESSONS = ("00a_neuron", "00b_training", "00c_convolution")
GLOSSARY = series.notebooks_dir() / "glossary.md"


def define(source, name):
    """A class or function as a notebook cell defines it: its source can be found, its module is not a file."""
    filename = f"<cell {abs(hash(source))}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope = {"torch": torch, "F": F, "nn": nn}
    exec(compile(source, filename, "exec"), scope)
    return scope[name]


# --- answers


def thirds(images):
    return F.adaptive_avg_pool2d(images.float(), (3, 1)).flatten(1)


def edges(images):
    x = images.float()
    return torch.cat([x.diff(dim=3).abs().mean((2, 3)), x.diff(dim=2).abs().mean((2, 3))], 1)


def overflowing(scores, label):
    return -(scores.exp() / scores.exp().sum()).log()[label]


class Scaled(our_scene.SceneDataset):
    def __getitem__(self, index):
        return self.images[index] / 255 * 2 - 1, self.labels[index]


class Listed:
    def __init__(self, images, labels):
        self.pairs = [((image.double() / 127.5 - 1).float(), int(y)) for image, y in zip(images, labels, strict=True)]

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


def dataset_with(**methods):
    return type("Wrong", (our_scene.SceneDataset,), methods)


def stacked(dataset, size, shuffle=False):
    for indices in (torch.randperm(len(dataset)) if shuffle else torch.arange(len(dataset))).split(size):
        yield torch.stack([dataset[i][0] for i in indices]), torch.tensor([dataset[i][1] for i in indices])


def separately_shuffled(dataset, size, shuffle=False):
    for (images, _), (_, labels) in zip(stacked(dataset, size, shuffle), stacked(dataset, size, shuffle), strict=True):
        yield images, labels


def with_replacement(dataset, size, shuffle=False):
    order = torch.randint(len(dataset), (len(dataset),)) if shuffle else torch.arange(len(dataset))
    for indices in order.split(size):
        yield torch.stack([dataset[i][0] for i in indices]), torch.tensor([dataset[i][1] for i in indices])


def same_order(dataset, size, shuffle=False):
    generator = torch.Generator().manual_seed(0)
    return iter(DataLoader(dataset, size, shuffle=shuffle, generator=generator))


def epoch(zero="before", step=True, train=True, mean="images"):
    """A training loop, right with these arguments, wrong with most others."""

    def function(net, loader, optimizer):
        net.train() if train else None
        losses, counts = [], []
        for images, labels in loader:
            loss = nn.CrossEntropyLoss()(net(images), labels)
            optimizer.zero_grad() if zero == "before" else None
            loss.backward()
            optimizer.zero_grad() if zero == "between" else None
            optimizer.step() if step else None
            optimizer.zero_grad() if zero == "after" else None
            losses.append(loss.item())
            counts.append(len(labels))
        return np.average(losses, weights=counts if mean == "images" else None)

    return function


def all_at_once(net, loader):
    net.eval()
    with torch.no_grad():
        logits, labels = (torch.cat(part) for part in zip(*[(net(x), y) for x, y in loader], strict=True))
    return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()


def in_training_mode(net, loader):
    with torch.no_grad():
        pairs = [(net.train()(images), labels) for images, labels in loader]
    logits, labels = (torch.cat(part) for part in zip(*pairs, strict=True))
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()


def mean_of_batches(net, loader):
    net.eval()
    results = [(F.cross_entropy(net(x), y).item(), (net(x).argmax(1) == y).float().mean().item()) for x, y in loader]
    return tuple(np.mean(results, axis=0))


def unfolded(images, weight, bias, stride=1, padding=0):
    windows = F.unfold(images, weight.shape[-1], padding=padding, stride=stride)
    height, width = ((side + 2 * padding - weight.shape[-1]) // stride + 1 for side in images.shape[2:])
    return (weight.flatten(1) @ windows + bias.view(-1, 1)).view(len(images), -1, height, width)


def windows(maps, size, stride):
    return maps.unfold(2, size, stride).unfold(3, size, stride)


def one_by_one(net, images):
    return torch.stack([net.eval()(image[None])[0].argmax() for image in images])


def careful(net, images):
    with torch.no_grad():
        return net.eval()(images).softmax(1).max(1).indices


STEP = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
PAIRS = torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(0))

ANSWERS = {  # check: (right, wrong)
    "probabilities": (
        [[1 / 6, 1 / 3, 1 / 2], (0.1667, 0.3333, 0.5), torch.tensor([1.0, 2, 3]) / 6],
        [[0.2, 0.3, 0.5], [1 / 3] * 3, [1, 2, 3], [1 / 2, 1 / 3, 1 / 6], [-1 / 6, 1 / 3, 5 / 6]],
    ),
    "cross_entropy": (
        [
            lambda scores, label: scores.logsumexp(0) - scores[label],
            lambda scores, label: F.cross_entropy(scores[None], torch.tensor([label])).item(),
            lambda scores, label: -(scores - scores.max()).softmax(0)[label].log().double(),
        ],
        [
            overflowing,
            lambda scores, label: scores.log_softmax(0)[label],
            lambda scores, label: -scores.log_softmax(0).mean(),
            lambda scores, label: -scores.log_softmax(0)[label] / np.log(2),
            lambda scores, label: -scores.log_softmax(0),
        ],
    ),
    "softmax": (
        [
            lambda z: z.softmax(1),
            lambda z: (z - z.amax(1, keepdim=True)).exp() / (z - z.amax(1, keepdim=True)).exp().sum(1, keepdim=True),
            lambda z: F.log_softmax(z, dim=-1).exp().numpy(),
        ],
        [
            lambda z: z.softmax(0),
            lambda z: z.sigmoid() / z.sigmoid().sum(1, keepdim=True),
            lambda z: z.flatten().softmax(0).view(z.shape),
            lambda z: (2 * z).softmax(1),
            lambda z: (z - z.mean(0)).softmax(1),
        ],
    ),
    "rate_that_fails": ([50, 20.0, torch.tensor(100.0)], [0.1, 3, -50, 1e38, float("inf")]),
    "features": (
        [
            lambda images: torch.cat([thirds(images), edges(images)], 1),
            lambda images: torch.cat([F.adaptive_avg_pool2d(images.float(), 2).flatten(1), edges(images)], 1),
            lambda images: torch.cat([thirds(images), edges(images)], 1).numpy() / 255,
        ],
        [
            lambda images: images.float().mean((2, 3)),
            lambda images: F.adaptive_avg_pool2d(images.float(), 3).flatten(1),
            lambda images: torch.zeros(len(images), 5),
            lambda images: edges(images) - edges(images).mean(0),
            lambda images: edges(images)[:10],
        ],
    ),
    "dataset": (
        [our_scene.SceneDataset, Scaled, Listed],
        [
            dataset_with(__getitem__=lambda self, i: (self.images[i] / 255, int(self.labels[i]))),
            dataset_with(__getitem__=lambda self, i: self.images[i] / 127.5 - 1),
            dataset_with(__getitem__=lambda self, i: (self.images[i], int(self.labels[i]))),
            dataset_with(__getitem__=lambda self, i: (self.images[i] / 127.5 - 1, i)),
            dataset_with(__len__=lambda self: 6),
        ],
    ),
    "batches": (
        [our_scene.batches, stacked, lambda dataset, size, shuffle=False: DataLoader(dataset, size, shuffle)],
        [
            lambda dataset, size, shuffle=False: DataLoader(dataset, size, shuffle, drop_last=True),
            lambda dataset, size, shuffle=False: stacked(dataset, size),
            separately_shuffled,
            with_replacement,
            same_order,
        ],
    ),
    "train_epoch": (
        [our_scene.train_epoch, epoch(), epoch(zero="after")],
        [epoch(zero="never"), epoch(zero="between"), epoch(step=False), epoch(train=False), epoch(mean="batches")],
    ),
    "evaluate": (
        [our_scene.evaluate, all_at_once, lambda net, loader: [float(value) for value in all_at_once(net, loader)]],
        [
            in_training_mode,
            mean_of_batches,
            lambda net, loader: all_at_once(net, loader)[::-1],
            lambda net, loader: all_at_once(net, loader)[1],
            lambda net, loader: (epoch()(net, loader, torch.optim.SGD(net.parameters(), 0.1)), 0.5),
        ],
    ),
    "mlp_weights": (
        [1_229_506, 1_229_506.0, torch.tensor(1_229_506)],
        [1_228_800, 1_229_400, 1_229_500, 12_288, -1_229_506],
    ),
    "dead_bias": ([-100, [-50.0] * 16, torch.full((16,), -1000.0)], [0, 100, -0.3, [-100] * 5, float("-inf")]),
    "conv2d": (
        [our_scene.conv2d, F.conv2d, unfolded],
        [
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(images, weight.flip(3), bias, stride, padding),
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(images, weight, None, stride, padding),
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(images, weight, bias, stride),
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(images, weight, bias, 1, padding),
            lambda images, weight, bias, stride=1, padding=0: F.conv2d(
                images[:, :1], weight[:, :1], bias, stride, padding
            ),
        ],
    ),
    "layers_needed": ([32, 32.0, torch.tensor(32)], [31, 33, 64, 0, 31.5]),
    "max_pool": (
        [
            F.max_pool2d,
            lambda maps, size, stride: windows(maps, size, stride).amax((4, 5)),
            lambda maps, size, stride: windows(maps, size, stride).flatten(4).sort(4).values[..., -1].numpy(),
        ],
        [
            F.avg_pool2d,
            lambda maps, size, stride: windows(maps, size, stride).amin((4, 5)),
            lambda maps, size, stride: F.max_pool2d(maps, size),
            lambda maps, size, stride: F.max_pool2d(maps.clamp(min=0), size, stride),
            lambda maps, size, stride: windows(maps, size, stride)[..., 0, 0],
        ],
    ),
    "colour_filter": (
        [
            [[[0, 0, 0], [0, 1, 0], [0, 0, 0]], [[0] * 3] * 3, [[0, 0, 0], [0, -1, 0], [0, 0, 0]]],
            torch.stack([STEP, -2 * STEP, STEP]),
            (PAIRS - PAIRS.mean(0)).numpy(),
        ],
        [torch.zeros(3, 3, 3), torch.ones(3, 3, 3), torch.stack([STEP] * 3), STEP, torch.eye(3).expand(3, 3, 3)],
    ),
    "predict": (
        [one_by_one, careful, lambda net, images: net.eval()(images).argmax(1).numpy()],
        [
            lambda net, images: net(images).argmax(1),
            lambda net, images: net.eval()(images).argmin(1),
            lambda net, images: net.eval()(images),
            lambda net, images: torch.zeros(len(images)),
            lambda net, images: (net(images), net.eval()(images).argmax(1))[1],
        ],
    ),
}


def trained(net, labels=None, rate=0.05, epochs=6):
    train, _ = checks.sets()
    small = F.avg_pool2d(train.images.float(), 2).round().byte()
    known = our_scene.SceneDataset(small, train.labels if labels is None else labels)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    for _ in range(epochs):
        our_scene.train_epoch(net, our_scene.batches(known, 32, shuffle=True), optimizer)
    return net


def dense(*layers):
    return nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), *layers)


def conv(filters):
    return nn.Sequential(
        nn.Conv2d(3, filters, 3, 2), nn.BatchNorm2d(filters), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(),
        nn.Linear(9 * filters, 6),
    )  # fmt: skip


@pytest.fixture
def open_nets(monkeypatch):
    """Right and wrong networks of the two open tasks, whose goals are lowered to what a second of training reaches."""
    monkeypatch.setattr(checks, "MLP_GOAL", 0.35)
    monkeypatch.setattr(checks, "CNN_GOAL", 0.35)
    torch.manual_seed(0)
    labels = torch.zeros(288, dtype=torch.int64)
    mlps = [
        trained(dense(nn.Linear(192, 6)), rate=0.01),
        trained(dense(nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 6)), rate=0.02),
        trained(dense(nn.Linear(192, 100), nn.BatchNorm1d(100), nn.ReLU(), nn.Linear(100, 6)), rate=0.02),
    ]
    large = nn.Sequential(nn.Flatten(), nn.Linear(3072, 64), nn.ReLU(), nn.Linear(64, 6))
    wrong_mlps = [
        dense(nn.Linear(192, 6)), trained(conv(8)), trained(large, rate=0.01),
        trained(dense(nn.Linear(192, 6)), labels), dense(nn.Linear(192, 5)),
    ]  # fmt: skip
    cnns = [trained(conv(8)), trained(conv(12)), trained(nn.Sequential(conv(16)[:-1], nn.Linear(144, 6)))]
    wrong_cnns = [conv(8), trained(conv(8), labels), trained(large, rate=0.01), conv(8)[:-1], conv]
    return {"small_mlp": (mlps, wrong_mlps), "small_cnn": (cnns, wrong_cnns)}


def verdict(check, answer, capsys):
    """What a check prints last; it leaves the random numbers alone."""
    before = torch.random.get_rng_state()
    assert getattr(checks, check)(answer) is None
    line = capsys.readouterr().out.splitlines()[-1]
    assert re.match("right$|not yet: .{10}|not answered yet$", line)
    assert torch.equal(torch.random.get_rng_state(), before)
    return line


@pytest.mark.parametrize("check", ANSWERS)
def test_each_check_takes_three_right_answers_and_refuses_five_wrong_ones(check, capsys):
    right, wrong = ANSWERS[check]
    assert [verdict(check, answer, capsys) for answer in right] == ["right"] * 3
    assert [verdict(check, answer, capsys)[:8] for answer in wrong] == ["not yet:"] * 5


def test_the_open_tasks_take_three_networks_and_refuse_five(open_nets, capsys):
    for check, (right, wrong) in open_nets.items():
        assert [verdict(check, answer, capsys) for answer in right] == ["right"] * 3
        assert [verdict(check, answer, capsys)[:8] for answer in wrong] == ["not yet:"] * 5


def raises(*_, **__):
    raise RuntimeError("several\nlines")


def leaves(*_, **__):
    raise SystemExit


@pytest.mark.parametrize("check", [*ANSWERS, "small_mlp", "small_cnn"])
def test_a_check_survives_any_answer(check, capsys):
    for blank in (None, ...):
        assert verdict(check, blank, capsys) == "not answered yet"
    hostile = ["0.5", "right", "", [], {}, object(), float("nan"), torch.zeros(2, 7), np.zeros((1, 1, 1, 1)), True]
    hostile += [raises, leaves, lambda *_, **__: "right", lambda *_, **__: torch.zeros(0), lambda: 1, int, nn.Linear]
    for answer in hostile:
        assert verdict(check, answer, capsys) != "right"
    for unfinished in (lambda *_, **__: None, lambda *_, **__: ..., lambda *_, **__: (..., ...)):
        assert verdict(check, unfinished, capsys) != "right"


# --- my_scene.py


EVALUATE = """
def helper(net):
    net.eval()

@torch.no_grad()
def evaluate(net, loader):
    helper(net)
    logits, labels = (torch.cat(part) for part in zip(*[(net(x), y) for x, y in loader]))
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()
"""


def test_a_right_piece_is_kept_replaced_and_used(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert mine.use("evaluate") is our_scene.evaluate
    first = EVALUATE.replace("helper(net)\n    logits", "net.eval()\n    logits")
    mine.keep(define(first, "evaluate"))
    mine.keep(define("class SceneDataset:\n" + CLASS, "SceneDataset"))
    mine.keep(define(first.replace("labels).item()", "labels)"), "evaluate"))
    assert capsys.readouterr().out == "evaluate: ours\n" + "right\nkept in my_scene.py\n" * 3
    text = (tmp_path / "my_scene.py").read_text()
    assert text.count("def evaluate") == text.count("@torch.no_grad()") == text.count("class SceneDataset") == 1
    assert "helper" not in text and "labels), (logits" in text
    own = mine.use("evaluate")
    assert own is not our_scene.evaluate and own.__module__ != our_scene.__name__
    assert mine.use("conv2d") is our_scene.conv2d
    assert capsys.readouterr().out == "evaluate: yours, from my_scene.py\nconv2d: ours\n"


CLASS = """
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index].float() / 127.5 - 1, int(self.labels[index])
"""


def test_what_is_wrong_or_needs_other_cells_is_not_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mine.keep(define(EVALUATE, "evaluate"))
    told = capsys.readouterr().out
    assert told.startswith("right\nnot kept in my_scene.py: ") and "'helper' is not defined" in told
    mine.keep(define("def evaluate(net, loader):\n    return 0.0, 0.0\n", "evaluate"))
    mine.keep(define("def batches(dataset, size, shuffle=False):\n    yield ...\n", "batches"))
    assert re.fullmatch("not yet: .*\nnot answered yet\n", capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    with pytest.raises(SceneError, match="no lesson asks for 'other'"):
        mine.keep(define("def other():\n    pass\n", "other"))


@pytest.mark.parametrize("text", ["def evaluate(:", "1 / 0", "def evaluate(net, loader):\n    return 1, 2\n", ""])
def test_a_broken_module_does_not_stop_a_page(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_scene.py").write_text(text)
    assert mine.use("evaluate") is our_scene.evaluate


# --- the pages


@pytest.fixture(params=LESSONS)
def lesson(request):
    return nbformat.read(series.notebooks_dir() / f"{request.param}.ipynb", as_version=4)


def text_of(cell):
    """All that a cell prints; a busy machine may send it in parts."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def ids(notebook, prefix):
    return {cell.id.removeprefix(prefix): cell for cell in notebook.cells if cell.id.startswith(prefix)}


def test_every_blank_has_a_check_and_a_solution_that_is_right(lesson):
    solutions = ids(lesson, "solution-")
    blanks = {**ids(lesson, "exercise-"), **ids(lesson, "write-")}
    checked = {**ids(lesson, "check-"), **ids(lesson, "keep-")}
    assert 4 <= sum(cell.cell_type == "code" for cell in ids(lesson, "exercise-").values()) <= 5
    for name, solution in solutions.items():
        assert series.tagged(solution, "solution")
        assert "= None" in blanks[name].source or "..." in blanks[name].source
        assert text_of(checked[name]) == "not answered yet\n"
    assert len(solutions) == len(checked)


def test_a_student_who_fills_in_a_page_gets_a_module(tmp_path, monkeypatch):
    notebook = nbformat.read(series.notebooks_dir() / "00b_training.ipynb", as_version=4)
    solutions = ids(notebook, "solution-")
    student = publish.without_solutions(notebook)
    for cell in student.cells:
        kind, _, name = cell.id.partition("-")
        if name in solutions and kind == "write":
            source = re.sub(r"\n+checks\..*", "", solutions[name].source)
            cell.source = source.replace("SolutionDataset", "SceneDataset").replace("def solution_", "def ")
        elif name in solutions and kind == "exercise" and name != "3":  # its solution uses another's
            answer, blank = (re.search(r"(\w+)(?:\)$| = None)", each.source)[1] for each in (solutions[name], cell))
            cell.source = re.sub(r"checks\..*", "", solutions[name].source).replace(answer, blank)
    path = series.write_notebook(student, tmp_path / "00b_training.ipynb")
    done = series.execute(path, tmp_path / "done" / "00b_training.ipynb", {"profile": "sample"})
    executed = nbformat.read(done, as_version=4)
    told = {name: text_of(cell) for name, cell in {**ids(executed, "keep-"), **ids(executed, "check-")}.items()}
    kept = ("dataset", "batches", "train-epoch", "evaluate")
    assert all(told.pop(name) == "right\nkept in my_scene.py\n" for name in kept)
    assert told.pop("3") == "not answered yet\n" and all(text.endswith("right\n") for text in told.values())
    monkeypatch.chdir(tmp_path)
    for name in ("SceneDataset", "batches", "train_epoch", "evaluate"):
        assert mine.use(name) is not getattr(our_scene, name)


# --- the glossary


def test_glossary_has_every_term_that_pages_link_to_in_both_languages():
    text = GLOSSARY.read_text(encoding="utf-8")
    english, korean = text.split("## 한국어")
    terms = re.findall(r"^### (.+)$", english, flags=re.MULTILINE)
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", korean, flags=re.MULTILINE)[1:]
    assert terms == sorted(terms) == [term for term, _, _ in rows] and len(set(terms)) == len(terms)
    assert all(meaning.endswith(".") and re.search("[가-힣]", meaning) for _, _, meaning in rows)
    anchors = {term.replace(" ", "-") for term in terms}
    linked = set()
    for path in series.notebooks_dir().glob("*.ipynb"):
        linked |= set(re.findall(r"glossary\.md#([^)]+)\)", path.read_text(encoding="utf-8")))
    assert linked and linked <= anchors
    assert all((series.notebooks_dir() / name).exists() for name in re.findall(r"\((\w+\.ipynb)\)", english))
