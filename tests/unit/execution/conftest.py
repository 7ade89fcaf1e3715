"""Lets the tests of this room share their samples: test modules are not packages."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
