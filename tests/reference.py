"""Each rule again, slow and literal, in float64, sharing no code with the engine.

`backward` walks the torch.fx graph of a network forward, keeps every value, and walks it back with the adjoint of each
operator written out. `integrated_gradients` is the sum of the definition, one image at a time. `shapley` and `lime` are
sums over sets of players. No autograd anywhere, except in `attention`, where it differentiates the score with respect
to the weights.
"""

import copy
import math
import operator
from collections.abc import Callable
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, fx, nn

RECTIFIERS: dict[Any, float] = {nn.ReLU: float("inf"), F.relu: float("inf"), torch.relu: float("inf"), nn.ReLU6: 6.0}


def backward(net: nn.Module, x: Tensor, signal: Tensor, rule: str) -> tuple[Tensor, Tensor]:
    """Send a signal back to the image.

    Args:
        net: Of convolutions, linear layers, batch norm, rectifiers, max and average pooling, sums, concatenation.
        x: (3, H, W), normalised.
        signal: (K,), d score / d logits.
        rule: "gradient", "guided" or "zeiler_fergus".

    Returns:
        The logits, (K,), and what arrives at the image, (3, H, W).
    """
    traced = fx.symbolic_trace(copy.deepcopy(net).double().eval())
    modules = dict(traced.named_modules())
    values: dict[fx.Node, Tensor] = {}
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            values[node] = x.double()[None]
        elif node.op == "output":
            out = node.args[0]
        else:
            operation = modules[node.target] if node.op == "call_module" else node.target
            inputs = [values[argument] for argument in node.all_input_nodes]
            values[node] = _forward(operation, inputs, node)
    signals: dict[fx.Node, Tensor] = {out: signal.double()[None]}
    for node in reversed(traced.graph.nodes):
        if node.op == "placeholder":
            return values[out][0], signals[node][0]
        if node not in signals:
            continue
        operation = modules[node.target] if node.op == "call_module" else node.target
        inputs = [values[argument] for argument in node.all_input_nodes]
        for argument, share in zip(
            node.all_input_nodes, _adjoint(operation, inputs, signals[node], rule, node), strict=True
        ):
            signals[argument] = signals[argument] + share if argument in signals else share
    raise AssertionError("a graph has an input")


def _kind(operation: Any) -> Any:
    return type(operation) if isinstance(operation, nn.Module) else operation


def _forward(operation: Any, inputs: list[Tensor], node: fx.Node) -> Tensor:
    x = inputs[0]
    if _kind(operation) in RECTIFIERS:
        return torch.minimum(torch.maximum(x, torch.zeros_like(x)), torch.full_like(x, RECTIFIERS[_kind(operation)]))
    match operation:
        case nn.Dropout() | nn.Identity() | nn.Dropout2d():
            return x
        case nn.BatchNorm2d():
            scale = operation.weight / torch.sqrt(operation.running_var + operation.eps)
            return (x - operation.running_mean.view(-1, 1, 1)) * scale.view(-1, 1, 1) + operation.bias.view(-1, 1, 1)
        case nn.MaxPool2d():
            return _windows(operation, x).amax(-1)
        case nn.AdaptiveAvgPool2d():
            return x.mean((2, 3), keepdim=True)
        case nn.Conv2d() | nn.Linear():
            return operation(x).detach()
    if operation in (torch.cat,):
        return torch.cat(inputs, 1)
    if operation in (operator.add, torch.add, operator.iadd):
        return inputs[0] + inputs[-1]
    if operation in (torch.flatten, "flatten"):
        return x.flatten(1)
    if operation is F.adaptive_avg_pool2d:
        return x.mean((2, 3), keepdim=True)
    raise NotImplementedError(f"{operation} in {node}")


