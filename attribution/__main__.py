"""Run the command line: python -m attribution."""

import sys

from attribution.cli import main

if __name__ == "__main__":
    sys.exit(main())
