"""The command line: attribution explain|batch|sanity|faithfulness|probe|serve|check|models|methods|baselines."""

import argparse
import io
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import torch
from torch import Tensor

from attribution import export
from attribution.analysis import Analysis
from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.covered import FILLS
from attribution.baselines.photo import Blur
from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.faithfulness import Trial, measure
from attribution.checks.probe import Prober, forecaster
from attribution.checks.sanity import Randomisation, randomise
from attribution.checks.surroundings import surroundings
from attribution.engine import compare
from attribution.methods import METHODS
from attribution.models import MODELS, load_model
from attribution.models.served import serve as serve_model
from attribution.network.model import Model
from attribution.network.scorer import CHUNK_SIZES
from attribution.photo.decode import open_image
from attribution.refusal import Refusal, first_line
from attribution.result import VERSION, Attribution, Results
from attribution.selftest import check
from attribution.settings import Configurable, Index, Part, Setting, Several, Text, default, described, read, restore
from attribution.system.memory import budget, keep_freed_memory
from attribution.system.serve import serve
from attribution.system.storage import Storage, absolute

PREDICTED, LISTED = "predicted", "column"  # targets of a batch
INTERRUPTED = 130  # exit status after Ctrl-C
ENGINES = ("local", "ray")  # as in `batch.run`, which is imported late


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line."""
        _complain(f"{self.prog}: {message}")
        self.exit(2)


class _Pace:
    """The progress of a batch on standard error, with photos a second and the time left."""

    def __init__(self, count: int, done: int) -> None:
        self.count, self.done, self.before, self.began = count, done, done, time.monotonic()
        self.bar = _Bar("photos")

    def add(self, photos: int) -> None:
        self.done += photos
        pace = (self.done - self.before) / max(1e-9, time.monotonic() - self.began)
        left = math.ceil((self.count - self.done) / pace)
        account = f", {self.done} of {self.count}, {pace:.1f} photos/s, {left // 60}:{left % 60:02} min left"
        self.bar(self.done / self.count, account=account)

    def clear(self) -> None:
        self.bar.clear()


class _Bar:
    """A progress bar on standard error; silent if that is not a terminal."""

    WIDTH = 30  # characters

    def __init__(self, label: str) -> None:
        self.label, self.shown = label, sys.stderr.isatty()

    def __call__(self, fraction: float, partial: Attribution | None = None, account: str = "") -> None:
        del partial
        if self.shown:
            full = round(fraction * self.WIDTH)
            bar = f"[{'#' * full}{'.' * (self.WIDTH - full)}] {fraction:4.0%}"
            print(f"\r{self.label} {bar}{account}\033[K", end="", file=sys.stderr)

    def download(self, size: int, total: int) -> None:
        self(size / total if total else 0.0)

    def clear(self) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr)


@dataclass(frozen=True, eq=False)
class _Request:
    """One photo of a command, with everything needed to explain it."""

    analysis: Analysis
    folder: Path
    model: Model
    x: Tensor
    check: Any  # settings of `sanity`, `faithfulness` or `probe`, else None
    bar: _Bar
    options: argparse.Namespace

    def compare(self) -> Results:
        """Compute the maps."""
        analysis = self.analysis
        return compare(self.model, self.x, analysis.methods, analysis.full_target, on_progress=self.bar)


class _Served(NamedTuple):
    """The summary lines, empty if there is no map, and the refusals."""

    lines: list[str]
    refusals: list[Refusal]


def _complain(sentence: object) -> None:
    """Print one line on standard error, even if a file name contains line breaks."""
    print(" ".join(str(sentence).splitlines()), file=sys.stderr)


C = TypeVar("C", bound=Configurable)
Serve = Callable[[_Request], _Served]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        Exit status: 0, or 2 if something was refused; `check` returns 1 instead, as container health checks require.
            Each reason is one line on standard error.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # so that file names round-trip as bytes
    options = _parser().parse_args(arguments)
    try:
        budget()  # first, to refuse an invalid ATTRIBUTION_MEMORY_MB
        return options.run(options)  # type: ignore[no-any-return]
    except Refusal as refusal:
        _complain(refusal)
        return 2
    except KeyboardInterrupt:
        _complain("Interrupted.")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="attribution", description="Attribution maps for image classifiers.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    explain = _photos(commands, "explain", "compute and write the maps of photos", _explain_one)
    explain.add_argument("--report", action="store_true", help="also write report.html, an interactive report")
    explain.add_argument("--figure", action="store_true", help="also write figure.png: all maps in one figure, 300 dpi")
    sanity = _photos(commands, "sanity", "check whether maps change when weights are randomised", _sanity_one)
    faithfulness = _photos(
        commands, "faithfulness", "check whether the score depends on highlighted pixels", _faithfulness_one
    )
    probe = _photos(commands, "probe", "cover a part of photos and compare maps with what follows", _probe_one)
    probe.add_argument("--report", action="store_true", help="also write report.html, an interactive report")
    _batch(commands)
    _flags(sanity, Randomisation)
    _flags(probe, Attempt)
    _flags(faithfulness, Trial)
    does = "test the installation with one map"
    health = commands.add_parser("check", help=does, description=f"{does.capitalize()}; the exit status is 0 or 1.")
    _device(health)
    health.set_defaults(run=_check)
    server = commands.add_parser("serve", help="start the dashboard", description="Start the dashboard.")
    server.add_argument("--port", type=_port, default=8501, help="TCP port; default: 8501")
    server.add_argument(
        "--address", default="localhost", help="address to listen on; default: localhost, this machine only"
    )
    server.add_argument("--model", metavar="VALUE", help="a model of one's own for the picker, such as mine.py:make")
    server.set_defaults(run=_serve)
    for command, run in (("models", _models), ("methods", _methods), ("baselines", _baselines)):
        commands.add_parser(command, help=f"list the {command}").set_defaults(run=run)
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 65535, got {text!r}")
    return int(text)


def _photos(commands: Any, name: str, does: str, serve: Serve) -> argparse.ArgumentParser:
    """Add a command that processes one or more photos."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=does, description=f"{does.capitalize()}.")
    command.add_argument("photos", nargs="+", metavar="PHOTO", help="one or more files")
    _analysis(command)
    command.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="output folder; default: out")
    command.set_defaults(run=_each_photo, serve=serve, check=None)
    return command


