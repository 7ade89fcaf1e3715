"""Sample records of the contract."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from qts.data.contracts import CurrencyRow, EquityRow, FillRow, InstrumentRow, OrderRow, SessionRow
from qts.data.records import Fill, LedgerEntry, Ohlcv, fill_key_of

KRW = CurrencyRow("KRW", 0)
SAMSUNG = InstrumentRow("005930", "Samsung Electronics", "KRW", 0, 0, 0)
HYNIX = InstrumentRow("000660", "SK hynix", "KRW", 0, 0, 0)
DAY = date(2024, 1, 2)
NINE_NS = 1_704_153_600_123_456_789
"""2024-01-02 09:00:00.123456789 in Seoul."""
FROM = datetime(2024, 1, 1, tzinfo=UTC)
TO = datetime(2024, 2, 1, tzinfo=UTC)


def coin(decimals: int) -> tuple[CurrencyRow, InstrumentRow]:
    """A currency and an instrument with as many decimals as there are."""
    return CurrencyRow("USDT", decimals), InstrumentRow("BTCUSDT", "Bitcoin", "USDT", 8, 8, decimals)


def fill(number: int, side="BUY", qty=10, price=70_000, **changes) -> Fill:
    """Fill number `number`, of an order of its own, with a fee of 1.5 bps and 20 bps tax on sales."""
    amount = Decimal(qty) * Decimal(price)
    values = {
        "broker": "sim",
        "account_id": "main",
        "trade_date": DAY,
        "order_id": f"{number:010}",
        "exec_ref": f"E{number}",
        "pool_id": "SCALP",
        "symbol": "005930",
        "side": side,
        "qty": Decimal(qty),
        "price": Decimal(price),
        "amount": amount,
        "fee": amount * 15 // 100_000,
        "tax": amount * 20 // 10_000 if side == "SELL" else Decimal(0),
        "currency": "KRW",
        "ts_exec_ns": NINE_NS + number * 1_000_000_007,
        "ts_recv_ns": NINE_NS + number * 1_000_000_007 + 2_500_001,
    }
    return Fill(**{**values, **changes})


def full_fill(number: int, **changes) -> Fill:
    """A fill with every optional value."""
    optional = {
        "cum_filled_qty": Decimal(10),
        "client_order_id": f"C-{number}",
        "decision_id": f"D-{number}",
        "strategy_tag": "ema_cross",
        "reason": "크로스 \"up\", 'quoted'; --",
        "broker_exec_id": f"X-{number}",
        "slippage_bps": Decimal("-1.250"),
        "raw": '{"odno": "0000123", "종목": "005930", "n": [1, 2.50]}',
    }
    return fill(number, **{**optional, **changes})


def coin_fill(number: int, decimals: int, qty="0.00000001", price="43123.12345678", **changes) -> Fill:
    amount = (Decimal(qty) * Decimal(price)).quantize(Decimal(1).scaleb(-decimals))
    values = {"amount": amount, "fee": Decimal(0), "tax": Decimal(0), "symbol": "BTCUSDT", "currency": "USDT"}
    return fill(number, qty=qty, price=price, **{**values, **changes})


def reversal(taken_back: Fill, **changes) -> LedgerEntry:
    """The entry that takes a fill back: the same figures under a key of its own."""
    fill_back = replace(taken_back, exec_ref=f"rev={taken_back.exec_ref}", **changes)
    return LedgerEntry(entry_type="REVERSAL", fill=fill_back, reverses_key=taken_back.fill_key)


def adjustment(number: int, side: str, qty: int, price: int = 70_000, **changes) -> LedgerEntry:
    """What a reconciliation with the broker books."""
    return LedgerEntry(
        entry_type="RECON_ADJ", fill=fill(number, side, qty, price, fee=Decimal(0), tax=Decimal(0), **changes)
    )


def fee_adjustment(number: int, side: str, fee: int) -> LedgerEntry:
    """A fee that the broker charged later: it moves no shares and no amount."""
    return LedgerEntry(
        entry_type="FEE_ADJ", fill=fill(number, side, 1, 1, amount=Decimal(0), fee=Decimal(fee), tax=Decimal(0))
    )


def bar(day: int, close=70_000, symbol="005930", volume=1_000, **changes) -> Ohlcv:
    """The daily bar of January `day` 2024."""
    values = {
        "time": datetime(2024, 1, day, tzinfo=UTC),
        "symbol": symbol,
        "open": Decimal(close) - 100,
        "high": Decimal(close) + 200,
        "low": Decimal(close) - 300,
        "close": Decimal(close),
        "volume": volume,
        "trade_date": date(2024, 1, day),
        "source": "krx",
    }
    return Ohlcv(**{**values, **changes})


def minute(number: int, close=70_000, **changes) -> Ohlcv:
    """The bar of minute `number` after nine in Seoul."""
    start = datetime(2024, 1, 2, tzinfo=UTC) + timedelta(minutes=number)
    return bar(2, close, **{"time": start, **changes})


def parameter(name: str, value: str, **changes) -> dict[str, object]:
    row = {"strategy_id": "ema_cross", "param_name": name, "value": value, "value_type": "string"}
    return {**row, **changes}


# Rows of a run


def session(session_id="run-1", **changes) -> SessionRow:
    row = SessionRow(session_id, "SIM", "ema_cross", "sim", f"paper-{session_id}", "KRW", 10_000_000, 1, "cafe")
    return row._replace(**changes)


def fill_row(number, side="BUY", qty=10, price=70_000, **changes) -> FillRow:
    amount = qty * price
    row = FillRow(
        trade_date="2024-01-02",
        order_id=number,
        exec_ref=str(number),
        ts_ns=NINE_NS + 1_000 + number,
        ts_exec_ns=NINE_NS + 900 + number,
        decision_id=f"d{number}",
        symbol="005930",
        track="SCALP",
        side=side,
        qty=qty,
        price=price,
        amount=amount,
        fee=amount * 15 // 100_000,
        tax=amount * 20 // 10_000 if side == "SELL" else 0,
        cum_qty=qty,
        reason="cross",
        strategy="ema_cross",
    )
    return row._replace(**changes)


def order_row(number, state="FILLED", filled_qty=10, **changes) -> OrderRow:
    row = OrderRow(
        order_id=number,
        ts_ns=NINE_NS + number,
        decision_id=f"d{number}",
        symbol="005930",
        track="SCALP",
        side="BUY",
        kind="LIMIT",
        tif="DAY",
        qty=10,
        limit_price=70_100,
        state=state,
        filled_qty=filled_qty,
        amount=filled_qty * 70_000,
        end_reason="",
        strategy="ema_cross",
        updated_ns=NINE_NS + 2_000 + number,
    )
    return row._replace(**changes)


def equity_row(number: int) -> EquityRow:
    return EquityRow(NINE_NS + number, 9_000_000 + number, 1_000_000 - number)


def key_of(row: FillRow, run: SessionRow) -> str:
    return fill_key_of(run.broker, run.account_id, date.fromisoformat(row.trade_date), str(row.order_id), row.exec_ref)
