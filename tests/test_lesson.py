"""The lesson without a browser: its texts in all languages, its code, its stated answers, and its figures."""

import contextlib
import io
import re
import shutil
from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Formatter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import attribution as at
from attribution.lesson.chapter import LETTERS, STEPS, Chapter
from attribution.lesson.chapters import CHAPTERS
from attribution.lesson.chapters.covering import Covering
from attribution.lesson.chapters.doubt import LETTERS as MEASURED
from attribution.lesson.chapters.guided import Guided
from attribution.lesson.chapters.nothing import Nothing
from attribution.lesson.chapters.one_score import OneScore
from attribution.lesson.chapters.path import Path as PathChapter
from attribution.lesson.chapters.saturation import STEPS as EXACT_STEPS
from attribution.lesson.chapters.slope import Slope
from attribution.lesson.chapters.speckle import Speckle
from attribution.lesson.figure import Figure
from attribution.lesson.patch import PATCHES, patch, place_of, strongest
from attribution.lesson.saturation import integrated
from attribution.lesson.subject import Subject
from attribution.lesson.three_neurons import INTO, NO_SKIP, OUT, rules
from attribution.refusal import Refusal
from attribution.settings import Choice, described, read, write
from attribution.system.assets import asset
from attribution.ui.address import parse
from attribution.ui.figure import ends
from attribution.ui.handout import made
from attribution.ui.lessons.lesson import Lesson, language_of
from attribution.ui.lessons.text import FOLDER, languages

PARTS = {"title", "idea", "question", *LETTERS, "look", "answer", "reading", "misconception", "cannot", "say"}
NUMBER = re.compile("[\u2212-]?\\d+(?:[.,]\\d+)?(?:/\\d+)?")
LINK = re.compile(r"https?://[^\s)]+")
# The lines that each chapter's code prints with the default sample as dog.jpg.
PRINTED = {
    "one_score": [
        "German shepherd 0.997 15.3",
        "red wolf 0.001 9.8",
        "malinois 0.001 6.7",
        "kelpie 0.000 0.7",
        "dingo 0.000 0.3",
        "0.997 0.809",
    ],
    "slope": ["0.01: line -0.06, curve -0.05", "0.3: line -1.71, curve -3.50"],
    "speckle": ["49% of the pixels change their sign"],
    "guided": ["score 3.0, guided [2. 2.]", "score 2.9, guided [2. 2.]"],
    "zeiler_fergus": [f"{x} [-2.  6.]" for x in ((2.0, 1.0), (1.0, 2.0), (-2.0, 1.0), (-2.0, -3.0))],
    "saturation": ["Gradient 0.00", "Integrated gradients 1.00"],
    "path": [
        "1 steps: sum 0.172, difference 0.997",
        "2 steps: sum 3.059, difference 0.997",
        "5 steps: sum 1.035, difference 0.997",
        "25 steps: sum 0.998, difference 0.997",
        "100 steps: sum 1.002, difference 0.997",
    ],
    "nothing": ["Black 0.0", "White 1.0"],
    "covering": ["+0", "-1"],
    "doubt": ["Gradient 0.13", "Guided backpropagation 0.29", "Integrated gradients 0.35"],
}


@pytest.fixture(scope="module")
def subject(squeezenet: at.Model, shepherd: Tensor) -> Subject:
    return Subject(squeezenet, shepherd)


@pytest.fixture(scope="module")
def figures(subject: Subject) -> dict[str, Figure]:
    """The figures of the answers."""
    return {key: kind.at(3).figure(None if kind.sandbox else subject) for key, kind in CHAPTERS.items()}


def texts(value: object, name: str = "") -> dict[str, str]:
    """All texts of a language by their places."""
    if isinstance(value, str):
        return {name: value}
    found = {}
    for key, each in (value if isinstance(value, Mapping) else vars(value)).items():
        found |= texts(each, f"{name}/{key}")
    return found


