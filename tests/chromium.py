"""Find a Chromium for the browser tests, or get one. Without one the tests fail; they are never skipped."""

import os
import shutil
import subprocess
import sys
from functools import cache

INSTALLED = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@cache
def find() -> str | None:
    """A path, or None where Playwright has its own.

    An installed browser comes first, then Playwright's download, then, as root on Debian, the package of the system.

    Raises:
        RuntimeError: If there is none and none can be had.
    """
    if path := _installed():
        return path
    if _run(sys.executable, "-m", "playwright", "install", "chromium-headless-shell", "chromium"):
        return None
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _run("apt-get", "update")
        _run("apt-get", "install", "--yes", "chromium")
        if path := _installed():
            return path
    raise RuntimeError(
        "The browser tests need a Chromium and none could be installed; install one that is called "
        f"{' or '.join(INSTALLED)}, or let `playwright install chromium` reach its server."
    )


def _installed() -> str | None:
    return next((path for name in INSTALLED if (path := shutil.which(name))), None)


def _run(*command: str) -> bool:
    """Run a command for at most ten minutes; its output goes to standard error."""
    print(f"$ {' '.join(command)}", file=sys.stderr)
    try:
        return subprocess.run(command, stdout=sys.stderr, timeout=600, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
