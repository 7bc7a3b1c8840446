"""`python -m robustmer` is the command `robustmer`."""

import sys

from robustmer.cli import main

if __name__ == "__main__":
    sys.exit(main())
