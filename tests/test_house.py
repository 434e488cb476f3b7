"""The drawing of the house in CONTRIBUTING.md, the import contract and the folders: all three equal."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "attribution"
QUESTIONS = ("What", "How", "Whether", "Where")


def drawn() -> list[set[str]]:
    """The layers of the drawing, the highest first."""
    drawing = re.search(r"```\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert drawing
    return [set(line[:40].replace("|", " ").split()) for line in drawing[1].splitlines()]


def agreed() -> list[set[str]]:
    """The layers of the contract, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [each for each in contracts if each["type"] == "layers"]
    assert contract["exhaustive"]
    return [set(layer.replace("|", " ").split()) for layer in contract["layers"]]


def rooms() -> set[str]:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    return folders | {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}


def imports() -> set[tuple[str, str]]:
    """Which room imports which, read from the code."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                full = node.module.split(".")
                names = [f"{node.module}.{alias.name}" for alias in node.names] if len(full) == 1 else [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "attribution" and len(parts) > 1 and parts[1] in rooms() and parts[1] != own:
                    found.add((own, parts[1]))
    return found


def test_drawing_contract_and_folders_agree() -> None:
    assert drawn() == agreed()
    assert set().union(*agreed()) == rooms()


def test_no_arrow_of_the_code_points_upward() -> None:
    height = {room: -place for place, layer in enumerate(agreed()) for room in layer}
    arrows = {(one, other) for one, other in imports() if one != "__init__"}
    assert len(arrows) > 40
    assert {(one, other) for one, other in arrows if height[other] >= height[one]} == set()


def test_at_most_ten_modules_are_in_no_room() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 10


def test_no_docstring_opens_with_a_question() -> None:
    found = []
    for path in [*PACKAGE.rglob("*.py"), ROOT / "door.py", ROOT / "streamlit_app.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node) or ""
                if text.split(maxsplit=1)[:1] and text.split(maxsplit=1)[0] in QUESTIONS:
                    found.append(f"{path.relative_to(ROOT)}: {text.splitlines()[0]}")
    assert found == []
