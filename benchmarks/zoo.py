"""A sweep over small networks of all architectures in timm, torchvision and Hugging Face's transformers.

The networks have random weights that leave no branch without effect: the smallest network of every module of timm, all
builders of torchvision of at most 100 million parameters (with --all: of any size), and six small ones of transformers.

For two photos each, the gradient, guided backpropagation and Zeiler-Fergus of one logit are compared with a reference
in float64 (zoo_reference.py), in the Euclidean norm relative to the reference. Beside it stands float32's own distance,
that of the reference in float32. Ours may be three times as far.

A rectifier within rounding of its threshold may flip in one of the two only. So a larger ratio counts only if it stays
beside the largest of several distances of float32, for photos that differ by rounding (marked "~"), and for three pairs
of photos (marked "~~"). Then, and where rounding changes a map by more than a thousandth, ours in float64 must also
agree with the reference.

The layer of Grad-CAM must be one that TIMM, TORCHVISION or hugging_face() lists, or return the same, and the caller's
network must stay as it was, bit by bit.

    make benchmark NAME=zoo
    PYTHONPATH=.:tests .venv/bin/python benchmarks/zoo.py swin torchvision/ --all    # what contains one of these words
"""

import argparse
import copy
import gc
import hashlib
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import timm
import torch
import torchvision
import transformers
from torch import Tensor, nn
from verdict import Verdict
from zoo_reference import RULES, maps

import attribution as at
from attribution.models.wrap import Logits

CLASSES, INDEX = 12, 3  # logits, and the explained one
SIDES = (96, 128)  # of images, tried before a network's own
LARGE = 100e6  # parameters of the smallest builders of torchvision that are left out by default
ALLOWED = 3.0  # distance from the reference, relative to float32's own
EXACT = 1e-6  # smallest distance in float32 that counts
TELLING = 1e-3  # largest distance of float32 that says something
EXACT64 = 1e-8  # largest distance of ours in float64
PAIRS, NUDGES = 3, 4  # of photos; beyond the first only in doubt
METHODS = (at.Gradient(), at.GuidedBackprop(), at.ZeilerFergus())  # in the order of RULES

