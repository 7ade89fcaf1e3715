"""The logical schema: every table that the books consist of, as data.

Adapters read and write tables by name only if they stand here, and check rows against what stands here before anything
is sent. The SQL of the servers is compared with it by the tests.

A column is written `name kind [null] [= default]`. Kinds: `text`, `text(n)`, `int` (64 bits), `bool`, `json`, `date`,
`timestamp` (aware, UTC, microseconds), and exact decimals: `qty` and `price` with 18 digits, 8 of them behind the
point, `money` with 26 and 8, `ratio` (a fraction) with 5 and 4, `decimal(p,s)`. Defaults: a number or word, `now` for
the time of writing, `identity` for a number that the database gives.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from qts.data.exceptions import RowInvalid

_DIGITS: Final = {"qty": (18, 8), "price": (18, 8), "money": (26, 8), "ratio": (5, 4)}
_COLUMN: Final = re.compile(r"(\w+) ([a-z]+)(?:\((\d+)(?:,(\d+))?\))?( null)?(?: = (.+))?")


class Column(NamedTuple):
    """A column of a table."""

    name: str
    kind: str
    """text, int, bool, json, date, timestamp or decimal."""
    length: int = 0
    """Most characters of a text; 0 for no limit."""
    digits: int = 0
    """Digits of a decimal."""
    scale: int = 0
    """Digits of a decimal behind its point."""
    nullable: bool = False
    default: str | None = None
    """What stands for a value that is not given; None if it must be."""
    meaning: str = ""
    """Kind as written in the schema: qty, price, money, ratio for decimals."""


class Table(NamedTuple):
    """A table of the logical schema."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Columns of the primary key, in which order rows are read; for a series without one, its time."""
    unique: tuple[tuple[str, ...], ...]
    """Other sets of columns that no two rows share."""
    append_only: bool
    """Rows are never changed."""
    through: str
    """Method that writes the table, where `write` may not; empty otherwise."""
    time: str
    """Column by which a time series is partitioned; every query of it names a range. Empty for other tables."""

    def column(self, name: str) -> Column:
        """Return a column by its name.

        Raises:
            RowInvalid: there is no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        names = ", ".join(column.name for column in self.columns)
        raise RowInvalid(
            found=f"RC002: column {name!r}", expected=f"one of {names}", hint="see qts.data.tables", where=self.name
        )


def table(name: str) -> Table:
    """Return a table of the logical schema.

    Raises:
        RowInvalid: there is no such table.
    """
    found = TABLES.get(name)
    if found is None:
        raise RowInvalid(
            found=f"RC003: table {name!r}", expected="a table of the logical schema", hint="see qts.data.tables.TABLES"
        )
    return found


def _column(text: str) -> Column:
    match = _COLUMN.fullmatch(text)
    if match is None:
        raise ValueError(f"column {text!r} is not written as `name kind [null] [= default]`")
    name, kind, first, second, null, default = match.groups()
    digits, scale = _DIGITS.get(kind, (0, 0))
    if kind == "decimal":
        digits, scale = int(first), int(second)
    return Column(
        name,
        "decimal" if digits else kind,
        int(first) if kind == "text" and first else 0,
        digits,
        scale,
        null is not None,
        default,
        kind,
    )


def _table(
    name: str,
    columns: str,
    key: str,
    *unique: str,
    append_only: bool = False,
    through: str = "",
    time: str = "",
) -> Table:
    read = tuple(_column(part.strip()) for part in re.split(r"[;\n]", columns) if part.strip())
    names = tuple(tuple(part.split()) for part in unique)
    return Table(name, read, tuple(key.split()), names, append_only, through, time)


_FEEDBACK_STATS: Final = """
    bucket timestamp; symbol text(20); strategy_tag text(50); order_type text(20); metric text(40)
    count int; mean decimal(18,6); p50 decimal(18,6); p90 decimal(18,6); p95 decimal(18,6); p99 decimal(18,6)