def fields(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def test_all_languages_have_the_same_keys_placeholders_numbers_and_links() -> None:
    found = {key: texts(each) for key, each in languages().items()}
    english = found.pop("en")
    assert "zh" in found
    assert {path.name for path in FOLDER.iterdir() if (path / "page.toml").exists()} == set(languages())
    for each in found.values():
        translated = {name: text for name, text in each.items() if not name.startswith("/names/")}
        assert translated.keys() == english.keys()
        for name, text in english.items():
            if name == "/key":
                continue
            assert fields(text) == fields(translated[name]), name
            assert sorted(NUMBER.findall(text)) == sorted(NUMBER.findall(translated[name])), name
            assert LINK.findall(text) == LINK.findall(translated[name]), name
            assert translated[name].strip() or not text.strip(), name


def test_a_language_is_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FOLDER / "en", tmp_path / "en")
    shutil.copytree(FOLDER / "en", tmp_path / "eo")
    monkeypatch.setattr("attribution.ui.lessons.text.FOLDER", tmp_path)
    languages.cache_clear()
    try:
        assert list(languages()) == ["en", "eo"]
        assert language_of("eo-EO") == "eo"
        assert language_of("de") == "en"
    finally:
        monkeypatch.undo()
        languages.cache_clear()


@pytest.mark.parametrize("key", CHAPTERS)
def test_a_chapter_is_complete(key: str, figures: dict[str, Figure]) -> None:
    kind, figure = CHAPTERS[key], figures[key]
    shown = [setting for setting in described(kind).values() if setting.shown]
    assert len(shown) + kind.picks_photo <= (3 if kind.sandbox == "three_neurons" else 2)  # both inputs are one control
    assert len(kind.code.splitlines()) <= 20
    assert kind.right in ("", *LETTERS)
    assert all(isinstance(kind.at(step), kind) for step in range(1, len(STEPS) + 1))
    for language in languages().values():
        text = language.chapters[key]
        assert set(text.parts) == PARTS
        names = [picture.name for picture in figure.pictures]
        if figure.chart:
            names += [figure.chart.across, figure.chart.up, *(series.name for series in figure.chart.series)]
        assert set(names) <= set(text.captions)
        assert set(kind.hidden) <= set(text.captions)
        for sentence in (text.parts["answer"], *text.captions.values()):
            assert set(fields(sentence)) <= set(figure.facts), sentence
        used = {name for sentence in (text.parts["answer"], *text.captions.values()) for name in fields(sentence)}
        assert used == set(figure.facts)
        if not kind.sandbox:
            assert {name for name, setting in described(kind).items() if setting.shown} <= set(text.controls)
        for name, labels in text.options.items():
            setting = described(kind)[name]
            assert isinstance(setting, Choice)
            assert set(labels) == set(setting.options)


@pytest.mark.parametrize("key", CHAPTERS)
def test_the_code_runs_as_shown(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(asset("samples/german_shepherd_on_grass.jpg"), tmp_path / "dog.jpg")
    monkeypatch.chdir(tmp_path)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(CHAPTERS[key].code, f"{key}.py", "exec"), {"__name__": "lesson"})
    exact = CHAPTERS[key].sandbox or key in ("nothing", "covering")
    for line, wanted in zip(output.getvalue().splitlines(), PRINTED[key], strict=True):
        assert re.sub(r"[\d.]+", "#", line) == re.sub(r"[\d.]+", "#", wanted)
        numbers = [[float(each) for each in re.findall(r"-?\d+\.?\d*", text)] for text in (line, wanted)]
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=0 if exact else 0.05, atol=1e-6 if exact else 0.011)


def stated(key: str, part: str = "answer") -> list[float]:
    """The numbers of a sentence as it is written, without those of the figure."""
    written = languages()["en"].chapters[key].parts[part].replace("\u2212", "-")
    return [float(each) for each in re.findall(r"(?<![\w{])-?\d+(?:\.\d+)?(?![\w}])", written)]


def score(x1: float, x2: float, index: int = 1) -> float:
    return rules(INTO, OUT[index], NO_SKIP, (x1, x2)).score


