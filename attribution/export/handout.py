"""The handout of a lesson: one HTML file without scripts that prints to a clean PDF, the answers on its last pages."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from string import Template
from threading import Lock
from typing import TYPE_CHECKING, Any

from attribution.lesson.chapter import LETTERS
from attribution.lesson.figure import Chart, Figure, Picture
from attribution.photo.encode import data_url
from attribution.refusal import Refusal
from attribution.result import Attribution

if TYPE_CHECKING:
    import matplotlib.figure

LINES = 3  # to write on
COLUMNS = 4  # pictures side by side, at most
COLOURS = ("#0b5fa5", "#c2570c", "#1a1a1a", "#6b4fa0")  # of series, dark on white
DASHES = ("", "6 3", "2 2", "8 3 2 3")  # of curves, which differ in print without colours too
MARKS = {"D": "M5 0l5 5-5 5-5-5z", "o": "M5 0a5 5 0 1 0 .01 0z", "s": "M0 0h10v10H0z", "^": "M5 0l5 10H0z"}
WIDTH = 5.4  # inches of a chart of curves
ROW = 0.36  # inches of the height of a category, at least; its name takes up to two lines
BAR = 0.14  # inches of the height of a bar, at least
AXIS = 0.3  # inches below the bars, for the numbers of the axis
FORMULA_SIZE = 14  # points
_drawing = Lock()  # matplotlib's settings and its parser of formulas belong to all threads


@dataclass(frozen=True, eq=False)
class Sheet:
    """One chapter, with all placeholders of its texts filled in.

    A text is plain; an empty line separates paragraphs.

    Attributes:
        number: Number of the chapter.
        title: Title of the chapter.
        idea: One idea, in a sentence or two.
        question: What is to be guessed before the figure is looked at.
        options: Texts of A, B and C.
        formula: LaTeX as far as matplotlib's mathtext knows it, without dollar signs.
        code: Lines of Python.
        cannot: What the figure cannot show.
        answer: The answer, for the last pages.
        right: Letter of the right option, "a", "b" or "c"; empty if it is not known.
        misconception: A common mistake, beside the answer.
        guess: Letter of the reader's own guess. Default: none.
        votes: Number of votes of a class by letter. Default: none.
        figure: The figure. Default: none.
        captions: Text for each name in the figure: pictures, axes, series. Default: none.
        caption: Text above the figure, or in its place. Default: empty.
        hidden: Names of the parts of the figure that are shown beside the answer only. Default: none.
    """

    number: int
    title: str
    idea: str
    question: str
    options: tuple[str, str, str]
    formula: str
    code: str
    cannot: str
    answer: str
    right: str
    misconception: str
    guess: str = ""
    votes: Mapping[str, int] = field(default_factory=dict)
    figure: Figure | None = None
    captions: Mapping[str, str] = field(default_factory=dict)
    caption: str = ""
    hidden: tuple[str, ...] = ()


def handout(sheets: Sequence[Sheet], words: Mapping[str, str], language: str) -> str:
    """Return the HTML of a handout.

    The file requests nothing, and is the same, byte by byte, for the same arguments.

    Args:
        sheets: The chapters, in their order.
        words: Texts of the handout itself, all plain:

            - `title`: title of the first page and of the file
            - `subject`: photo, model and explained class of this session
            - `use`: how to use the handout; an empty line separates paragraphs
            - `name`: label of the line for the reader's name
            - `reason`: label of the lines to write on
            - `guess`: mark at the reader's own guess
            - `votes`: label of the votes
            - `signed`, `unsigned`: how to read the colours of signed maps, and the greys of the others
            - `formula`, `code`, `cannot`: headings in a chapter
            - `answers`: heading of the last pages
            - `misconception`: label of the common mistake
        language: Language of the texts, as in HTML's `lang`, such as "en" or "zh-Hans".

    Raises:
        Refusal: If mathtext cannot draw a formula.
    """
    page = Template(Path(__file__).with_name("handout.html").read_text())
    return page.substitute(
        language=escape(language),
        title=escape(words["title"]),
        subject=escape(words["subject"]),
        use=_paragraphs(words["use"]),
        name=escape(words["name"]),
        contents="\n".join(f'<li><a href="#chapter-{each.number}">{_heading(each)}</a></li>' for each in sheets),
        chapters="\n".join(_chapter(each, words) for each in sheets),
        answers=escape(words["answers"]),
        answered="\n".join(_answer(each, words) for each in sheets),
    )


def _chapter(sheet: Sheet, words: Mapping[str, str]) -> str:
    parts = [
        f'<section class="chapter" id="chapter-{sheet.number}"><h2>{_heading(sheet)}</h2>',
        f'<div class="idea">{_paragraphs(sheet.idea)}</div>',
        f'<div class="question">{_paragraphs(sheet.question)}',
        *_options(sheet, words),
        f"<p>{escape(words['reason'])}</p>",
        *['<div class="line"></div>'] * LINES,
        "</div>",
    ]
    if sheet.figure:
        parts += _figure(sheet.figure.without(sheet.hidden), sheet, words)
    elif sheet.caption:
        parts.append(_paragraphs(sheet.caption))
    drawn = f'<img class="formula" src="{_formula(sheet.formula)}" alt="{escape(sheet.formula)}">'
    parts += [
        _part(words["formula"], f"<p>{drawn}</p>"),
        _part(words["code"], f"<pre><code>{escape(sheet.code.rstrip())}</code></pre>"),
        _part(words["cannot"], _paragraphs(sheet.cannot)),
        "</section>",
    ]
    return "\n".join(parts)


def _part(heading: str, content: str) -> str:
    return f'<div class="part"><h3>{escape(heading)}</h3>{content}</div>'


def _options(sheet: Sheet, words: Mapping[str, str]) -> Iterator[str]:
    """Yield the three options, the reader's guess marked, and the votes."""
    yield '<ul class="options">'
    for letter, text in zip(LETTERS, sheet.options, strict=True):
        own = letter == sheet.guess
        mark = f' <span class="own">{escape(words["guess"])}</span>' if own else ""
        yield f'<li><b class="letter{" chosen" * own}">{letter.upper()}</b><span>{escape(text)}{mark}</span></li>'
    yield "</ul>"
    if sheet.votes:
        votes = " \u00b7 ".join(f"{letter.upper()} {sheet.votes.get(letter, 0)}" for letter in LETTERS)
        yield f"<p><b>{escape(words['votes'])}</b> {votes}</p>"


