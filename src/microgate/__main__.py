"""`python -m microgate`: the same as the `microgate` program, for where programs are not on the path."""

import sys

from microgate.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
