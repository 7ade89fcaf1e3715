"""`data.yaml`: where the books are kept, the database server, outages, and the sheets."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from qts.config.fields import Flag, Whole, Word, refuse
from qts.config.models.base import Section

Port = Annotated[Whole, Field(ge=1, le=65_535)]


class PoolSettings(Section):
    """Connections to the server, apart for trading, for ticks and for reports, so that none starves another."""

    min: Annotated[Whole, Field(ge=1)] = Field(default=5, description="Connections kept open for trading.")
    max: Annotated[Whole, Field(ge=3)] = Field(default=20, description="Most connections of this process.")
    trading: Annotated[Whole, Field(ge=1)] = Field(default=8, description="Most of them for the books.")
    ingest: Annotated[Whole, Field(ge=1)] = Field(default=4, description="Most of them for ticks and logs.")
    analytics: Annotated[Whole, Field(ge=1)] = Field(default=4, description="Most of them for reports.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.min > self.trading:
            raise refuse("ordered", order="pool.min <= pool.trading")
        if self.trading + self.ingest + self.analytics > self.max:
            raise refuse("ordered", order="pool.trading + pool.ingest + pool.analytics <= pool.max")
        return self


class TimeoutSettings(Section):
    """How long a call to the server may take, in milliseconds."""

    acquire: Annotated[Whole, Field(ge=1)] = Field(default=250, description="Wait for a free connection.")
    connect: Annotated[Whole, Field(ge=1)] = Field(default=3_000, description="Connecting.")
    statement: Annotated[Whole, Field(ge=1)] = Field(default=500, description="A statement of the books.")
    analytics: Annotated[Whole, Field(ge=1)] = Field(default=30_000, description="A statement of a report.")
    lock: Annotated[Whole, Field(ge=1)] = Field(default=200, description="Wait for a lock.")
    idle_in_transaction: Annotated[Whole, Field(ge=1)] = Field(
        default=5_000, description="An open transaction that does nothing."
    )


class ServerSettings(Section):
    """The database server; its password comes from DB_PASSWORD or the file of secrets."""

    host: Word | None = Field(default=None, description="Host or socket directory; none: the embedded database.")
    port: Port = Field(default=5432, description="Port.")
    name: Word = Field(default="qts", description="Database.")
    user: Word = Field(default="qts_user", description="Role.")
    ssl: Literal["auto", "disable", "require", "verify-full"] = Field(
        default="auto", description="Encryption; auto: required unless the server is on this host."
    )
    pool: PoolSettings = Field(default_factory=PoolSettings, description="Connections.")
    timeouts_ms: TimeoutSettings = Field(default_factory=TimeoutSettings, description="Deadlines.")


class OutageSettings(Section):
    """What follows while the database does not answer. Exits are never held back by it."""

    entry_block_s: Annotated[Whole, Field(ge=1)] = Field(
        default=30, description="Seconds after which no position is entered any more (GR100)."
    )
    fail_s: Annotated[Whole, Field(ge=1)] = Field(default=300, description="Seconds after which it is a fault (FS120).")
    entry_block_records: Annotated[Whole, Field(ge=1)] = Field(
        default=10_000, description="Records waiting for the database with which no position is entered any more."
    )
    fail_records: Annotated[Whole, Field(ge=1)] = Field(
        default=50_000, description="Records waiting for the database with which it is a fault."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.entry_block_s > self.fail_s or self.entry_block_records > self.fail_records:
            raise refuse("ordered", order="entry_block <= fail")
        return self


class SheetSettings(Section):
    """Google Sheets, where they are still in use."""

    key: Word | None = Field(default=None, description="Key of the spreadsheet.")
    credentials_file: Word | None = Field(default=None, description="File of the service account, mode 0600.")
    mirror_interval_s: Annotated[Whole, Field(ge=1)] = Field(
        default=5, description="Seconds between two writes of the mirror."
    )
    quota_per_min: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=60, description="Requests that may be made in a minute."
    )
    max_retries: Annotated[Whole, Field(ge=0, le=10)] = Field(default=3, description="Further attempts of a read.")


class ConsistencySettings(Section):
    """How sheets and database are compared while both are in use."""

    interval_s: Annotated[Whole, Field(ge=1)] = Field(default=300, description="Seconds between two comparisons.")
    gate_days: Annotated[Whole, Field(ge=1)] = Field(
        default=10, description="Trading days in a row that must agree entirely before the next phase."
    )


class DataSettings(Section):
    """Storage."""

    source_mode: Literal["DB_ONLY", "HYBRID", "SHEETS_ONLY"] = Field(
        default="DB_ONLY", description="DB_ONLY; HYBRID keeps the sheets up to date too, while migrating."
    )
    backend: Literal["auto", "sqlite", "postgres", "timescale"] = Field(
        default="auto", description="auto: the server if `db.host` names one, else the embedded database."
    )
    read_source: Literal["db", "sheets"] = Field(
        default="db", description="Which side of HYBRID is read; sheets in its first phases."
    )
    keep_backtests: Flag = Field(
        default=False, description="Whether backtests leave their books in the backend, each on its own account."
    )
    store_ticks: Flag = Field(default=False, description="Whether a run keeps the ticks that it has seen.")
    backup_dir: Word | None = Field(
        default=None, description="Where backup sets lie, best on another disk; none: `backups` in the home."
    )
    db: ServerSettings = Field(default_factory=ServerSettings, description="The database server.")
    outage: OutageSettings = Field(default_factory=OutageSettings, description="While the database is away.")
    sheets: SheetSettings = Field(default_factory=SheetSettings, description="Google Sheets.")
    consistency: ConsistencySettings = Field(
        default_factory=ConsistencySettings, description="Comparison of both sides."
    )

    @model_validator(mode="after")
    def _has_what_it_names(self) -> Self:
        if self.backend in ("postgres", "timescale") and self.db.host is None:
            raise refuse("needs", key="data.db.host", because=f"data.backend: {self.backend}")
        if self.source_mode != "DB_ONLY":
            for name, value in (("key", self.sheets.key), ("credentials_file", self.sheets.credentials_file)):
                if value is None:
                    raise refuse("needs", key=f"data.sheets.{name}", because=f"data.source_mode: {self.source_mode}")
        return self

    @property
    def profile(self) -> Literal["sqlite", "server"]:
        """Whether the books are embedded or on a server."""
        return "sqlite" if self.db.host is None or self.backend == "sqlite" else "server"


class DataFile(Section):
    """`data.yaml`."""

    data: DataSettings = Field(default_factory=DataSettings, description="Storage.")