def _analysis(command: argparse.ArgumentParser, targets: str = "") -> None:
    """Add the options of an analysis, except the photo; `targets` are further values of the target, for its help."""
    for setting, kind in described(Analysis).items():
        names, extra = [f"--{setting}"], dict[str, Any]()
        if setting == "photo" or not kind.shown:
            continue
        if isinstance(kind, Several):
            names.append(f"--{setting.removesuffix('s')}")
            usual = " ".join(method.key for method in default(Analysis, setting))
            text = f"{kind.help} Example: gradient integrated_gradients:steps=50. Default: {usual}."
            extra = {"nargs": "+", "help": text}
        elif isinstance(kind, Index):
            more = targets if setting == "target" else ""
            extra = {"help": f"{kind.help} A class index or an exact class name{more}."}
        _flag(command, names, kind, default(Analysis, setting), **extra)
    _device(command)


def _batch(commands: Any) -> None:
    """Add the command that explains a range of photos."""
    does = "explain a range of photos, and show what drives each class"
    command: argparse.ArgumentParser = commands.add_parser("batch", help=does, description=f"{does.capitalize()}.")
    command.add_argument(
        "collection",
        metavar="PHOTOS",
        help="a folder, a ZIP, or a CSV file with a column photo and, if known, the columns target and left, top, "
        "right, bottom (a box in pixels); or the URL of one",
    )
    _analysis(command, f", or {LISTED} for the column target of a CSV file")
    command.add_argument("--out", default="out", metavar="DIR", help="output folder or its URL; default: out")
    _flag(command, ["--fill"], Part("Image that covers the strongest part of a map.", FILLS), Blur())
    command.add_argument("--raw", action="store_true", help="also write the raw values of every map")
    command.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help=f"default: {ENGINES[0]}, this machine")
    command.add_argument("--workers", type=_count, metavar="N", help="groups of photos at a time; default: by machine")
    command.add_argument(
        "--threads", type=_count, default=1, metavar="N", help="threads of each worker on a CPU; default: 1"
    )
    command.set_defaults(run=_run_batch)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 or mps")


def _flags(command: argparse.ArgumentParser, cls: type[Configurable]) -> None:
    """Add one option per setting of a check."""
    command.set_defaults(check=cls)
    for name, kind in described(cls).items():
        _flag(command, [f"--{name.replace('_', '-')}"], kind, default(cls, name))


