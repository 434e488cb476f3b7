"""The command line: python -m attribution explain|sanity|faithfulness|check|models|methods|baselines."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import torch
from torch import Tensor

from attribution import export
from attribution.baselines import BASELINES
from attribution.checks.faithfulness import Trial, measure
from attribution.checks.sanity import Randomisation, randomise
from attribution.engine import compare
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.models import DEFAULT, MODELS, load_model
from attribution.network.model import Model
from attribution.photo.decode import open_image
from attribution.refusal import Refusal
from attribution.result import VERSION, Attribution
from attribution.selftest import check
from attribution.settings import Configurable, default, described, read, restore
from attribution.system.memory import budget
from attribution.targets.target import SCORES, Target


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with status 2 and one line."""
        _complain(f"{self.prog}: {message}")
        self.exit(2)


class _Bar:
    """A progress bar on a terminal; silent where standard error is none."""

    WIDTH = 30

    def __init__(self, label: str) -> None:
        self.label, self.shown = label, sys.stderr.isatty()

    def __call__(self, fraction: float, partial: Attribution | None = None) -> None:
        del partial
        if self.shown:
            full = round(fraction * self.WIDTH)
            print(f"\r{self.label} [{'#' * full}{'.' * (self.WIDTH - full)}] {fraction:4.0%}", end="", file=sys.stderr)

    def download(self, size: int, total: int) -> None:
        self(size / total if total else 0.0)

    def clear(self) -> None:
        if self.shown:
            print("\r\033[K", end="", file=sys.stderr)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """What is asked for one photo."""

    photo: str
    folder: Path
    model: Model
    x: Tensor
    methods: Sequence[Method]
    target: Target
    plan: Any  # the settings of the check
    bar: _Bar
    options: argparse.Namespace


class _Served(NamedTuple):
    """Lines for a person, none if there was no map; and what was refused."""

    lines: list[str]
    refusals: list[Refusal]


def _complain(sentence: object) -> None:
    """Print one line on standard error, also where a file's name has two."""
    print(" ".join(str(sentence).splitlines()), file=sys.stderr)


C = TypeVar("C", bound=Configurable)
One = Callable[[_Wanted], _Served]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        Exit status: 0, or 2 if something could not be served; `check` ends with 1 instead, as health checks of
            containers ask for. One line on standard error says what.
    """
    options = _parser().parse_args(arguments)
    try:
        budget()  # refuses what it cannot read, before anything else is blamed
        return options.run(options)  # type: ignore[no-any-return]
    except Refusal as refusal:
        _complain(refusal)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="attribution", description="Why an image classifier decided what it did.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    explain = _photos(commands, "explain", "write the maps of photos", _explain_one)
    explain.add_argument("--report", action="store_true", help="also write report.html, with the viewer inside")
    explain.add_argument("--figure", action="store_true", help="also write figure.png: all maps on one sheet, 300 dpi")
    sanity = _photos(commands, "sanity", "see whether maps change when the network is destroyed", _sanity_one)
    faithfulness = _photos(commands, "faithfulness", "see whether the score needs what maps show", _faithfulness_one)
    _flags(sanity, Randomisation)
    _flags(faithfulness, Trial)
    does = "compute one map and see whether it is right"
    health = commands.add_parser("check", help=does, description=f"{does.capitalize()}; ends with status 0 or 1.")
    _device(health)
    health.set_defaults(run=_check)
    for command, run in (("models", _models), ("methods", _methods), ("baselines", _baselines)):
        commands.add_parser(command, help=f"list the {command}").set_defaults(run=run)
    return parser


def _photos(commands: Any, name: str, does: str, one: One) -> argparse.ArgumentParser:
    """A command that does something with each of several photos."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=does, description=f"{does.capitalize()}.")
    command.add_argument("photos", nargs="+", metavar="PHOTO", help="one or more files")
    command.add_argument("--model", default=DEFAULT, help=f"default: {DEFAULT}; 'models' lists them")
    command.add_argument(
        "--methods",
        "--method",
        nargs="+",
        metavar="METHOD",
        default=[key for key, method in METHODS.items() if method.chosen],
        help="such as gradient integrated_gradients:steps=50,baseline=white; default: the worked example's four",
    )
    command.add_argument("--target", metavar="CLASS|INDEX", help="default: the predicted class")
    command.add_argument("--versus", metavar="CLASS|INDEX", help="a second class: why the target and not this one")
    command.add_argument("--score", default="probability", choices=SCORES, help="default: probability")
    _device(command)
    command.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="default: out")
    command.set_defaults(run=_each_photo, one=one, plan=None)
    return command


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 or mps")


def _flags(command: argparse.ArgumentParser, cls: type[Configurable]) -> None:
    """One option for each setting."""
    command.set_defaults(plan=cls)
    for name, kind in described(cls).items():
        usual = kind.plain(default(cls, name))
        said = f"{kind.help} May be {kind.range}. Default: {usual}".replace("%", "%%")
        command.add_argument(f"--{name.replace('_', '-')}", default=str(usual), metavar="VALUE", help=said)


