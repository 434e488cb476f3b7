"""Run the command line: python -m attribution."""

import io
import sys

from attribution.cli import main

if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names of folders go out as the bytes that they came in as
    sys.exit(main())
