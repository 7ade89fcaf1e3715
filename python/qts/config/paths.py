"""Where configuration and state live."""

import os
from pathlib import Path


def shipped_dir() -> Path:
    """Return the directory of the shipped configuration: paper trading on a simulated session."""
    return Path(__file__).parent / "shipped"


def home_dir() -> Path:
    """Return the home of everything that is written: `QTS_HOME`, by default `~/.qts`."""
    home = os.environ.get("QTS_HOME", "").strip()
    return Path(home).expanduser() if home else Path.home() / ".qts"
