"""Write the pages of all codes: `python -m qts.codes docs` makes `docs/codes.md` and `docs/codes.ko.md`."""

import sys
from pathlib import Path

from qts.codes.document import page


def main(directory: Path) -> None:
    """Write both pages into `directory`."""
    (directory / "codes.md").write_text(page("en"), encoding="utf-8")
    (directory / "codes.ko.md").write_text(page("ko"), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
