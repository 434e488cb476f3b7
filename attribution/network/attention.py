"""Attention weights of a forward pass, and the tokens among which a network attends.

Fused kernels return no weights. So a pass is run in which attention is explicit, and its graph is read: attention is a
product of two tensors computed from the photo, one of which is a softmax. Modules are neither searched nor changed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.overrides import TorchFunctionMode

from attribution.network.dominators import leading_to, ordered
from attribution.network.layer import Layer
from attribution.refusal import Refusal

SAME_SUM = 1e-3  # largest deviation of the sum of a row of weights from 1 that counts as rounding

# Nodes between a softmax and a product that change no value.
_ARRANGING = re.compile("(Alias|Clone|Expand|Permute|Reshape|ReshapeAlias|Squeeze|ToCopy|Transpose|T|Unsqueeze|View)$")
_SOFTMAX = re.compile("(Safe)?Softmax$")
_FUSED = frozenset(
    (
        F.scaled_dot_product_attention,  # also torch._C._nn's
        torch.ops.aten.scaled_dot_product_attention,
        torch.ops.aten.scaled_dot_product_attention.default,
    )
)


class ExplicitAttention(TorchFunctionMode):
    """A context in which attention is a softmax and two products, also where PyTorch has a fused kernel for it."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace attention; forward all other calls."""
        kwargs = kwargs or {}
        if func in _FUSED:
            return torch._scaled_dot_product_attention_math(*args, **kwargs)[0]
        if func is F.multi_head_attention_forward:  # what it calls is not seen here
            output, weights = func(*args, **kwargs | {"need_weights": True})
            return output, weights if kwargs.get("need_weights", True) else None
        return func(*args, **kwargs)


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of one layer's attention, for one photo.

    Attributes:
        values: (heads, T, S), the share of each of S tokens in each of T outputs.
        gradient: (heads, T, S), of the score with respect to them; None if it was not computed.
    """

    values: Tensor
    gradient: Tensor | None = None


@dataclass(frozen=True)
class Tokens:
    """The tokens among which a network attends, for one size of the image.

    Attributes:
        layer: A layer whose output they are, with their grid.
        read: Places of the last attention's outputs that affect the logits.
    """

    layer: Layer
    read: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of tokens."""
        return _count(self.layer)

    def cells(self, values: Tensor) -> Tensor:
        """Arrange one value per token, (T,), as the grid of the image's tokens, (h, w)."""
        start, size = self.layer.prefix or 0, (self.layer.height, self.layer.width)
        return values[start : start + size[0] * size[1]].view(size)


