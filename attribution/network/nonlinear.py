"""Nonlinear operators of a forward pass: those whose derivative depends on the photo.

They are found by what is known to be linear. Every node of the graph counts that is neither linear in its inputs nor
max-pooling, whose switches are part of the rectifier rules. Two kinds cannot be read from a graph, and are met in the
calls: a factor or a choice that is computed from the photo without a gradient, as in x * (x > 0), and an activation in
place on a view, which autograd wraps.
"""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

# Names of autograd nodes, without "Backward" and its number, that are linear in every single input; and max-pooling.
_LINEAR = frozenset(
    """AccumulateGrad Add Addbmm Addcdiv Addcmul Addmm Addmv Alias AsStrided Baddbmm Bmm Cat ChannelShuffle Clone
    Col2Im Complex Conj Convolution ConvolutionOverrideable Copy CopySlices CudnnConvolution
    CudnnConvolutionTranspose CudnnGridSampler Cumsum Diagonal Div Dot Expand FftC2C FftC2R FftR2C Flip Gather
    GridSampler2D Im2Col Index IndexAdd IndexCopy IndexPut IndexSelect Lerp Lift LiftFresh Linear MaskedFill
    Mean MkldnnConvolution MkldnnLinear Mm Mul Mv Neg Permute PixelShuffle PixelUnshuffle Repeat ReshapeAlias
    Roll Rot90 Rsub Scatter ScatterAdd Select SelectScatter Slice SliceScatter Split SplitWithSizes Squeeze
    Stack Sub Sum T ToCopy Transpose Tril Triu Unbind Unfold UnsafeSplit UnsafeSplitWithSizes UnsafeView
    Unsqueeze View ViewAsComplex ViewAsReal Where""".split()
)
_LINEAR_FAMILIES = re.compile(
    "(Mkldnn|Cudnn|Adaptive|Fractional)*((Avg|Max)Pool|ReflectionPad|ReplicationPad|ConstantPad|Upsample|MaxUnpool)"
)
_NORMS = re.compile("(Native|Cudnn|Miopen)BatchNorm")  # linear if they use running statistics

# Places of the inputs of which at most one may depend on the photo if the node is to be linear.
_FACTORS = {
    "Mul": (0, 1),
    "Mm": (0, 1),
    "Bmm": (0, 1),
    "Mv": (0, 1),
    "Dot": (0, 1),
    "Linear": (0, 1),
    "MkldnnLinear": (0, 1),
    "Convolution": (0, 1),
    "ConvolutionOverrideable": (0, 1),
    "MkldnnConvolution": (0, 1),
    "CudnnConvolution": (0, 1),
    "Addmm": (1, 2),
    "Addmv": (1, 2),
    "Baddbmm": (1, 2),
    "Addbmm": (1, 2),
    "Addcmul": (1, 2),
}
MIXING = frozenset(_FACTORS) - {"Mul", "Addcmul"}  # of these, those whose outputs are weighted sums of inputs
# Place of the first input that may not depend on the photo at all.
_DIVISORS = {"Div": 1, "Addcdiv": 2, "GridSampler2D": 1, "CudnnGridSampler": 1, "Lerp": 2}

# Calls whose result is linear in each input, also where another input was computed from the photo.
_JOINS = frozenset("add sub cat concat concatenate stack hstack vstack copy fill zero setitem".split())
# Calls that read only the shape, type or device of their inputs, or of all but the first.
_BLIND = re.compile(r"\w+_like$|new_\w+$|size$|stride$|dim$|is_\w+$")
_BLIND_BUT_FIRST = frozenset("expand_as view_as reshape_as type_as to".split())


class Gates:
    """The gates of one forward pass: calls in which a tensor computed from the photo without a gradient takes part.

    Attributes:
        names: Names of the calls.
    """

    def __init__(self) -> None:
        """Start with no gates."""
        self.names: set[str] = set()

    def follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call; mark what it computes from the photo without a gradient, and note it if it is a gate."""
        first = args[0] if args and isinstance(args[0], Tensor) else None
        version = 0 if first is None else first._version
        result = func(*args, **kwargs)
        self._note(func, args, kwargs, result, [] if first is None or first._version == version else [first])
        return result

    def _note(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, changed: list[Tensor]
    ) -> None:
        name = re.sub("^[ir](?=add$|sub$|mul$|truediv$|pow$)", "", func.__name__.strip("_"))
        if _BLIND.match(name):
            return
        inputs = list(tensors(args[:1] if name in _BLIND_BUT_FIRST else (args, kwargs)))
        if not any(each.requires_grad or self._is_marked(each) for each in inputs):
            return
        outputs = [*tensors(result), *changed]
        for output in outputs:
            if not output.requires_grad:
                output._photo = self  # type: ignore[attr-defined]
        factors = tensors(args[1:2]) if name == "setitem" else () if name in _JOINS else inputs
        # What autograd does not see, or wraps in a node of its own.
        hidden = name not in _JOINS and any(
            each.requires_grad and (not torch.is_grad_enabled() or (each._is_view() and self._is_choice(name, args)))
            for each in changed
        )
        if any(each.requires_grad for each in outputs) and (hidden or any(map(self._is_marked, factors))):
            self.names.add(name)

    @staticmethod
    def _is_choice(name: str, args: tuple[Any, ...]) -> bool:
        """True if a call in place is more than a product with a constant."""
        return name not in ("mul", "div", "truediv") or any(each.requires_grad for each in tensors(args[1:]))

    def _is_marked(self, tensor: Tensor) -> bool:
        return not tensor.requires_grad and getattr(tensor, "_photo", None) is self


def tensors(values: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dictionaries."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        yield from tensors(list(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from tensors(value)


def kind(node: Any) -> str:
    """Return the name of a node's operator, such as "Convolution"."""
    return re.sub(r"Backwards?\d*$", "", node.name().rpartition("::")[2])


def nonlinearity(node: Any) -> str | None:
    """Return the name of a node's operator if it is nonlinear; None if it is linear or max-pooling."""
    name = kind(node)
    if isinstance(node, torch.autograd.function.BackwardCFunction):  # a custom function, opaque
        return name
    if _NORMS.match(name):
        linear = not node._saved_training
    elif name in _FACTORS or name in _DIVISORS:
        differentiable = [following is not None for following, _ in node.next_functions]
        linear = sum(differentiable[place : place + 1] == [True] for place in _FACTORS.get(name, ())) < 2
        linear = linear and not any(differentiable[_DIVISORS.get(name, len(differentiable)) :])
    else:
        linear = name in _LINEAR or bool(_LINEAR_FAMILIES.match(name))
    return None if linear else re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
