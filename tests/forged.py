"""Forged messages: states of widgets and components that no page of ours sends."""

import json
import random
from collections.abc import Iterator
from typing import Any

from streamlit.proto.WidgetStates_pb2 import WidgetState

NUMBERS = (0.0, -1.0, 1.0, 0.5, 99.0, 1e9, -1e300, float("nan"), float("inf"))
WHOLES = (0, 1, -1, 7, 999, 1000, 2**31, -(2**60))
TEXTS = (
    "",
    "gradient",
    "black",
    "nonsense",
    "\0",
    "../../etc/passwd",
    "a" * 5000,
    "<b>",
    "![x](http://a)",
    "12",
    "nan",
)
JSONS: tuple[Any, ...] = (
    None,
    7,
    "text",
    [],
    {},
    {"pixel": {}},
    {"pixel": {"y": 3}},
    {"pixel": {"x": "3", "y": [4]}},
    {"pixel": {"x": 1e9, "y": -5}},
    {"pixel": {"x": float("nan"), "y": 3}},
    {"pixel": [1, 2]},
    {"place": {"across": "left", "down": 0}},
    {"place": {"across": 7, "down": -3, "size": 0.5}},
    {"place": {"across": float("nan"), "down": float("inf")}},
    {"place": {"down": 0.5}},
    {"place": {"across": 0.5, "down": 0.5, "size": "fit"}},
    {"place": {"across": 0.5, "down": 0.5, "size": float("nan")}},
    {"place": {"across": 0.5, "down": 0.5, "size": 1e-9}},
    {"place": {"across": 0.5, "down": 0.5, "size": [0.5]}},
    {"place": 5},
    {"choice": {"place": 98}},
    {"move": {"by": 7}},
    {"vote": {"letter": "z"}},
    {"changed": {"x": [9, 9], "into": [], "out": [1], "skip": None, "restored": 0}},
    {"changed": {"x": 1e9, "baseline": 0, "steps": -1, "restored": 0}},
    {"export": {}},
    {"export": {"zoom": "1,2"}},
    {"export": {"zoom": 5, "view": ["heat"]}},
    {"export": {"clip": "1e999", "view": "nonsense"}},
    {"export": "all"},
    {"share": {}},
    {"share": {"zoom": "nan,0,1", "photo": "shared:x"}},
    {"share": ["view"]},
    {"tab": {}},
    {"tab": {"number": 5}},
    {"tab": {"number": "a" * 5000}},
    {"tab": {"number": "0" * 32}},
    {"tab": "0" * 32},
    {"poll": "soon"},
    {"poll": {"number": []}},
    {"place": {"across": 10**400, "down": 0.5, "size": None}},
    {"selection": None},
    {"selection": {"points": [{"point_index": 10**400, "x": 10**400}], "point_indices": [0], "box": [], "lasso": []}},
    {"selection": {"points": 5}},
    {"selection": {"points": [{}], "point_indices": ["a"], "box": [], "lasso": []}},
    {"selection": {"points": [{"point_index": 99, "x": "far"}], "point_indices": [99], "box": [], "lasso": []}},
    {"selection": {"points": [{"point_index": "0", "x": None}], "point_indices": [0], "box": [], "lasso": []}},
    {"selection": {"points": [{"point_index": 1, "x": float("nan")}], "point_indices": [0], "box": [], "lasso": []}},
)


def forged(ids: list[str], chance: random.Random) -> Iterator[WidgetState]:
    """Yield states without end, each of one of these widgets."""
    while True:
        state = WidgetState(id=chance.choice(ids))
        kind = chance.choice([field.name for field in WidgetState.DESCRIPTOR.fields if field.name != "id"])
        if kind in ("trigger_value", "bool_value"):
            setattr(state, kind, chance.random() < 0.5)
        elif kind == "double_value":
            state.double_value = chance.choice(NUMBERS)
        elif kind == "int_value":
            state.int_value = chance.choice(WHOLES)
        elif kind == "string_value":
            state.string_value = chance.choice((*TEXTS, *map(json.dumps, JSONS)))
        elif kind == "double_array_value":
            state.double_array_value.data.extend(chance.choices(NUMBERS, k=chance.randrange(4)))
        elif kind == "int_array_value":
            state.int_array_value.data.extend(chance.choices(WHOLES, k=chance.randrange(4)))
        elif kind == "string_array_value":
            state.string_array_value.data.extend(chance.choices(TEXTS, k=chance.randrange(4)))
        elif kind in ("json_value", "json_trigger_value"):
            setattr(state, kind, chance.choice((json.dumps(chance.choice(JSONS)), "{", "")))
        elif kind == "bytes_value":
            state.bytes_value = b"\xff\0"
        elif kind == "string_trigger_value":
            state.string_trigger_value.data = chance.choice(TEXTS)
        elif kind == "file_uploader_state_value":
            file = state.file_uploader_state_value.uploaded_file_info.add()
            file.file_id, file.name, file.size = chance.choice(TEXTS), chance.choice(TEXTS), chance.choice((0, 5))
        else:
            getattr(state, kind).SetInParent()
        yield state
