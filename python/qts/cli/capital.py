"""`qts-engine capital`: the pools of an account, and how their capital has moved."""

import json
import sys
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from qts.cli.options import ConfigDir, Home, JsonOut

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.data import CapitalEntryRow, CapitalTransferRow, SessionRow
    from qts.engine.capital_view import CapitalDesk, CapitalHistory, Moved, PoolLine, PoolsNow

Account = Annotated[
    str | None,
    typer.Option("--account", metavar="A", help="Account. Default: of the newest run that has pools."),
]
Run = Annotated[str | None, typer.Option("--run", metavar="ID", help="Run, as report.json names it.")]


class PoolName(StrEnum):
    """Pools."""

    SCALP = "SCALP"
    SWING = "SWING"
    PORTFOLIO = "PORTFOLIO"


app = typer.Typer(help="Show the capital pools and what has moved between them; unlock one.", no_args_is_help=True)

_MONEY: Final = (
    ("total", "total_capital"),
    ("available", "available_capital"),
    ("invested", "invested_capital"),
    ("reserved", "reserved_capital"),
    ("held", "held_for_orders"),
    ("realized", "realized_pnl"),
    ("unrealized", "unrealized_pnl"),
)
_PERCENT: Final = Decimal(100)


@app.command("show")
def show(
    config: ConfigDir = None,
    home: Home = None,
    *,
    account: Account = None,
    run: Run = None,
    as_json: JsonOut = False,
) -> None:
    """Show the pools as they were written last: money, share and target, state and why, drawdown, way to promotion.

    An engine may run meanwhile.

    Example: qts-engine capital show --json
    """
    found = _desk(config, home).show(account, run)
    if as_json:
        _print_json({"pools": []} if found is None else _state_json(found))
    elif found is None:
        _lines([_say("no_pools")])
    else:
        _lines(_state_lines(found))


@app.command("history")
def history(
    config: ConfigDir = None,
    home: Home = None,
    *,
    account: Account = None,
    run: Run = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="Only transfers of a kind: PROMOTION, DEMOTION or REBALANCE."),
    ] = None,
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="P", help="Only of a pool: SCALP, SWING, PORTFOLIO, UNALLOCATED.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="The newest N transfers and ledger lines.")
    ] = 20,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="From a day on, as YYYY-MM-DD (Korea).")
    ] = None,
    as_json: JsonOut = False,
) -> None:
    """Show transfers with their reason, criteria and ledger lines, and the lines of the ledger, oldest first.

    An engine may run meanwhile.

    Example: qts-engine capital history --kind PROMOTION --limit 5
    """
    from qts.engine.capital_view import Wanted

    wanted = Wanted.of(kind, pool, limit, since)
    found = _desk(config, home).history(account, run, wanted)
    if as_json:
        _print_json({"transfers": [], "ledger": []} if found is None else _history_json(found))
    elif found is None:
        _lines([_say("no_pools")])
    else:
        _lines(_history_lines(found, with_ledger=wanted.kind is None))


@app.command("unlock")
def unlock(
    pool: Annotated[PoolName, typer.Argument(help="Pool to unlock.", case_sensitive=False)],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; recorded.")],
    home: Home = None,
    *,
    as_json: JsonOut = False,
) -> None:
    """Take the lock off a pool of the running engine. It is paused until its books are found right, then it goes on.

    Its drawdown is measured anew from here. A pool that LOCKDOWN alone has locked needs none of this: releasing
    LOCKDOWN, with approve, lets it go on. Exit code 2 if it is refused.

    Example: qts-engine capital unlock SWING --reason "loss reviewed with the desk"
    """
    from qts.cli.operator import tell

    tell("capital.unlock", {"pool": pool.value, "reason": reason}, home, as_json=as_json)


def _desk(config: Path | None, home: Path | None) -> "CapitalDesk":
    from qts.engine.capital_view import CapitalDesk

    return CapitalDesk(config, home)