def test_the_answer_about_guided_backpropagation_is_the_engines() -> None:
    found = {index: rules(INTO, OUT[index], NO_SKIP, (2, 1)) for index in OUT}
    assert found[1].guided == found[2].guided
    assert stated("guided") == pytest.approx(
        [score(2, 1), score(2.1, 1), found[1].gradient[0], *found[1].guided, 1, 2], abs=1e-6
    )
    assert score(2.1, 1) < score(2, 1)  # which is C
    assert Guided.right == "c"
    assert stated("guided", "question") == [2, 1, found[1].guided[0], 1, 0.1]


def test_the_answer_about_zeiler_fergus_is_the_engines() -> None:
    maps = {rules(INTO, OUT[1], NO_SKIP, x).zeiler_fergus for x in ((2, 1), (1, 2), (-2, 1), (-2, -3), (0.5, -4))}
    assert maps == {(-2, 6)}
    assert stated("zeiler_fergus") == [-2, 6, 1]
    assert stated("zeiler_fergus", "question")[1:] == [-2]


def test_the_answer_about_saturation_is_the_engines() -> None:
    found = {baseline: integrated(3, baseline, EXACT_STEPS) for baseline in (0, 0.5, 2)}
    assert [each.sum for each in found.values()] == pytest.approx([each.exact for each in found.values()], abs=1e-6)
    climbs = [each for baseline, toy in found.items() for each in (baseline, toy.sum)]
    assert stated("saturation") == pytest.approx([1, 0, 1, 3, found[0].gradient, *climbs], abs=1e-6)


def test_the_answer_about_the_path_is_the_engines() -> None:
    found = integrated(3, 0, 2)
    assert stated("path") == pytest.approx([found.sum, found.sum - found.exact], abs=1e-6)
    assert stated("path", "question") == pytest.approx([found.sum, found.exact], abs=1e-6)


def test_the_answers_about_nothing_and_covering_are_what_their_code_prints() -> None:
    assert stated("nothing") == [float(line.split()[1]) for line in PRINTED["nothing"]]
    assert stated("covering") == [float(line) for line in PRINTED["covering"]]


def numbers(figure: Figure) -> dict[str, float]:
    """The facts that are numbers; percentages as shares."""
    found = {}
    for name, text in figure.facts.items():
        clean = text.replace("\u2212", "-")
        with contextlib.suppress(ValueError):
            found[name] = float(clean.removesuffix("%")) / (100 if clean.endswith("%") else 1)
    return found


def test_what_a_class_loses_the_others_gain(subject: Subject, figures: dict[str, Figure]) -> None:
    figure = figures["one_score"]
    found = numbers(figure)
    before, after = (dict(series.values) for series in figure.chart.series)
    assert found["after"] < found["before"]
    assert found["riser_after"] > found["riser_before"]
    assert sum(after.values()) <= 100 + 1e-6
    assert before[0] == pytest.approx(100 * subject.score)
    assert [each for each, _, _ in figure.top] == [each for each, _, _ in subject.model.predict(subject.x)]
    assert OneScore(2).figure(subject).explained == figure.top[1][0]


def test_the_tangent_touches_the_curve_at_the_photo(subject: Subject) -> None:
    figure = Slope(place=12, change=1).figure(subject)
    curve, tangent, here = (dict(series.values) for series in figure.chart.series)
    assert curve[0] == pytest.approx(Slope(change=0).figure(subject).chart.series[1].values[1][1], abs=1e-4)
    line = (tangent[30] - tangent[-30]) / 60
    assert curve[1] - curve[0] == pytest.approx(line, rel=0.2)  # one percent brighter
    assert abs(curve[30] - tangent[30]) > 1
    assert set(here) == {1.0}
    assert subject.scored("log_odds").target.score == "log_odds"


