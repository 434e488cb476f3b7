"""The dashboard's server, as started from the command line or from code."""

import asyncio
import os
import runpy
import subprocess
import sys

from attribution.refusal import Refusal
from attribution.system.assets import dashboard


def serve(port: int = 8501, address: str = "localhost") -> int:
    """Run the dashboard until it stops.

    Args:
        port: TCP port. Default: 8501.
        address: Address to listen on. Default: localhost, this machine only.

    Returns:
        Exit status of the server.
    """
    command = [sys.executable, "-m", "streamlit", *_arguments(port, address)]
    if os.name == "posix":  # replace this process, so that the server receives its signals
        os.execv(sys.executable, command)
    return subprocess.call(command)


def serve_here(port: int, address: str) -> None:
    """Run the dashboard in this process, with the models that it has in memory; otherwise like `serve`.

    Raises:
        Refusal: If the process already runs an event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise Refusal("The dashboard cannot be started in a notebook; call at.serve in a script, or use at.show.")
    before, sys.argv = sys.argv, ["streamlit", *_arguments(port, address)]
    try:
        runpy.run_module("streamlit", run_name="__main__")
    finally:
        sys.argv = before


def _arguments(port: int, address: str) -> list[str]:
    # Streamlit reads the configuration beside the dashboard's script, so it does not depend on the current folder.
    return ["run", str(dashboard()), "--server.port", str(port), "--server.address", address]
