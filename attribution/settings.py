"""Settings: their ranges, help texts and text forms.

One declaration serves the forms, the command line, links and manifests. A value with settings is a frozen dataclass;
its text form is `name(setting=value,...)`, such as `integrated_gradients(steps=50,baseline=constant(colour=#808080))`.
On the command line, where parentheses need quoting, a colon may replace the outermost pair:
`integrated_gradients:steps=50,baseline=white`.
"""

import dataclasses
import hashlib
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import quote, unquote

from attribution.refusal import Refusal

SAFE_IN_TEXT = "/@"  # characters of a text that stay unescaped in text forms
AUTO = "auto"  # the method chooses the number
Colour = tuple[float, float, float]  # red, green, blue in [0, 1]


@dataclass(frozen=True)
class Setting(ABC):
    """A kind of setting: the values that a field may have.

    Attributes:
        help: One or two sentences.
        shown: True if forms show it; if not, only links, code and the command line set it. Default: True.
        name: Name in forms. Default: that of the field, with spaces and a capital letter.
    """

    help: str
    shown: bool = field(default=True, kw_only=True)
    name: str = field(default="", kw_only=True)

    def named(self, field_name: str) -> str:
        """Return the name in forms of a field with this setting."""
        return self.name or field_name.replace("_", " ").capitalize()

    @property
    @abstractmethod
    def range(self) -> str:
        """The allowed values, worded to follow "must be"."""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """Return the value in its proper type, or raise a Refusal that starts with "must be"."""

    @abstractmethod
    def read(self, text: str) -> Any:
        """Parse a text into a value, which `check` must still validate."""

    @abstractmethod
    def plain(self, value: Any) -> int | float | str:
        """Return a value in JSON-compatible form."""

    def _refuse(self, value: Any) -> Refusal:
        return Refusal(f"must be {self.range}, got {value!r}")


