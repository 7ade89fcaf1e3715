"""Market data from files, and files of the project's own making."""

from qts.feed.files import FeedFile, Kind, add_feed, inspect
from qts.feed.sample import write_csv, write_csv_gz

__all__ = ["FeedFile", "Kind", "add_feed", "inspect", "write_csv", "write_csv_gz"]
