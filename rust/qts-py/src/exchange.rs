//! The simulated broker as Python sees it.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::fixed::{FixedError, Money, Price, Qty};
use qts_core::instrument::{InstrumentId, InstrumentTable};
use qts_core::sim::broker::{
    Action, Answer, BrokerConfig, Execution, NewOrder, Notice, OrderNo, Refusal, RefusalKind, RowState,
    SimExchange as Core, TAKEN,
};
use qts_core::sim::matcher::{OrderKind, TimeInForce};

use crate::errors;
use crate::instruments::{Instruments, side};
use crate::views::side_name;

/// (taken, number or kind of refusal, code, words).
type AnswerRow = (bool, String, &'static str, &'static str);
/// Fields of `BrokerOrder`.
type OrderRowOut = (String, String, String, &'static str, &'static str, i64, i64, i64, i64, bool, i64);
/// Fields of `FillEvent`.
type FillRow = (String, String, String, &'static str, i64, i64, i64, i64, i64, i64);

/// An instrument by number or by symbol.
#[derive(FromPyObject)]
enum Named {
    Number(u32),
    Symbol(String),
}

fn kind(name: &str) -> PyResult<OrderKind> {
    match name {
        "LIMIT" => Ok(OrderKind::Limit),
        "MARKET" => Ok(OrderKind::Market),
        other => Err(errors::value(format!("kind is {other:?}; expected 'LIMIT' or 'MARKET'"))),
    }
}

fn tif(name: &str) -> PyResult<TimeInForce> {
    match name {
        "DAY" => Ok(TimeInForce::Day),
        "IOC" => Ok(TimeInForce::Ioc),
        other => Err(errors::value(format!("tif is {other:?}; expected 'DAY' or 'IOC'"))),
    }
}

const fn kind_name(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Limit => "LIMIT",
        OrderKind::Market => "MARKET",
    }
}

fn action(name: &str) -> PyResult<Action> {
    match name {
        "PLACE" => Ok(Action::Place),
        "AMEND" => Ok(Action::Amend),
        "CANCEL" => Ok(Action::Cancel),
        other => Err(errors::value(format!("action is {other:?}; expected 'PLACE', 'AMEND' or 'CANCEL'"))),
    }
}

/// The number of that text; what is no number is one that was never given.
fn number(text: &str) -> OrderNo {
    OrderNo::parse(text).unwrap_or(OrderNo(u64::MAX))
}

