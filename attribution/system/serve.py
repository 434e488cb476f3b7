"""The dashboard's server, as started from the command line."""

import os
import subprocess
import sys

from attribution.system.assets import dashboard


def serve(port: int = 8501, address: str = "localhost") -> int:
    """Run the dashboard until it stops.

    Streamlit reads the configuration beside the dashboard's script, so it does not depend on the current folder.

    Args:
        port: TCP port. Default: 8501.
        address: Address to listen on. Default: localhost, this machine only.

    Returns:
        Exit status of the server.
    """
    command = [sys.executable, "-m", "streamlit", "run", str(dashboard())]
    command += ["--server.port", str(port), "--server.address", address]
    if os.name == "posix":  # replace this process, so that the server receives its signals
        os.execv(sys.executable, command)
    return subprocess.call(command)