def _state_lines(found: "PoolsNow") -> list[str]:
    session, scale = found.session, found.money_scale
    newest = max((line.pool.timestamp for line in found.pools), default=None)
    lines = [_head(session), _say("as_of", at="-" if newest is None else _moment(newest), status=found.status), ""]
    lines += _table(found)
    lines += ["", _say("unallocated", amount=_money(found.unallocated, scale), currency=session.currency)]
    lines += [
        _say(
            "locked",
            pool=line.pool.pool_id,
            at="-" if line.pool.lock_timestamp is None else _moment(line.pool.lock_timestamp),
            code=line.pool.lock_code,
            reason=line.pool.lock_reason,
        )
        for line in found.pools
        if line.pool.lock_code
    ]
    if found.transfers:
        lines += ["", _say("last_transfers")]
        lines += [f"  {_moved_line(one, scale)}" for one in found.transfers]
        lines.append(_say("more"))
    return lines


def _table(found: "PoolsNow") -> list[str]:
    """Return the pools beside each other, a figure a line."""
    scale = found.money_scale
    rows: list[tuple[str, list[str], str]] = [("", [line.pool.pool_id for line in found.pools], _say("sum"))]
    for label, name in _MONEY:
        amounts = [getattr(line.pool, name) for line in found.pools]
        rows.append((_say(label), [_money(amount, scale) for amount in amounts], _money(sum(amounts), scale)))
    texts: tuple[tuple[str, Callable[[PoolLine], str]], ...] = (
        ("share", lambda line: _percent(line.pool.allocation_pct)),
        ("target", lambda line: _percent(line.pool.target_allocation_pct)),
        ("drift", lambda line: _percent(_drift(line), sign=True)),
        ("state", lambda line: line.pool.pool_state.value),
        ("because", _because),
        ("unit_price", lambda line: f"{line.pool.unit_price:f}"),
        ("drawdown", lambda line: _percent(line.drawdown)),
        ("promotion", lambda line: _progress(line, scale)),
        ("eligible", lambda line: "-" if line.threshold is None else _say(_yes(line.pool.promotion_eligible))),
        ("last_promotion", lambda line: _day(line.pool.last_promotion_time)),
    )
    rows += [(_say(label), [text(line) for line in found.pools], "") for label, text in texts]
    return _beside(rows)


def _history_lines(found: "CapitalHistory", *, with_ledger: bool) -> list[str]:
    scale = found.money_scale
    lines = [_head(found.session), "", _say("transfers")]
    for one in found.transfers:
        lines += _explained(one, found)
    if not found.transfers:
        lines.append(f"  {_say('no_transfers')}")
    if with_ledger:
        lines += ["", _say("ledger")]
        lines += [f"  {_entry(line, found, scale)}" for line in found.entries]
        if not found.entries:
            lines.append(f"  {_say('no_entries')}")
    return lines


def _explained(one: "Moved", found: "CapitalHistory") -> list[str]:
    """Return a transfer with why it was made and what it has posted."""
    transfer, scale = one.transfer, found.money_scale
    operator = _say("operator", operator=transfer.operator_id) if transfer.operator_id else ""
    lines = [
        f"  {_moved_line(transfer, scale)}",
        f"    {_say('why', reason=transfer.reason, key=transfer.transfer_key)}",
        "    " + _say("when", operating=transfer.operating_state, safety=transfer.safety_state, operator=operator),
    ]
    if transfer.criteria:
        criteria = ", ".join(f"{name} {text}" for name, text in transfer.criteria)
        lines.append(f"    {_say('criteria', criteria=criteria)}")
    after = dict(transfer.after)
    totals = ", ".join(
        f"{pool} {_money(amount, scale)} > {_money(after[pool], scale)}"
        for pool, amount in transfer.before
        if pool in after
    )
    if totals:
        lines.append(f"    {_say('totals', totals=totals)}")
    return lines + [f"    {_entry(line, found, scale)}" for line in one.lines]


