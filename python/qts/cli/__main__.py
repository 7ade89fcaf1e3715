"""`python -m qts.cli`, the same as `qts-engine`."""

import sys

from qts.cli import main

sys.exit(main())
