"""Storage on a PostgreSQL server, with or without TimescaleDB."""

from qts.data.postgres.adapter import TimescaleDBAdapter
from qts.data.postgres.migrate import migrate

__all__ = ["TimescaleDBAdapter", "migrate"]