# By module of timm: its smallest network, and the layers that Grad-CAM may use, of which one is enough: the last
# ones with the image's grid at the coarsest resolution, through which all evidence flows ("-": refusal).
TIMM = {
    "beit": ("beit_base_patch16_224", "blocks.11"),
    "byoanet": ("halonet_h1", "stages.3"),
    "byobnet": ("test_byobnet", "stages.3 final_conv"),
    "cait": ("cait_xxs24_224", "blocks.23"),
    "coat": ("coat_tiny", "cpe4 parallel_blocks.5.norm14"),
    "convit": ("convit_tiny", "blocks.10 blocks.11.norm1"),
    "convmixer": ("convmixer_768_32", "blocks"),
    "convnext": ("test_convnext", "stages.3"),
    "cpubone": ("cpubone_nano", "stages.3 head.in_conv"),
    "crossvit": ("crossvit_tiny_240", "blocks.2.blocks.0 blocks.2.blocks.1"),
    "csatv2": ("csatv2", "stages.3"),
    "cspnet": ("cs3darknet_focus_s", "stages.3"),
    "cspnext": ("cspnext_tiny", "stages.3"),
    "davit": ("davit_tiny", "stages.3 norm_pre"),
    "deepseek_vit": ("deepseek_vit_412m", "encoder encoder.norm encoder.blocks.3"),
    "deit": ("deit_tiny_patch16_224", "blocks.10 blocks.11.norm1"),
    "densenet": ("densenet121", "features.denseblock4 features.norm5"),
    "dla": ("dla46x_c", "level5"),
    "dpn": ("dpn48b", "features"),
    "edgenext": ("edgenext_xx_small", "stages.3 norm_pre"),
    "efficientformer": ("efficientformer_l1", "stages.3 norm"),
    "efficientformer_v2": ("efficientformerv2_s0", "stages.3 norm"),
    "efficientnet": ("test_efficientnet", "blocks conv_head bn2"),
    "efficientvim": ("efficientvim_m1", "norm.3"),
    "efficientvit_mit": ("efficientvit_b0", "stages.3 head.in_conv"),
    "efficientvit_msra": ("efficientvit_m0", "stages.2"),
    "eva": ("vit_tiny_patch16_dinov3_qkvb", "blocks.11 norm"),
    "fasternet": ("fasternet_t0", "stages.3"),
    "fastvit": ("fastvit_t8", "stages.3 final_conv"),
    "focalnet": ("focalnet_tiny_srf", "layers.3 norm"),
    "gcvit": ("gcvit_xxtiny", "stages.3"),
    "gemma4_vit": ("gemma4_vit_167m", "- encoder"),  # whose grid no output shows
    "ghostnet": ("ghostnet_050", "blocks"),
    "hardcorenas": ("hardcorenas_b", "blocks"),
    "hgnet": ("hgnetv2_b0", "stages.3"),
    "hiera": ("hiera_tiny_224", "- blocks.11"),  # only after all its pooling do tokens have the image's order
    "hieradet_sam2": ("sam2_hiera_tiny", "blocks.11"),
    "hrnet": ("hrnet_w18_small", "final_layer"),
    "iformer": ("iformer_t", "stages.3"),
    "inception_next": ("inception_next_atto", "stages.3"),
    "inception_resnet_v2": ("inception_resnet_v2", "conv2d_7b"),
    "inception_v3": ("inception_v3", "Mixed_7c"),
    "inception_v4": ("inception_v4", "features"),
    "lcnetv2": ("lcnetv2_small", "stages.3"),
    "levit": ("levit_128s", "stages.2"),
    "lowformer": ("lowformer_b0", "stages.3 in_conv"),
    "mambaout": ("test_mambaout", "stages.3"),
    "maxxvit": ("test_coatnet", "stages.3 norm"),
    "metaformer": ("poolformerv2_s12", "stages.3"),
    "mlp_mixer": ("gmlp_ti16_224", "blocks.29 norm"),
    "mobilenetv3": ("lcnet_035", "blocks"),
    "mobilenetv5": ("mobilenetv5_base", "msfa"),
    "mobilevit": ("mobilevit_xxs", "stages.4 final_conv"),
    "mvitv2": ("mvitv2_tiny", "norm"),
    "naflexvit": ("naflexvit_base_patch16_parfac_gap", "blocks.11 norm"),
    "nasnet": ("nasnetalarge", "cell_17 act"),
    "nest": ("nest_tiny", "levels.2 norm"),
    "nextvit": ("nextvit_small", "stages.3 norm"),
    "nfnet": ("test_nfnet", "stages.3 final_conv final_act"),
    "pit": ("pit_ti_224", "transformers.2.blocks.2 transformers.2.blocks.3.norm1"),
    "pnasnet": ("pnasnet5large", "cell_11 act"),
    "pvt_v2": ("pvt_v2_b0", "stages.3"),
    "qwen3_vit": ("qwen3_vit_88m", "encoder encoder.blocks.11"),
    "rdnet": ("rdnet_tiny", "dense_stages.6 norm_pre"),
    "regnet": ("regnetx_002", "s4"),
    "repghost": ("repghostnet_050", "blocks"),
    "repvit": ("repvit_m1", "stages.3"),
    "res2net": ("res2next50", "layer4"),
    "resnest": ("resnest14d", "layer4"),
    "resnet": ("test_resnet", "layer4"),
    "resnetv2": ("resnetv2_18", "stages.3 norm"),
    "rexnet": ("rexnet_100", "features"),
    "selecsls": ("selecsls42", "head"),
    "senet": ("legacy_seresnet18", "layer4"),
    "sequencer": ("sequencer2d_s", "stages.3 norm"),
    "shvit": ("shvit_s1", "stages.2"),
    "sknet": ("skresnet18", "layer4"),
    "starnet": ("starnet_s050", "stages.3 norm"),
    "swiftformer": ("swiftformer_xs", "stages.3 norm"),
    "swin_transformer": ("swin_tiny_patch4_window7_224", "layers.3 norm"),
    "swin_transformer_v2": ("swinv2_tiny_window8_256", "layers.3 norm"),
    "swin_transformer_v2_cr": ("swinv2_cr_tiny_224", "stages.3"),
    "tiny_vit": ("tiny_vit_5m_224", "stages.3"),
    "tnt": ("tnt_s_legacy_patch16_224", "blocks.11.norm_out"),
    "tresnet": ("tresnet_m", "body.layer4"),
    "twins": ("twins_svt_small", "norm"),
    "vgg": ("vgg11", "features.18 features.19 features"),
    "visformer": ("visformer_tiny", "stage3 norm"),
    "vision_transformer": ("test_vit", "blocks.4 blocks.5.norm1"),
    "vision_transformer_hybrid": ("vit_tiny_r_s16_p8_224", "blocks.10 blocks.11.norm1"),
    "vision_transformer_relpos": ("test_vit_relpos", "blocks.5 norm"),
    "vision_transformer_sam": ("samvit_base_patch16_224", "neck"),
    "vitamin": ("vitamin_small_224", "norm"),
    "volo": ("volo_d1_224", "network.4 post_network.0"),
    "vovnet": ("ese_vovnet19b_slim_dw", "stages.3"),
    "xception": ("legacy_xception", "act4"),
    "xception_aligned": ("xception41p", "blocks act"),
    "xcit": ("xcit_nano_12_p8_224", "blocks.11"),
}
# Sides of images for networks whose last maps would have a single cell, or that accept multiples of 42 only.
OTHER_SIDES = {"csatv2": (256,), "deepseek_vit_412m": (126,)}
OTHER_SIDES |= dict.fromkeys(("inception_resnet_v2", "inception_v3", "inception_v4"), (160,))
OPTIONS: dict[str, dict[str, Any]] = {"deepseek_vit_412m": {"depth": 4}}  # of 32, for want of memory

