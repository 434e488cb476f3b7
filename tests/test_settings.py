"""Settings: one description for form, command line, URL and manifest."""

import json
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from attribution import BASELINES, METHODS, Gradient, IntegratedGradients, Refusal
from attribution.baselines.constant import Black, Constant, White
from attribution.photo.cells import Cells, CellsSetting
from attribution.settings import (
    Choice,
    ColourSetting,
    Configurable,
    LayerName,
    Number,
    Part,
    Setting,
    default,
    described,
    plain,
    read,
    restore,
    setting,
    write,
)

patient = hypothesis_settings(deadline=None)


@dataclass(frozen=True)
class Pair(Configurable):
    key: ClassVar[str] = "pair"
    title: ClassVar[str] = "Pair"

    first: float = setting(Number("A number.", 0.0, 1.0), 0.5)
    second: int = setting(Number("A whole number.", 0, 9), 1)


@dataclass(frozen=True)
class Sample(Configurable):
    key: ClassVar[str] = "sample"
    title: ClassVar[str] = "Sample"

    share: float = setting(Number("A number.", 0.0, 1.0), 0.5)
    count: int = setting(Number("A whole number.", -5, 5), 1)
    word: str = setting(Choice("A word.", ("red", "green")), "red")
    baseline: Configurable = setting(Part("A part.", BASELINES), Black())
    pair: Configurable = setting(Part("A part with two settings.", {"pair": Pair}), Pair())


SAMPLES = {"sample": Sample}


def contents(kind: Setting) -> st.SearchStrategy[Any]:
    match kind:
        case Number(low=low, high=high):
            return st.integers(int(low), int(high)) if kind.whole else st.floats(low, high)
        case Choice(options=options):
            return st.sampled_from(options)
        case ColourSetting():
            return st.tuples(*[st.floats(0, 1)] * 3)
        case LayerName():
            return st.text("abcxyz019_.", max_size=12)
        case CellsSetting():
            return st.binary(min_size=98, max_size=98).map(Cells)
        case Part(registry=registry):
            return st.one_of([values_of(cls) for cls in registry.values()])
    raise NotImplementedError(f"Say here what a {type(kind).__name__} may hold.")


def values_of(cls: type[Configurable], **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{name: contents(kind) for name, kind in described(cls).items()} | fixed)


def check_round_trip(value: Configurable, registry: dict[str, type[Any]]) -> None:
    assert restore(type(value), plain(value)) == value
    assert restore(type(value), json.loads(json.dumps(plain(value)))) == value
    text = write(value)
    assert read(text, registry) == value
    name, bracket, inside = text.partition("(")
    assert read(f"{name}:{inside[:-1]}" if bracket else f"{name}:", registry) == value


@pytest.mark.parametrize("key", BASELINES)
@patient
@given(data=st.data())
def test_integrated_gradients_survives_its_text_with_every_baseline(key: str, data: st.DataObject) -> None:
    methods = values_of(IntegratedGradients, baseline=values_of(BASELINES[key]))
    check_round_trip(data.draw(methods), METHODS)


@pytest.mark.parametrize("key", METHODS)
@patient
@given(data=st.data())
def test_every_method_survives_its_text(key: str, data: st.DataObject) -> None:
    check_round_trip(data.draw(values_of(METHODS[key])), METHODS)


@patient
@given(values_of(Sample))
def test_numbers_words_and_parts_survive_their_text(value: Sample) -> None:
    check_round_trip(value, SAMPLES)


def test_a_part_with_several_settings_keeps_them_apart_from_those_around_it() -> None:
    value = Sample(share=0.25, word="green", pair=Pair(0.75, 3))
    text = "sample(share=0.25,word=green,pair=pair(first=0.75,second=3))"
    assert write(value) == text
    assert read(text, SAMPLES) == value
    assert read("sample:pair=pair(first=0.75,second=3),word=green,share=0.25", SAMPLES) == value


@patient
@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_every_colour_survives_to_the_last_bit(colour: tuple[float, float, float]) -> None:
    value = IntegratedGradients(baseline=Constant(colour))
    found = restore(IntegratedGradients, plain(value)).baseline
    assert isinstance(found, Constant)
    assert found.colour == colour


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_a_colour_of_eight_bits_is_written_as_a_web_colour(levels: tuple[int, int, int]) -> None:
    red, green, blue = levels
    colour = (red / 255, green / 255, blue / 255)
    assert plain(Constant(colour)) == {"colour": f"#{red:02x}{green:02x}{blue:02x}"}


