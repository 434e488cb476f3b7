"""Layer-wise relevance propagation (Bach et al. 2015), at the operator level.

The relevance of an activation a is written a * m, and the signal m is what autograd sends back. Sums, concatenation,
average pooling, rectifiers, max-pooling and constant factors then need no rule: their derivative splits the relevance
in proportion, or sends it to the maximum. A rule replaces the way back only: the operator's output z goes forward, and
the signal goes back through carriers c, such as the convolution with the positive weights, each multiplied by a ratio
such as z / c. Biases absorb relevance.

The first linear operator can instead distribute its relevance over the pixels by the flat rule (Lapuschkin et al. 2019)
or the box rule (Montavon et al. 2017). The network's modules are neither searched nor changed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from attribution.network.dominators import dominators, leading_to, ordered
from attribution.network.elementwise import Elementwise, elementwise, first_argument
from attribution.network.nonlinear import MIXING, Gates, kind, nonlinearity, tensors
from attribution.network.spellings import spellings
from attribution.refusal import Refusal

# Operators of which the derivative splits the relevance in proportion, and clamp, which the rules use.
_PROPORTIONAL = frozenset("relu threshold leaky_relu prelu prelu_kernel abs clamp".split())


@dataclass(frozen=True)
class Rules:
    """The rules of the linear operators, by their place.

    Attributes:
        convolution: Rule of the convolutions, a key of CONVOLUTION_RULES; all other linear operators follow the epsilon
            rule.
        first: Rule of the first linear operator, a key of FIRST_RULES; None if it is no special case.
        epsilon: Added to the absolute value of the denominators of the epsilon rule.
    """

    convolution: str
    first: str | None
    epsilon: float


@dataclass(frozen=True)
class _Linear:
    """A call of a linear operator.

    Attributes:
        a: Its input.
        weight: Its weight.
        bias: Its bias, in a shape that can be added to its output; or None.
        run: The operator without its bias: (input, weight) -> output.
    """

    a: Tensor
    weight: Tensor
    bias: Tensor | None
    run: Callable[[Tensor, Tensor], Tensor]

    def output(self) -> Tensor:
        """Return the output; gradients flow through."""
        z = self.run(self.a, self.weight)
        return z if self.bias is None else z + self.bias

    def part(self, positive: bool) -> tuple[Tensor, Tensor]:
        """Return the sum of the positive or of the negative contributions, and the same with the bias."""
        weights = [self.weight.clamp(min=0), self.weight.clamp(max=0)]
        weights = weights if positive else weights[::-1]
        total = self.run(self.a.clamp(min=0), weights[0])
        if bool((self.a < 0).any()):
            total = total + self.run(self.a.clamp(max=0), weights[1])
        if self.bias is None:
            return total, total.detach()
        return total, total.detach() + (self.bias.clamp(min=0) if positive else self.bias.clamp(max=0))


def _epsilon(call: _Linear, epsilon: float) -> Tensor:
    """Apply the epsilon rule, a w / (z + epsilon sign(z))."""
    carrier = call.output()
    z = carrier.detach()
    ratio = z / (z + torch.full_like(z, epsilon).copysign_(z)) if epsilon else torch.ones(()).to(z)
    return _carried(z, (carrier, ratio))


def _alpha_beta(call: _Linear, alpha: float) -> Tensor:
    """Apply the alpha-beta rule: alpha times the positive, minus beta = alpha - 1 times the negative contributions."""
    with torch.no_grad():
        z = call.output()
    positive, whole = call.part(positive=True)
    carriers = [(positive, _ratio(alpha * z, whole))]
    if alpha > 1:
        negative, whole = call.part(positive=False)
        carriers.append((negative, _ratio((1 - alpha) * z, whole)))
    return _carried(z, *carriers)


CONVOLUTION_RULES: dict[str, Callable[[_Linear, float], Tensor]] = {  # (call, epsilon) -> its output
    "epsilon": _epsilon,
    "z_plus": lambda call, epsilon: _alpha_beta(call, 1),
    "alpha2_beta1": lambda call, epsilon: _alpha_beta(call, 2),
}


def _flat(call: _Linear, relevance: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """Distribute relevance equally over the inputs of every output; padding gets none."""
    inputs = (black != white).to(call.a).requires_grad_()
    count = call.run(inputs, torch.ones_like(call.weight))
    (share,) = torch.autograd.grad(count, inputs, _ratio(relevance, count.detach()))
    return share * inputs.detach()


def _box(call: _Linear, relevance: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """Distribute relevance by the distances of the pixels from the most adverse colour: a w - low w+ - high w-."""
    ends = torch.minimum(black, white), torch.maximum(black, white)
    inputs = [each.detach().clone().requires_grad_() for each in (call.a, *ends)]
    weights = (call.weight, -call.weight.clamp(min=0), -call.weight.clamp(max=0))
    total = sum(map(call.run, inputs, weights), torch.zeros_like(relevance))
    signals = torch.autograd.grad(total, inputs, _ratio(relevance, total.detach()))
    return sum((a.detach() * signal for a, signal in zip(inputs, signals, strict=True)), torch.zeros_like(call.a))


# (call, relevance, its input for a black photo, and for a white one) -> relevance of its input
FIRST_RULES: dict[str, Callable[[_Linear, Tensor, Tensor, Tensor], Tensor]] = {"flat": _flat, "box": _box}


@dataclass(frozen=True)
class Met:
    """The operators that a pass met.

    Attributes:
        others: Sorted names of the nonlinear operators that have no rule, and keep their plain derivative.
        unruled: Sorted names of the linear operators that have no rule: those of epsilon with epsilon 0.
        gates: Number of products of which one factor counted as a constant.
        shared: Number of products whose factors shared the relevance equally.
        changed: True if a rule replaced the derivative of an operator that is not linear.
        biased: True if an operator added a bias.
    """

    others: tuple[str, ...]
    unruled: tuple[str, ...]
    gates: int
    shared: int
    changed: bool
    biased: bool


class Relevance(TorchFunctionMode):
    """A context in which the backward pass propagates relevance.

        with Relevance(rules, x) as relevance:
            logits = net(x)
        signal, = torch.autograd.grad(logits[0, 5], x)
        values = x * signal + relevance.deposited    # relevance of the pixels

    Attributes:
        deposited: (N, 3, H, W), the relevance that the first linear operators distributed in backward passes.
    """

    def __init__(self, rules: Rules, x: Tensor) -> None:
        """Start with no interceptions.

        Args:
            rules: The rules.
            x: (N, 3, H, W), the images, a leaf of the graph, with pixels in [0, 1].
        """
        super().__init__()
        self.rules, self.x = rules, x
        self.deposited = torch.zeros_like(x)
        self._gated_products = self._shared_products = 0
        self._changed = self._biased = self._begun = False
        self._gates = Gates()
        self._results: dict[int, Tensor] = {}  # by identity

    def stages(self, logits: Tensor) -> list[Tensor]:
        """Return the tensors that all paths from the logits to the images pass, the last of every resolution.

        Args:
            logits: (N, K).

        Returns:
            In the order from the logits, which are the first.
        """
        order = ordered(logits.grad_fn)
        passed = dominators(order, self.x) & leading_to(order, lambda node: node.name() in _REACHED)
        results = {each.grad_fn: each for each in self._results.values() if each.grad_fn in passed}
        self._results.clear()
        seen, found = {logits[0].numel(), logits.shape[1:]}, [logits]
        for each in (results[node] for node in order if node in results):
            known = {each[0].numel(), each.shape[2:] if each.ndim == 4 else each.shape[1:]}  # size, resolution
            if len(each) == len(logits) and not known & seen:
                found.append(each)
            seen |= known
        return found

    def met(self, logits: Tensor) -> Met:
        """Return the operators that lead to these logits.

        Raises:
            Refusal: If the first linear operator has a rule of its own, but there is none to which it applies.
        """
        order, others, ruled = ordered(logits.grad_fn), set(self._gates.names), set[Any]()
        for node in order:
            if node.name() in _REACHED:
                ruled.update(_carriers(node))
            elif name := nonlinearity(node):
                others.add(name)
        plain = [node for node in order if kind(node) in MIXING and node not in ruled and not nonlinearity(node)]
        unruled = {kind(node).lower() for node in plain}
        if self.rules.first and not self._begun:
            raise self._unreached(unruled)
        return Met(
            tuple(sorted(others - _PROPORTIONAL)),
            tuple(sorted(unruled)),
            self._gated_products,
            self._shared_products,
            self._changed,
            self._biased,
        )

    def _unreached(self, names: set[str]) -> Refusal:
        begins = f"begins with {', '.join(sorted(names))}" if names else "has none"
        return Refusal(
            f"The {self.rules.first} rule needs a convolution or a dense layer that reads the pixels, but this network "
            f"{begins}; choose epsilon everywhere."
        )

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Apply the rule of an operator; forward all other calls."""
        result = self._result(func, args, kwargs or {})
        if isinstance(result, Tensor) and result.grad_fn is not None:
            self._results[id(result)] = result
        return result

    def _result(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if torch.is_grad_enabled():
            if func in _LINEAR and (linear := _LINEAR[func](*args, **kwargs)).a.requires_grad:
                return self._linear(linear)
            if func in _NORMS and any(each.requires_grad for each in tensors((args, kwargs))):
                self._changed = True
                return _NORMS[func](*args, **kwargs)
            if func in _PRODUCTS and (factors := _factors(args, kwargs)):
                return self._product(*factors, in_place=_PRODUCTS[func])
            if found := elementwise(func, args, kwargs):
                if found.homogeneous:
                    return func(*args, **kwargs)
                self._changed = True
                return _activated(found)
        return self._gates.follow(func, args, kwargs)

    def _product(self, one: Tensor, other: Tensor, in_place: bool) -> Tensor:
        """Multiply two factors: a gate counts as a constant, and two factors of one kind share the relevance equally.

        A gate is the smaller of two tensors, as in squeeze-and-excite, or else the output of a bounded activation.
        """
        self._changed = True
        if one.numel() != other.numel():
            first_is_gate, second_is_gate = one.numel() < other.numel(), one.numel() > other.numel()
        else:
            first_is_gate, second_is_gate = _is_bounded(one), _is_bounded(other)
        if first_is_gate == second_is_gate:
            self._shared_products += 1
            result = (one * other.detach() + one.detach() * other) / 2
        else:
            self._gated_products += 1
            result = one.detach() * other if first_is_gate else one * other.detach()
        return one.copy_(result) if in_place else result

    def _linear(self, call: _Linear) -> Tensor:
        first, self._biased = self.rules.first, self._biased or call.bias is not None
        if first and _precedes_rules(call.a):
            before = ordered(call.a.grad_fn)
            strange = [each for each in before if kind(each) in MIXING] or [
                each for each in before if nonlinearity(each)
            ]
            if strange:  # the operator's input is not affine in the pixels, each on its own
                raise self._unreached({kind(each).lower() for each in strange})
            self._begun = True
            with torch.no_grad():
                z = call.output()
            deposit = partial(self._deposit, FIRST_RULES[first], call, z, *self._ends(call.a))
            result: Tensor = _Deposit.apply(_Held(z), call.a, deposit)
            return result
        rule = CONVOLUTION_RULES[self.rules.convolution] if call.weight.ndim > 2 else _epsilon
        return rule(call, self.rules.epsilon)

    def _ends(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """Return the value, for a black and for a white photo, of a tensor that is affine in the pixels."""
        ones = torch.ones_like(a).requires_grad_()
        (columns,) = torch.autograd.grad(a, self.x, ones, create_graph=True)
        parts = [
            torch.autograd.grad(columns, ones, each, retain_graph=True)[0]
            for each in (self.x.detach(), torch.ones_like(self.x))
        ]
        black = a.detach() - parts[0]
        return black, black + parts[1]

    def _deposit(
        self, rule: Callable[..., Tensor], call: _Linear, z: Tensor, black: Tensor, white: Tensor, signal: Tensor
    ) -> None:
        """Distribute relevance over the input, and each share over the pixels in proportion to its derivatives.

        The input is normally the normalised photo; padding, reordered pixels and the mean of the channels occur, too.
        """
        with torch.enable_grad():
            share = rule(call, z * signal, black, white)
        (moved,) = torch.autograd.grad(call.a, self.x, _ratio(share, white - black), retain_graph=True)
        self.deposited += moved


def _precedes_rules(a: Tensor) -> bool:
    """True if no rule has been applied on the way from the images to a tensor."""
    waiting: list[Any] = [a.grad_fn]
    seen = set[Any]()
    while waiting:  # usually ends after a few nodes
        node = waiting.pop()
        if node.name() in _REACHED:
            return False
        seen.add(node)
        waiting += [following for following, _ in node.next_functions if following and following not in seen]
    return True


@dataclass
class _Held:
    """A tensor that is not an input of a custom function."""

    tensor: Tensor | None

    def take(self) -> Tensor:
        tensor, self.tensor = self.tensor, None
        assert tensor is not None
        return tensor


class _Carry(torch.autograd.Function):
    """A tensor whose signal goes back through carriers, multiplied by a ratio for each."""

    @staticmethod
    def forward(ctx: Any, z: _Held, ratios: list[Tensor], bounded: bool, *carriers: Tensor) -> Tensor:
        ctx.ratios, ctx.bounded = ratios, bounded
        return z.take()

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(signal * ratio for ratio in ctx.ratios)


class _Deposit(torch.autograd.Function):
    """The first linear operator, which distributes its relevance over the pixels and sends back nothing."""

    @staticmethod
    def forward(ctx: Any, z: _Held, a: Tensor, deposit: Callable[[Tensor], None]) -> Tensor:
        ctx.deposit, ctx.shape = deposit, a.shape
        return z.take().clone()  # the next operator may overwrite it

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor | None, ...]:
        ctx.deposit(signal)
        return None, torch.zeros(()).to(signal).expand(ctx.shape), None


def _carried(z: Tensor, *carriers: tuple[Tensor, Tensor], bounded: bool = False) -> Tensor:
    """Return a value whose signal goes back through (carrier, ratio) pairs; `bounded` marks a possible gate."""
    result: Tensor = _Carry.apply(
        _Held(z), [ratio for _, ratio in carriers], bounded, *(carrier for carrier, _ in carriers)
    )
    return result


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide; 0 where the denominator is 0."""
    return torch.where(denominator == 0, 0, numerator / denominator)


def _activated(call: Elementwise) -> Tensor:
    """Pass the relevance of an activation on to its input unchanged: the ratio is y / x."""
    x = call.x.detach()
    with torch.no_grad():
        y = call.of(x)
    carrier = call.x.clone() if call.in_place else call.x
    new = _carried(y, (carrier, _ratio(y, x)), bounded=call.bounded)
    return call.x.copy_(new) if call.in_place else new


def _is_bounded(tensor: Tensor) -> bool:
    """True if a tensor is the output of a bounded activation, also scaled, shifted, rearranged or repeated."""
    node: Any = tensor.grad_fn
    while node and node.name() not in _REACHED:
        below = [following for following, _ in node.next_functions if following]
        node = below[0] if len(below) == 1 and not nonlinearity(node) and kind(node) not in MIXING else None
    return bool(node and getattr(node, "bounded", False))


def _carriers(node: Any) -> Iterator[Any]:
    """Yield the linear operators whose results a rule carries: those behind a node, also behind sums."""
    waiting = [following for following, _ in node.next_functions if following]
    while waiting:
        each = waiting.pop()
        if kind(each) in MIXING:
            yield each
        elif kind(each) == "Add":
            waiting += [following for following, _ in each.next_functions if following]


# One function per signature, with the operator's own parameter names.


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> _Linear:
    def run(a: Tensor, weight: Tensor) -> Tensor:
        return torch.conv2d(a, weight, None, stride, padding, dilation, groups)

    return _Linear(input, weight.detach(), None if bias is None else bias.detach().view(-1, 1, 1), run)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> _Linear:
    return _Linear(input, weight.detach(), None if bias is None else bias.detach(), F.linear)


def _layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """Normalise; the deviation counts as a constant."""
    result = _centred(input, tuple(range(-len(normalized_shape), 0)), eps)
    result = result if weight is None else result * weight
    return result if bias is None else result + bias


def _group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise; the deviation counts as a constant."""
    groups = input.reshape(len(input), num_groups, -1)
    result = _centred(groups, (-1,), eps).view(input.shape)
    shape = (-1, *[1] * (input.ndim - 2))
    result = result if weight is None else result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


def _centred(a: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    variance = a.detach().var(dims, correction=0, keepdim=True)
    return (a - a.mean(dims, keepdim=True)) * torch.rsqrt(variance + eps)


def _factors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    """Return the factors of a product of two tensors through which gradients flow; None for any other."""
    first, rest, others = first_argument(args, kwargs)
    second = rest[0] if rest else others.get("other")
    pair = (first, second)
    return pair if all(isinstance(each, Tensor) and each.requires_grad for each in pair) else None  # type: ignore[return-value]


def _products() -> Iterator[tuple[Any, bool]]:
    """Yield every PyTorch callable that multiplies, with True if it works in place."""
    for name in ("mul", "multiply"):
        yield from spellings(name)
    yield from ((Tensor.__mul__, False), (Tensor.__rmul__, False), (Tensor.__imul__, True))


_LINEAR: dict[Any, Callable[..., _Linear]] = {
    **{func: _conv2d for func, _ in spellings("conv2d")},
    **{func: _linear for func, _ in spellings("linear")},
}
_NORMS: dict[Any, Callable[..., Tensor]] = {
    **{func: _layer_norm for func, _ in spellings("layer_norm")},
    **{func: _group_norm for func, _ in spellings("group_norm")},
}
_PRODUCTS = dict(_products())
_REACHED = tuple(f"{each.__name__}Backward" for each in (_Carry, _Deposit))  # names of their nodes in a graph