# By the start of a builder's name, of which the longest counts.
TORCHVISION = {
    "alexnet": "features.10 features.11 features",
    "convnext": "features",
    "densenet": "features.denseblock4 features.norm5",
    "efficientnet": "features",
    "googlenet": "inception5b",
    "inception": "Mixed_7c",
    "maxvit": "blocks.3",
    "mnasnet": "layers",
    "mobilenet": "features",
    "regnet": "trunk_output",
    "resne": "layer4",
    "shufflenet": "conv5",
    "squeezenet": "features",
    "swin": "features norm permute",
    "vgg": "features",
    "vit_b": "encoder.layers.encoder_layer_10 encoder.layers.encoder_layer_11.ln_1",
    "vit": "encoder.layers.encoder_layer_22 encoder.layers.encoder_layer_23.ln_1",
    "vit_h": "encoder.layers.encoder_layer_30 encoder.layers.encoder_layer_31.ln_1",
    "wide_resnet": "layer4",
}


@dataclass(frozen=True)
class Entry:
    """A network of the sweep.

    Attributes:
        name: Of its library and its own.
        make: Makes it for an image side.
        sides: Sides of images, in the order in which they are tried.
        layers: Names of the layers that Grad-CAM may use.
    """

    name: str
    make: Callable[[int], nn.Module]
    sides: tuple[int, ...]
    layers: tuple[str, ...]


