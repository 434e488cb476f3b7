"""Model: a frozen network with its preprocessing and class names."""

import copy
import difflib
import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor, nn

from attribution.network.admission import admit, expect_logits, same_logits
from attribution.network.attention import Attentions, ExplicitAttention, Tokens
from attribution.network.compiled import uncompiled
from attribution.network.device import choose_device, full_precision
from attribution.network.folding import fold
from attribution.network.frozen import digest_of, drop_observers, freeze, frozen_copy, held_tensors
from attribution.network.inspection import inspect
from attribution.network.lanes import Twins
from attribution.network.layer import Layer
from attribution.network.layers import LayerSearch
from attribution.network.norms import PlainNorms
from attribution.photo.crop import Size
from attribution.photo.preprocessing import Interpolation, Preprocessing
from attribution.refusal import Refusal
from attribution.targets.target import Target, output_of

REMEMBERED = 256  # photos whose logits need not be compared again


class Model:
    """A network that can be explained: pixels in [0, 1] go in, logits come out.

    The caller's network is copied and the copy frozen: evaluation mode, no gradients for its parameters. What runs is
    derived from the copy, with batch norms folded and a fast memory format; for every photo that is explained, the
    derived network's logits are compared with the copy's. Normalisation happens inside, so black is black and a
    gradient is per unit of pixel value.

    Attributes:
        name: For titles and manifests.
        classes: Class names, (K,); for a number, its name.
        output: Kind of output.
        preprocessing: Preprocessing of photos.
        device: Device of the network.
        dtype: Data type of the network's parameters, in which everything is computed.
        net: The frozen copy of the given network.
        running_net: The network that runs: `net` with its batch norms folded into convolutions where possible, in the
            memory format of the inspection.
        inspection: Facts about the network that hold for every photo.
    """

    def __init__(
        self,
        name: str,
        net: nn.Module,
        size: tuple[int, int],
        mean: Sequence[float],
        std: Sequence[float],
        classes: Sequence[str],
        crop: float = 0.875,
        interpolation: Interpolation = "bicubic",
        device: str = "auto",
        *,
        output: str = "classes",
        unit: str = "",
        channels: int = 3,
        resize: int | tuple[int, int] | None = None,
        rounds_down: bool = False,
        own: bool = False,
    ) -> None:
        """Copy, freeze and inspect a network.

        Args:
            name: For titles and manifests.
            net: Any module that maps normalised images (N, channels, H, W) to logits, not probabilities: see `output`.
            size: (H, W) of its input.
            mean: One number per channel, subtracted from pixels in [0, 1].
            std: One number per channel that the difference is divided by.
            classes: K names; for a number, its name.
            crop: Side of the square crop, relative to the shorter side of the photo. Default: 0.875.
            interpolation: A key of `preprocessing.RESAMPLING`, such as "bilinear" or "bicubic" (default).
            device: "auto" (default), "cpu", "cuda", "cuda:1" or "mps".
            output: "classes" (default; (N, K) logits for softmax, K >= 2), "binary" (one logit, (N,) or (N, 1), whose
                sigmoid is the probability of the second of two classes), "labels" ((N, K) logits for independent
                sigmoids) or "number" (regression, (N,) or (N, 1)).
            unit: Unit of a number, such as "years". Default: none.
            channels: 3 (default) or 1: the network then takes grey images, the mean of red, green and blue.
            resize: Size of the photo before the crop, as for `Preprocessing`; overrides `crop`. Default: None.
            rounds_down: As for `Preprocessing`. Default: False.
            own: True if the caller gives up the network, so that no copy is needed. Default: False.

        Raises:
            Refusal: If the network cannot be copied or differentiated, hides its operators (TorchScript), mixes the
                images of a batch, is random, uses weights that it does not hold, computes in another dtype than float32
                or float64, or does not return what `output` says; if the number of names or channels is wrong; if
                its gradient is wrong in every way of running it; or if the device is not available.
        """
        self.name = name
        self.classes = tuple(classes)
        self.output = output_of(output, unit)
        self.preprocessing = Preprocessing(
            tuple(size),  # type: ignore[arg-type]
            tuple(mean),
            tuple(std),
            crop,
            interpolation,
            channels,
            resize,
            rounds_down,
        )
        self.device = choose_device(device)
        if self.device.type == "cuda":
            full_precision()
        with torch.inference_mode(False), torch.enable_grad():  # whatever the caller's context
            self._prepare(net, own, mean, std)

    def _prepare(self, net: nn.Module, own: bool, mean: Sequence[float], std: Sequence[float]) -> None:
        """Copy, freeze and inspect the network."""
        name = self.name
        self.net = (freeze(net) if own else frozen_copy(net)).to(self.device)
        self._tensors = tensors = held_tensors(self.net)  # before a forward pass adds others
        for tensor in tensors:
            tensor.data = tensor.data.to(self.device)
        sizes = Counter[torch.dtype]()
        for tensor in tensors:
            if tensor.is_floating_point():
                sizes[tensor.dtype] += tensor.numel()
        self.dtype = max(sizes, key=lambda dtype: sizes[dtype], default=torch.get_default_dtype())
        if self.dtype not in (torch.float32, torch.float64):
            raise Refusal(f"{name} computes in {self.dtype}; gradient maps need float32 or float64; use net.float().")
        if not self.output.fits(len(self.classes)):
            raise Refusal(f"{name} has {len(self.classes)} names, but {self.output.title} needs {self.output.range}.")
        self._mean, self._std = (
            torch.tensor(values, dtype=self.dtype, device=self.device).view(-1, 1, 1) for values in (mean, std)
        )
        x = self._images()
        logits = admit(name, self.net, len(self.classes), x, self._send)
        contiguous = self._derived(logits)
        variants = {torch.channels_last: _channels_last(contiguous), torch.contiguous_format: contiguous}
        self.inspection = inspect(name, variants, self.net, x[:2], logits[:2], self._send)
        self.running_net = variants[self.inspection.memory_format]
        self._running = Twins(self.running_net, self._twin)
        self._has_hooks = any(each._forward_hooks or each._forward_pre_hooks for each in self.net.modules())
        self._agreed: dict[bytes, bool] = {}  # by SHA-256 of the pixels
        self._stages: dict[tuple[int, int], tuple[Layer, ...]] = {}  # by size; shared with other weights
        self._layers: dict[tuple[str, tuple[int, int]], Layer] = {}
        self._tokens: dict[tuple[int, int], Tokens | str] = {}  # or the sentence of a refusal

    def _derived(self, logits: Tensor | None = None) -> nn.Module:
        """Return a copy of `net` with batch norms folded where that is exact.

        Args:
            logits: The test images' logits, (4, K), if they are known.
        """
        x, plain = self._images(), self._twin(self.net)

        def run(net: nn.Module) -> Tensor:
            with torch.no_grad():
                return self._send(net, x)

        drop_observers(plain, run)
        return fold(plain, run, run(plain) if logits is None else logits)

    @staticmethod
    def _twin(net: nn.Module) -> nn.Module:
        """Return a copy of a network that shares its tensors."""
        return frozen_copy(net, shared=held_tensors(net))

    def with_net(self, net: nn.Module) -> "Model":
        """Return this model with another network of the same structure, such as one with random weights.

        Args:
            net: Network on the same device, not used elsewhere. It is not inspected again.
        """
        twin = copy.copy(self)
        for name in ("weights", "_given"):
            twin.__dict__.pop(name, None)
        twin.net, twin._tensors, twin._agreed = freeze(net), held_tensors(net), {}
        derived = twin._derived()
        fast = self.inspection.memory_format == torch.channels_last
        twin.running_net = _channels_last(derived) if fast else derived
        twin._running = Twins(twin.running_net, self._twin)
        return twin

    @property
    def default_target(self) -> Target:
        """The predicted class with its probability; a number with its value."""
        return Target(score=self.output.scores[0])

    def prepare(self, image: Image.Image, across: float = 0.5, down: float = 0.5, size: Size = None) -> Tensor:
        """Convert an image to (3, H, W), pixels in [0, 1], as `Preprocessing.prepare` does.

        Args:
            image: An RGB image of any size.
            across: Horizontal position of the crop, from 0 (left) to 1 (right). Default: 0.5, the centre.
            down: Vertical position of the crop, from 0 (top) to 1 (bottom). Default: 0.5.
            size: Shorter side of the crop as a share of the photo's shorter side, from 0.1 to 1; "fit" for the whole
                photo with bars in the mean colour; None (default) for the size that the network expects.

        Raises:
            Refusal: If the size is out of its range.
        """
        return self.preprocessing.prepare(image, across, down, size)

    def logits(self, pixels: Tensor) -> Tensor:
        """Send images through the derived network; gradients flow if they are enabled. Several threads may call it.

        Args:
            pixels: (N, 3, H, W), on the model's device and in its dtype.

        Returns:
            (N, K).

        Raises:
            Refusal: If the network does not return one logit per class.
        """
        with self._running.lend() as net:
            return self._logits(net, pixels, self.inspection.memory_format)

    def given_logits(self, pixels: Tensor) -> Tensor:
        """Send images through the given network; otherwise like `logits`."""
        with self._given.lend() as net:
            return self._logits(net, pixels, torch.contiguous_format)

    def _logits(self, net: nn.Module, pixels: Tensor, memory_format: torch.memory_format) -> Tensor:
        missing = self.inspection.min_batch - len(pixels)
        sent = torch.cat([pixels, *[pixels[:1]] * missing]) if missing > 0 else pixels
        logits = self._send(net, sent, memory_format)
        return expect_logits(self.name, logits, len(sent), len(self.classes))[: len(pixels)]

    def agrees(self, pixels: Tensor, logits: Tensor) -> bool:
        """True if the given network computes the same logits for an image, up to rounding.

        It runs in the memory format of the inspection, which takes up to half the time of the other.

        Args:
            pixels: (1, 3, H, W), on the model's device and in its dtype.
            logits: (1, K), computed by the derived network.
        """
        key = hashlib.sha256(pixels.cpu().numpy().tobytes()).digest()
        if key not in self._agreed:
            with torch.no_grad():
                given = self._twin(self.net) if self._has_hooks else self.net  # hooks may keep what they see
                self._agreed[key] = same_logits(logits, self._logits(given, pixels, self.inspection.memory_format))
            for old in list(self._agreed)[:-REMEMBERED]:
                self._agreed.pop(old, None)
        return self._agreed[key]

    def send(self, net: nn.Module, pixels: Tensor) -> Tensor:
        """Run a variant of this model's network, with the same normalisation and memory format.

        Args:
            net: The variant, such as `self.net` or a copy with random weights.
            pixels: (N, 3, H, W), on the model's device and in its dtype.

        Returns:
            The network's unchecked output, normally (N, K).
        """
        return self._send(net, pixels, self.inspection.memory_format)

    def _send(
        self, net: nn.Module, pixels: Tensor, memory_format: torch.memory_format = torch.contiguous_format
    ) -> Tensor:
        # The caller's autocast would change the dtype, and compiled functions would hide their operators.
        with torch.autocast(pixels.device.type, enabled=False), uncompiled(), PlainNorms():
            sent = pixels if self.preprocessing.channels == 3 else pixels.mean(1, keepdim=True)
            normalised = (sent - self._mean.to(pixels)) / self._std.to(pixels)
            returned = net(normalised.contiguous(memory_format=memory_format))
            logits: Tensor = self.output.logits(returned)  # type: ignore[assignment]
        return logits

    @cached_property
    def _given(self) -> Twins:
        return Twins(self._twin(self.net), self._twin)

    def predict(self, x: Tensor, k: int = 5, also: int | None = None) -> list[tuple[int, str, float]]:
        """Return the most probable classes.

        Args:
            x: (3, H, W), pixels in [0, 1].
            k: Number of classes. Default: 5.
            also: Class to append if it is not among them. Default: None.

        Returns:
            (index, class name, probability), the most probable first; for a number, (0, name, number).
        """
        pixels = x.to(self.device, self.dtype)[None]
        with torch.no_grad():
            logits = self.logits(pixels)
            return self.rank((logits if self.agrees(pixels, logits) else self.given_logits(pixels))[0], k, also)

    def rank(self, logits: Tensor, k: int = 5, also: int | None = None) -> list[tuple[int, str, float]]:
        """Return the most probable classes from the logits of one image, (K,); otherwise like `predict`."""
        probabilities = self.output.shares(logits.cpu().double()[None])[0]
        top = probabilities.topk(min(k, len(probabilities))).indices.tolist()
        if also is not None and also not in top:
            top.append(also)
        return [(i, self.classes[i], float(probabilities[i])) for i in top]

    @property
    def stages(self) -> tuple[Layer, ...]:
        """The last layer of each resolution at which the network has feature maps, the coarsest first."""
        return self.stages_at(self.preprocessing.size)

    @property
    def known_layers(self) -> tuple[str, ...]:
        """The names of the stages' layers, if the stages were determined before."""
        return tuple(layer.name for layer in self._stages.get(self.preprocessing.size, ()))

    def stages_at(self, size: tuple[int, int]) -> tuple[Layer, ...]:
        """Return the stages for images of (H, W) pixels."""
        if size not in self._stages:
            self._stages[size] = self._search(size).stages()
        return self._stages[size]

    def layer(self, name: str, size: tuple[int, int] | None = None) -> Layer:
        """Return a layer with feature maps by the name of its module.

        Args:
            name: As in the network's `named_modules`.
            size: (H, W) of the image. Default: the model's own.

        Raises:
            Refusal: If there is no such module, or its output is not a stack of feature maps; names others.
        """
        key = name, size or self.preprocessing.size
        if key not in self._layers:
            self._layers[key] = self._search(key[1]).named(name)
        return self._layers[key]

    def tokens_at(self, size: tuple[int, int]) -> Tokens:
        """Return the tokens among which the network attends, for images of (H, W) pixels.

        Raises:
            Refusal: If it has no attention, or not among the tokens of an image from layer to layer.
        """
        if size not in self._tokens:
            try:
                self._tokens[size] = self._find_tokens(size)
            except Refusal as refusal:
                self._tokens[size] = str(refusal)
        if isinstance(found := self._tokens[size], str):
            raise Refusal(found)
        return found

    def _find_tokens(self, size: tuple[int, int]) -> Tokens:
        with torch.inference_mode(False), torch.enable_grad():
            x = self._noise(size).requires_grad_()
            with ExplicitAttention():
                logits = self.logits(x)
            return Attentions(self.name, logits, len(x)).tokens(logits, x, lambda: self.stages_at(size))

    def _search(self, size: tuple[int, int]) -> LayerSearch:
        with torch.inference_mode(False):
            return LayerSearch(self.running_net, self._noise(size), self.logits)

    def _noise(self, size: tuple[int, int]) -> Tensor:
        """Return an image of noise as often as the network needs it, (N, 3, H, W)."""
        noise = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0))
        return noise.to(self.device, self.dtype).repeat(self.inspection.min_batch, 1, 1, 1)

    @cached_property
    def weights(self) -> str:
        """SHA-256 of all tensors: the names, shapes and values of parameters and buffers, then what else is held."""
        return digest_of(self.net, self._tensors)

    def find_class(self, text: str) -> int:
        """Return the index of a class, given its index or name as text.

        Raises:
            Refusal: If no class or more than one matches; suggests similar names.
        """
        if (digits := text.strip()).isdecimal():
            if len(digits) < 10 and (index := int(digits)) < len(self.classes):
                return index
            last = len(self.classes) - 1
            raise Refusal(f"{self.name} has no class {digits[:20]}; choose an index from 0 to {last}.")
        wanted = text.strip().casefold()
        names = [name.casefold() for name in self.classes]
        found = [index for index, name in enumerate(names) if name == wanted]
        if len(found) == 1:
            return found[0]
        if found:
            raise Refusal(f"{len(found)} classes are called {text!r}; use an index: {', '.join(map(str, found))}.")
        near = [name for name in names if wanted and wanted in name][:3] or difflib.get_close_matches(wanted, names, 3)
        near = [self.classes[names.index(name)] for name in near]
        hint = f"did you mean {' or '.join(near)}?" if near else f"use an index from 0 to {len(names) - 1}."
        raise Refusal(f"{self.name} has no class {text!r}; {hint}")

    def _images(self) -> Tensor:
        """Return test images, (4, 3, H, W): noise, darker noise, black and white."""
        noise = torch.rand((2, 3, *self.preprocessing.size), generator=torch.Generator().manual_seed(0))
        noise[1] *= 0.3
        return torch.cat([noise, torch.zeros_like(noise[:1]), torch.ones_like(noise[:1])]).to(self.device, self.dtype)


def _channels_last(net: nn.Module) -> nn.Module:
    """Return a copy of a network whose convolutions have weights in channels-last format; it shares all others."""
    weights = {id(each) for each in net.parameters() if each.ndim == 4}
    twin = frozen_copy(net, shared=[each for each in held_tensors(net) if id(each) not in weights])
    for each in twin.parameters():
        if each.ndim == 4:
            each.data = each.data.contiguous(memory_format=torch.channels_last)
    return twin
