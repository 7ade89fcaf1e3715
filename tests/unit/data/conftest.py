import pytest

from qts.data import CurrencyRow, FillRow, InstrumentRow, OrderRow, SessionRow, SQLiteStore

KRW = CurrencyRow("KRW", 0)
SAMSUNG = InstrumentRow("005930", "Samsung Electronics", "KRW", 0, 0, 0)
HYNIX = InstrumentRow("000660", "SK hynix", "KRW", 0, 0, 0)


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")


def session(session_id="run-1", **changes):
    row = SessionRow(session_id, "SIM", "ema_cross", "sim", f"paper-{session_id}", "KRW", 10_000_000, 1, "cafe")
    return row._replace(**changes)


def fill(number, side="BUY", qty=10, price=70_000, **changes):
    """Fill number `number`, of an order of its own, with a fee of 1.5 bps and 20 bps tax on sales."""
    amount = qty * price
    row = FillRow(
        trade_date="2024-01-02",
        order_id=number,
        exec_ref=str(number),
        ts_ns=1_000 + number,
        ts_exec_ns=900 + number,
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


def order(number, state="FILLED", filled_qty=10, **changes):
    row = OrderRow(
        order_id=number,
        ts_ns=1_000 + number,
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
        updated_ns=2_000 + number,
    )
    return row._replace(**changes)


def begun(path=None, session_id="run-1", **options):
    """A store with instruments and an open session."""
    store = SQLiteStore(path, **options)
    store.register([KRW], [SAMSUNG, HYNIX])
    store.begin_session(session(session_id))
    return store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "db" / "qts.sqlite"


@pytest.fixture
def store(path):
    with begun(path) as opened:
        yield opened
