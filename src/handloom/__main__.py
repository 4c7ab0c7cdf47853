"""`python -m handloom`, which torchrun needs."""

import sys

from handloom.cli import main

if __name__ == "__main__":
    sys.exit(main())