def _entry(line: "CapitalEntryRow", found: "CapitalHistory", scale: int) -> str:
    amount = _money(line.amount, scale, sign=True)
    reason = _reason(line.ref_id, found.names)
    place = f"{line.pool_id:<11}  {line.bucket:<11}"
    return f"{line.entry_id:>6}  {_at(line.ts_ns)}  {place}  {amount:>16}  {line.cause:<8}  {reason}"


def _reason(ref: str, names: dict[str, str]) -> str:
    """Return in words what a ledger line belongs to; its reference where there are none."""
    head, _, rest = ref.partition(":")
    if head in names:
        return _say("of_reserve" if rest.startswith("reserve") else "of_transfer", key=names[head])
    if head == "release":
        return _say("of_release", key=names.get(rest, rest))
    name, _, last = rest.partition(":")
    from qts.engine.capital_messages import say

    return say(f"of_{head}", name=name, rest=last) if f"of_{head}" in say else ref


def _moved_line(one: "CapitalTransferRow", scale: int) -> str:
    return _say(
        "moved",
        at=_at(one.committed_ns or one.requested_ns),
        kind=one.kind,
        source=one.from_pool,
        target=one.to_pool,
        amount=_money(one.amount, scale),
        status=one.status,
    )


def _state_json(found: "PoolsNow") -> dict[str, Any]:
    scale = found.money_scale
    pools = []
    for line in found.pools:
        pool = line.pool
        lock = pool.lock_timestamp
        pools.append(
            {
                "pool": pool.pool_id,
                "as_of": pool.timestamp.isoformat(),
                **{name: _text(getattr(pool, name), scale) for _, name in _MONEY},
                "accumulated_profit": _text(pool.accumulated_profit, scale),
                "share": str(pool.allocation_pct),
                "target": str(pool.target_allocation_pct),
                "drift": str(_drift(line)),
                "state": pool.pool_state.value,
                "pause_causes": [cause.value for cause in pool.pause_causes],
                "lock_code": pool.lock_code,
                "lock_reason": pool.lock_reason,
                "locked_at": None if lock is None else lock.isoformat(),
                "unit_price": str(pool.unit_price),
                "peak_unit_price": str(pool.peak_unit_price),
                "drawdown": str(line.drawdown),
                "promotion": None
                if line.threshold is None
                else {
                    "promotable": _text(line.promotable, scale),
                    "threshold": _text(line.threshold, scale),
                    "eligible": pool.promotion_eligible,
                },
                "last_promotion": None if pool.last_promotion_time is None else pool.last_promotion_time.isoformat(),
                "revision": pool.revision,
            }
        )
    return {
        **_head_json(found.session),
        "status": found.status,
        "pools": pools,
        "total": _text(sum(line.pool.total_capital for line in found.pools), scale),
        "unallocated": _text(found.unallocated, scale),
        "transfers": [_transfer_json(one, scale) for one in found.transfers],
    }


def _history_json(found: "CapitalHistory") -> dict[str, Any]:
    scale = found.money_scale
    return {
        **_head_json(found.session),
        "transfers": [
            {**_transfer_json(one.transfer, scale), "ledger": [_entry_json(line, found) for line in one.lines]}
            for one in found.transfers
        ],
        "ledger": [_entry_json(line, found) for line in found.entries],
    }


def _transfer_json(one: "CapitalTransferRow", scale: int) -> dict[str, Any]:
    return {
        "transfer_id": one.transfer_id,
        "key": one.transfer_key,
        "kind": one.kind,
        "from": one.from_pool,
        "to": one.to_pool,
        "amount": _text(one.amount, scale),
        "reason": one.reason,
        "status": one.status,
        "requested_at": _iso(one.requested_ns),
        "committed_at": None if one.committed_ns is None else _iso(one.committed_ns),
        "session_date": one.session_date,
        "before": {pool: _text(amount, scale) for pool, amount in one.before},
        "after": {pool: _text(amount, scale) for pool, amount in one.after},
        "criteria": dict(one.criteria),
        "operating_state": one.operating_state,
        "safety_state": one.safety_state,
        "operator": one.operator_id,
    }


