"""`python -m murmuration.mtce`: the service as a program."""

import sys

from murmuration.mtce.app import run
from murmuration.runtime.service import main

if __name__ == "__main__":
    sys.exit(main("mtce", run))