@dataclass
class Row:
    """The line about one network."""

    name: str
    parameters: str = ""
    side: str = ""
    seconds: str = ""
    outcome: str = ""
    own: str = ""
    ratios: dict[str, str] = field(default_factory=lambda: dict.fromkeys(RULES, ""))
    untouched: str = ""
    layer: str = ""
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return one line."""
        ratios = " ".join(f"{each:>8}" for each in self.ratios.values())
        size = f"{self.name:52} {self.parameters:>6} {self.side:>5} {self.seconds:>6}"
        faults = f"  FAULT: {'; '.join(self.faults)}" if self.faults else ""
        return f"{size} {self.outcome:7} {self.own:>6} {ratios} {self.untouched:9} {self.layer}{faults}".rstrip()


HEADER = Row(
    "network", "M", "side", "s", "outcome", "own", dict(zip(RULES, ("gradient", "guided", "z.-f."), strict=True))
)
HEADER.untouched, HEADER.layer = "untouched", "Grad-CAM's layer"


def hugging_face() -> dict[str, tuple[type[nn.Module], Any, str]]:
    """List small networks of transformers, with their configurations and the layers of Grad-CAM."""
    sizes: dict[str, Any] = {"num_labels": CLASSES, "hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1]}
    tokens: dict[str, Any] = {"num_labels": CLASSES, "image_size": SIDES[0], "patch_size": 16, "hidden_size": 48}
    tokens |= {"num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": 96}
    swin: dict[str, Any] = {"num_labels": CLASSES, "image_size": SIDES[0], "embed_dim": 16, "depths": [1, 2, 1]}
    mobile: dict[str, Any] = {"num_labels": CLASSES, "image_size": SIDES[0], "depth_multiplier": 0.35}
    return {
        "vit": (
            transformers.ViTForImageClassification,
            transformers.ViTConfig(**tokens),
            "net.vit.layers.1 net.vit.layers.2.layernorm_before",
        ),
        "dinov2": (
            transformers.Dinov2ForImageClassification,
            transformers.Dinov2Config(**tokens),
            "net.dinov2.encoder.layer.2 net.dinov2.layernorm",
        ),
        "resnet": (
            transformers.ResNetForImageClassification,
            transformers.ResNetConfig(embedding_size=16, layer_type="basic", **sizes),
            "net.resnet.encoder.stages.3",
        ),
        "convnext": (
            transformers.ConvNextForImageClassification,
            transformers.ConvNextConfig(**sizes),
            "net.convnext.encoder.stages.3",
        ),
        "swin": (
            transformers.SwinForImageClassification,
            transformers.SwinConfig(num_heads=[1, 2, 4], window_size=3, **swin),
            "net.swin.layernorm",
        ),
        "mobilenet_v2": (
            transformers.MobileNetV2ForImageClassification,
            transformers.MobileNetV2Config(**mobile),
            "net.mobilenet_v2.conv_1x1",
        ),
    }


def entries(everything: bool) -> Iterator[Entry]:
    """List the networks of the sweep; those of torchvision that are too large only if `everything`."""
    sides: tuple[int, ...]
    for module, (name, layers) in TIMM.items():
        config = timm.get_pretrained_cfg(name)
        sides = OTHER_SIDES.get(name, (*SIDES, config.input_size[-1] if config else 224))
        yield Entry(f"timm/{module}/{name}", partial(make_timm, name), sides, tuple(layers.split()))
    for name in torchvision.models.list_models(module=torchvision.models):
        if everything or name not in larger():
            layers = TORCHVISION[max((each for each in TORCHVISION if name.startswith(each)), key=len)]
            sides = OTHER_SIDES.get(name, (*SIDES, 224, 256))
            yield Entry(f"torchvision/{name}", partial(make_torchvision, name), sides, tuple(layers.split()))
    for name, (cls, settings, layers) in hugging_face().items():
        yield Entry(f"transformers/{name}", partial(make_transformer, cls, settings), SIDES[:1], tuple(layers.split()))


def larger() -> list[str]:
    """List torchvision's builders of networks that are left out by default."""
    names = torchvision.models.list_models(module=torchvision.models)
    return [each for each in names if torchvision.models.get_model_weights(each).DEFAULT.meta["num_params"] > LARGE]


def make_timm(name: str, side: int) -> nn.Module:
    """Make a network of timm for images of one size, if it depends on the size."""
    options = OPTIONS.get(name, {})
    try:
        return timm.create_model(name, num_classes=CLASSES, img_size=side, **options)
    except TypeError:
        return timm.create_model(name, num_classes=CLASSES, **options)


def make_torchvision(name: str, side: int) -> nn.Module:
    """Make a network of torchvision; a transformer is made for images of one size."""
    options: dict[str, Any] = {"image_size": side} if name.startswith("vit") else {}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False, "aux_logits": False}  # or it takes a minute
    return torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **options)  # type: ignore[no-any-return]


def make_transformer(cls: Any, settings: Any, side: int) -> nn.Module:
    """Make a network of transformers, whose settings contain the size of images."""
    return Logits(cls(settings))


def made(entry: Entry) -> tuple[nn.Module, int]:
    """Make a network with random weights for the smallest images that it accepts.

    Raises:
        RuntimeError: With the reason, if there are none.
    """
    for side in entry.sides:
        torch.manual_seed(0)
        try:
            net = entry.make(side).eval()
            with torch.no_grad():
                logits = net(photos(2, side, 0))
            if not isinstance(logits, Tensor) or logits.shape != (2, CLASSES):
                raise RuntimeError("no image classifier: it returns features only")
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            continue
        randomise(net, photos(8, side, 0))
        return net, side
    raise RuntimeError(reason[:120])


