"""`python -m murmuration.sysinv` with MUR_CONFIG."""

import sys

from murmuration.runtime.service import main
from murmuration.sysinv.app import run

sys.exit(main("sysinv", run))
