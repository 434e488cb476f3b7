"""The graph of a forward pass, and the dominators of the image: nodes that every path from the logits to it passes.

The output of a residual block is one; what a skip connection bypasses, such as a projection inside an attention, is
not.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor


def ordered(root: Any) -> list[Any]:
    """Return all nodes of a graph, every node before those that it leads to.

    Args:
        root: The autograd node of the logits.
    """
    uses, waiting = {root: 0}, [root]
    while waiting:
        for following in _following(waiting.pop()):
            if following not in uses:
                uses[following] = 0
                waiting.append(following)
            uses[following] += 1
    order, waiting = [], [root]
    while waiting:
        order.append(waiting.pop())
        for following in _following(order[-1]):
            uses[following] -= 1
            if not uses[following]:
                waiting.append(following)
    return order


def dominators(order: list[Any], x: Tensor) -> set[Any]:
    """Return the nodes that all paths from the logits to the image pass, both ends included.

    Args:
        order: Nodes, as returned by `ordered`.
        x: (N, 3, H, W), a leaf of the graph.
    """
    place = {node: index for index, node in enumerate(order)}
    users: list[list[int]] = [[] for _ in order]
    nearest: list[int] = []  # the nearest dominator of every node
    for index, node in enumerate(order):
        nearest.append(_common_dominator(users[index], nearest))
        for following in _following(node):
            users[place[following]].append(index)
    found = [index for index, node in enumerate(order) if getattr(node, "variable", None) is x]
    while found and found[-1]:
        found.append(nearest[found[-1]])
    return {order[index] for index in found}


def leading_to(order: list[Any], test: Callable[[Any], object]) -> set[Any]:
    """Return the nodes that pass a test, or lead to one that does.

    Args:
        order: Nodes, as returned by `ordered`.
        test: Function of a node.
    """
    found = set[Any]()
    for node in reversed(order):
        if test(node) or any(following in found for following in _following(node)):
            found.add(node)
    return found


def _following(node: Any) -> list[Any]:
    return [following for following, _ in node.next_functions if following is not None]


def _common_dominator(users: list[int], nearest: list[int]) -> int:
    """Return the nearest common dominator of several nodes; the root is 0 (Cooper et al. 2001)."""
    if not users:
        return 0
    first = users[0]
    for other in users[1:]:
        while first != other:
            first, other = (nearest[first], other) if first > other else (first, nearest[other])
    return first