def _adjoint(operation: Any, inputs: list[Tensor], signal: Tensor, rule: str, node: fx.Node) -> list[Tensor]:
    x = inputs[0]
    if _kind(operation) in RECTIFIERS:
        gate = (x > 0) & (x < RECTIFIERS[_kind(operation)])
        positive = torch.where(signal > 0, signal, torch.zeros_like(signal))
        if rule == "gradient":
            return [torch.where(gate, signal, torch.zeros_like(signal))]
        if rule == "guided":
            return [torch.where(gate, positive, torch.zeros_like(signal))]
        return [positive]
    match operation:
        case nn.Dropout() | nn.Identity() | nn.Dropout2d():
            return [signal]
        case nn.BatchNorm2d():
            scale = operation.weight / torch.sqrt(operation.running_var + operation.eps)
            return [(signal * scale.view(-1, 1, 1)).detach()]
        case nn.Linear():
            return [(signal @ operation.weight).detach()]
        case nn.Conv2d():
            lost = [
                (x.shape[2 + i] + 2 * operation.padding[i] - operation.dilation[i] * (operation.kernel_size[i] - 1) - 1)
                % operation.stride[i]
                for i in (0, 1)
            ]
            share = F.conv_transpose2d(
                signal,
                operation.weight,
                None,
                operation.stride,
                operation.padding,
                lost,
                operation.groups,
                operation.dilation,
            )
            return [share.detach()]
        case nn.MaxPool2d():
            return [_unpool(operation, x, signal)]
        case nn.AdaptiveAvgPool2d():
            return [signal.expand_as(x) / (x.shape[2] * x.shape[3])]
    if operation is torch.cat:
        return list(signal.split([each.shape[1] for each in inputs], 1))
    if operation in (operator.add, torch.add, operator.iadd):
        return [signal] * len(inputs) if len(inputs) == 2 else [2 * signal]
    if operation in (torch.flatten, "flatten"):
        return [signal.view_as(x)]
    if operation is F.adaptive_avg_pool2d:
        return [signal.expand_as(x) / (x.shape[2] * x.shape[3])]
    raise NotImplementedError(f"{operation} in {node}")


def _windows(pool: nn.MaxPool2d, x: Tensor) -> Tensor:
    """Every window's values, (N, C, H', W', kernel * kernel), -inf outside the image."""
    return _cut(pool, x, float("-inf"))


def _cut(pool: nn.MaxPool2d, x: Tensor, outside: float) -> Tensor:
    kernel, stride, padding = int(pool.kernel_size), int(pool.stride), int(pool.padding)
    padded = F.pad(x, (padding,) * 4, value=outside)
    rows, columns = (_outputs(side, kernel, stride, padding, pool.ceil_mode) for side in x.shape[2:])
    grown = F.pad(padded, (0, kernel + stride, 0, kernel + stride), value=outside)
    out = x.new_empty(*x.shape[:2], rows, columns, kernel * kernel)
    for row in range(rows):
        for column in range(columns):
            window = grown[:, :, row * stride : row * stride + kernel, column * stride : column * stride + kernel]
            out[:, :, row, column] = window.flatten(2)
    return out