@dataclass(frozen=True)
class Number(Setting):
    """A number in a closed range; an integer if both ends are integers."""

    low: float
    high: float

    @property
    def whole(self) -> bool:
        """True if only integers are allowed."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def range(self) -> str:
        if self.whole:
            return f"a whole number from {self.low} to {self.high}"
        return f"a number from {self.low:g} to {self.high:g}"

    def check(self, value: Any) -> int | float:
        try:
            number = float(value)
            clean = int(value) if self.whole else number
        except (TypeError, ValueError, OverflowError):
            raise self._refuse(value) from None
        if isinstance(value, bool | str) or not self.low <= number <= self.high or clean != number:
            raise self._refuse(value)
        return clean

    def read(self, text: str) -> int | float | str:
        for kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        return text

    def plain(self, value: Any) -> int | float | str:
        return int(value) if self.whole else float(value)


@dataclass(frozen=True)
class AutomaticNumber(Number):
    """A number, or "auto"."""

    @property
    def range(self) -> str:
        return f"{super().range}, or {AUTO}"

    def check(self, value: Any) -> Any:
        return AUTO if isinstance(value, str) and value == AUTO else super().check(value)

    def plain(self, value: Any) -> int | float | str:
        return AUTO if value == AUTO else super().plain(value)


@dataclass(frozen=True)
class OptionalNumber(Number):
    """A number, or None; its text is empty for None. Forms do not show it."""

    @property
    def range(self) -> str:
        return f"{super().range}, or empty"

    def check(self, value: Any) -> Any:
        return None if value is None else super().check(value)

    def read(self, text: str) -> Any:
        return super().read(text) if text else None

    def plain(self, value: Any) -> int | float | str:
        return "" if value is None else super().plain(value)


@dataclass(frozen=True)
class Choice(Setting):
    """One of several options.

    Attributes:
        options: The options.
        labels: Labels for display, by option. Default: the option with spaces and a capital letter.
    """

    options: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def range(self) -> str:
        return f"one of {', '.join(self.options)}"

    def label(self, option: str) -> str:
        """Return the label of an option."""
        return self.labels.get(option, option.replace("_", " ").capitalize())

    def check(self, value: Any) -> str:
        if value not in self.options:
            raise self._refuse(value)
        return str(value)

    def read(self, text: str) -> str:
        return text

    def plain(self, value: Any) -> str:
        return str(value)


@dataclass(frozen=True)
class ColourSetting(Setting):
    """A colour; its text is `#rrggbb`, or `r/g/b` in [0, 1] if eight bits are not exact."""

    @property
    def range(self) -> str:
        return "a colour such as #808080, or three numbers from 0 to 1"

    def check(self, value: Any) -> Colour:
        parts = self.read(value) if isinstance(value, str) else value
        try:
            red, green, blue = (float(part) for part in parts if not isinstance(part, bool | str))
        except (TypeError, ValueError):
            raise self._refuse(value) from None
        if not all(0 <= part <= 1 for part in (red, green, blue)):
            raise self._refuse(value)
        return red, green, blue

    def read(self, text: str) -> Colour | str:
        if re.fullmatch("#[0-9a-fA-F]{6}", text):
            return int(text[1:3], 16) / 255, int(text[3:5], 16) / 255, int(text[5:7], 16) / 255
        try:
            red, green, blue = (float(part) for part in text.split("/"))
        except ValueError:
            return text
        return red, green, blue

    def plain(self, value: Any) -> str:
        eight_bits = "#" + "".join(f"{round(part * 255):02x}" for part in value)
        return eight_bits if self.read(eight_bits) == value else "/".join(repr(part) for part in value)


@dataclass(frozen=True)
class Text(Setting):
    """Any text, such as the name of a photo; percent-encoded in the text form."""

    @property
    def range(self) -> str:
        return "text"

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise self._refuse(value)
        return value

    def read(self, text: str) -> str:
        return unquote(text)

    def plain(self, value: Any) -> str:
        return quote(value, safe=SAFE_IN_TEXT, errors="replace")


@dataclass(frozen=True)
class Texts(Setting):
    """Several texts; `~` separates them in the text form.

    Attributes:
        most: Largest number of texts.
    """

    most: int

    @property
    def range(self) -> str:
        return f"at most {self.most} texts"

    def check(self, value: Any) -> tuple[str, ...]:
        texts = (value,) if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or len(texts) > self.most:
            raise self._refuse(value)
        if not all(isinstance(text, str) for text in texts):
            raise self._refuse(value)
        return tuple(texts)

    def read(self, text: str) -> tuple[str, ...]:
        return tuple(unquote(each) for each in text.split(Several.SEPARATOR) if each)

    def plain(self, value: Any) -> str:
        return Several.SEPARATOR.join(
            quote(each, safe=SAFE_IN_TEXT, errors="replace").replace("~", "%7E") for each in value
        )


@dataclass(frozen=True)
class LayerName(Text):
    """The name of a layer of the network, or nothing for the usual one."""

    @property
    def range(self) -> str:
        return "the name of a layer, such as layer4.1"


@dataclass(frozen=True)
class Index(Setting):
    """A class index, or None; its text is empty for None."""

    @property
    def range(self) -> str:
        return "a class index; use model.find_class for a name"

    def check(self, value: Any) -> int | None:
        if value is None:
            return None
        try:
            if isinstance(value, bool):
                raise TypeError
            return operator.index(value)  # accepts numpy integers
        except TypeError:
            raise self._refuse(value) from None

    def read(self, text: str) -> int | str | None:
        if text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 10:
            return int(text)
        return text or None

    def plain(self, value: Any) -> int | str:
        return "" if value is None else int(value)


@dataclass(frozen=True)
class Indices(Setting):
    """Several different class indices; their text is `281/207`.

    Attributes:
        most: Largest number of indices.
    """

    most: int

    @property
    def range(self) -> str:
        return f"at most {self.most} different class indices, such as 281/207"

    def check(self, value: Any) -> tuple[int, ...]:
        if not isinstance(value, list | tuple):
            raise self._refuse(value)
        indices = [Index(self.help).check(each) for each in value]
        found = tuple(index for index in indices if index is not None)
        if len(set(found)) < len(value) or len(value) > self.most:
            raise self._refuse(value)
        return found

    def read(self, text: str) -> tuple[int | str | None, ...]:
        return tuple(map(Index(self.help).read, text.split("/"))) if text else ()

    def plain(self, value: Any) -> str:
        return "/".join(map(str, value))


@dataclass(frozen=True)
class Part(Setting):
    """A value with its own settings from a registry, such as a baseline."""

    registry: Mapping[str, type["Configurable"]]

    @property
    def range(self) -> str:
        return f"one of {', '.join(self.registry)}"

    def check(self, value: Any) -> "Configurable":
        if isinstance(value, str):
            return self.read(value)
        if not isinstance(value, Configurable) or type(value) not in self.registry.values():
            raise self._refuse(value)
        return value

    def read(self, text: str) -> "Configurable":
        return read(text, self.registry)

    def plain(self, value: Any) -> str:
        return write(value, full=True)


@dataclass(frozen=True)
class Several(Setting):
    """Several values with their own settings from one registry, such as methods; `~` separates their texts."""

    registry: Mapping[str, type["Configurable"]]

    SEPARATOR: ClassVar[str] = "~"

    @property
    def range(self) -> str:
        return f"any of {', '.join(self.registry)}"

    def check(self, value: Any) -> tuple["Configurable", ...]:
        try:
            values = self.read(value) if isinstance(value, str) else tuple(value)
        except TypeError:
            raise self._refuse(value) from None
        return tuple(Part(self.help, self.registry).check(each) for each in values)

    def read(self, text: str) -> tuple["Configurable", ...]:
        return tuple(read(each, self.registry) for each in text.split(self.SEPARATOR) if each.strip())

    def plain(self, value: Any) -> str:
        return self.SEPARATOR.join(map(write, value))


def setting(kind: Setting, default: Any) -> Any:
    """Declare a field of a `Configurable` with its kind and its default."""
    return dataclasses.field(default=default, metadata={"setting": kind})


@dataclass(frozen=True)
class Configurable(ABC):
    """A value whose fields are settings, validated on construction.

    Raises:
        Refusal: If a field is out of its range.
    """

    key: ClassVar[str]  # snake_case, unique in its registry
    title: ClassVar[str]  # for display

    def __post_init__(self) -> None:
        """Validate every field and store it in its proper type."""
        for name, kind in described(type(self)).items():
            try:
                clean = kind.check(getattr(self, name))
            except Refusal as refusal:
                raise Refusal(f"{self.title}: {name.replace('_', ' ')} {refusal}.") from None
            object.__setattr__(self, name, clean)

    @classmethod
    def shorthand(cls, text: str) -> Self | None:
        """Parse a short text form without the name; return None if the text is not one."""
        del text
        return None


C = TypeVar("C", bound=Configurable)


@cache
def described(cls: type[Configurable]) -> Mapping[str, Setting]:
    """Return the settings of a class by field name, in the order of definition."""
    return {field.name: field.metadata["setting"] for field in dataclasses.fields(cls)}


def default(cls: type[Configurable], name: str) -> Any:
    """Return the default of one field."""
    return next(field.default for field in dataclasses.fields(cls) if field.name == name)


def plain(value: Configurable) -> dict[str, int | float | str]:
    """Return all settings of a value in JSON-compatible form.

    Returns:
        Numbers or texts by field name; `restore` is the inverse.
    """
    return {name: kind.plain(getattr(value, name)) for name, kind in described(type(value)).items()}


def shown(value: Configurable) -> dict[str, str]:
    """Return the settings of a value that forms show as texts, by field name; those of its parts in parentheses."""
    texts = {}
    for name, kind in described(type(value)).items():
        content = getattr(value, name)
        if kind.shown and isinstance(kind, Part):
            inside = ",".join(f"{part}={text}" for part, text in shown(content).items())
            texts[name] = f"{content.key}({inside})" if inside else content.key
        elif kind.shown:
            texts[name] = str(kind.plain(content))
    return texts


def summary(value: Configurable) -> str:
    """Format the settings that forms show on one line, without empty ones."""
    return ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in shown(value).items() if text)


def restore(cls: type[C], fields: Mapping[str, Any]) -> C:
    """Create a value from plain settings; missing ones take their defaults.

    Raises:
        Refusal: If a setting is unknown or out of its range.
    """
    known = described(cls)
    values = {}
    for name, content in fields.items():
        if name not in known:
            offered = f"it has {', '.join(known)}" if known else "it has no settings"
            raise Refusal(f"{cls.title} has no setting {name!r}; {offered}.")
        values[name] = known[name].read(str(content))
    return cls(**values)


def write(value: Configurable, full: bool = False) -> str:
    """Return the text form of a value: its key and the settings that differ from their defaults, or all settings."""
    inside = ",".join(
        f"{name}={content}"
        for name, content in plain(value).items()
        if full or getattr(value, name) != default(type(value), name)
    )
    return f"{value.key}({inside})" if inside else value.key


def digest(*parts: object) -> str:
    """Return the SHA-256 of values (with all their settings) and texts, for use as a cache key."""
    texts = (write(part, full=True) if isinstance(part, Configurable) else str(part) for part in parts)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def read(text: str, registry: Mapping[str, type[C]]) -> C:
    """Create a value from its text form.

    Args:
        text: `name`, `name(setting=value,...)` or `name:setting=value,...`.
        registry: Classes by key.

    Raises:
        Refusal: If the name or a setting is unknown, or a value is out of its range.
    """
    text = text.strip()
    for cls in registry.values():
        if (value := cls.shorthand(text)) is not None:
            return value
    name, opening, inside = re.fullmatch(r"([^(:]*)([(:]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    name = name.strip()
    if name not in registry:
        raise Refusal(f"Unknown name {name!r}; choose one of {', '.join(registry)}.")
    if opening == "(":
        if not inside.endswith(")"):
            raise Refusal(f"Missing closing parenthesis in {text!r}; write {name}(setting=value).")
        inside = inside[:-1]
    fields: dict[str, str] = {}
    for argument in _arguments(inside):
        field, equals, content = (part.strip() for part in argument.partition("="))
        if not equals:
            raise Refusal(f"The setting {field!r} of {name} has no value; write {field}=value.")
        if field in fields:
            raise Refusal(f"The setting {field!r} of {name} is given twice; keep one.")
        fields[field] = content
    return restore(registry[name], fields)


def _arguments(inside: str) -> list[str]:
    """Split at commas outside parentheses."""
    found, depth = [""], 0
    for letter in inside:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return [argument for argument in found if argument.strip()]
