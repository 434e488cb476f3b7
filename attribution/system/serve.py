"""The dashboard as a server, started from the command line."""

import os
import subprocess
import sys

from attribution.system.assets import dashboard


def serve(port: int = 8501, address: str = "localhost") -> int:
    """Start the dashboard, and return when it has stopped.

    Streamlit reads the settings beside the dashboard's script, so they are the same from every folder.

    Args:
        port: Of the server. Default: 8501.
        address: That it listens on. Default: localhost, this machine only.

    Returns:
        Exit status of the server.
    """
    command = [sys.executable, "-m", "streamlit", "run", str(dashboard())]
    command += ["--server.port", str(port), "--server.address", address]
    if os.name == "posix":  # the server takes the place of this process, and so gets its signals
        os.execv(sys.executable, command)
    return subprocess.call(command)
