"""Networks of one's own from checkpoints: what is read, what fits, the same maps in code and on the command line."""

import gc
import json
import os
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from forged_checkpoints import forged, saved
from session import memory
from torch import Tensor, nn

import attribution as at
from attribution.cli import main
from attribution.models.architecture import _checked, read_architecture
from attribution.models.checkpoint import read_checkpoint
from attribution.models.fitting import fit
from attribution.models.own import Checkpoint, described, read_own
from attribution.photo.samples import DEFAULT_SAMPLE
from attribution.system.assets import asset
from attribution.work import own
from attribution.work.own import add, find_added

PHOTO = asset(f"samples/{DEFAULT_SAMPLE}.jpg")
FOUR = ("gradient", "guided_backprop", "zeiler_fergus", "integrated_gradients:steps=3")


def trained(library: str = "timm", logits: int = 3, channels: int = 3) -> nn.Module:
    """A ResNet-18 whose logits differ from photo to photo, as after training."""
    torch.manual_seed(0)
    if library == "timm":
        net: nn.Module = timm.create_model("resnet18", num_classes=logits, in_chans=channels, zero_init_last=False)
    else:
        net = torchvision.models.resnet18(num_classes=logits)
    return net.eval()


class Kind:
    """One kind of network: its settings in the dashboard, and the model that code makes of it."""

    def __init__(self, logits: int, channels: int = 3, **settings: str) -> None:
        self.logits, self.channels, self.settings = logits, channels, settings

    @property
    def net(self) -> nn.Module:
        return trained("timm", self.logits, self.channels)

    def model(self) -> at.Model:
        """The model, made without a checkpoint."""
        names = self.settings.get("classes", "0/1").split("/")
        grey = {"mean": [0.449], "std": [0.226]} if self.channels == 1 else {}
        output, unit = self.settings.get("output", "classes"), self.settings.get("unit", "")
        if not grey:
            return at.wrap(self.net, classes=names, output=output, unit=unit, device="cpu")
        mean, std = grey["mean"], grey["std"]
        return at.Model(
            "resnet18", self.net, (224, 224), mean, std, names, device="cpu", channels=1, resize=235, output=output
        )


KINDS = {
    "classes": Kind(3, classes="cat/dog/bird"),
    "binary": Kind(1, classes="sick/well", output="binary"),
    "labels": Kind(4, classes="cat/dog/bird/grass", output="labels"),
    "number": Kind(1, classes="age", output="number", unit="years"),
    "grey": Kind(2, 1, classes="cat/dog"),
}


def write(net: nn.Module, folder: Path, form: str) -> Path:
    """Save a network as people do."""
    path = folder / f"best.{form}"
    if form == "safetensors":
        safetensors.torch.save_file(net.state_dict(), path)
    else:
        torch.save(net.state_dict(), path)
    return path