"""

_ALL: Final = (
    # Scales, runs
    _table("currencies", "code text(8); scale int", "code", through="register"),
    _table(
        "instruments",
        "symbol text(20); name text; currency text(8); price_scale int; qty_scale int; money_scale int",
        "symbol",
        through="register",
    ),
    _table(
        "sessions",
        """
        no int = identity; session_id text(64); mode text(20); strategy text(50); broker text(20); account_id text(40)
        currency text(8); cash_start int; started_ns int; config_hash text(64); status text(8) = OPEN; ended_ns int null
        cash_end int null; decision_hash text(64) null
        """,
        "no",
        "session_id",
        through="begin_run",
    ),
    _table(
        "run_orders",
        """
        session_no int; order_id int; ts_ns int; decision_id text(64); symbol text(20); pool_id text(12); side text(4)
        kind text(8); tif text(4); qty int; limit_price int; state text(20); filled_qty int; amount int
        end_reason text; strategy text(50); updated_ns int; client_order_id text(64) null
        """,
        "session_no order_id",
        through="write_run",
    ),
    _table(
        "equity",
        "no int = identity; session_no int; ts_ns int; cash int; market_value int",
        "no",
        append_only=True,
        through="write_run",
    ),
    _table(
        "fill_quarantine",
        "id int = identity; fill_key text(160); cause text; content text; at timestamp = now",
        "id",
        append_only=True,
        through="apply_fill",
    ),
    # Positions and ledger
    _table(
        "positions",
        """
        account_id text(40) = main; pool_id text(12); symbol text(20); qty qty; cost_total money; avg_price price
        opened_at timestamp null; market text(10) null; currency text(8); exposure_value money null
        unrealized_pnl money null; exposure_pct ratio null; realized_pnl money = 0; last_fill_key text(160) null
        version int = 0; oversold bool = false; opened_ns int null
        created_at timestamp = now; updated_at timestamp = now
        """,
        "account_id pool_id symbol",
        through="apply_fill",
    ),
    _table(
        "t_ledger",
        """
        id int = identity; fill_key text(160); entry_type text(12) = FILL; timestamp timestamp; recorded_at timestamp
        trade_date date; account_id text(40); pool_id text(12); symbol text(20); side text(4); qty qty; price price
        amount money; fee money = 0; tax money = 0; currency text(8); realized_pnl money null
        strategy_tag text(50) null; order_id text(100) null; broker text(20); client_order_id text(64) null
        decision_id text(64) null
        broker_exec_id text(100) null; slippage_bps decimal(10,3) null; cum_filled_qty qty null; reverses_id int null
        raw json null; exec_ns int; recv_ns int; exec_ref text(100); run_id text(64) null; reason text null
        """,
        "id",
        "fill_key",
        append_only=True,
        through="apply_fill",
    ),
    # Parameters
    _table(
        "strategies",
        """
        strategy_id text(50); param_name text(100); value text; value_type text(20) = string; description text null
        updated_at timestamp = now
        """,
        "strategy_id param_name",
    ),
    _table(
        "risk_configs",
        "config_key text(100); value qty; description text null; updated_at timestamp = now",
        "config_key",
    ),
    _table(
        "config",
        """
        scope text(12); category text(50) null; sub_category text(50) null; key text(100); value text
        description text null; tag text(12) null; updated_at timestamp = now
        """,
        "scope key",
    ),
    _table(
        "dividends",
        """
        symbol text(20); ex_date date null; record_date date; pay_date date null; amount qty; currency text(8)
        source text(50) null; meta json null
        """,
        "symbol record_date currency",
    ),
    _table(
        "equity_history",
        """
        account_id text(40) = main; trade_date date; total_equity money; daily_pnl money; net_flow money = 0
        daily_return decimal(18,8) null; cumulative_return decimal(18,8) null; volatility_20d decimal(18,8) null
        high_watermark money null; drawdown decimal(18,8) null; mdd decimal(18,8) null; nav decimal(18,8) null
        """,
        "account_id trade_date",
    ),
    # Execution programmes
    _table(
        "intents",
        """
        execution_id text(64); decision_id text(64); parent_order_id text(64); account_id text(40); pool_id text(12)
        symbol text(20); market text(10) null; side text(4); intent text(10); qty qty; price_type text(10)
        price price null; decision_price price null; decision_ts timestamp; deadline timestamp null
        risk_allowed_qty qty null; risk_approved_at timestamp null; strategy_tag text(50) null; hold_id text(64) null
        state text(12); disposition text(10) null; reason text(40) null; filled_qty qty = 0; unsent_qty qty = 0
        cancelled_qty qty = 0; avg_fill_price price null; amount money = 0; fee money = 0; tax money = 0
        slippage_bps decimal(10,3) null; rounds_used int = 0; codes json null; execution_start timestamp null
        execution_end timestamp null; created_at timestamp = now; updated_at timestamp = now; version int = 0
        detail json null
        """,
        "account_id execution_id",
        "account_id decision_id",
    ),
    _table(
        "orders",
        """
        client_order_id text(64); execution_id text(64); sequence int; generation int; parent_order_id text(64)
        account_id text(40); pool_id text(12); broker text(20); venue text(8) null; broker_order_id text(100) null
        prev_broker_order_id text(100) null; symbol text(20); side text(4); intent text(10); qty qty; price price null
        price_type text(10); scheduled_time timestamp null; max_wait_ms int null; max_participation_rate ratio null
        status text(16); filled_qty qty = 0; avg_fill_price price null; sent_at timestamp null; ack_at timestamp null
        created_at timestamp = now; updated_at timestamp = now; version int = 0
        """,
        "account_id client_order_id",
        "account_id execution_id sequence generation",
    ),
    _table(
        "decisions",
        """
        run_id text(64) = unknown; decision_id text(64); created_at timestamp; pipeline_step text(20); action text(4)
        strategy_name text(50); symbol text(20) null; qty qty null; risk_approved bool; portfolio_adjusted bool
        reason text null; metadata json null; line text null
        """,
        "run_id decision_id",
        append_only=True,
    ),
    # Safety and state
    _table(
        "safety_state",
        """
        scope text(40); state text(12); causes json null; ack json null; kill json null; audit_seq int
        audit_hash text(64); version int = 0; updated_at timestamp = now
        """,
        "scope",
    ),
    _table(
        "audit_log",
        """
        seq int; ts_utc timestamp; session_date date null; actor text(64); kind text(40); code text(8) null
        from_state text(20) null; to_state text(20) null; applied bool = true; reason text null; refs json null
        payload json null; prev_hash text(64); hash text(64)
        """,
        "seq",
        "prev_hash",
        "hash",
        append_only=True,
    ),
    _table(
        "operating_state",
        """
        account_id text(40) = main; current_state text(12); previous_state text(12) null
        transition_timestamp timestamp null; transition_reason text(40) null; manual_override bool = false
        override_expiry timestamp null; state_duration_days decimal(18,8) = 0; properties json
        effective_properties json; pending_target text(12) null; pending_count int = 0; pending_since timestamp null
        tightened bool = false; trading_paused bool = false; version int = 0; updated_at timestamp = now
        """,
        "account_id",
    ),
    _table(
        "operating_state_history",
        """
        transition_id text(26); account_id text(40) = main; from_state text(12); to_state text(12); kind text(20)
        reason text(40); metrics json null; safety_state text(12); source text(20); operator_id text(64) null
        decided_at timestamp; effective_at timestamp; version int
        """,
        "transition_id",
        append_only=True,
    ),
    _table(
        "manual_overrides",
        """
        override_id text(26); account_id text(40) = main; override_state text(12); override_reason text(500)
        operator_id text(64); override_time timestamp; expiry_time timestamp; auto_revert_state text(12) null
        ended_at timestamp null; end_reason text(40) null; version int = 0
        """,
        "override_id",
    ),
    _table(
        "rebalance_plans",
        """
        plan_id text(26); account_id text(40) = main; trigger text(40); state text(12); status text(12)
        equity_at_open money; pools json; budget_total money; budget_used money = 0; version int = 0
        created_at timestamp = now; updated_at timestamp = now
        """,
        "plan_id",
    ),
    # Mirror, journal, migrations
    _table(
        "sheet_outbox",
        """
        seq int = identity; data_set text(20); key text(200); op text(8); payload json; created_at timestamp = now
        attempts int = 0; next_attempt_at timestamp = now; status text(8) = PENDING; last_error text null
        """,
        "seq",
        through="apply_fill",
    ),
    _table("journal_ack", "journal text(40); seq int; acked_at timestamp = now", "journal", through="apply_fills"),
    _table(
        "schema_version",
        "component text(60); version int; checksum text(64); applied_at timestamp = now",
        "component version",
        append_only=True,
        through="the migrations",
    ),
    _table(
        "consistency_reports",
        """
        run_id text(64); started_at timestamp; scope text(40); compared int; matched int; mismatches json null
        match_pct decimal(7,4)
        """,
        "run_id scope",
        append_only=True,
    ),
    _table(
        "migration_state",
        """
        id int = identity; phase int; mode text(12); read_source text(8); changed_at timestamp = now
        operator_id text(64)
        """,
        "id",
        append_only=True,
    ),
    # Capital
    _table(
        "capital_pools",
        """
        account_id text(40) = main; pool_id text(12); version text(12); timestamp timestamp; total_capital money
        available_capital money; invested_capital money; reserved_capital money; held_for_orders money
        realized_pnl money = 0; unrealized_pnl money = 0; accumulated_profit money = 0; allocation_pct ratio
        target_allocation_pct ratio; last_promotion_time timestamp null; promotion_eligible bool = false
        pool_state text(8); pause_causes json null; lock_reason text null; lock_code text(8) null
        lock_timestamp timestamp null; units decimal(28,8) = 0; unit_price decimal(18,6) = 0
        peak_unit_price decimal(18,6) = 0; revision int = 0; nav_gain money = 0; is_funded bool = false
        """,
        "account_id pool_id",
    ),
    _table(
        "capital_transfers",
        """
        transfer_id text(64); transfer_key text(64); from_pool text(12); to_pool text(12); amount money; kind text(12)
        reason text(40); status text(10); requested_at timestamp; committed_at timestamp null; before_pools json null
        after_pools json null; criteria json null; operating_state text(12); safety_state text(12)
        operator_id text(64) null; account_id text(40) = main; session_date date null
        """,
        "account_id transfer_id",
        "account_id transfer_key",
    ),
    _table(
        "capital_ledger",
        """
        entry_id int = identity; time timestamp; account_id text(40) = main; pool_id text(12); bucket text(12)
        amount money; cause text(10); ref_id text(160); entry_no int null
        """,
        "entry_id",
        "account_id cause ref_id pool_id bucket",
        append_only=True,
    ),
    _table(
        "capital_holds",
        """
        hold_id text(64); order_id text(64); account_id text(40) = main; pool_id text(12); amount money; remaining money
        state text(12); reason text(40); created_at timestamp = now; updated_at timestamp = now; version int = 0
        """,
        "account_id hold_id",
    ),
    # Time series
    _table(
        "tick_data",
        """
        time timestamp; symbol text(20); kind text(1); price price null; volume int; side text(4) null; bid price null
        bid_qty int null; ask price null; ask_qty int null; source text(20); seq int; event_ns int; recv_ns int
        """,
        "symbol time source seq",
        append_only=True,
        through="the tick store",
        time="time",
    ),
    _table(
        "tick_ack", "source text(20); through_seq int; acked_at timestamp = now", "source", through="the tick store"
    ),
    _table(
        "tick_quarantine",
        "id int = identity; source text(20); seq int; recv_ns int; cause text; content text",
        "id",
        append_only=True,
        through="the tick store",
    ),
    _table(
        "ohlcv_1d",
        """
        time timestamp; symbol text(20); open price; high price; low price; close price; volume int; trade_date date
        source text(20) null; revision int = 1
        """,
        "symbol time",
        through="store_ohlcv",
        time="time",
    ),
    _table(
        "execution_logs",
        """
        time timestamp; order_id text(100); symbol text(20); stage text(50); latency_ms decimal(10,3) null; success bool
        error_code text(50) null; trace_id text(64) null
        """,
        "",
        append_only=True,
        through="store_execution_log",
        time="time",
    ),
    _table(
        "feedback_data",
        """
        time timestamp; execution_id text(64); order_id text(100); revision int; calc_version int; symbol text(20)
        strategy_tag text(50); order_type text(20); side text(4); intent text(10); execution_start timestamp
        execution_end timestamp; feedback_generated_at timestamp; decision_price price null; original_qty qty
        total_filled_qty qty; avg_fill_price price null; total_slippage_bps decimal(10,3) null
        timing_cost_bps decimal(10,3) null; spread_cost_bps decimal(10,3) null; realized_impact_bps decimal(10,3) null
        implementation_shortfall_bps decimal(10,3) null; market_impact_bps decimal(10,3) null
        spread_at_execution decimal(10,3) null; avg_fill_latency_ms decimal(10,3) null
        avg_ack_latency_ms decimal(10,3) null; markout_5s_bps decimal(10,3) null; markout_60s_bps decimal(10,3) null
        partial_fill_ratio ratio; execution_quality_score ratio null; volatility_at_execution decimal(10,6) null
        depth_at_execution int null; adv_20d qty null; participation decimal(10,6) null; time_slot text(11)
        session_phase text(16); final_state text(12); operating_state text(12); safety_state text(12)
        quality_status text(12); exclude_reason text(40) null; tick_count int; tick_first_ts timestamp null
        tick_last_ts timestamp null
        """,
        "execution_id revision time",
        append_only=True,
        time="time",
    ),
    _table(
        "feedback_summary",
        """
        symbol text(20); order_type text(20); time_slot text(11); version int; avg_slippage_bps decimal(10,3)
        avg_market_impact_bps decimal(10,3); avg_quality_score ratio; p90_slippage_bps decimal(10,3)
        stderr_bps decimal(10,3); impact_coeff decimal(18,6); kyle_lambda decimal(18,6) null; n_eff decimal(18,6)
        level int; status text(8); as_of timestamp; effective_from timestamp
        """,
        "symbol order_type time_slot version",
        append_only=True,
    ),
    # Aggregates
    _table(
        "ohlcv_1m",
        "bucket timestamp; symbol text(20); open price; high price; low price; close price; volume decimal(38,0)",
        "symbol bucket",
        through="the aggregation of ticks",
        time="bucket",
    ),
    _table(
        "daily_pnl",
        """
        account_id text(40); day date; symbol text(20); realized_pnl money; trade_count int; net_cash_flow money
        fees money; taxes money
        """,
        "account_id symbol day",
        through="the aggregation of the ledger",
    ),
    _table(
        "hourly_execution_metrics",
        """
        hour timestamp; stage text(50); avg_latency_ms decimal(10,3) null; p99_latency_ms decimal(10,3) null
        success_count int; failure_count int
        """,
        "stage hour",
        through="the aggregation of execution logs",
        time="hour",
    ),
    _table("hourly_feedback_stats", _FEEDBACK_STATS, "symbol bucket strategy_tag order_type metric"),
    _table("daily_feedback_stats", _FEEDBACK_STATS, "symbol bucket strategy_tag order_type metric"),
)

TABLES: Final = {entry.name: entry for entry in _ALL}
"""Every table by its name."""