def test_only_what_differs_from_the_defaults_is_written() -> None:
    assert write(IntegratedGradients()) == "integrated_gradients"
    assert write(IntegratedGradients(steps=50)) == "integrated_gradients(steps=50)"
    value = IntegratedGradients(steps=50, baseline=Constant((1.0, 0.0, 0.0)))
    assert write(value) == "integrated_gradients(steps=50,baseline=constant(colour=#ff0000))"


def test_plain_values_are_complete() -> None:
    assert set(plain(IntegratedGradients())) == set(described(IntegratedGradients)) == {"steps", "baseline", "rule"}
    assert plain(Gradient()) == {}


def test_a_part_of_the_settings_restores_with_defaults() -> None:
    assert restore(IntegratedGradients, {"steps": 7}) == IntegratedGradients(steps=7)
    assert restore(IntegratedGradients, {}) == IntegratedGradients()


def test_the_default_of_a_setting_is_that_of_the_class() -> None:
    assert default(IntegratedGradients, "steps") == IntegratedGradients().steps
    assert default(IntegratedGradients, "baseline") == IntegratedGradients().baseline


@pytest.mark.parametrize(
    "text",
    [
        "integrated_gradients(steps=50,baseline=constant(colour=#808080),rule=left)",
        "integrated_gradients:steps=50,baseline=constant(colour=#808080),rule=left",
        "integrated_gradients:steps=50,baseline=constant:colour=#808080,rule=left",
        "integrated_gradients:steps=50,baseline=#808080,rule=left",
        "integrated_gradients(rule=left,baseline=#808080,steps=50)",
        "  integrated_gradients( steps = 50 , baseline = #808080 , rule = left )  ",
        "integrated_gradients(steps=5e1,baseline=#808080,rule=left)",
        f"integrated_gradients(steps=50.0,baseline=constant(colour={128 / 255}/{128 / 255}/{128 / 255}),rule=left)",
    ],
)
def test_all_spellings_of_one_value_are_equal(text: str) -> None:
    grey = Constant((128 / 255, 128 / 255, 128 / 255))
    assert read(text, METHODS) == IntegratedGradients(steps=50, baseline=grey, rule="left")


@pytest.mark.parametrize("text", ["gradient", "gradient()", "gradient:", " gradient "])
def test_a_name_alone_takes_all_defaults(text: str) -> None:
    assert read(text, METHODS) == Gradient()


@pytest.mark.parametrize(("text", "colour"), [("#808080", 128), ("#00FF7f", (0, 255, 127)), (" #000000 ", 0)])
def test_a_web_colour_alone_is_a_constant_baseline(text: str, colour: int | tuple[int, int, int]) -> None:
    levels = (colour,) * 3 if isinstance(colour, int) else colour
    found = read(text, BASELINES)
    assert isinstance(found, Constant)
    assert found.colour == pytest.approx([level / 255 for level in levels])