def photos(count: int, side: int, seed: int) -> Tensor:
    """Return different pictures, (count, 3, side, side): a few soft colours, with grain."""
    random = torch.Generator().manual_seed(seed)
    soft = nn.functional.interpolate(torch.rand(count, 3, 4, 4, generator=random), (side, side), mode="bilinear")
    return 0.7 * soft + 0.3 * torch.rand(count, 3, side, side, generator=random)


@torch.no_grad()
def randomise(net: nn.Module, images: Tensor) -> None:
    """Give a network random weights under which every branch counts and nothing explodes or vanishes on such images.

    One pass scales every convolution and linear layer to outputs of unit variance, and sets running statistics not far
    from those of the images. Mostly positive biases keep a deep network from being chaotic.
    """
    random = torch.Generator().manual_seed(0)
    dense = (nn.Linear, nn.modules.conv._ConvNd)
    for module in net.modules():
        for name, each in module.named_parameters(recurse=False):
            value = float(each.flatten()[0])
            if isinstance(module, dense) and name == "weight":
                each.normal_(0, each[0].numel() ** -0.5, generator=random)
            elif isinstance(module, dense) or ("bias" in name and "Norm" in type(module).__name__):
                each.uniform_(0, 1, generator=random)
            elif not bool((each == value).all()):
                continue  # random already: tokens, embeddings of positions
            elif abs(value) >= 0.5:
                each.mul_(torch.empty_like(each).uniform_(0.7, 1.3, generator=random))
            elif "bias" in name:
                each.normal_(0, 0.1, generator=random)
            else:
                each.uniform_(0.2, 1, generator=random)  # gates and scales of layers that begin at zero

    def measure(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].movedim(1, -1)
        mean = x.flatten(0, -2).mean(0) * torch.empty_like(norm.running_mean).uniform_(0, 1, generator=random)
        variance = (x - mean).square().flatten(0, -2).mean(0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance + 0.1 * variance.mean())
        norm.running_var.mul_(torch.empty_like(variance).uniform_(0.7, 1.3, generator=random))

    def scale(module: Any, inputs: Any, output: Tensor) -> Any:
        for each in module.parameters(recurse=False):
            each.div_(output.std().clamp(min=1e-3))
        return module.forward(*inputs)

    handles = [each.register_forward_hook(scale) for each in net.modules() if isinstance(each, dense)]
    norms = [each for each in net.modules() if getattr(each, "running_mean", None) is not None]
    handles += [norm.register_forward_pre_hook(measure) for norm in norms]
    net(images)
    for handle in handles:
        handle.remove()


