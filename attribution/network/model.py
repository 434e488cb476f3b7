"""Model: a frozen network, its preprocessing, its class names."""

import copy
import hashlib
import logging
from collections.abc import Sequence
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor, nn

from attribution.network import classes as naming
from attribution.network.device import choose_device, full_precision
from attribution.network.folding import fold
from attribution.network.frozen import freeze, frozen_copy
from attribution.network.inspection import inspect, noise
from attribution.network.layers import Layer, outputs, stages, watch
from attribution.photo.preprocessing import Interpolation, Preprocessing
from attribution.refusal import Refusal


class Model:
    """A network that can be explained: it maps pixels in [0, 1] to logits.

    The caller's network is copied, and the copy frozen: evaluation mode, no gradients for its parameters, no hooks.
    Normalisation happens inside, so that black is black and a gradient is per unit of pixel value.

    Attributes:
        name: For titles and manifests.
        classes: Class names, (K,).
        preprocessing: From a photo to the input.
        device: Device of the network.
        dtype: Dtype of the network's parameters; all computations follow it.
        net: The frozen network as it was given.
        running: The network that runs: `net`, with batch norm folded where that is exact.
        inspection: Facts about the network.
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
        own: bool = False,
    ) -> None:
        """Copy, freeze and inspect a network.

        Args:
            name: For titles and manifests.
            net: Any module that maps normalised images (N, 3, H, W) to logits (N, K), K >= 2, not probabilities.
            size: (H, W) of its input.
            mean: Three numbers, subtracted from pixels in [0, 1].
            std: Three numbers, divided by.
            classes: K names.
            crop: Side of the centre square over the shorter side of the photo. Default: 0.875.
            interpolation: "bilinear" or "bicubic" (default).
            device: "auto" (default), "cpu", "cuda", "cuda:1" or "mps".
            own: True if nobody else holds the network, so that it need not be copied. Default: False.

        Raises:
            Refusal: If the network cannot be copied or differentiated, hides its operators (TorchScript), mixes the
                images of a batch, computes in another dtype than float32 or float64, or does not return one logit for
                each class; or if the device is not available.
        """
        self.name = name
        self.classes = tuple(classes)
        if len(self.classes) < 2:
            raise Refusal(f"{name} has {len(self.classes)} classes; at least 2 are needed.")
        self.preprocessing = Preprocessing(tuple(size), tuple(mean), tuple(std), crop, interpolation)  # type: ignore[arg-type]
        self.device = choose_device(device)
        if self.device.type == "cuda":
            full_precision()
        self.net = (freeze(net) if own else frozen_copy(net)).to(self.device)
        tensors = [*self.net.parameters(), *self.net.buffers()]
        self.dtype = next((each.dtype for each in tensors if each.is_floating_point()), torch.get_default_dtype())
        if self.dtype not in (torch.float32, torch.float64):
            raise Refusal(
                f"{name} computes in {self.dtype}, too coarse for a gradient map; convert it with net.float()."
            )
        self._mean, self._std = (
            torch.tensor(values, dtype=self.dtype, device=self.device).view(3, 1, 1) for values in (mean, std)
        )
        self.inspection = inspect(
            name,
            self.net,
            self._noise(),
            lambda pixels, layout: self._checked(self._pass(self.net, pixels, layout), len(pixels)),
        )
        self.running = self._folded()

    def _folded(self) -> nn.Module:
        """Return the network with batch norm folded, or as it is where that fails."""
        running, x = self.net, self._noise()
        try:
            with torch.no_grad():
                running = fold(self.net, lambda net: self.send(net, x))
        except Exception:
            logging.getLogger(__name__).info("batch norm of %s is not folded", self.name, exc_info=True)
        watch(running)
        return running

    def with_net(self, net: nn.Module) -> "Model":
        """Return this model with another network of the same structure, such as one with random weights.

        Args:
            net: On the same device; nobody else holds it. It is not inspected.
        """
        twin = copy.copy(self)
        for name in ("weights", "stages"):
            twin.__dict__.pop(name, None)
        twin.net = freeze(net).to(memory_format=self.inspection.layout)
        twin.running = twin._folded()
        return twin

    def prepare(self, image: Image.Image) -> Tensor:
        """See `Preprocessing.prepare`: an image to (3, H, W), pixels in [0, 1]."""
        return self.preprocessing.prepare(image)

    def logits(self, pixels: Tensor) -> Tensor:
        """Send images through the network; gradients flow if they are switched on.

        Args:
            pixels: (N, 3, H, W), on the model's device and in its dtype.

        Returns:
            (N, K).

        Raises:
            Refusal: If the network does not return one logit for each class.
        """
        return self._checked(self.send(self.running, pixels), len(pixels))

    def send(self, net: nn.Module, pixels: Tensor) -> Tensor:
        """Send images through a network of this model's structure, normalised and in its memory layout.

        Args:
            net: Such as `net` or a copy of it.
            pixels: (N, 3, H, W), on the model's device and in its dtype.
        """
        return self._pass(net, pixels, self.inspection.layout)

    def _pass(self, net: nn.Module, pixels: Tensor, layout: torch.memory_format) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):  # the network's dtype, whatever the caller's context
            normalised = (pixels - self._mean) / self._std
            logits: Tensor = net(normalised.contiguous(memory_format=layout))
        return logits

    def _checked(self, logits: Tensor, images: int) -> Tensor:
        wanted = (images, len(self.classes))
        if not isinstance(logits, Tensor) or logits.shape != wanted:
            found = f"shape {_shape(logits, images)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise Refusal(
                f"{self.name} returns {found}, but its class names need logits of shape (N, {wanted[1]}); "
                "wrap it so that it returns one logit for each class."
            )
        return logits

    def _noise(self) -> Tensor:
        return noise(self.preprocessing.size).to(self.device, self.dtype)

    def predict(self, x: Tensor, k: int = 5, also: int | None = None) -> list[tuple[int, str, float]]:
        """Return the most probable classes.

        Args:
            x: (3, H, W), pixels in [0, 1].
            k: How many. Default: 5.
            also: A class that is listed last if it is not among them. Default: None.

        Returns:
            (index, class name, probability), the most probable first.
        """
        with torch.no_grad():
            return self.rank(self.logits(x.to(self.device, self.dtype)[None])[0], k, also)

    def rank(self, logits: Tensor, k: int = 5, also: int | None = None) -> list[tuple[int, str, float]]:
        """Return the most probable classes by the logits of one image, (K,), as `predict` does."""
        return naming.rank(logits, self.classes, k, also)

    @cached_property
    def stages(self) -> tuple[Layer, ...]:
        """The last layer of each resolution at which the network has a map of features, the coarsest first."""
        x = self._noise().requires_grad_()
        with torch.inference_mode(False), torch.enable_grad(), outputs() as found:
            logits = self.logits(x)
        return stages(self.running, found, logits, self.preprocessing.size)

    @cached_property
    def weights(self) -> str:
        """The SHA-256 of all parameters and buffers: their names, shapes and values."""
        digest = hashlib.sha256()
        for name, tensor in (*self.net.named_parameters(), *self.net.named_buffers()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def find_class(self, text: str) -> int:
        """Return the index of a class, given as an index or a name.

        Raises:
            Refusal: If there is no such class, with the most similar names; or more than one.
        """
        return naming.find_class(self.name, self.classes, text)


def _shape(tensor: Tensor, images: int) -> str:
    """Return a shape as people write it, with N for the number of images."""
    sides = ["N" if i == 0 and side == images else str(side) for i, side in enumerate(tensor.shape)]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"