def test_copies_disagree_and_their_mean_is_the_methods(subject: Subject) -> None:
    figure = Speckle(noise=10, copies="4").figure(subject)
    assert 0.3 < numbers(figure)["flipped"] < 0.6
    mean = figure.pictures[2].image
    assert isinstance(mean, at.Attribution)
    target = at.Target(score="log_odds")
    ours = at.attribute(subject.model, subject.x, at.SmoothGrad(samples=4, sigma=0.1), target)
    np.testing.assert_allclose(mean.values, ours.values, rtol=1e-4, atol=1e-9)


def test_the_sum_of_few_steps_is_off(subject: Subject) -> None:
    found = numbers(PathChapter(50, "2").figure(subject))
    ours = at.attribute(subject.model, subject.x, at.IntegratedGradients(2, rule="midpoint"))
    assert found["sum"] == pytest.approx(float(ours.values.sum()), rel=0.01)
    assert found["off"] == pytest.approx(ours.relative_delta, rel=0.01)
    assert found["off"] > 0.5


def test_a_baseline_is_blind_to_its_own_colour(subject: Subject) -> None:
    found = numbers(Nothing("white", "darkest").figure(subject))
    assert found["from_black"] < found["from_other"]
    assert len(Nothing("blur").figure(subject).pictures) == 4


def test_a_covered_window_changes_the_score_by_its_value_in_the_map(subject: Subject) -> None:
    for place in (12, 48):
        figure = Covering(place, "grey").figure(subject)
        found, occlusion = numbers(figure), figure.pictures[1].image
        row, column = (33 * each + 10 for each in divmod(place, PATCHES))
        assert isinstance(occlusion, at.Attribution)
        assert found["change"] == pytest.approx(-float(occlusion.values[:, row, column].sum()), abs=6e-4)
        assert found["after"] - found["before"] == pytest.approx(found["change"], abs=2e-3)
        shown = figure.pictures[0].image[row, column]
        assert tuple(shown) == (128, 128, 128)


def test_the_right_guess_about_random_weights_is_measured(figures: dict[str, Figure]) -> None:
    figure = figures["doubt"]
    kept = dict(zip(figure.chart.categories, (value for _, value in figure.chart.series[0].values), strict=True))
    titles = {at.METHODS[key].title: letter for key, letter in MEASURED.items()}
    assert figure.right == titles[max((title for title in kept if title in titles), key=kept.__getitem__)]
    assert len(figure.strip) == 5
    assert CHAPTERS["doubt"].at(1).layers == 0


def test_a_chapter_that_needs_classes_says_so(subject: Subject) -> None:
    names = tuple(map(str, range(1000)))
    one = at.Model("one", subject.model.net, (227, 227), (0, 0, 0), (1, 1, 1), names, output="labels")
    with pytest.raises(Refusal, match="needs a network"):
        OneScore().figure(Subject(one, subject.x, at.Target(0)))


def test_patches_divide_the_photo() -> None:
    covered = sum(patch(place).grid.astype(int) for place in range(PATCHES * PATCHES))
    assert (covered == 1).all()
    assert place_of(226, 0, (227, 227)) == PATCHES - 1
    assert place_of(0, 226, (227, 227)) == PATCHES * (PATCHES - 1)
    values = np.zeros((3, 70, 70))
    values[:, 25, 45] = -1
    assert strongest(values) == 2 * PATCHES + 4
    assert strongest(values, 3) in {row * PATCHES + column for row in (0, 1, 2) for column in (2, 3, 4)}


@pytest.mark.parametrize("kind", CHAPTERS.values(), ids=list(CHAPTERS))
def test_a_state_is_the_same_after_its_text(kind: type[Chapter]) -> None:
    for step in range(1, len(STEPS) + 1):
        assert read(write(kind.at(step)), CHAPTERS) == kind.at(step)


def test_own_weights_are_part_of_a_link() -> None:
    from attribution.lesson.three_neurons import PRESETS

    for name, neurons in PRESETS.items():
        state = Guided().having(neurons)
        assert state.neurons == neurons, name
        assert read(write(state), CHAPTERS) == state
    assert Guided().having(PRESETS["agree"]).weights == ()