def _answer(sheet: Sheet, words: Mapping[str, str]) -> str:
    right = ""
    if sheet.right:
        text = sheet.options[LETTERS.index(sheet.right)]
        right = f'<p class="right"><b class="letter chosen">{sheet.right.upper()}</b><span>{escape(text)}</span></p>'
    mistake = f"<p><b>{escape(words['misconception'])}</b> {escape(sheet.misconception)}</p>"
    title = f'<h3><a href="#chapter-{sheet.number}">{_heading(sheet)}</a></h3>'
    whole = "".join(_figure(replace(sheet.figure, strip=()), sheet, words)) if sheet.figure and sheet.hidden else ""
    return f'<div class="part">{title}{right}{_paragraphs(sheet.answer)}{whole}{mistake}</div>'


def _heading(sheet: Sheet) -> str:
    return f"{sheet.number}. {escape(sheet.title)}"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(each.strip())}</p>" for each in text.split("\n\n") if each.strip())


def _figure(figure: Figure, sheet: Sheet, words: Mapping[str, str]) -> Iterator[str]:
    """Yield the caption and how to read the maps, then the pictures, the chart and the strip."""
    images = [picture.image for picture in figure.pictures] + [drawn for *_, drawn in figure.strip]
    kinds = {image.signed for image in images if isinstance(image, Attribution)}
    reading = [words[key] for key, signed in (("signed", True), ("unsigned", False)) if signed in kinds]
    caption = " ".join(filter(None, [sheet.caption, *reading]))
    yield f"<figure><figcaption>{_paragraphs(caption)}</figcaption>"
    if count := len(figure.pictures):
        yield f'<div class="pictures" style="--columns: {-(-count // -(-count // COLUMNS))}">'
        for picture in figure.pictures:
            yield _picture(picture, sheet.captions[picture.name])
        yield "</div>"
    if figure.chart:
        yield from (_bars if figure.chart.categories else _curves)(figure.chart, sheet.captions)
    if figure.strip:
        yield f'<div class="pictures strip" style="--columns: {len(figure.strip)}">'
        for title, photo, drawn in figure.strip:
            shown = f'<img src="{data_url(photo)}" alt=""><img src="{data_url(drawn.draw())}" alt="">'
            yield f'<div class="picture">{shown}<p>{escape(title)}</p></div>'
        yield "</div>"
    yield "</figure>"


def _picture(picture: Picture, caption: str) -> str:
    image = picture.image
    url = data_url(image.draw() if isinstance(image, Attribution) else image)
    return f'<div class="picture"><img src="{url}" alt="{escape(caption)}"><p>{escape(caption)}</p></div>'


