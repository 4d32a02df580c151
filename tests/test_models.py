"""Architectures, layer tables, local response normalization."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet50

from scene_utils import models
from scene_utils.lessons import course
from scene_utils.models import AlexNet, CustomLeNet, LeNet, LocalResponseNorm
from scene_utils.support.layers import layer_table, output_size, output_steps
from scene_utils.support.settings import SceneError


def rows_of(table):
    return [tuple(str(value) for value in row)[1:] for row in table.itertuples(index=False)]


def test_layer_tables_are_the_reports_and_show_activations():
    for model, name, rows in ((CustomLeNet, "custom_lenet", 11), (AlexNet, "alexnet", 22)):
        assert layer_table(model()).equals(course.structure(name)) and len(course.structure(name)) == rows
    assert rows_of(layer_table(LeNet(classes=9)))[-4:] == [
        ("fully connected", "50 x 13 x 13", "500 neurons"),
        ("activation", "500", "ReLU"),
        ("fully connected", "500", "9 neurons"),
        ("softmax", "9", "9 classes"),
    ]
    assert list(layer_table(LeNet(relu=True)).type).count("activation") == 3


def test_layer_table_of_a_resnet_shows_the_shortcuts_in_order():
    table = layer_table(models.resnet(18), (3, 128, 128))
    assert list(table.type).count("shortcut") == 8
    block = table[table.input.str.startswith("64 x 32 x 32")].specification.tolist()
    assert block[5:7] == ["addition of the block's input", "ReLU"]
    aside = table[table.specification.str.contains("on the shortcut")]
    assert aside.specification.iloc[0] == "128 kernels 1 x 1, stride 2, padding 0, on the shortcut"
    assert table.specification.iloc[-3:].tolist() == ["average to 1 x 1", "6 neurons", "6 classes"]


def test_layer_table_of_a_readers_own_net_leaves_it_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, (3, 5), padding="same"), nn.GELU(), nn.Dropout(0.2), nn.Flatten(),
                        nn.Linear(4 * 64 * 64, 3), nn.Softmax(1))  # fmt: skip
    net[2].eval()
    rows = rows_of(layer_table(net))
    assert rows[1] == ("convolution", "3 x 64 x 64", "4 kernels 3 x 5, stride 1, padding same")
    assert rows[2] == ("activation", "4 x 64 x 64", "GELU")
    assert rows[-2:] == [("fully connected", "4 x 64 x 64", "3 neurons"), ("softmax", "3", "3 classes")]
    assert net.training and not net[2].training
    with pytest.raises(RuntimeError):
        layer_table(net, (3, 32, 32))
    assert net.training and not any(module._forward_hooks for module in net.modules())


def test_output_dimensions_by_formula_are_those_of_a_forward_pass():
    assert output_size(64, 5) == 60 and output_size(60, 2, 2) == 30 and output_size(64, 3, 2, 1) == 32
    steps = output_steps(LeNet())
    assert steps.output.tolist() == ["20 x 60 x 60", "20 x 30 x 30", "50 x 26 x 26", "50 x 13 x 13", "500", "6"]
    assert steps.calculation[0] == "(64 + 2 * 0 - 5) // 1 + 1 = 60"
    for model in (LeNet(relu=True), AlexNet(second_fc=True), models.resnet(18)):
        steps = output_steps(model)
        assert (steps.output == steps.measured).all()


SHAPES = {  # the report's names, so that its state dicts fit
    CustomLeNet: {
        "conv1": (128, 3, 8, 8), "conv2": (256, 128, 8, 8), "conv3": (512, 256, 4, 4),
        "fc1": (4096, 512 * 3 * 3), "fc2": (6, 4096),
    },
    AlexNet: {
        "conv1": (96, 3, 5, 5), "conv2": (256, 96, 5, 5), "conv3": (384, 256, 3, 3), "conv4": (384, 384, 3, 3),
        "conv5": (256, 384, 3, 3), "fc1": (4096, 256 * 7 * 7), "fc2": (6, 4096),
    },
}  # fmt: skip


@pytest.mark.parametrize("model", SHAPES)
def test_state_dicts_have_the_reports_names(model):
    with torch.device("meta"):
        state = model().state_dict()
    assert {key: tuple(state[f"{key}.weight"].shape) for key in SHAPES[model]} == SHAPES[model]
    assert state.keys() == {f"{key}.{part}" for key in SHAPES[model] for part in ("weight", "bias")}


def test_gradients_reach_every_weight_and_logit_dropout_is_off_in_evaluation():
    images = torch.randn(2, 3, 64, 64).to(memory_format=torch.channels_last)
    for model in (LeNet(4), CustomLeNet(4), AlexNet(4, second_fc=True)):
        logits = model(images)
        assert logits.shape == (2, 4)
        logits.square().sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
    model.eval()
    assert torch.equal(model(images), model(images))
    torch.manual_seed(0)
    assert (model.Drop2.train()(torch.ones(100)) == 0).any()


@pytest.mark.parametrize("size, channels", [(1, 3), (2, 32), (5, 3), (5, 96), (8, 32)])
@pytest.mark.parametrize("options", [{}, {"alpha": 0.5, "k": 2.0}, {"alpha": 0.5, "beta": 0.6}])
def test_local_response_norm_equals_torchs(size, channels, options):
    torch.manual_seed(size)
    for memory in (torch.contiguous_format, torch.channels_last):
        images = (torch.randn(2, channels, 5, 7) * 3).contiguous(memory_format=memory)
        gradient, results = torch.randn(2, channels, 5, 7), []
        for norm in (LocalResponseNorm(size, **options), nn.LocalResponseNorm(size, **options)):
            x = images.clone().requires_grad_()
            norm(x).backward(gradient)
            results.append((norm(x), x.grad))
        for mine, torchs in zip(*results, strict=True):
            assert mine.is_contiguous(memory_format=memory)
            assert (mine - torchs).abs().max() <= 1e-5 * torchs.abs().max()


def test_local_response_norm_in_several_chunks_and_other_shapes(monkeypatch):
    monkeypatch.setattr("scene_utils.support.lrn.CHUNK", 64)
    x = torch.randn(3, 7, 4, 4, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(LocalResponseNorm(5)(x), nn.LocalResponseNorm(5)(x))
    assert torch.autograd.gradcheck(LocalResponseNorm(4, alpha=0.5), x)
    sequence = torch.randn(2, 7, 9)
    torch.testing.assert_close(LocalResponseNorm(3)(sequence), nn.LocalResponseNorm(3)(sequence))


def test_local_response_norm_in_low_precision():
    x = (torch.randn(2, 96, 6, 6) * 20).to(memory_format=torch.channels_last)
    exact = nn.LocalResponseNorm(5, alpha=1e-2)(x)
    norm = LocalResponseNorm(5, alpha=1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        assert norm(x).dtype == torch.float32  # not rounded where nobody asked for it
        torch.testing.assert_close(norm(x), exact)
    for dtype, tolerance in ((torch.bfloat16, 2e-2), (torch.float16, 2e-3)):
        result = norm(x.to(dtype))
        assert result.dtype == dtype
        torch.testing.assert_close(result.float(), exact, rtol=tolerance, atol=tolerance)
    large = torch.full((1, 8, 1, 1), 300.0, dtype=torch.float16)
    torch.testing.assert_close(LocalResponseNorm(5)(large).float(), nn.LocalResponseNorm(5)(large.float()), rtol=2e-3,
                               atol=0)  # fmt: skip


def test_resnet_is_torchvisions():
    torch.manual_seed(0)
    mine = models.resnet(18, classes=7).eval()
    torchs = resnet18(num_classes=7).eval()
    torchs.load_state_dict(mine.state_dict())
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(mine(images), torchs(images))
    assert models.first_filters(mine).shape == (64, 3, 7, 7) and models.first_filters(LeNet()).shape == (20, 3, 5, 5)


def test_first_strides_keep_names_and_shapes():
    v1, torchs = models.resnet(50, classes=1000, strides="v1"), resnet50()
    assert {k: v.shape for k, v in v1.state_dict().items()} == {k: v.shape for k, v in torchs.state_dict().items()}
    for stage in (v1.layer2, v1.layer3, v1.layer4):
        assert (stage[0].conv1.stride, stage[0].conv2.stride) == ((2, 2), (1, 1))
        assert stage[1].conv1.stride == stage[1].conv2.stride == (1, 1)
    table = layer_table(v1)
    assert "128 kernels 1 x 1, stride 2, padding 0" in set(table.specification)
    assert table.input.iloc[-2] == "2048 x 1 x 1"


@pytest.mark.parametrize("depth, additions", [(18, 8), (34, 16), (50, 16)])
def test_plain_nets_have_no_shortcuts(depth, additions):
    assert list(layer_table(models.resnet(depth)).type).count("shortcut") == additions
    plain = models.resnet(depth, shortcuts=False)
    assert "shortcut" not in set(layer_table(plain).type)
    assert not any("downsample" in key for key in plain.state_dict())
    # without an identity, dead convolutions let nothing through
    block = plain.layer1[1].eval()
    nn.init.zeros_(block.bn2.weight if depth < 50 else block.bn3.weight)
    assert block(torch.rand(1, block.conv1.in_channels, 4, 4)).count_nonzero() == 0


@pytest.mark.parametrize(
    "options, words",
    [({"depth": 20}, "depth 20"), ({"depth": 18, "strides": "v1"}, "'v1'"), ({"depth": 50, "strides": "v2"}, "'v2'"),
     ({"depth": 18, "shortcuts": False, "weights": "imagenet"}, "weights=None")],
)  # fmt: skip
def test_unknown_nets_are_refused_by_name(options, words):
    with pytest.raises(SceneError, match=words):
        models.resnet(**options)
