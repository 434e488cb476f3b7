"""Model: a frozen network, its preprocessing, its class names."""

import copy
import difflib
import hashlib
import logging
from collections.abc import Sequence
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor, nn

from attribution.network.device import choose_device, full_precision
from attribution.network.folding import fold
from attribution.network.frozen import freeze, frozen_copy
from attribution.network.layers import Layer, outputs, stages, watch
from attribution.network.rectifiers import Interception, Rectifiers
from attribution.photo.preprocessing import Interpolation, Preprocessing
from attribution.refusal import Refusal

MIXED = 1e-2  # relative difference of logits above which an image depends on its neighbours in a batch
BACK = 1.25  # memory of a pass and its way back over what the pass keeps, as measured on ResNet-50
EQUAL = 1e-5  # relative difference of maps that is rounding


class Model:
    """A network that can be explained: pixels in [0, 1] go in, logits come out.

    The caller's network is copied, and the copy frozen: evaluation mode, no gradients for its parameters, no hooks.
    Normalisation happens inside, so that black is black and a gradient is per unit of pixel value.

    Attributes:
        name: For titles and manifests.
        classes: Class names, (K,).
        preprocessing: From a photo to the input.
        device: Where the network is.
        dtype: Of the network's parameters; all computations follow it.
        operators: What a forward pass was seen to use.
        image_memory: Bytes that one image takes in a pass with its gradient: the peak on CUDA; elsewhere what the pass
            keeps for the way back, and a quarter more.
        fixed_adjoint: Whether two images of noise give one Zeiler-Fergus map: no max-pooling, no gates, no norms.
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
        """Copy and freeze a network, and send two images of noise through it.

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
            own: Whether nobody else holds the network, so that no copy is needed. Default: False.

        Raises:
            Refusal: If the network cannot be copied or differentiated, hides its operators (TorchScript), mixes the
                images of a batch, computes in another dtype than float32 or float64, or does not give one logit a
                class; or if the device is not available.
        """
        self.name = name
        self.classes = tuple(classes)
        self.preprocessing = Preprocessing(tuple(size), tuple(mean), tuple(std), crop, interpolation)  # type: ignore[arg-type]
        self.device = choose_device(device)
        if self.device.type == "cuda":
            full_precision()
        self._net = (freeze(net) if own else frozen_copy(net)).to(self.device)
        tensors = [*self._net.parameters(), *self._net.buffers()]
        self.dtype = next((each.dtype for each in tensors if each.is_floating_point()), torch.get_default_dtype())
        if self.dtype not in (torch.float32, torch.float64):
            raise Refusal(
                f"{name} computes in {self.dtype}, too coarse for a gradient map; convert it with net.float()."
            )
        self._mean, self._std = (
            torch.tensor(values, dtype=self.dtype, device=self.device).view(3, 1, 1) for values in (mean, std)
        )
        self._running = self._net  # what runs; as given until all is known to be well
        self._look()
        self._prepare()

    def _prepare(self) -> None:
        """Derive the network that runs from the one that was given."""
        x = self._noise()
        try:
            with torch.no_grad():
                self._running = fold(self._net, lambda net: self._send(net, x))
        except Exception:
            logging.getLogger(__name__).info("batch norm of %s is not folded", self.name, exc_info=True)
        watch(self._running)

    def with_net(self, net: nn.Module) -> "Model":
        """This model with another network of the same structure, such as one with random weights.

        Args:
            net: On the same device; nobody else holds it. It is not looked at again.
        """
        twin = copy.copy(self)
        for name in ("weights", "stages"):
            twin.__dict__.pop(name, None)
        twin._net = twin._running = freeze(net).to(memory_format=self._layout)
        twin._prepare()
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
            Refusal: If the network does not give one logit a class.
        """
        logits = self._send(self._running, pixels)
        wanted = (len(pixels), len(self.classes))
        if not isinstance(logits, Tensor) or logits.shape != wanted:
            given = f"shape {_shape(logits, wanted[0])}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
            raise Refusal(
                f"{self.name} gives {given} where logits of shape (N, {wanted[1]}) are needed for its class names; "
                "wrap it so that it returns one logit a class."
            )
        return logits

    def _send(self, net: nn.Module, pixels: Tensor) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):  # the network's dtype, whatever the caller's context
            normalised = (pixels - self._mean) / self._std
            logits: Tensor = net(normalised.contiguous(memory_format=self._layout))
        return logits

    def predict(self, x: Tensor, k: int = 5, also: int | None = None) -> list[tuple[int, str, float]]:
        """The most probable classes.

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
        """The most probable classes by the logits of one image, (K,), as `predict` gives them.

        Args:
            logits: (K,).
            k: How many. Default: 5.
            also: A class that is listed last if it is not among them.
        """
        probabilities = logits.cpu().double().softmax(0)
        top = probabilities.topk(min(k, len(probabilities))).indices.tolist()
        if also is not None and also not in top:
            top.append(also)
        return [(i, self.classes[i], float(probabilities[i])) for i in top]

    @cached_property
    def stages(self) -> tuple[Layer, ...]:
        """The last layer of each resolution at which the network holds a map of features, the coarsest first."""
        x = self._noise().requires_grad_()
        with torch.inference_mode(False), torch.enable_grad(), outputs() as found:
            logits = self.logits(x)
        return stages(self._running, found, logits, self.preprocessing.size)

    @cached_property
    def weights(self) -> str:
        """SHA-256 of all parameters and buffers: their names, shapes and values."""
        digest = hashlib.sha256()
        for name, tensor in (*self._net.named_parameters(), *self._net.named_buffers()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def find_class(self, text: str) -> int:
        """The index of a class given as an index or a name.

        Raises:
            Refusal: If there is no such class, with the nearest names; or more than one.
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

    def _look(self) -> None:
        """Send two images of noise through and back: refuse early, and see what the network uses."""
        if len(self.classes) < 2:
            raise Refusal(f"{self.name} has {len(self.classes)} classes; at least 2 are needed.")
        x = self._noise().requires_grad_()
        cuda = self.device.type == "cuda"
        held = torch.cuda.memory_allocated(self.device) if cuda else 0
        if cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        saved: dict[int, int] = {}  # bytes that the pass keeps for the way back, by where they are

        def count(tensor: Tensor) -> Tensor:
            saved[tensor.data_ptr()] = max(tensor.nbytes, saved.get(tensor.data_ptr(), 0))
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            logits, rectifiers = self._first_pass(x)
        if bool((logits > 0).all()) and bool(((logits.sum(1) - 1).abs() < 1e-4).all()):
            raise Refusal(f"{self.name} gives values above 0 that sum to 1, as after a softmax; give its logits.")
        if not logits.requires_grad:
            raise Refusal(f"{self.name} passes no gradient back to its input; remove detach, no_grad or quantisation.")
        with torch.no_grad():
            alone = self.logits(x[:1])
        if (alone - logits[:1]).abs().max() > MIXED * logits.abs().max():
            raise Refusal(f"{self.name} mixes the images of a batch; give batch norm its running statistics.")
        self.operators: Interception = rectifiers.seen(logits)
        rectifiers.rule = "zeiler_fergus"
        signal = torch.randn(logits.shape[1], generator=torch.Generator().manual_seed(0)).to(logits)
        try:
            (maps,) = torch.autograd.grad((logits * signal).sum(), x)
        except Exception as error:
            raise Refusal(
                f"{self.name} cannot be sent back through ({type(error).__name__}); switch checkpointing off."
            ) from None
        weights = sum(saved.get(each.data_ptr(), 0) for each in (*self._net.parameters(), *self._net.buffers()))
        kept = int(BACK * (sum(saved.values()) - weights))
        peak = torch.cuda.max_memory_allocated(self.device) - held if cuda else kept
        self.image_memory = peak // len(x)
        self.fixed_adjoint = bool((maps[0] - maps[1]).abs().max() <= EQUAL * maps.abs().max()) and bool(maps.any())

    def _noise(self) -> Tensor:
        """Two images, (2, 3, H, W), the second one dark."""
        noise = torch.rand((2, 3, *self.preprocessing.size), generator=torch.Generator().manual_seed(0))
        noise[1] *= 0.3
        return noise.to(self.device, self.dtype)

    def _first_pass(self, x: Tensor) -> tuple[Tensor, Rectifiers]:
        """Find the memory layout that the network takes: some, such as view(N, -1), want rows one after another."""
        failure = ""
        for self._layout in (torch.channels_last, torch.contiguous_format):
            self._net.to(memory_format=self._layout)
            try:
                with torch.inference_mode(False), torch.enable_grad(), Rectifiers() as rectifiers:
                    return self.logits(x), rectifiers
            except RuntimeError as error:
                failure = str(error).split("\n")[0]
        raise Refusal(
            f"{self.name} fails on images of shape {tuple(x.shape)}: {failure}; look at its size and its layers."
        )


def _shape(tensor: Tensor, images: int) -> str:
    """A shape as people write it, with N for the number of images."""
    sides = ["N" if i == 0 and side == images else str(side) for i, side in enumerate(tensor.shape)]
    return f"({', '.join(sides)}{',' if len(sides) == 1 else ''})"