def _entry_json(line: "CapitalEntryRow", found: "CapitalHistory") -> dict[str, Any]:
    return {
        "entry": line.entry_id,
        "time": _iso(line.ts_ns),
        "pool": line.pool_id,
        "bucket": line.bucket,
        "amount": _text(line.amount, found.money_scale),
        "cause": line.cause,
        "ref": line.ref_id,
        "because": _reason(line.ref_id, found.names),
    }


def _head(session: "SessionRow") -> str:
    return _say(
        "head",
        account=session.account_id,
        run=session.session_id,
        mode=session.mode,
        strategy=session.strategy,
        currency=session.currency,
    )


def _head_json(session: "SessionRow") -> dict[str, str]:
    return {
        "account": session.account_id,
        "run": session.session_id,
        "mode": session.mode,
        "strategy": session.strategy,
        "currency": session.currency,
    }


def _beside(rows: "Sequence[tuple[str, list[str], str]]") -> list[str]:
    """Return lines of a label and figures under each other, the figures to the right."""
    from qts.codes import columns

    cells = [[label, *texts, last] for label, texts, last in rows]
    widths = [max(columns(row[number]) for row in cells) for number in range(len(cells[0]))]
    lines = []
    for label, *texts in cells:
        padded = [" " * (width - columns(text)) + text for text, width in zip(texts, widths[1:], strict=True)]
        lines.append("  ".join([label + " " * (widths[0] - columns(label)), *padded]).rstrip())
    return lines


def _drift(line: "PoolLine") -> Decimal:
    return line.pool.allocation_pct - line.pool.target_allocation_pct


def _because(line: "PoolLine") -> str:
    causes = [cause.value for cause in line.pool.pause_causes]
    return ", ".join(([line.pool.lock_code] if line.pool.lock_code else []) + causes) or "-"


def _progress(line: "PoolLine", scale: int) -> str:
    """Return how much of the profit is there that a promotion asks for."""
    if line.threshold is None:
        return "-"
    profit = max(0, line.promotable)
    share = Decimal(profit) / line.threshold if line.threshold else Decimal(1)
    return f"{_money(profit, scale)} / {_money(line.threshold, scale)} = {share:.0%}"


def _yes(value: bool) -> str:  # noqa: FBT001 - what is said
    return "yes" if value else "no"


def _percent(share: Decimal, *, sign: bool = False) -> str:
    text = f"{share * _PERCENT:.2f}"
    return f"+{text}" if sign and share > 0 else text if sign else f"{text} %"


def _money(units: int, scale: int, *, sign: bool = False) -> str:
    text = f"{Decimal(units).scaleb(-scale):,f}"
    return f"+{text}" if sign and units > 0 else text


def _text(units: int, scale: int) -> str:
    from qts.money import format_units

    return format_units(units, scale)


def _moment(at: Any) -> str:  # noqa: ANN401 - a datetime
    from qts.engine.capital_view import KST

    return f"{at.astimezone(KST):%Y-%m-%d %H:%M:%S} KST"


def _day(at: Any) -> str:  # noqa: ANN401 - a datetime or None
    return "-" if at is None else _moment(at)[:10]


def _at(ns: int) -> str:
    from qts.clock.instants import from_ns

    return _moment(from_ns(ns))


def _iso(ns: int) -> str:
    from qts.clock.instants import from_ns

    return from_ns(ns).isoformat()


def _say(key: str, /, **fields: object) -> str:
    from qts.engine.capital_messages import say

    return say(key, **fields)


def _lines(lines: "Sequence[str]") -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(document, ensure_ascii=False, indent=2)}\n")