def fingerprint(net: nn.Module) -> str:
    """Return a hash of everything about a network that must not change."""
    digest = hashlib.sha256()
    for name, module in net.named_modules():
        hooks = [len(value) for key, value in vars(module).items() if key.endswith("hooks")]
        digest.update(repr((name, type(module), module.training, hooks)).encode())
    for name, each in (*net.named_parameters(), *net.named_buffers()):
        facts = (name, each.shape, each.stride(), each.dtype, each.requires_grad, each.grad is None, each._version)
        digest.update(repr((*facts, each.data_ptr())).encode())
        digest.update(each.detach().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def grad_cam_layer(model: at.Model) -> tuple[str, tuple[int, int, int], str] | None:
    """Return the name of Grad-CAM's layer, its (channels, height, width), and a text; None if it is refused."""
    if at.GradCAM().refusal(model):
        return None
    layer = model.stages[0]
    return layer.name, (layer.channels, layer.height, layer.width), str(layer)


def judge_layer(row: Row, net: nn.Module, model: at.Model, accepted: tuple[str, ...], image: Tensor) -> None:
    """Enter Grad-CAM's layer into the row: right, if it returns what an accepted layer does, on a square grid."""
    found = grad_cam_layer(model)
    if found is None:
        row.layer = "refused"
        if "-" not in accepted:
            row.faults.append("no layer for Grad-CAM")
        return
    name, (channels, height, width), text = found
    outputs: dict[str, Tensor] = {}

    def record(key: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs[key] = output.clone()  # the network may overwrite it

    modules = dict(net.named_modules())
    missing = [each for each in accepted if each != "-" and each not in modules]
    handles = [
        modules[each].register_forward_hook(partial(record, each)) for each in {name, *accepted} if each in modules
    ]
    with torch.no_grad():
        net(image[None])
    for handle in handles:
        handle.remove()
    ours = outputs.get(name)
    same = [each for each in accepted if each in outputs and ours is not None and torch.equal(ours, outputs[each])]
    sides = tuple(ours.shape[1:]) if ours is not None else ()
    grid = sides in ((channels, height, width), (height, width, channels)) or (
        len(sides) == 2 and channels in sides and height * width <= max(sides)
    )
    right = bool(same) and grid and height == width
    row.layer = f"{text} {'right' if right else 'WRONG'}"
    if missing:
        row.faults.append(f"the table names {', '.join(missing)}, which {row.name} lacks")
    if not right:
        row.faults.append(f"Grad-CAM uses {text} instead of {' or '.join(accepted).replace('-', 'a refusal')}")


def complaint(refusal: Exception) -> list[str]:
    """Return what is wrong with the words of a refusal."""
    text = str(refusal)
    whole = text.endswith(".") and len(text.split()) > 4 and "\n" not in text
    return [] if whole else [f"the refusal {text!r} is no sentence"]


def frozen(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy of a network in another precision whose weights need no gradient."""
    return copy.deepcopy(net).to(dtype).requires_grad_(False)


def model_of(net: nn.Module, side: int, name: str) -> at.Model:
    """Return our model of a network, without normalisation."""
    return at.Model(name, net, (side, side), (0, 0, 0), (1, 1, 1), [str(i) for i in range(CLASSES)], device="cpu")


def explained(model: at.Model, images: Tensor) -> tuple[dict[str, Tensor], dict[str, at.Refusal]]:
    """Return our maps by rule, (N, 3, H, W), one photo at a time, and the refusals."""
    results = [at.compare(model, image, METHODS, at.Target(INDEX, "logit")) for image in images]
    served: dict[str, Tensor] = {}
    refused: dict[str, at.Refusal] = {}
    for rule, *each in zip(RULES, *results, strict=True):
        if isinstance(each[0], at.Refusal):
            refused[rule] = each[0]
        else:
            served[rule] = torch.stack([torch.from_numpy(one.values) for one in each])
    return served, refused


def distances(given: dict[str, Tensor], exact: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return each map's Euclidean distance relative to the norm of the exact one, (N,) by rule."""
    return {
        rule: (each.double() - exact[rule]).flatten(1).norm(dim=1) / exact[rule].flatten(1).norm(dim=1)
        for rule, each in given.items()
    }


def judge_refusals(row: Row, refused: dict[str, at.Refusal], rectifiers: int) -> None:
    """Check that the methods that refuse are those that need rectifiers, where there are none."""
    for rule, refusal in refused.items():
        row.faults += complaint(refusal)
        if rule == "gradient" or rectifiers:
            row.faults.append(f"{rule} refuses although there are {rectifiers} rectifiers: {refusal}")
    for rule in RULES[1:]:
        if rule not in refused and not rectifiers:
            row.faults.append(f"{rule} serves a network without rectifiers")


def ratio(ours: Tensor, own: Tensor) -> float:
    """Return the larger of both photos' distances, ours relative to float32's own."""
    return float((ours / own.clamp(min=EXACT)).max())


def judge_maps(row: Row, net: nn.Module, model: at.Model, side: int) -> None:
    """Enter our distances from the reference into the row, relative to float32's own."""
    narrow, wide = frozen(net, torch.float32), frozen(net, torch.float64)
    random = torch.Generator().manual_seed(0)
    row.ratios = dict.fromkeys(RULES, "-")
    left = list(RULES)  # the rules that no pair of photos has shown to be right yet
    for pair in range(PAIRS):
        images = photos(2, side, pair)
        served, refused = explained(model, images)
        exact, logits, rectifiers = maps(wide, images.double(), INDEX)
        ours, own = distances(served, exact), distances(maps(narrow, images, INDEX)[0], exact)
        left = [rule for rule in left if rule in served]
        doubtful = [rule for rule in left if not ratio(ours[rule], own[rule]) <= ALLOWED]
        if pair == 0:
            judge_refusals(row, refused, rectifiers)
            if not float((logits[0] - logits[1]).abs().max()) > EXACT * float(logits.abs().max()):
                row.faults.append("the random weights are bad: the logits of two photos are equal or not finite")
            largest = max(float(each.max()) for each in own.values())
            row.own = f"{largest:.0e}"
            if doubtful or largest > TELLING:
                judge_wide_maps(row, net, images.double(), exact)
        for _ in range(NUDGES):
            if all(ratio(ours[rule], own[rule]) <= ALLOWED for rule in left):
                break
            nudge = torch.finfo(torch.float32).eps * torch.randn(images.shape, generator=random).sign()
            nudged = distances(maps(narrow, images * (1 + nudge), INDEX)[0], exact)
            own = {rule: torch.maximum(own[rule], nudged[rule]) for rule in RULES}
        for rule in left:
            row.ratios[rule] = f"{ratio(ours[rule], own[rule]):.2f}{'~' * ((rule in doubtful) + (pair > 0))}"
        left = [rule for rule in left if not ratio(ours[rule], own[rule]) <= ALLOWED]
        if not left:
            break
    row.faults += [f"{rule} is {row.ratios[rule]} times as far from the reference as float32" for rule in left]


def judge_wide_maps(row: Row, net: nn.Module, images: Tensor, exact: dict[str, Tensor]) -> None:
    """Check ours in float64, where hardly any rectifier is within rounding of its threshold."""
    model = model_of(copy.deepcopy(net).double(), images.shape[-1], row.name)
    for rule, each in distances(explained(model, images)[0], exact).items():
        if not float(each.max()) <= EXACT64:
            row.faults.append(f"{rule} is {float(each.max()):.0e} from the reference in float64")


def examine(entry: Entry) -> Row:
    """Run everything on one network."""
    row, started = Row(entry.name), time.perf_counter()
    try:
        net, side = made(entry)
    except RuntimeError as error:
        row.outcome = f"cannot be run: {error}"
        return row
    row.parameters, row.side = f"{sum(each.numel() for each in net.parameters()) / 1e6:.1f}", str(side)
    before = fingerprint(net)
    try:
        model = model_of(net, side, entry.name)
        judge_layer(row, net, model, entry.layers, photos(1, side, 0)[0])
        judge_maps(row, net, model, side)
        row.outcome = "served"
    except at.Refusal as refusal:
        row.outcome = f"refused: {refusal}"
        row.faults += complaint(refusal)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        row.outcome = "failed"
        row.faults.append(f"{type(error).__name__}: {error} ({place.name}, line {place.lineno})")
    row.untouched = "yes" if fingerprint(net) == before else "NO"
    if row.untouched == "NO":
        row.faults.append("the caller's network has changed")
    row.seconds = f"{time.perf_counter() - started:.1f}"
    return row


def main() -> int:
    """Print a line for every network and the verdict, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("words", nargs="*", help="parts of names; default: all networks")
    parser.add_argument("--all", action="store_true", help="also torchvision's largest builders")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the networks' own
    started, verdict = time.perf_counter(), Verdict()
    print(HEADER)
    outcomes = Counter[str]()
    for entry in entries(options.all):
        if options.words and not any(word in entry.name for word in options.words):
            continue
        row = examine(entry)
        gc.collect()
        print(row, flush=True)
        outcomes[row.outcome.split(":")[0]] += 1
        if row.faults:
            verdict.missed.append(row.name)
    for module in sorted(set(timm.list_modules()) - set(TIMM) if not options.words else ()):
        print(f"timm/{module}  FAULT: the table lacks this module")
        verdict.missed.append(module)
    if not options.all:
        print(
            f"left out: {len(larger())} builders of torchvision with more than {LARGE / 1e6:.0f} M parameters (--all)"
        )
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    print(f"{outcomes.total()} networks in {(time.perf_counter() - started) / 60:.1f} min: {counts}")
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