fn original(number: Option<OrderNo>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

fn answer_row(answer: Result<Answer, FixedError>) -> PyResult<AnswerRow> {
    Ok(match answer.map_err(errors::fixed)? {
        Answer::Taken(number) => (true, number.to_string(), TAKEN.0, TAKEN.1),
        Answer::Refused(refusal) => refusal_row(refusal),
    })
}

fn refusal_row(refusal: Refusal) -> AnswerRow {
    (false, refusal.kind.name().to_owned(), refusal.code, refusal.text)
}

fn prices(rows: Option<BTreeMap<u32, i64>>) -> BTreeMap<InstrumentId, Price> {
    rows.into_iter().flatten().map(|(id, price)| (InstrumentId(id), Price(price))).collect()
}

fn config(settings: Option<&Bound<'_, PyDict>>) -> PyResult<BrokerConfig> {
    let mut config = BrokerConfig::default();
    let Some(settings) = settings else { return Ok(config) };
    for (key, value) in settings {
        let key: String = key.extract()?;
        match key.as_str() {
            "sessions" => config.sessions = sessions(value.extract()?)?,
            "requests_per_s" => config.requests_per_s = value.extract()?,
            "exchange_delay_ns" => config.exchange_delay_ns = value.extract::<u32>()?.into(),
            "first_order_no" => config.first_order_no = value.extract()?,
            "notices_max" => config.notices_max = value.extract()?,
            other => return Err(errors::value(format!("the simulated broker has no setting {other:?}"))),
        }
    }
    Ok(config)
}

fn sessions(rows: Vec<(i64, i64)>) -> PyResult<Vec<(i64, i64)>> {
    let is_span = rows.iter().all(|(open_ns, close_ns)| open_ns < close_ns);
    if is_span && rows.is_sorted_by(|one, next| one.1 <= next.0) {
        Ok(rows)
    } else {
        Err(errors::value("sessions are (open_ns, close_ns) in ascending order that do not overlap"))
    }
}

/// A broker as Korean ones are, with an exchange behind it: the world that adapters and fault plans are tried on.
#[pyclass(module = "qts._core")]
pub(crate) struct SimExchange {
    core: Core,
    instruments: std::sync::Arc<InstrumentTable>,
}

#[pymethods]
impl SimExchange {
    /// A broker with one account.
    #[new]
    #[pyo3(signature = (instruments, *, cash, base_prices = None, config = None))]
    fn new(
        instruments: &Instruments,
        cash: i64,
        base_prices: Option<BTreeMap<u32, i64>>,
        config: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let (instruments, bases) = (instruments.shared(), prices(base_prices));
        let config = self::config(config)?;
        let core = Core::new(std::sync::Arc::clone(&instruments), Money(cash), &bases, config);
        Ok(Self { core, instruments })
    }

    /// Hand in an order.
    #[allow(clippy::too_many_arguments, reason = "an order has that many parts")]
    fn place(
        &mut self,
        instrument: Named,
        side: &str,
        kind: &str,
        tif: &str,
        limit: i64,
        qty: i64,
        now_ns: i64,
    ) -> PyResult<AnswerRow> {
        let order = NewOrder {
            instrument: self.find(&instrument).unwrap_or(InstrumentId(u32::MAX)),
            side: self::side(side)?,
            kind: self::kind(kind)?,
            tif: self::tif(tif)?,
            limit: Price(limit),
            qty: Qty(qty),
        };
        answer_row(self.core.place(order, now_ns))
    }

    /// Ask for a new limit and a new quantity, which counts what is filled.
    fn amend(&mut self, broker_no: &str, limit: i64, qty: i64, now_ns: i64) -> PyResult<AnswerRow> {
        answer_row(self.core.amend(number(broker_no), Price(limit), Qty(qty), now_ns))
    }

    /// Ask to take off what is left of an order.
    fn cancel(&mut self, broker_no: &str, now_ns: i64) -> PyResult<AnswerRow> {
        answer_row(self.core.cancel(number(broker_no), now_ns))
    }

    /// Count a query against the requests of the second.
    fn charge(&mut self, now_ns: i64) -> AnswerRow {
        match self.core.charge(now_ns) {
            Ok(()) => (true, String::new(), "", ""),
            Err(refusal) => refusal_row(refusal),
        }
    }

    /// Let time pass: what is due by `now_ns` reaches the exchange.
    fn advance(&mut self, now_ns: i64) -> PyResult<()> {
        self.core.advance(now_ns).map_err(errors::fixed)?;
        Ok(())
    }

    /// When something next reaches the exchange; None if nothing is on the way.
    fn next_due_ns(&self) -> Option<i64> {
        self.core.next_due_ns()
    }

    /// Rows of the day by number, with the fields of `BrokerOrder`.
    #[pyo3(signature = (open_only = false))]
    fn orders(&self, open_only: bool) -> Vec<OrderRowOut> {
        let rows = self.core.orders(open_only).map(|row| {
            (
                row.order_no.to_string(),
                original(row.original_no),
                self.symbol(row.order.instrument),
                side_name(row.order.side),
                kind_name(row.order.kind),
                row.order.qty.0,
                row.order.limit.0,
                row.filled.0,
                row.remaining.0,
                row.state == RowState::Live,
                row.ts_ns,
            )
        });
        rows.collect()
    }

    /// What has become of the order under a number; None if no order has it.
    fn status(&self, broker_no: &str) -> Option<&'static str> {
        self.core.order(number(broker_no)).map(|row| row.state.name())
    }

    /// Executions of the day at or after `since_ns`, with the fields of `FillEvent`.
    #[pyo3(signature = (since_ns = 0))]
    fn fills(&self, since_ns: i64) -> Vec<FillRow> {
        self.core.executions(since_ns).map(|execution| self.fill_row(execution)).collect()
    }

    /// (symbol, quantity, sellable quantity, cost without fees) of everything held.
    fn positions(&self) -> Vec<(String, i64, i64, i64)> {
        let rows = self.core.positions();
        rows.map(|row| (self.symbol(row.instrument), row.qty.0, row.sellable.0, row.cost_total.0)).collect()
    }

    /// (cash with everything unsettled, what of it can be ordered for).
    fn cash(&self) -> PyResult<(i64, i64)> {
        let (cash, orderable) = self.core.cash().map_err(errors::fixed)?;
        Ok((cash.0, orderable.0))
    }

    /// Fetch what the stream has said since the last call.
    fn notices(&mut self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let notices: Vec<Notice> = self.core.take_notices().collect();
        let row = |notice| match notice {
            Notice::Fill(it) => {
                let (event, order, symbol, side, qty, price, cumulative, fee, tax, ts_ns) =
                    self.fill_row(&it);
                let row = ("FILL", event, order, symbol, side, qty, price, cumulative, fee, tax, ts_ns);
                Ok(row.into_pyobject(py)?.into_any().unbind())
            }
            Notice::Order(it) => {
                let (order, original) = (it.order_no.to_string(), original(it.original_no));
                let row = ("ORDER", order, it.kind.name(), original, it.remaining.0, it.ts_ns);
                Ok(row.into_pyobject(py)?.into_any().unbind())
            }
        };
        notices.into_iter().map(row).collect()
    }

    /// How many notices were lost because nobody fetched them.
    #[getter]
    fn notices_lost(&self) -> u64 {
        self.core.notices_lost()
    }

    /// Show new best prices; a price of 0 is an empty side.
    fn on_quote(
        &mut self,
        instrument: Named,
        bid: i64,
        bid_qty: i64,
        ask: i64,
        ask_qty: i64,
        ts_ns: i64,
    ) -> PyResult<()> {
        let instrument = self.known(&instrument)?;
        let (bid, ask) = ((Price(bid), Qty(bid_qty)), (Price(ask), Qty(ask_qty)));
        self.core.on_quote(instrument, bid, ask, ts_ns).map_err(errors::fixed)
    }

    /// Print a trade of others, or the single price of an auction.
    #[pyo3(signature = (instrument, price, qty, ts_ns, *, aggressor = None, auction = false))]
    fn on_trade(
        &mut self,
        instrument: Named,
        price: i64,
        qty: i64,
        ts_ns: i64,
        aggressor: Option<&str>,
        auction: bool,
    ) -> PyResult<()> {
        let instrument = self.known(&instrument)?;
        let aggressor = aggressor.map(side).transpose()?;
        self.core
            .on_trade(instrument, Price(price), Qty(qty), aggressor, auction, ts_ns)
            .map_err(errors::fixed)
    }

    /// End the session: what works expires, what is on its way is refused.
    fn end_session(&mut self, ts_ns: i64) -> PyResult<()> {
        self.core.end_session(ts_ns).map_err(errors::fixed)
    }

    /// Begin a new day with empty lists; False, with nothing changed, while an order is live.
    #[pyo3(signature = (base_prices = None))]
    fn start_day(&mut self, base_prices: Option<BTreeMap<u32, i64>>) -> bool {
        self.core.start_day(&prices(base_prices))
    }

    /// Halt trading in an instrument, or let it go on.
    fn halt(&mut self, instrument: Named, halted: bool) -> PyResult<()> {
        let instrument = self.known(&instrument)?;
        self.core.halt(instrument, halted).map_err(errors::fixed)
    }

    /// Fill a part of an order now, whatever the market shows; False if it cannot be.
    fn fill_now(&mut self, broker_no: &str, qty: i64, price: i64) -> PyResult<bool> {
        self.core.fill_now(number(broker_no), Qty(qty), Price(price)).map_err(errors::fixed)
    }

    /// Refuse the next request, or the next of one kind, as the broker.
    #[pyo3(signature = (kind, action = None))]
    fn reject_next(&mut self, kind: &str, action: Option<&str>) -> PyResult<()> {
        let refusal = RefusalKind::from_name(kind).ok_or_else(|| {
            let names = RefusalKind::ALL.map(RefusalKind::name).join(", ");
            errors::value(format!("kind of refusal {kind:?}; expected one of {names}"))
        })?;
        self.core.reject_next(refusal, action.map(self::action).transpose()?);
        Ok(())
    }

    /// Take the next order and have the exchange refuse it.
    fn reject_next_at_exchange(&mut self) {
        self.core.reject_next_at_exchange();
    }

    /// Pay money in, or out if it is negative.
    fn deposit(&mut self, amount: i64) -> PyResult<()> {
        self.core.deposit(Money(amount)).map_err(errors::fixed)
    }

    /// Add to what is held.
    fn transfer_in(&mut self, instrument: Named, qty: i64, cost: i64) -> PyResult<()> {
        let instrument = self.known(&instrument)?;
        self.core.transfer_in(instrument, Qty(qty), Money(cost)).map_err(errors::fixed)
    }
}

impl SimExchange {
    fn find(&self, named: &Named) -> Option<InstrumentId> {
        match named {
            Named::Number(number) => Some(InstrumentId(*number)),
            Named::Symbol(symbol) => self.instruments.find(symbol),
        }
    }

    fn known(&self, named: &Named) -> PyResult<InstrumentId> {
        let found = self.find(named).filter(|id| self.instruments.get(*id).is_some());
        found.ok_or_else(|| match named {
            Named::Number(number) => {
                errors::value(format!("instrument id {number} is not one of {}", self.instruments.len()))
            }
            Named::Symbol(symbol) => errors::value(format!("no instrument has the symbol {symbol:?}")),
        })
    }

    fn symbol(&self, instrument: InstrumentId) -> String {
        self.instruments.get(instrument).map_or_else(String::new, |it| it.symbol().to_owned())
    }

    fn fill_row(&self, execution: &Execution) -> FillRow {
        (
            format!("{:010}", execution.exec_no),
            execution.order_no.to_string(),
            self.symbol(execution.instrument),
            side_name(execution.side),
            execution.qty.0,
            execution.price.0,
            execution.cumulative.0,
            execution.fee.0,
            execution.tax.0,
            execution.ts_ns,
        )
    }
}
