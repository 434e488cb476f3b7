"""Paths of sample photos, weights and the dashboard's script: inside the package in a wheel, beside it in a clone."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def asset(name: str) -> Path:
    """Return the path of a file in `assets/`, such as "samples/espresso.jpg"."""
    wheel = _PACKAGE / "assets"
    return (wheel if wheel.is_dir() else _PACKAGE.parent / "assets") / name


def dashboard() -> Path:
    """Return the path of the dashboard's script."""
    wheel = _PACKAGE / "dashboard" / "streamlit_app.py"
    return wheel if wheel.exists() else _PACKAGE.parent / "streamlit_app.py"