FORMS = [
    ("classes", "safetensors"),
    *(pytest.param(kind, "pt", marks=pytest.mark.slow) for kind in KINDS),
]


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_a_checkpoint_on_the_command_line_and_in_code_is_the_network_itself(
    kind: str, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = KINDS[kind]
    path = write(asked.net, tmp_path, form)
    inside = ",".join(f"{name}={value}" for name, value in asked.settings.items())
    text = f"checkpoint:architecture=timm/resnet18,file={path},{inside}"
    command = ["explain", str(PHOTO), "--model", text, "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main([*command, "--methods", *FOUR]) == 0
    found = np.load(Path(capsys.readouterr().out.strip()) / "attributions.npz")
    model, wanted = at.load_model(text, "cpu"), asked.model()
    assert model.weights == wanted.weights
    assert model.classes == wanted.classes
    x = model.prepare(at.open_image(PHOTO))
    assert found["pixels"].tobytes() == x.numpy().tobytes() == wanted.prepare(at.open_image(PHOTO)).numpy().tobytes()
    for text in FOUR:
        result = at.attribute(wanted, x, at.read_method(text), wanted.default_target)
        assert result.values.any()
        assert found[result.method].tobytes() == result.values.tobytes()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {f"module.{name}": each for name, each in state.items()},
        lambda state: {"epoch": 3, "best": 0.9, "state_dict": {f"model.net.{n}": each for n, each in state.items()}},
        lambda state: {"model": state, "args": __import__("argparse").Namespace(lr=0.1), "scheduler": {"last": [1]}},
        lambda state: {"ema": {"shadow": {n: each for n, each in state.items() if "num_batches" not in n}}},
        lambda state: {"state_dict": {f"net.{n}": each for n, each in state.items()} | {"loss.weight": torch.ones(3)}},
        lambda state: {name: each.half() for name, each in state.items()},
        lambda state: {name: nn.Parameter(each) if each.is_floating_point() else each for name, each in state.items()},
    ],
)
def test_wrappers_and_prefixes_are_found(wrap: Callable[[Mapping[str, Tensor]], Any]) -> None:
    state = trained().state_dict()
    tensors = read_checkpoint(saved(wrap(state)))
    fitted = fit(tensors, read_architecture("timm/resnet18"))
    assert (fitted.logits, fitted.channels) == (3, 3)
    for name, each in fitted.net.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(each, state[name], rtol=1e-3, atol=1e-3)
            assert each.dtype == torch.float32