def _chosen(options: argparse.Namespace, cls: type[C]) -> C:
    """What `_flags` asked for."""
    return restore(cls, {name: getattr(options, name) for name in described(cls)})


def _each_photo(options: argparse.Namespace) -> int:
    methods = [read(text, METHODS) for text in options.methods]
    plan = options.plan and _chosen(options, options.plan)
    bar = _Bar(f"loading {options.model}")
    try:
        model = load_model(options.model, options.device, bar.download)
    finally:
        bar.clear()
    index, versus = (None if text is None else model.find_class(text) for text in (options.target, options.versus))
    if index is not None and index == versus:
        raise Refusal(f"{model.classes[index]} cannot be compared with itself; choose another second class.")
    target = Target(index, options.score, versus)
    status, taken = 0, set[str]()
    for photo in options.photos:
        folder = _free(options.out, Path(photo).stem, taken)
        for sentence in _one_photo(photo, folder, model, methods, target, plan, options):
            _complain(sentence)
            status = 2
    return status


def _one_photo(
    photo: str,
    folder: Path,
    model: Model,
    methods: Sequence[Method],
    target: Target,
    plan: Any,
    options: argparse.Namespace,
) -> list[str]:
    """Serve one photo into its folder; return a sentence for everything that could not be served."""
    try:
        x = model.prepare(open_image(photo))
    except Refusal as refusal:  # names the photo
        return [str(refusal)]
    bar = _Bar(photo)
    try:
        served = options.one(_Wanted(photo, folder, model, x, methods, target, plan, bar, options))
    except Refusal as refusal:
        return [f"{photo}: {refusal}"]
    except (RuntimeError, MemoryError) as error:  # the other photos are still done
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return [f"{photo}: the network failed ({first}); try another model or device."]
    finally:
        bar.clear()
    if served.lines:
        print(folder)
    if served.lines and sys.stdout.isatty():  # a pipe gets the folders only
        print("\n".join(f"  {line}" for line in served.lines))
    return [f"{photo}: {refusal}" for refusal in served.refusals]


def _explain_one(wanted: _Wanted) -> _Served:
    results = compare(wanted.model, wanted.x, wanted.methods, wanted.target, on_progress=wanted.bar)
    maps, refusals = _parted(results)
    if not maps:
        return _Served([], refusals)
    name = Path(wanted.photo).name.encode(errors="replace").decode()  # a name may hold bytes that are no text
    export.folder(results, wanted.folder, name)
    if wanted.options.report:
        export.report(results, wanted.folder / "report.html", heading=name)
    if wanted.options.figure:
        export.figure(results, wanted.folder / "figure.png")
    return _Served(_told(maps), refusals)


def _sanity_one(wanted: _Wanted) -> _Served:
    found = randomise(wanted.model, wanted.x, wanted.methods, wanted.target, wanted.plan, on_progress=wanted.bar)
    _, refusals = _parted(found.stages[0].results)
    export.sanity(found, wanted.folder)
    return _Served([f"{found.sentence(each)} {found.swapped(each)}" for each in range(len(found.methods))], refusals)


def _faithfulness_one(wanted: _Wanted) -> _Served:
    results = compare(wanted.model, wanted.x, wanted.methods, wanted.target, on_progress=wanted.bar)
    maps, refusals = _parted(results)
    if not maps:
        return _Served([], refusals)
    found = measure(wanted.model, maps, wanted.plan, on_progress=wanted.bar)
    export.faithfulness(found, wanted.folder)
    return _Served([found.sentence(place) for place in range(found.count)], refusals)


def _parted(results: Sequence[Attribution | Refusal]) -> tuple[list[Attribution], list[Refusal]]:
    """Maps, and what refused."""
    maps = [result for result in results if isinstance(result, Attribution)]
    return maps, [result for result in results if isinstance(result, Refusal)]


def _told(maps: Sequence[Attribution]) -> list[str]:
    index, name, probability = maps[0].prediction[0]
    return [
        f"{name} ({index}), probability {probability:.3f}",
        f"explained: {maps[0].explained}, {maps[0].score:.3g} {maps[0].target.unit}",
        *(f"{result.method}: {result.account}" for result in maps if result.account),
    ]


def _free(out: Path, stem: str, taken: set[str]) -> Path:
    """A folder of its own for each photo of one call, also where two photos bear one name."""
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}"
    taken.add(name)
    return out / name


def _check(options: argparse.Namespace) -> int:
    torch.set_num_threads(1)  # beside a busy server, threads that wait for each other took ten times as long
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
        network = "embedded" if record.embedded else f"{facts.download:.0f} MB"
        print(f"{key:20} {height} x {width}  top-1 {facts.top1:.1f} %  {network:>9}  {facts.licence}  {facts.source}")
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
        print(f"  {name}={kind.plain(default(cls, name))}  {kind.help} May be {kind.range}.")
