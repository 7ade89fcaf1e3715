"""Lets the tests of this room share `state_samples`: test modules are not packages."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