def _flag(command: argparse.ArgumentParser, names: Sequence[str], kind: Setting, value: Any, **extra: Any) -> None:
    """Add one option for a setting; its value is None if it is not given."""
    usual = str(kind.plain(value))
    limits = "" if isinstance(kind, Text) else f" Must be {kind.range}."
    text = f"{kind.help}{limits}" + (f" Default: {usual}." if usual else "")
    command.add_argument(*names, **{"metavar": "VALUE", "help": text.replace("%", "%%"), **extra})


def _chosen(options: argparse.Namespace, cls: type[C], **known: Any) -> C:
    """Create a value with settings from the given options."""
    given = {name: getattr(options, name, None) for name in described(cls)} | known
    return restore(cls, {name: content for name, content in given.items() if content is not None})


def _asked(options: argparse.Namespace, target: str | None) -> tuple[Analysis, Model]:
    """Load the model, and return the asked analysis, without a photo; `target` is an index, a name or None."""
    asked = _chosen(options, Analysis, methods=None, target=None, versus=None)
    if options.methods is not None:
        asked = replace(asked, methods=tuple(read(text, METHODS) for text in options.methods))
    bar = _Bar(f"loading {asked.model}")
    try:
        model = load_model(asked.model, options.device, bar.download)
    finally:
        bar.clear()
    if options.score is None:
        asked = replace(asked, score=model.default_target.score)
    index, versus = (None if text is None else model.find_class(text) for text in (target, options.versus))
    asked = replace(asked, target=index, versus=versus)
    asked.full_target.check(len(model.classes), model.output)  # once, not for each photo
    return asked, model


def _each_photo(options: argparse.Namespace) -> int:
    check = options.check and _chosen(options, options.check)
    asked, model = _asked(options, options.target)
    status, taken = 0, set[str]()
    for photo in options.photos:
        folder = _free(options.out, Path(photo).stem, taken)
        name = Path(photo).name.encode(errors="replace").decode()  # a name may contain undecodable bytes
        for sentence in _one_photo(photo, folder, model, replace(asked, photo=name), check, options):
            _complain(sentence)
            status = 2
    return status


def _one_photo(
    photo: str, folder: Path, model: Model, analysis: Analysis, check: Any, options: argparse.Namespace
) -> list[str]:
    """Process one photo into its folder; return one message per refusal or failure."""
    try:
        x = model.prepare(open_image(photo), *analysis.crop.shares)
    except Refusal as refusal:  # names the photo
        return [str(refusal)]
    bar = _Bar(photo)
    try:
        served = options.serve(_Request(analysis, folder, model, x, check, bar, options))
    except Refusal as refusal:
        return [f"{photo}: {refusal}"]
    except (RuntimeError, MemoryError) as error:  # continue with the other photos
        return [f"{photo}: the network failed ({first_line(error)}); try another model or device."]
    finally:
        bar.clear()
    if served.lines:
        print(folder)
    if served.lines and sys.stdout.isatty():  # a pipe only gets the folders
        print("\n".join(f"  {line}" for line in served.lines))
    return [f"{photo}: {refusal}" for refusal in served.refusals]


def _explain_one(request: _Request) -> _Served:
    results, analysis = request.compare(), request.analysis
    if not results.maps:
        return _Served([], results.refusals)
    export.folder(results, request.folder, analysis.photo, analysis.crop)
    if request.options.report:
        export.report(results, request.folder / "report.html", heading=analysis.photo, crop=analysis.crop)
    if request.options.figure:
        export.figure(results, request.folder / "figure.png")
    return _Served(_summary(results.maps), results.refusals)


def _sanity_one(request: _Request) -> _Served:
    analysis = request.analysis
    found = randomise(
        request.model,
        request.x,
        analysis.methods,
        analysis.full_target,
        request.check,
        on_progress=request.bar,
    )
    export.sanity(found, request.folder)
    sentences = [f"{found.sentence(each)} {found.swapped(each)}" for each in range(len(found.methods))]
    refusals = [each for each in found.stages[0].results if isinstance(each, Refusal)]
    return _Served(sentences, refusals)


def _faithfulness_one(request: _Request) -> _Served:
    results = request.compare()
    if not results.maps:
        return _Served([], results.refusals)
    found = measure(request.model, results.maps, request.check, on_progress=request.bar)
    export.faithfulness(found, request.folder)
    return _Served([found.sentence(place) for place in range(found.count)], results.refusals)