def _curves(chart: Chart, captions: Mapping[str, str]) -> Iterator[str]:
    """Yield curves and points with the names of the axes and a key."""
    from matplotlib.figure import Figure as Drawn  # lazy: the import takes half a second

    drawn = Drawn((WIDTH, 2.2), layout="constrained")
    axis = drawn.subplots()
    points = [x for series in chart.series for x, _ in series.values]
    axis.set(xlim=(min(points), max(points)), ylim=chart.range)
    key = []
    for place, series in enumerate(chart.series):
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
        mark = list(MARKS)[place % len(MARKS)]
        across, up = zip(*series.values, strict=True)
        if series.dots:
            axis.plot(across, up, mark, color=colour, markersize=6, clip_on=False, zorder=3)
            shape = f'<path d="{MARKS[mark]}" fill="{colour}" transform="translate(8 1)"/>'
        else:
            pattern: Any = (0, [float(each) / 2 for each in dash.split()]) if dash else "solid"
            axis.plot(across, up, color=colour, linewidth=2, linestyle=pattern)
            stroke = f'stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash or "none"}"'
            shape = f'<path d="M0 6h26" fill="none" {stroke}/>'
        key.append((shape, captions[series.name]))
    axis.grid(color="#dddddd", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    across_name, up_name = captions[chart.across], captions[chart.up]
    yield f'<div class="chart"><p>{escape(up_name)}</p>'
    yield f'<img src="{_svg(drawn)}" alt="{escape(f"{up_name} / {across_name}")}">'
    yield f'<p class="across">{escape(across_name)}</p>'
    yield from _key(key)
    yield "</div>"


def _bars(chart: Chart, captions: Mapping[str, str]) -> Iterator[str]:
    """Yield horizontal bars; the names of their categories are HTML, of the same height as the rows of the drawing."""
    from matplotlib.figure import Figure as Drawn

    rows, row = len(chart.categories), max(ROW, BAR * len(chart.series))
    high, width = row * rows, WIDTH - 1.6
    drawn = Drawn((width, high + AXIS))
    axis = drawn.add_axes((0.03, AXIS / (high + AXIS), 0.82, high / (high + AXIS)))
    thick = 0.8 / len(chart.series)
    low, top = chart.range
    key = []
    for place, series in enumerate(chart.series):
        colour = COLOURS[place % len(COLOURS)]
        hatch = "" if place % 2 == 0 else "//"
        heights = [at - 0.4 + thick * (place + 0.5) for at, _ in series.values]
        lengths = [length for _, length in series.values]
        axis.barh(heights, lengths, 0.9 * thick, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
        for height, length in zip(heights, lengths, strict=True):
            text = f"{round(length, 3) + 0:g}".replace("-", "\u2212")
            axis.text(top + 0.02 * (top - low), height, text, size=7, verticalalignment="center")
        lines = '<path d="M2 12l8-12M12 12l8-12" stroke="#fff"/>' if hatch else ""
        key.append((f'<path d="M0 0h26v12H0z" fill="{colour}"/>{lines}', captions[series.name]))
    axis.set(xlim=chart.range, ylim=(rows - 0.5, -0.5), yticks=[])
    axis.tick_params(labelsize=8)
    axis.axvline(0, color="#1a1a1a", linewidth=0.8)
    axis.spines[["top", "right", "left"]].set_visible(False)
    across_name, up_name = captions[chart.across], captions[chart.up]
    yield f'<div class="chart"><div class="bars" style="--row: {row:.2f}in"><div class="names">'
    yield from (f"<p><span>{escape(name)}</span></p>" for name in chart.categories)
    yield f'</div><img src="{_svg(drawn)}" alt="{escape(f"{up_name} / {across_name}")}"></div>'
    yield f'<p class="across">{escape(across_name)}</p>'
    if len(key) > 1:
        yield from _key(key)
    yield "</div>"


def _key(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield '<p class="key">'
    for shape, text in entries:
        swatch = f'<svg width="26" height="12" viewBox="0 0 26 12" aria-hidden="true">{shape}</svg>'
        yield f"<span>{swatch} {escape(text)}</span>"
    yield "</p>"


def _formula(formula: str) -> str:
    """Draw a formula as the data URL of an SVG."""
    from matplotlib.figure import Figure as Drawn

    drawn = Drawn()
    displayed = formula.replace(r"\frac", r"\dfrac")  # on a line of its own
    drawn.text(0, 0, f"${displayed}$", size=FORMULA_SIZE, math_fontfamily="cm")
    try:
        return _svg(drawn, bbox_inches="tight", pad_inches=0.02)
    except ValueError as error:
        raise Refusal(
            f"The formula {formula!r} is beyond matplotlib's mathtext; write it with simpler commands of LaTeX."
        ) from error


def _svg(drawn: "matplotlib.figure.Figure", **options: Any) -> str:
    """Return a drawing as the data URL of an SVG, its numbers as paths, which need no font."""
    from matplotlib import rc_context

    file = io.BytesIO()
    with _drawing, rc_context({"svg.hashsalt": "handout", "svg.fonttype": "path"}):  # the same names in every run
        drawn.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}, **options)
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
