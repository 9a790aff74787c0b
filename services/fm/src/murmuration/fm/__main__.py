"""`python -m murmuration.fm` with MUR_CONFIG."""

import sys

from murmuration.fm.app import run
from murmuration.runtime.service import main

sys.exit(main("fm", run))