class Attentions:
    """The attentions of one forward pass, in its order; all attend among the same tokens.

    The last one may have other outputs: one query, or several, that pool the tokens.
    """

    def __init__(self, name: str, logits: Tensor, images: int) -> None:
        """Read a graph, which is kept.

        Args:
            name: The model's name, for refusals.
            logits: (N, K), computed with explicit attention.
            images: Number of images that ran.

        Raises:
            Refusal: If there is no attention, or it does not relate the same tokens in every layer.
        """
        self._name, self._images = name, images
        self._order = ordered(logits.grad_fn)
        found = [each for node in reversed(self._order) if (each := _product(node))]
        used = {each.softmax for each in found}
        if hidden := next((node.name() for node in self._order if "attention" in node.name().lower()), None):
            raise self._refusal(f"whose attention weights are hidden inside {hidden}")
        if not any(_SOFTMAX.match(_kind(node)) for node in self._order):
            raise self._refusal("which has no softmax attention")
        unused = any(_SOFTMAX.match(_kind(node)) and node not in used for node in self._order)
        if unused or any((each.weights.sum(2) - 1).abs().max() > SAME_SUM for each in found):
            raise self._refusal(
                "whose softmax does not weigh values directly, as with talking heads, gates or a choice of kernels"
            )
        self._found = found

    def _refusal(self, fact: str) -> Refusal:
        return Refusal(f"Attention maps do not support {self._name}, {fact}; choose another method.")

    def check(self) -> None:
        """Check that all attentions relate the same tokens.

        Raises:
            Refusal: If they do not.
        """
        first, last = self._found[0], self._found[-1]
        count = first.weights.shape[2]
        for each in self._found:
            shape = each.softmax._saved_result.shape  # (N, heads, T, S) or (N * heads, T, S)
            other = len(each.weights) != len(first.weights) and each is not last
            if len(shape) > 4 or (other if len(shape) == 3 else shape[0] != self._images):
                raise self._refusal(f"whose attention is windowed ({each.weights.shape[2]} tokens in a window)")
        shapes = [each.weights.shape[1:] for each in self._found]
        if any(shape != (count, count) for shape in shapes[:-1]) or shapes[-1][1] != count:
            counts = dict.fromkeys(side for shape in shapes for side in shape)
            raise self._refusal(f"whose layers attend among different tokens ({', '.join(map(str, counts))})")

    def weights(self) -> list[Tensor]:
        """Return the first image's weights of every layer, (heads, T, S)."""
        return [self._first(each.weights) for each in self._found]

    def gradients(self, potential: Tensor) -> list[Tensor]:
        """Return the gradients of a potential, (1,), with respect to `weights`; frees the graph."""
        gradients = torch.autograd.grad(potential.sum(), [each.edge for each in self._found])
        return [self._first(each.arranged(gradient)) for each, gradient in zip(self._found, gradients, strict=True)]

    def _first(self, values: Tensor) -> Tensor:
        """Return the part of the first image, (heads, ...), of (N * heads, ...)."""
        return values[: len(values) // self._images]

    def tokens(self, logits: Tensor, x: Tensor, stages: Callable[[], Sequence[Layer]]) -> Tokens:
        """Determine the tokens.

        Args:
            logits: (N, K), with the graph.
            x: (N, 3, H, W), the image, a leaf of the graph.
            stages: Returns layers of the network.

        Raises:
            Refusal: If attention is between channels, attentions run side by side, tokens are also mixed by
                convolutions, or no layer has such tokens.
        """
        if self._is_between_channels(x):
            raise self._refusal("whose attention is between channels, not between places of the image")
        self.check()
        for earlier, later in zip(self._found, self._found[1:], strict=False):
            if later.softmax not in leading_to(self._order, {earlier.node}.__contains__):
                raise self._refusal("whose attentions run side by side, not one after the other")
        behind = leading_to(self._order, {self._found[0].node}.__contains__)
        if any(_kind(node).endswith("Convolution") and max(node._saved_weight.shape[2:]) > 1 for node in behind):
            raise self._refusal("which mixes its tokens by convolutions between its attentions")
        count = self._found[0].weights.shape[2]
        layer = next((each for each in stages() if _count(each) == count), None)
        if layer is None:
            raise self._refusal(f"whose attention is among {count} tokens at a time, which are no layer's grid")
        signal = torch.randn(logits.shape[1], generator=torch.Generator().manual_seed(0)).to(logits)
        read = self.gradients(logits[:1] @ signal)[-1].abs().sum((0, 2)).nonzero().flatten().tolist()
        if not read:
            raise self._refusal("whose logits read no token")
        if layer.suffix and not layer.prefix and max(read) < layer.suffix:
            # The tokens that are read on their own are no part of the image; the raster of a few cells cannot say so.
            layer = replace(layer, prefix=layer.suffix, suffix=0)
        return Tokens(layer, tuple(read))

    def _is_between_channels(self, x: Tensor) -> bool:
        """True if a row of the first attention's values depends on more of the image than a column.

        A token depends on its part of the image, a channel on all of it.
        """
        first = self._found[0]
        shape = first.arranged(first.values).shape  # (B, S, D)
        spreads = []
        for place in ((0, shape[1] // 2), (0, slice(None), shape[2] // 2)):
            signal = torch.zeros(shape)
            signal[place] = torch.randn(signal[place].shape, generator=torch.Generator().manual_seed(0))
            sent = first.arranged(signal).to(x)
            (gradient,) = torch.autograd.grad(first.value_edge, x, sent, retain_graph=True)
            spreads.append(float(gradient.abs().sum() / gradient.norm().clamp(min=torch.finfo(x.dtype).tiny)))
        return spreads[0] > spreads[1]


@dataclass(frozen=True, eq=False)
class _Product:
    """A product of attention weights and values, out = weights @ values, or its transpose, values' @ weights'."""

    node: Any
    softmax: Any
    place: int  # of the weights among the factors

    def arranged(self, factor: Tensor) -> Tensor:
        """Transpose a factor if the product is the transpose; also back."""
        return factor.mT if self.place else factor

    @property
    def weights(self) -> Tensor:
        """(N * heads, T, S)."""
        return self.arranged(self._factors[self.place])

    @property
    def values(self) -> Tensor:
        return self._factors[1 - self.place]

    @property
    def _factors(self) -> tuple[Tensor, Tensor]:
        return self.node._saved_self.detach(), self.node._saved_mat2.detach()

    @property
    def edge(self) -> GradientEdge:
        return GradientEdge(*self.node.next_functions[self.place])

    @property
    def value_edge(self) -> GradientEdge:
        return GradientEdge(*self.node.next_functions[1 - self.place])


def _product(node: Any) -> _Product | None:
    """Return the attention of which a node is the product with the values; None if it is another node."""
    if _kind(node) != "Bmm" or any(following is None for following, _ in node.next_functions):
        return None
    for place, (source, _) in enumerate(node.next_functions):
        while _ARRANGING.match(_kind(source)):
            source = source.next_functions[0][0]
        if _SOFTMAX.match(_kind(source)):
            return _Product(node, source, place)
    return None


def _kind(node: Any) -> str:
    """Return the name of a node's operator."""
    return re.sub(r"(Unsafe)?(\w+?)Backward\d*$", r"\2", node.name())


def _count(layer: Layer) -> int:
    return (layer.prefix or 0) + layer.height * layer.width + layer.suffix