def test_a_head_that_was_replaced_by_a_sequential_is_found() -> None:
    net = trained("torchvision")
    net.fc = nn.Sequential(nn.Dropout(), nn.Linear(512, 2)).eval()
    found = read_own(Checkpoint(architecture="torchvision/resnet18"), saved(net.state_dict()))
    x = torch.rand(1, 3, 224, 224)
    assert torch.equal(found.net(x), net(x))
    net.fc = nn.Sequential(nn.Linear(512, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(
        at.Refusal, match=r"^The checkpoint has another head than resnet18 \(fc.0.weight, fc.0.bias, fc.2.weight, ...\)"
    ):
        read_own(Checkpoint(architecture="torchvision/resnet18"), saved(net.state_dict()))


def test_torchvision_and_grey_torchvision_networks_fit() -> None:
    net = trained("torchvision", 5)
    found = read_own(Checkpoint(architecture="torchvision/resnet18"), saved(net.state_dict()))
    x = torch.rand(1, 3, 224, 224)
    assert torch.equal(found.net(x), net(x))
    assert found.facts.classes == ("0", "1", "2", "3", "4")
    net.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    grey = read_own(Checkpoint(architecture="torchvision/resnet18"), saved(net.state_dict()))
    assert torch.equal(grey.net(x[:, :1]), net(x[:, :1]))
    assert grey.facts.preprocessing.channels == 1


@pytest.mark.parametrize("name", ["vit", "swin"])
def test_hugging_face_checkpoints_fit_by_their_config(name: str, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForImageClassification

    small: dict[str, dict[str, Any]] = {
        "vit": {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 96},
        "swin": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4},
    }
    config = AutoConfig.for_model(name, image_size=64, patch_size=4, num_labels=3, **small[name])
    torch.manual_seed(0)
    net = AutoModelForImageClassification.from_config(config).eval()
    net.save_pretrained(tmp_path)
    text = f"checkpoint:architecture={tmp_path}/config.json,file={tmp_path}/model.safetensors,classes=a/b/c"
    with pytest.raises(at.Refusal, match=r"^The configuration does not contain mean and std; copy image_mean"):
        at.load_model(text, "cpu")
    text += ",mean=0.5/0.5/0.5,std=0.5/0.5/0.5"
    model = at.load_model(text, "cpu")
    x = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(model.logits(x), net(pixel_values=(x - 0.5) / 0.5).logits, rtol=1e-4, atol=1e-5)
    assert model.preprocessing.size == (64, 64)


HALF = {"mean": "0.5/0.5/0.5", "std": "0.5/0.5/0.5"}
STATE = saved(trained(logits=5).state_dict())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"architecture": '{"model_type": "resnet", "image_size": 100000}', **HALF},
            "The configuration asks for image_size = 100000; it must be from 1 to 1024.",
        ),
        (
            {"architecture": '{"model_type": "imagegpt", "n_layer": 100000}', **HALF},
            "The configuration asks for n_layer = 100000; at most 500 is built.",
        ),
        ({"classes": "a/b/c"}, "The head has 3 classes, the checkpoint 5; change the class names or the output."),
        ({"output": "binary"}, "The head has 1 logit, the checkpoint 5; change the class names or the output."),
        ({"output": "binary", "classes": "a/b/c"}, "There are 3 class names, but one logit for two classes needs 2"),
        ({"architecture": "timm/resnet34"}, "The checkpoint does not fit resnet34; it looks like another variant"),
        ({"architecture": "timm/vit_tiny_patch16_224"}, "The checkpoint is of another architecture: 0 of the 152"),
        ({"architecture": "timm/resnet19"}, "There is no architecture 'timm/resnet19'; write timm/NAME"),
        ({"architecture": '{"a": 1}'}, "The configuration is not a Hugging Face config.json: it needs"),
        ({"architecture": "{" * 9000}, "The configuration is not a Hugging Face config.json"),
        (
            {"architecture": '{"model_type": "vit", "num_hidden_layers": 1000000}'},
            "The configuration asks for num_hidden_layers = 1000000; at most 500 is built.",
        ),
        (
            {"architecture": '{"model_type": "swin", "depths": [200, 200, 200]}'},
            "The configuration asks for depths = 200; at most 500 is built.",
        ),
        ({"architecture": '{"model_type": "vit", "hidden_size": NaN}'}, "The configuration asks for hidden_size = nan"),
        ({"architecture": '{"model_type": "timm_wrapper"}'}, "The configuration is of a timm network; choose"),
        (
            {"architecture": '{"model_type": "nonsense"}', **HALF},
            "nonsense cannot be built for 2 classes and 3 channels",
        ),
        ({"unit": "years"}, "The unit 'years' needs the output number"),
        ({"mean": "a/b/c"}, "'a/b/c' are not numbers; write them as 0.485/0.456/0.406."),
        ({"mean": "0.5"}, r"Mean \(0.5,\) and std \(0.229, 0.224, 0.225\) must be three numbers each"),
        ({"classes": '["a", 1]'}, r"The class names are not JSON as expected \(a name is not a text\)"),
        ({"classes": '{"0": "a", "2": "b"}'}, r"The class names are not JSON as expected \(the indices are not 0, 1"),
        ({"classes": "[" * 100_000}, "The class names are not JSON as expected"),
    ],
)
def test_what_does_not_fit_is_named_with_its_likely_cause(settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(at.Refusal, match=f"^{sentence}"):
        read_own(Checkpoint(**{"architecture": "timm/resnet18", **settings}), STATE)


def test_an_own_size_mean_and_std_are_used() -> None:
    facts = read_own(Checkpoint(architecture="timm/resnet18", size=96, mean="0/0/0", std="1, 1, 1"), STATE).facts
    assert (facts.preprocessing.size, facts.preprocessing.resize) == ((96, 96), 101)
    assert (facts.preprocessing.mean, facts.preprocessing.std) == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    "text", ["a\nb\nc\nd\ne\n", "a / b/c/d/e", '["a","b","c","d","e"]', '{"0":"a","1":"b","2":"c","3":"d","4":"e"}']
)
def test_class_names_are_read_from_text_and_json(text: str, tmp_path: Path) -> None:
    facts = read_own(Checkpoint(architecture="timm/resnet18", classes=text), STATE).facts
    assert facts.classes == ("a", "b", "c", "d", "e")
    (tmp_path / "names.json").write_text(text)
    (tmp_path / "best.pt").write_bytes(STATE)
    record = described(f"checkpoint:architecture=timm/resnet18,file={tmp_path}/best.pt,classes={tmp_path}/names.json")
    assert record
    assert record.facts() == facts