@pytest.mark.parametrize(
    ("text", "value", "remedy"),
    [
        ("nonsense", "'nonsense'", "integrated_gradients"),
        ("", "''", "choose one of"),
        ("(steps=5)", "''", "choose one of"),
        ("IntegratedGradients", "'IntegratedGradients'", "integrated_gradients"),
        ("integrated_gradients(step=5)", "'step'", "it has steps, baseline, rule"),
        ("gradient(steps=5)", "'steps'", "it has no settings"),
        ("integrated_gradients(steps)", "'steps'", "write steps=value"),
        ("integrated_gradients:baseline", "'baseline'", "write baseline=value"),
        ("integrated_gradients(steps=5", "'integrated_gradients(steps=5'", "integrated_gradients(setting=value)"),
        ("integrated_gradients(baseline=constant(colour=#808080)", "Missing closing parenthesis", "(setting=value)"),
        ("integrated_gradients(steps=0)", "got 0", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=-3)", "got -3", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=1001)", "got 1001", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=2.5)", "got 2.5", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=many)", "got 'many'", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=)", "got ''", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=True)", "got 'True'", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=nan)", "got nan", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=inf)", "got inf", "a whole number from 1 to 1000"),
        ("integrated_gradients(steps=-inf)", "got -inf", "a whole number from 1 to 1000"),
        ("integrated_gradients(rule=simpson)", "'simpson'", "midpoint"),
        ("integrated_gradients(rule=)", "''", "midpoint"),
        ("integrated_gradients(baseline=blue)", "'blue'", "black"),
        ("integrated_gradients(baseline=#12345)", "'#12345'", "#808080"),
        ("integrated_gradients(baseline=#gggggg)", "'#gggggg'", "#808080"),
        ("integrated_gradients(baseline=black(colour=#000000))", "'colour'", "it has no settings"),
        ("integrated_gradients(baseline=constant(colour=0.5))", "'0.5'", "three numbers from 0 to 1"),
        ("integrated_gradients(baseline=constant(colour=0/0/1.5))", "1.5", "three numbers from 0 to 1"),
        ("integrated_gradients(baseline=constant(colour=0/nan/0))", "nan", "three numbers from 0 to 1"),
        ("integrated_gradients(baseline=constant(colour=inf/0/0))", "inf", "three numbers from 0 to 1"),
        ("integrated_gradients(baseline=constant(colour=-0.1/0/0))", "-0.1", "three numbers from 0 to 1"),
    ],
)
def test_a_wrong_text_is_refused_with_its_value_and_the_remedy(text: str, value: str, remedy: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(text, METHODS)
    sentence = str(caught.value)
    assert value in sentence
    assert remedy in sentence
    assert sentence.endswith(".")
    assert not sentence.endswith("..")


@pytest.mark.parametrize(
    ("cls", "name", "content"),
    [
        *[
            (IntegratedGradients, "steps", content)
            for content in (0, 1001, -1, 2.5, True, "25", None, [25], float("nan"), float("inf"), 10**400)
        ],
        *[(IntegratedGradients, "baseline", content) for content in (Black, None, Gradient(), 0)],
        *[(IntegratedGradients, "rule", content) for content in ("simpson", "", None, 3, True, ["midpoint"])],
        *[
            (Constant, "colour", content)
            for content in (
                (0.5, 0.5),
                (0.5,) * 4,
                (0.0, 0.0, 1.01),
                (-0.01, 0.0, 0.0),
                (float("nan"), 0.0, 0.0),
                (0.0, float("inf"), 0.0),
                (None, 0.0, 0.0),
                (True, False, True),
                ("0", "0", "1"),
                0.5,
                None,
                "grey",
                "100",
            )
        ],
        *[(Sample, "share", content) for content in (-0.01, 1.01, float("nan"), float("-inf"), False, "0.5", None)],
    ],
)
def test_a_wrong_value_is_refused_with_the_value_and_the_range(
    cls: type[Configurable], name: str, content: object
) -> None:
    with pytest.raises(Refusal) as caught:
        cls(**{name: content})
    sentence = str(caught.value)
    assert sentence.startswith(f"{cls.title}: {name} must be {described(cls)[name].range}")
    assert sentence.endswith(f"got {content!r}.")


def test_a_text_that_the_refusal_of_a_colour_asks_for_is_taken() -> None:
    with pytest.raises(Refusal, match="must be a colour such as #808080"):
        Constant("grey")  # type: ignore[arg-type]
    assert Constant("#808080") == read("#808080", BASELINES)  # type: ignore[arg-type]


def test_an_unknown_setting_is_refused_when_restored() -> None:
    with pytest.raises(Refusal, match=r"Integrated gradients has no setting 'colour'; it has steps, baseline, rule\."):
        restore(IntegratedGradients, {"steps": 5, "colour": "#808080"})


def test_values_are_stored_in_their_proper_type() -> None:
    steps = IntegratedGradients(steps=25.0).steps  # type: ignore[arg-type]
    assert type(steps) is int
    assert type(Sample(share=1).share) is float
    colour = Constant([0, 0, 1]).colour  # type: ignore[arg-type]
    assert type(colour) is tuple
    assert [type(part) for part in colour] == [float] * 3


def test_both_ends_of_a_range_are_allowed() -> None:
    assert IntegratedGradients(steps=1).steps == 1
    assert IntegratedGradients(steps=1000).steps == 1000


@pytest.mark.parametrize("value", [IntegratedGradients(), Gradient(), Constant((0.1, 0.2, 0.3)), Black()])
def test_values_are_frozen(value: Any) -> None:
    for name in [*described(type(value)), "title"]:
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, getattr(value, name))


def test_equal_values_are_one_key_and_different_values_are_not() -> None:
    found = {
        IntegratedGradients(baseline=Constant((0.0, 0.0, 0.0))): "colour",
        IntegratedGradients(baseline=Black()): "black",
        IntegratedGradients(baseline=White()): "white",
        IntegratedGradients(steps=26): "steps",
        Gradient(): "gradient",
    }
    assert len(found) == 5
    assert found[IntegratedGradients(steps=26.0)] == "steps"  # type: ignore[arg-type]
    assert found[IntegratedGradients(baseline=Constant((0, 0, 0)))] == "colour"


@pytest.mark.parametrize("cls", [*METHODS.values(), *BASELINES.values()])
def test_every_setting_has_a_help_a_range_and_an_allowed_default(cls: type[Configurable]) -> None:
    for name, kind in described(cls).items():
        assert kind.help.endswith(".")
        assert kind.range
        assert kind.check(default(cls, name)) == default(cls, name)