def test_a_link_sets_chapter_step_and_figure() -> None:
    found = parse({"chapter": "4", "step": "2", "controls": "hidden", "language": "zh", "figure": "guided(x1=1.5)"})
    assert found.lesson == Lesson(4, 2, "zh", "hidden")
    assert found.figure == Guided(x1=1.5)
    assert found.sentences == []
    assert parse({"photo": "espresso"}).lesson is None


@pytest.mark.parametrize(
    "link",
    [
        {"chapter": "11"},
        {"step": "0"},
        {"language": "xx"},
        {"chapter": "4", "figure": "guided(x1=99)"},
        {"figure": "gradient"},
        {"chapter": "4", "figure": "slope"},
        {"figure": "slope"},
    ],
)
def test_a_wrong_link_is_reported(link: dict[str, str]) -> None:
    assert len(parse(link).sentences) == 1


def test_steps_lead_from_one_end_to_the_other() -> None:
    here, seen = Lesson(), list[tuple[int, int]]()
    while not seen or here.moved(1) != here:
        seen.append((here.chapter, here.step))
        here = here.moved(1)
    assert len(seen) == len(CHAPTERS) * len(STEPS) - 1
    assert (here.chapter, here.step) == (10, 4)
    assert here.moved(-99).step == 1


@pytest.mark.parametrize("language", languages())
def test_the_handout_asks_first_and_answers_last(language: str, figures: dict[str, Figure]) -> None:
    analysis: Any = SimpleNamespace(photo="Dog", record=SimpleNamespace(title="Net"))
    shown = [(kind.at(3), figures[key]) for key, kind in CHAPTERS.items() if key != "speckle"]
    shown[2:2] = [(CHAPTERS["speckle"].at(3), Refusal("too noisy"))]
    page = made(Lesson(language=language), analysis, shown, {"slope": "b"}, {"slope": {"a": 2, "b": 7}})
    words = languages()[language]
    asked, answers = page.split(f"{words.handout['answers']}</h2>")
    assert asked.count('<section class="chapter"') == len(CHAPTERS)
    assert "too noisy" in asked
    assert "A 2 \u00b7 B 7 \u00b7 C 0" in asked
    facts = figures["one_score"].facts
    assert facts["riser_after"] in answers
    assert facts["riser_after"] not in asked.replace("100.0%", "")
    for key, kind in CHAPTERS.items():
        captions = words.chapters[key].captioned(words.translated(figures[key]).facts)
        for name in kind.hidden:
            assert (
                f">{escape(captions[name])}<"
                not in asked.split(f'id="chapter-{kind.number}"')[1].split("</section>")[0]
            )
            assert key == "speckle" or escape(captions[name]) in answers


def test_a_network_whose_maps_are_constant_has_no_winner(subject: Subject) -> None:
    class Constant(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.conv(x)).mean((2, 3)) * 0

    one = at.Model("constant", Constant(), (32, 32), (0, 0, 0), (1, 1, 1), ("a", "b"), device="cpu")
    figure = CHAPTERS["doubt"].at(3).figure(Subject(one, subject.x[:, :32, :32]))
    assert (figure.chart, figure.right) == (None, "")
    assert CHAPTERS["doubt"](layers=1).figure(subject).right == ""


def test_the_ends_of_an_axis_are_rounded_outward() -> None:
    for low, high in ((13.985, 14.06), (-0.3, 1.2), (1e-9, 2e-9), (1000.1, 1000.2)):
        outer = ends(low, high)
        assert outer[0] <= low < high <= outer[1]
        assert outer[1] - outer[0] <= 1.05 * (high - low)


def test_the_page_uses_all_its_words() -> None:
    folder = FOLDER.parent
    code = "".join(path.read_text() for path in (folder / "pages/learn.py", folder / "handout.py")).replace("'", '"')
    assert [word for word in languages()["en"].page if f'"{word}"' not in code and word not in STEPS] == []