def test_only_commands_and_code_read_files(tmp_path: Path) -> None:
    for name in ("names.txt", "config.json"):
        (tmp_path / name).write_text('{"model_type": "vit"}')
    with pytest.raises(at.Refusal, match=r"^The head has \d+ classes, the checkpoint 5"):  # the parts of the path
        read_own(Checkpoint(architecture="timm/resnet18", classes=f"{tmp_path}/names.txt"), STATE)
    with pytest.raises(at.Refusal, match=r"^There is no architecture"):
        read_own(Checkpoint(architecture=f"{tmp_path}/config.json"), STATE)


def test_indices_by_name_are_class_names_too() -> None:
    text = json.dumps({"b": 1, "a": 0, "e": 4, "d": 3, "c": 2})
    facts = read_own(Checkpoint(architecture="timm/resnet18", classes=text), STATE).facts
    assert facts.classes == ("a", "b", "c", "d", "e")


def test_what_was_added_is_found_by_its_weights_until_it_is_evicted() -> None:
    record = add(Checkpoint(architecture="timm/resnet18"), STATE)
    name, _, digits = record.key.partition("@")
    assert (name, len(digits), record.name) == ("resnet18", 64 + 9, f"resnet18@{digits[:8]}")
    again = find_added(record.key)
    assert again
    kept = weakref.ref(own._networks.get(record.key).net)  # type: ignore[union-attr]
    assert again.identity == record.identity
    other = add(Checkpoint(architecture="timm/resnet18", mean="0/0/0"), STATE)
    assert other.key != record.key
    assert other.key[:73] == record.key[:73]  # the same weights
    assert find_added(record.key).facts().preprocessing.mean != (0, 0, 0)  # type: ignore[union-attr]
    own._networks._store.drop(("own networks", record.key))
    assert find_added(record.key) is None
    gc.collect()
    assert kept() is None  # although the record is still there
    with pytest.raises(at.Refusal, match="no longer in the server's memory; add it again"):
        record.build(None)


def test_200_forged_checkpoints_run_no_code_and_leave_no_memory(tmp_path: Path) -> None:
    marker, count = tmp_path / "marker", 0
    crafted = list(forged(marker))
    before = memory(os.getpid())
    for name, content in crafted:
        with pytest.raises(at.Refusal) as refused:
            add(Checkpoint(architecture="torchvision/resnet18"), content)
        assert "\n" not in str(refused.value), name
        assert str(refused.value).endswith("."), name
        assert not marker.exists(), name
        count += 1
    gc.collect()
    assert count == 200
    assert memory(os.getpid()) - before < 50


def test_a_configuration_loads_neither_code_nor_files() -> None:
    text = json.dumps(
        {
            "model_type": "vit",
            "auto_map": {"AutoModelForImageClassification": "evil--code.Net"},
            "_attn_implementation": "kernels-community/evil",
            "quantization_config": {"quant_method": "evil"},
            "vision_config": {"attn_implementation": "evil", "hidden_size": 8},
            "hidden_size": 48,
        }
    )
    assert _checked(text) == {"model_type": "vit", "vision_config": {"hidden_size": 8}, "hidden_size": 48}


def test_architectures_with_the_same_tensors_have_different_keys() -> None:
    small = {"model_type": "vit", "hidden_size": 48, "num_hidden_layers": 2}
    texts = [json.dumps({**small, "num_attention_heads": heads}) for heads in (2, 3)]
    architectures = [read_architecture(text) for text in texts]
    torch.manual_seed(0)
    content = saved(architectures[0].build(3).state_dict())
    keys = {read_own(Checkpoint(architecture=each.name, **HALF), content).key for each in architectures}
    assert len(keys) == 2
    other = {
        read_own(Checkpoint(architecture=f"{library}/resnet18", size=224, mean="0/0/0", std="1/1/1"), STATE).key
        for library in ("timm", "torchvision")
    }
    assert len(other) == 2
