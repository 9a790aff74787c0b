"""`python -m murmuration.gateway`: MUR_CONFIG names the site's configuration."""

import sys

from murmuration.gateway.app import run
from murmuration.runtime.service import main

if __name__ == "__main__":
    sys.exit(main("gateway", run))