def _probe_one(request: _Request) -> _Served:
    attempt: Attempt = request.check
    if not attempt.cells.count:
        raise Refusal("Nothing is covered; name cells, such as --cells 10/8/6/6 for left, top, width and height.")
    results, analysis = request.compare(), request.analysis
    if not results.maps:
        return _Served([], results.refusals)
    prober = Prober(request.model, request.x, analysis.full_target)
    maps = [forecaster(each, attempt.fill) for each in results.maps]
    challenge = CHALLENGES.get(attempt.challenge)
    probed = export.Probed(
        attempt,
        prober.probe(attempt.cells, attempt.fill, maps),
        surroundings(prober, attempt.cells, attempt.fill, request.bar),
        challenge.judge(prober, attempt.cells, attempt.fill, maps, attempt.guess) if challenge else None,
    )
    export.folder(results, request.folder, analysis.photo, analysis.crop, probed)
    if request.options.report:
        export.report(
            results, request.folder / "report.html", heading=analysis.photo, crop=analysis.crop, probed=probed
        )
    return _Served([*_summary(results.maps), *probed.lines], results.refusals)


def _summary(maps: Sequence[Attribution]) -> list[str]:
    return [
        f"Predicted: {maps[0].target.predicted(*maps[0].prediction[0])}",
        f"Explaining: {maps[0].statement}",
        *(f"{result.method}: {result.account}" for result in maps if result.account),
    ]


def _run_batch(options: argparse.Namespace) -> int:
    from attribution import batch  # lazy: pyarrow takes 0.2 s

    listed = options.target == LISTED
    target = None if options.target in (PREDICTED, LISTED) else options.target
    asked, model = _asked(options, target)
    if not asked.methods:
        raise Refusal("A batch needs at least one method; name some after --methods.")
    keep_freed_memory()
    fill: Baseline = Blur() if options.fill is None else read(options.fill, FILLS)
    plan = batch.Plan(
        absolute(options.collection),
        asked,
        listed,
        fill,
        options.raw,
        CHUNK_SIZES[model.device.type],
        options.threads,
        model.weights,
    )
    run = batch.Run(plan, Storage(options.out))
    bar = _Pace(len(run.photos), run.photos_done)
    try:
        run.go(model, options.engine, options.workers, bar.add)
    except KeyboardInterrupt:
        bar.clear()
        _complain(f"Stopped after {run.photos_done} of {len(run.photos)} photos; the same command resumes.")
        return INTERRUPTED
    finally:
        bar.clear()
        refused = run.collect()
    print(options.out)
    if refused:
        _complain(f"{refused} rows of {options.out}/table.csv have no map; the column refusal says why.")
    return 2 if refused else 0


def _free(out: Path, stem: str, taken: set[str]) -> Path:
    """Return a separate folder for each photo of one command, even if two photos have the same name."""
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}"
    taken.add(name)
    return out / name


def _serve(options: argparse.Namespace) -> int:
    if not options.model:
        return serve(options.port, options.address)
    serve_model(load_model(options.model), options.port, options.address)
    return 0


def _check(options: argparse.Namespace) -> int:
    torch.set_num_threads(1)  # with several threads, this took ten times as long beside a busy server
    try:
        print(check(options.device))
    except Refusal as refusal:
        _complain(refusal)
        return 1
    return 0


def _models(options: argparse.Namespace) -> int:
    del options
    for key, record in MODELS.items():
        facts = record.facts()
        height, width = facts.preprocessing.size
        network = "embedded" if record.embedded else f"{facts.size:.0f} MB"
        print(f"{key:20} {height} x {width}  top-1 {facts.top1:.1f}%  {network:>9}  {facts.licence}  {facts.source}")
    return 0


def _methods(options: argparse.Namespace) -> int:
    del options
    for method in METHODS.values():
        print(f"{method.key:20} {method.shows} ({method.source})")
        _print_settings(method)
    return 0


def _baselines(options: argparse.Namespace) -> int:
    del options
    for baseline in BASELINES.values():
        print(f"{baseline.key:20} {baseline.shows}")
        _print_settings(baseline)
    return 0


def _print_settings(cls: type[Configurable]) -> None:
    for name, kind in described(cls).items():
        print(f"  {name}={kind.plain(default(cls, name))}  {kind.help} Must be {kind.range}.")