def _outputs(side: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    whole, rest = divmod(side + 2 * padding - kernel, stride)
    extra = ceil_mode and rest > 0 and (whole + 1) * stride < side + padding
    return whole + 1 + int(extra)


def _unpool(pool: nn.MaxPool2d, x: Tensor, signal: Tensor) -> Tensor:
    """Each window's signal to the first of its greatest values; overlapping windows add up."""
    places = torch.arange(x[0, 0].numel(), dtype=torch.float64).view(1, 1, *x.shape[2:]).expand_as(x)
    winners = _windows(pool, x).argmax(-1, keepdim=True)
    target = _cut(pool, places, -1.0).gather(-1, winners)[..., 0].long()  # (N, C, H', W'), flat places in x
    share = torch.zeros_like(x).flatten(2)
    return share.scatter_add(2, target.flatten(2), signal.flatten(2)).view_as(x)


def probability_signal(logits: Tensor, index: int) -> Tensor:
    """The derivative d probability / d logits, (K,): p_c (1 - p_c) for the class, - p_c p_k for the others."""
    probabilities = logits.double().softmax(0)
    signal = -probabilities[index] * probabilities
    signal[index] += probabilities[index]
    return signal


def integrated_gradients(
    net: nn.Module, x: Tensor, baseline: Tensor, quadrature: list[tuple[float, float]], index: int
) -> Tensor:
    """(x - b) * sum_k w_k * gradient of the class probability at b + a_k (x - b), (3, H, W)."""
    x, baseline = x.double(), baseline.double()
    total = torch.zeros_like(x)
    for node, weight in quadrature:
        point = baseline + node * (x - baseline)
        signal = probability_signal(logits_of(net, point), index)
        total += weight * backward(net, point, signal, "gradient")[1]
    return (x - baseline) * total


def logits_of(net: nn.Module, x: Tensor) -> Tensor:
    """The logits in float64, (K,)."""
    with torch.no_grad():
        return copy.deepcopy(net).double().eval()(x.double()[None])[0]


def shapley(game: Callable[[frozenset[int]], float], players: int) -> list[float]:
    """Shapley values: each player's gain on joining, averaged over all orders, counted by the set of earlier ones."""
    values = []
    for player in range(players):
        others = [each for each in range(players) if each != player]
        total = 0.0
        for size in range(players):
            share = factorial(size) * factorial(players - size - 1) / factorial(players)
            for earlier in map(frozenset, combinations(others, size)):
                total += share * (game(earlier | {player}) - game(earlier))
        values.append(total)
    return values


def lime(masks: NDArray[np.bool_], scores: NDArray[np.float64], width: float, ridge: float) -> NDArray[np.float64]:
    """The coefficients of LIME's linear model, by ordinary least squares of scaled and extended rows."""
    ones = np.ones(masks.shape[1])
    cosines = [(ones @ mask) / (np.linalg.norm(ones) * max(np.linalg.norm(mask), 1e-300)) for mask in masks * 1.0]
    roots = [math.sqrt(math.sqrt(math.exp(-((1 - each) ** 2) / width**2))) for each in cosines]
    rows = [[root, *(root * mask)] for root, mask in zip(roots, masks, strict=True)]
    penalty = math.sqrt(ridge) * np.eye(1 + masks.shape[1])[1:]
    targets = [*(root * score for root, score in zip(roots, scores, strict=True)), *np.zeros(masks.shape[1])]
    return np.linalg.lstsq(np.vstack([rows, penalty]), np.array(targets), rcond=None)[0][1:]


def attention(net: nn.Module, x: Tensor, index: int) -> list[tuple[Tensor, Tensor]]:
    """The weights of every layer's attention and the gradient of a logit with respect to them, both (heads, T, T).

    Args:
        net: Of `patches`, `first` (class token) or None, `places`, `blocks` with `before`, `qkv`, `out`, `after`, `mlp`
            and `heads`, and `head`, which reads the class token, or else the mean of all.
        x: (3, H, W).
        index: Of the logit.
    """
    net, kept = copy.deepcopy(net).double(), []
    tokens = net.patches(x.double()[None])[0].flatten(1).T  # (T, C)
    if net.first is not None:
        tokens = torch.cat([net.first[0], tokens])
    tokens = (tokens + net.places[0]).requires_grad_()
    for block in net.blocks:
        queries, keys, values = block.qkv(block.before(tokens)).split(tokens.shape[1], dim=1)
        mixed, side = [], tokens.shape[1] // block.heads
        for head in range(block.heads):
            part = slice(head * side, (head + 1) * side)
            powers = torch.exp(queries[:, part] @ keys[:, part].T / side**0.5)
            share = powers / powers.sum(1, keepdim=True)
            share.retain_grad()
            kept.append(share)
            mixed.append(share @ values[:, part])
        tokens = tokens + block.out(torch.cat(mixed, 1))
        tokens = tokens + block.mlp(block.after(tokens))
    net.head(tokens.mean(0) if net.first is None else tokens[0])[index].backward()
    layers = [kept[start : start + block.heads] for start in range(0, len(kept), block.heads)]
    return [
        (torch.stack([each.detach() for each in heads]), torch.stack([each.grad for each in heads])) for heads in layers
    ]


def rollout(layers: list[Tensor]) -> Tensor:
    """The product over layers of half the mean over heads and half the identity, (T, T)."""
    product = torch.eye(layers[0].shape[-1], dtype=torch.float64)
    for weights in layers:
        mean = sum(weights.double()) / len(weights)
        product = (mean / 2 + torch.eye(len(mean), dtype=torch.float64) / 2) @ product
    return product


def attention_relevance(layers: list[tuple[Tensor, Tensor]]) -> Tensor:
    """R - I, with R = I, then R + A R for every layer; A is the mean over heads of the positive products; (T, T)."""
    found = torch.eye(layers[0][0].shape[-1], dtype=torch.float64)
    for weights, gradients in layers:
        products = weights.double() * gradients.double()
        found = found + sum(torch.where(each > 0, each, 0.0) for each in products) / len(products) @ found
    return found - torch.eye(len(found), dtype=torch.float64)


def deep_lift(layers: list[tuple[Tensor, Tensor]], x: Tensor, baseline: Tensor, unit: int) -> Tensor:
    """The rescale rule in a chain of dense layers with rectifiers between them, unit by unit, (features,)."""
    inputs: list[tuple[Tensor, Tensor]] = []  # of each rectifier, for the photo and for the baseline
    at_x, at_b = x, baseline
    for weight, bias in layers:
        at_x, at_b = weight @ at_x + bias, weight @ at_b + bias
        inputs.append((at_x, at_b))
        at_x, at_b = at_x.clamp(min=0), at_b.clamp(min=0)
    multipliers = layers[-1][0][unit]
    for (weight, _), (z_x, z_b) in zip(layers[-2::-1], inputs[-2::-1], strict=True):
        rescaled = torch.zeros_like(multipliers)
        for place in range(len(multipliers)):
            difference = float(z_x[place] - z_b[place])
            risen = max(float(z_x[place]), 0.0) - max(float(z_b[place]), 0.0)
            slope = risen / difference if difference else float(z_x[place] > 0)
            rescaled[place] = multipliers[place] * slope
        multipliers = weight.T @ rescaled
    return multipliers * (x - baseline)


def max_pool_contributions(pool: nn.MaxPool2d, x: Tensor, baseline: Tensor) -> Tensor:
    """The change of each window's maximum, at the place of the larger of the two maxima, (H, W)."""
    total = torch.zeros_like(x)
    for row in range(0, x.shape[0] - pool.kernel_size + 1, pool.stride):
        for column in range(0, x.shape[1] - pool.kernel_size + 1, pool.stride):
            places = [(row + i, column + j) for i in range(pool.kernel_size) for j in range(pool.kernel_size)]
            of_x, of_b = max(places, key=lambda at: float(x[at])), max(places, key=lambda at: float(baseline[at]))
            total[of_x if x[of_x] >= baseline[of_b] else of_b] += x[of_x] - baseline[of_b]
    return total


def dense(layer: nn.Module, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A linear layer as matrix and bias, by sending every unit vector through it, (outputs, inputs), (outputs,)."""
    count = torch.Size(shape).numel()
    with torch.no_grad():
        bias = layer(torch.zeros(1, *shape, dtype=torch.float64)).flatten()
        columns = layer(torch.eye(count, dtype=torch.float64).view(count, *shape)).flatten(1)
    return (columns - bias).T, bias


def relevance(weight: Tensor, bias: Tensor, a: Tensor, above: Tensor, rule: str, epsilon: float = 0.0) -> Tensor:
    """Relevance of the inputs a of a dense layer, given that of its outputs, one output after the other.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,).
        a: (inputs,).
        above: (outputs,), their relevance.
        rule: "epsilon", "z_plus", "alpha2_beta1", "flat" or "box", for inputs in [0, 1].
        epsilon: Of the epsilon rule.
    """
    below = torch.zeros_like(a)
    for row, offset, share in zip(weight, bias, above, strict=True):
        if not share:
            continue
        flow = a * row
        positive, negative = flow.clamp(min=0), flow.clamp(max=0)
        whole = float(flow.sum() + offset)
        rise, fall = float(positive.sum() + offset.clamp(min=0)), float(negative.sum() + offset.clamp(max=0))
        if rule == "epsilon":
            part = flow / (whole + (-epsilon if whole < 0 else epsilon))
        elif rule == "z_plus":
            part = positive / rise if rise else 0 * flow
        elif rule == "alpha2_beta1":
            part = (2 * positive / rise if rise else 0 * flow) - (negative / fall if fall else 0 * flow)
        elif rule == "flat":
            part = (row != 0).double() / (row != 0).sum()
        else:
            distance = flow - row.clamp(max=0)  # from the most adverse colour: white where the weight is negative
            part = distance / distance.sum()
        below += share * part
    return below
