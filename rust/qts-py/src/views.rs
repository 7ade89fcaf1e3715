//! What Python sees of events: plain integers in the instrument's scales, and names.

use pyo3::prelude::*;
use pyo3::types::PyString;
use qts_core::event::{EventType, FillPayload, OrderEndPayload, Side, TickKind, TickPayload, Track};

/// Name of a side.
pub(crate) const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    }
}

/// Name, level and flags of each event type, in the order of the specification.
pub(crate) fn event_types() -> Vec<(&'static str, u8)> {
    EventType::ALL.iter().map(|kind| (kind.name(), kind.priority() as u8)).collect()
}

/// One market-data event. The engine reuses a single view: copy out what has to outlive the call.
#[pyclass(module = "qts._core")]
#[derive(Debug)]
pub(crate) struct TickView {
    pub(crate) tick: TickPayload,
    pub(crate) symbol: Py<PyString>,
    pub(crate) position_qty: i64,
    pub(crate) working_buy: i64,
    pub(crate) working_sell: i64,
}

#[pymethods]
impl TickView {
    /// Engine time (receive time), UTC nanoseconds.
    #[getter]
    fn ts_ns(&self) -> i64 {
        self.tick.ts_recv_ns
    }

    /// Exchange time, UTC nanoseconds; may run backwards.
    #[getter]
    fn ts_event_ns(&self) -> i64 {
        self.tick.ts_event_ns
    }

    #[getter]
    fn symbol(&self, py: Python<'_>) -> Py<PyString> {
        self.symbol.clone_ref(py)
    }

    /// Instrument id.
    #[getter]
    fn instrument(&self) -> u32 {
        self.tick.instrument.0
    }

    /// "Q" quote, "T" trade, "A" auction print, "B" bar close.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.tick.kind {
            TickKind::Quote => "Q",
            TickKind::Trade => "T",
            TickKind::Auction => "A",
            TickKind::BarClose => "B",
        }
    }

    /// Price of the print in price units; of a quote, the last trade's (0 = none yet).
    #[getter]
    fn price(&self) -> i64 {
        self.tick.price.0
    }

    /// Size of the print in quantity units; 0 for a quote.
    #[getter]
    fn qty(&self) -> i64 {
        self.tick.qty.0
    }

    /// Aggressor of a trade: "BUY", "SELL" or None if not told.
    #[getter]
    fn side(&self) -> Option<&'static str> {
        self.tick.aggressor.map(side_name)
    }

    /// Best bid in price units, 0 = none.
    #[getter]
    fn bid(&self) -> i64 {
        self.tick.bid.0
    }

    /// Size at the best bid in quantity units.
    #[getter]
    fn bid_qty(&self) -> i64 {
        self.tick.bid_qty.0
    }

    /// Best ask in price units, 0 = none.
    #[getter]
    fn ask(&self) -> i64 {
        self.tick.ask.0
    }

    /// Size at the best ask in quantity units.
    #[getter]
    fn ask_qty(&self) -> i64 {
        self.tick.ask_qty.0
    }

    /// Quantity that the strategy's track holds, in quantity units.
    #[getter]
    fn position_qty(&self) -> i64 {
        self.position_qty
    }

    /// Unfilled quantity of the track's working buys, in quantity units.
    #[getter]
    fn working_buy(&self) -> i64 {
        self.working_buy
    }

    /// Unfilled quantity of the track's working sells, in quantity units.
    #[getter]
    fn working_sell(&self) -> i64 {
        self.working_sell
    }
}

/// A fill that has been booked.
#[pyclass(module = "qts._core", frozen, get_all)]
#[derive(Debug)]
pub(crate) struct FillEvent {
    kind: &'static str,
    order_id: u64,
    exec_seq: u64,
    instrument: u32,
    symbol: Py<PyString>,
    track: &'static str,
    side: &'static str,
    qty: i64,
    price: i64,
    cumulative: i64,
    remaining: i64,
    amount: i64,
    fee: i64,
    tax: i64,
    ts_exec_ns: i64,
    ts_recv_ns: i64,
}

impl FillEvent {
    pub(crate) fn new(kind: EventType, fill: &FillPayload, symbol: Py<PyString>) -> Self {
        Self {
            kind: kind.name(),
            order_id: fill.order.0,
            exec_seq: fill.exec_seq,
            instrument: fill.instrument.0,
            symbol,
            track: fill.track.name(),
            side: side_name(fill.side),
            qty: fill.qty.0,
            price: fill.price.0,
            cumulative: fill.cumulative.0,
            remaining: fill.remaining.0,
            amount: fill.amount.0,
            fee: fill.fee.0,
            tax: fill.tax.0,
            ts_exec_ns: fill.ts_exec_ns,
            ts_recv_ns: fill.ts_recv_ns,
        }
    }
}

/// The end of an order that did not come from its last fill.
#[pyclass(module = "qts._core", frozen, get_all)]
#[derive(Debug)]
pub(crate) struct OrderEvent {
    kind: &'static str,
    order_id: u64,
    instrument: u32,
    symbol: Py<PyString>,
    track: &'static str,
    side: &'static str,
    reason: &'static str,
    remaining: i64,
    ts_exec_ns: i64,
    ts_recv_ns: i64,
}

impl OrderEvent {
    pub(crate) fn new(kind: EventType, end: &OrderEndPayload, symbol: Py<PyString>) -> Self {
        Self {
            kind: kind.name(),
            order_id: end.order.0,
            instrument: end.instrument.0,
            symbol,
            track: end.track.name(),
            side: side_name(end.side),
            reason: end.reason.name(),
            remaining: end.remaining.0,
            ts_exec_ns: end.ts_exec_ns,
            ts_recv_ns: end.ts_recv_ns,
        }
    }
}

/// Latest prices of one instrument; 0 = not known.
#[pyclass(module = "qts._core", frozen, get_all)]
#[derive(Debug)]
pub(crate) struct Quote {
    pub(crate) last: i64,
    pub(crate) volume: i64,
    pub(crate) bid: i64,
    pub(crate) bid_qty: i64,
    pub(crate) ask: i64,
    pub(crate) ask_qty: i64,
    pub(crate) ts_ns: i64,
}

/// Track from its name.
pub(crate) fn track(name: &str) -> PyResult<Track> {
    Track::ALL.into_iter().find(|track| track.name() == name).ok_or_else(|| {
        crate::errors::value(format!("track is {name:?}; expected 'SCALP', 'SWING' or 'PORTFOLIO'"))
    })
}

/// Track from its name; `None` = what belongs to no track.
pub(crate) fn place(name: Option<&str>) -> PyResult<Option<Track>> {
    name.map(track).transpose()
}

impl TickView {
    /// A view before the first tick.
    pub(crate) fn empty(py: Python<'_>) -> Self {
        Self {
            tick: TickPayload { ts_recv_ns: i64::MIN, ..TickPayload::default() },
            symbol: PyString::intern(py, "").unbind(),
            position_qty: 0,
            working_buy: 0,
            working_sell: 0,
        }
    }
}
