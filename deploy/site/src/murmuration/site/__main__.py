"""`python -m murmuration.site`."""

import sys

from murmuration.site.cli import main

sys.exit(main())
