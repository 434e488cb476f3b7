"""Small networks with known answers, and larger ones with weights that show something."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision import models as zoo

import attribution as at
from attribution.methods.method import Method
from attribution.settings import described, restore

Function = Callable[[Tensor], Tensor]  # (N, features) -> (N,)


class Toy(nn.Module):
    """A function of the first few pixel values as logit 0; logit 1 is zero."""

    def __init__(self, function: Function, features: int, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.function = function
        self.features = features
        self.register_buffer("zero", torch.zeros((), dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        score = self.function(x.flatten(1)[:, : self.features])
        return torch.stack([score, self.zero.expand_as(score)], 1)


def model_of(net: nn.Module, size: tuple[int, int], classes: int, name: str = "toy") -> at.Model:
    """A model without normalisation."""
    return at.Model(name, net, size, (0, 0, 0), (1, 1, 1), [f"class {index}" for index in range(classes)], device="cpu")


def toy(function: Function, features: int = 3, dtype: torch.dtype = torch.float64) -> at.Model:
    """A model of a function of `features` values; its images are (3, 1, W)."""
    return model_of(Toy(function, features, dtype), (1, -(-features // 3)), 2)


def image(*values: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """The values as an image (3, 1, W), zeros to the end."""
    width = -(-len(values) // 3)
    return torch.tensor([*values, *[0.0] * (3 * width - len(values))], dtype=dtype).view(3, 1, width)


def answer(model: at.Model, x: Tensor, method: object, features: int, score: str = "logit") -> list[float]:
    """The attribution of the first values for logit 0."""
    result = at.attribute(model, x, method, at.Target(0, score))
    return result.values.ravel()[:features].tolist()


# Settings of methods that otherwise take long, or whose map can be zero everywhere.
BRIEF = {"steps": 4, "samples": 3, "masks": 20, "channels": 6, "segments": 8, "stride": 32, "negative": "kept"}


# Methods that serve convolutional networks; the others need the tokens of a transformer.
CONVOLUTIONAL = {key: method for key, method in at.METHODS.items() if method.group != "attention"}


def brief(method: type[Method]) -> Method:
    """A method that takes little time and gives some map."""
    return restore(method, {name: each for name, each in BRIEF.items() if name in described(method)})


def randomise(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network weights, biases and batch-norm statistics such that nothing is one, zero or dead."""
    random = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=random)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.05, generator=random)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.7, 1.3, generator=random)
            module.bias.data.normal_(0, 0.2, generator=random)
            module.running_mean.normal_(0, 0.2, generator=random)
            module.running_var.uniform_(0.7, 1.3, generator=random)
    return net.eval()


def vision_transformer(side: int = 64, classes: int = 12) -> nn.Module:
    """A small one, to be randomised: torchvision initialises its head to zero, and every map would be zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # for the weights that `randomise` leaves
        return zoo.VisionTransformer(
            side, 16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=classes
        )


def zoo_net(name: str, classes: int, **more: object) -> nn.Module:
    """One of torchvision's networks, `randomise`d; VGG-11 with 32 units in its hidden layers, which take 0.5 GB."""
    if name != "vgg11":
        return randomise(zoo.get_model(name, weights=None, num_classes=classes, **more))
    with torch.device("meta"):
        net = zoo.vgg11(weights=None)
        units = zip((512 * 7 * 7, 32), (32, 32), strict=True)
        hidden = [layer for pair in units for layer in (nn.Linear(*pair), nn.ReLU(True), nn.Dropout())]
        net.classifier = nn.Sequential(*hidden, nn.Linear(32, classes))
    return randomise(net.to_empty(device="cpu"))


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Seeded pixels in [0, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)
