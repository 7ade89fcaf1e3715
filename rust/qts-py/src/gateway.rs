//! The account's one way out, as Python sees it.
//!
//! The gateway is locked for one call at a time and never while Python is called.

mod permit;
mod words;

use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use qts_core::event::OrderId;
use qts_core::fixed::{Money, Price, Qty};
use qts_core::instrument::InstrumentId;
use qts_core::order::gateway::{
    Answer, BrokerFill, Decision, Gateway as Core, GatewayConfig, Match, Restored, SharedGateway,
    Surroundings, Wish,
};
use qts_core::order::{OrderError, Terms, WorkingOrder};
use qts_core::shadow::{PoolError, Position};

use crate::errors;
use crate::instruments::{Instruments, side};
use crate::safety::SafetyWord;
use crate::views::{place, track};

pub(crate) use permit::{OrderRefused, Outgoing, PermitRefused, SendPermit};
use words::{ListedRow, WorkingRow, holder, listed, working_row};
pub(crate) use words::{action, limits, wanted};

use crate::engine::{SplitTuple, split_row};

/// State, filled, remaining, newest broker number.
type OrderRow = (&'static str, i64, i64, String);

/// The account's one way out: orders, positions, cash, holds, blocks, the rate budget, exits and permits. Threads may share
/// it. Prices, quantities and money are integers in the instrument's scales, times are UTC nanoseconds.
#[pyclass(module = "qts._core", frozen)]
pub(crate) struct Gateway {
    core: SharedGateway,
}

impl Gateway {
    pub(crate) const fn sharing(core: SharedGateway) -> Self {
        Self { core }
    }
}

fn order_error(error: &OrderError) -> PyErr {
    match error {
        OrderError::NotWorking(id) => PyLookupError::new_err(format!("order {} is not known", id.0)),
        other => errors::value(other),
    }
}

#[pymethods]
impl Gateway {
    #[new]
    #[pyo3(signature = (instruments, *, cash, safety=None, config=None))]
    fn new(
        instruments: PyRef<'_, Instruments>,
        cash: i64,
        safety: Option<PyRef<'_, SafetyWord>>,
        config: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let limits = limits(config, GatewayConfig::default())?;
        let mut core = Core::new(instruments.shared(), Money(cash), limits).map_err(errors::value)?;
        if let Some(safety) = safety {
            core.attach_safety(safety.word.clone());
        }
        Ok(Self { core: SharedGateway::new(core) })
    }

    /// Hold every message against `safety` from now on.
    fn attach_safety(&self, safety: PyRef<'_, SafetyWord>) {
        self.core.lock().attach_safety(safety.word.clone());
    }

    /// Set limits from now on; the rate budget starts full.
    fn configure(&self, config: &Bound<'_, PyDict>) -> PyResult<()> {
        let before = *self.core.lock().config();
        let limits = limits(Some(config), before)?;
        self.core.lock().configure(limits).map_err(errors::value)
    }

    /// Ask every gate of stage 1 and hold what the quantity may cost: (reason, qty, hold, gates asked).
    #[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    #[allow(clippy::fn_params_excessive_bools, reason = "three independent facts")]
    #[pyo3(signature = (instrument, track, side, qty, hold_price, action, now_ns, *, quote_ts_ns, max_age_ns, link_up, market_open, state_open))]
    fn precheck(
        &self,
        instrument: u32,
        track: &str,
        side: &str,
        qty: i64,
        hold_price: i64,
        action: &str,
        now_ns: i64,
        quote_ts_ns: i64,
        max_age_ns: i64,
        link_up: bool,
        market_open: bool,
        state_open: bool,
    ) -> PyResult<(&'static str, i64, u64, u8)> {
        let decision = Decision {
            instrument: InstrumentId(instrument),
            track: self::track(track)?,
            side: self::side(side)?,
            qty: Qty(qty),
            hold_price: Price(hold_price),
            action: self::action(action)?,
        };
        let around = Surroundings {
            quote_ts_ns,
            max_age_ns,
            is_link_up: link_up,
            is_market_open: market_open,
            is_state_open: state_open,
        };
        let check = self.core.lock().precheck(&decision, &around, now_ns);
        Ok((check.reason, check.qty.0, check.hold, check.asked))
    }

    /// Shrink a hold to what live orders still need plus `keep_qty` not yet sent.
    #[pyo3(signature = (hold_id, keep_qty=0))]
    fn close_hold(&self, hold_id: u64, keep_qty: i64) {
        self.core.lock().close_hold(hold_id, Qty(keep_qty));
    }

    /// (money held, quantity not filled, quantity of it that live orders may fill), or None if the hold is gone.
    fn hold(&self, hold_id: u64) -> Option<(i64, i64, i64)> {
        self.core.lock().hold(hold_id).map(|(money, open, live)| (money.0, open.0, live.0))
    }

    /// Take an order through the gates; VALIDATED.
    #[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    #[pyo3(signature = (instrument, track, side, kind, tif, limit, qty, *, action, now_ns, hold_id=0, lease=0, holder="EXECUTION"))]
    fn request(
        &self,
        instrument: u32,
        track: &str,
        side: &str,
        kind: &str,
        tif: &str,
        limit: i64,
        qty: i64,
        action: &str,
        now_ns: i64,
        hold_id: u64,
        lease: u64,
        holder: &str,
    ) -> PyResult<SendPermit> {
        self::holder(holder)?;
        let request = wanted(instrument, [track, side, kind, tif], limit, qty)?;
        let terms = Terms { action: self::action(action)?, hold: hold_id, lease };
        if self.core.lock().instruments().get(request.instrument).is_none() {
            return Err(errors::value(format!("instrument id {instrument} is not known")));
        }
        let permit = self.core.request(&Wish { request, terms, is_told_apart: false }, now_ns);
        Ok(SendPermit::new(permit.map_err(permit::order_refused)?))
    }

    /// The right to change an order's price and total quantity.
    #[pyo3(signature = (order_id, limit, qty, *, action, now_ns))]
    fn request_amend(
        &self,
        order_id: u64,
        limit: i64,
        qty: i64,
        action: &str,
        now_ns: i64,
    ) -> PyResult<SendPermit> {
        let (to, action) = ((Price(limit), Qty(qty)), self::action(action)?);
        let permit = self.core.request_amend(OrderId(order_id), to, action, now_ns);
        Ok(SendPermit::new(permit.map_err(permit::order_refused)?))
    }

    /// The right to cancel.
    #[pyo3(signature = (order_id, *, now_ns))]
    fn request_cancel(&self, order_id: u64, now_ns: i64) -> PyResult<SendPermit> {
        let permit = self.core.request_cancel(OrderId(order_id), now_ns);
        Ok(SendPermit::new(permit.map_err(permit::order_refused)?))
    }

    /// The broker holds the order.
    fn on_ack(&self, order_id: u64, broker_no: &str, now_ns: i64) -> PyResult<&'static str> {
        self.numbered(order_id, Answer::Acknowledged, broker_no, now_ns)
    }

    /// The broker refused the order, or has proven never to have had it.
    #[pyo3(signature = (order_id, now_ns, *, not_received=false))]
    fn on_reject(&self, order_id: u64, now_ns: i64, not_received: bool) -> PyResult<&'static str> {
        self.answered(order_id, Answer::Rejected(not_received), now_ns)
    }

    /// The answer is lost.
    fn on_lost(&self, order_id: u64, now_ns: i64) -> PyResult<&'static str> {
        self.answered(order_id, Answer::Lost, now_ns)
    }

    /// The amendment went through.
    fn on_amended(&self, order_id: u64, broker_no: &str, now_ns: i64) -> PyResult<&'static str> {
        self.numbered(order_id, Answer::Amended, broker_no, now_ns)
    }

    /// The amendment was refused.
    fn on_amend_refused(&self, order_id: u64, now_ns: i64) -> PyResult<&'static str> {
        self.answered(order_id, Answer::AmendRefused, now_ns)
    }

    /// The cancel was refused: the order works on.
    fn on_cancel_refused(&self, order_id: u64, now_ns: i64) -> PyResult<&'static str> {
        self.answered(order_id, Answer::CancelRefused, now_ns)
    }

    /// The order is off the book.
    fn on_end(&self, order_id: u64, kind: &str, now_ns: i64) -> PyResult<&'static str> {
        let answer = match kind {
            "CANCELLED" => Answer::Cancelled,
            "EXPIRED" => Answer::Expired,
            other => {
                return Err(errors::value(format!("end is {other:?}; expected 'CANCELLED' or 'EXPIRED'")));
            }
        };
        self.answered(order_id, answer, now_ns)
    }

    /// Book a fill once: (what it was, cumulative, remaining, the position afterwards).
    #[allow(clippy::too_many_arguments, reason = "a fill has that many parts")]
    #[pyo3(signature = (order_id, event_id, qty, price, fee, tax, now_ns))]
    fn on_fill(
        &self,
        order_id: u64,
        event_id: &str,
        qty: i64,
        price: i64,
        fee: Option<i64>,
        tax: Option<i64>,
        now_ns: i64,
    ) -> PyResult<(&'static str, i64, i64, i64)> {
        let fill = BrokerFill {
            order: OrderId(order_id),
            event: event_id,
            qty: Qty(qty),
            price: Price(price),
            fee: fee.map(Money),
            tax: tax.map(Money),
        };
        let outcome = self.core.lock().on_fill(&fill, now_ns).map_err(|error| order_error(&error))?;
        Ok((outcome.state.name(), outcome.cumulative.0, outcome.remaining.0, outcome.position.0))
    }

    /// (state, filled, remaining, newest broker number) of an order.
    fn order_state(&self, order_id: u64) -> PyResult<OrderRow> {
        let id = OrderId(order_id);
        let gateway = self.core.lock();
        let order = gateway.orders().known(id).ok_or_else(|| order_error(&OrderError::NotWorking(id)))?;
        let number = gateway.number_of(id).to_owned();
        Ok((order.state.name(), order.filled.0, order.remaining().0, number))
    }

    /// What is in doubt about an order: (amend in flight, its answer lost, the cancel's answer lost, never received).
    fn order_doubts(&self, order_id: u64) -> PyResult<(bool, bool, bool, bool)> {
        let id = OrderId(order_id);
        let order =
            *self.core.lock().orders().known(id).ok_or_else(|| order_error(&OrderError::NotWorking(id)))?;
        let is_amend_in_doubt = order.amend.is_some_and(|amend| amend.is_in_doubt);
        Ok((order.amend.is_some(), is_amend_in_doubt, order.is_cancel_in_doubt, order.is_not_received))
    }

    /// Every order that may still fill, oldest first.
    fn working_orders(&self) -> Vec<WorkingRow> {
        let gateway = self.core.lock();
        let row = |order: &WorkingOrder| working_row(order, gateway.number_of(order.id));
        gateway.orders().iter().map(row).collect()
    }

    /// The order that a broker knows by a number, or knew before an amendment.
    fn find(&self, broker_no: &str) -> Option<u64> {
        self.core.lock().find(broker_no).map(|id| id.0)
    }

    /// Every number of an order, oldest first.
    fn numbers(&self, order_id: u64) -> Vec<String> {
        self.core.lock().numbers_of(OrderId(order_id)).map(str::to_owned).collect()
    }

    /// Match an order without a number with a broker's list: FOUND and the number, ABSENT, or AMBIGUOUS.
    fn resolve(&self, order_id: u64, rows: Vec<ListedRow>, now_ns: i64) -> PyResult<(&'static str, String)> {
        let _ = now_ns;
        let rows = rows.into_iter().map(listed).collect::<PyResult<Vec<_>>>()?;
        let id = OrderId(order_id);
        match self.core.lock().resolve(id, &rows) {
            Some(Match::Found(number)) => Ok(("FOUND", number)),
            Some(Match::Absent) => Ok(("ABSENT", String::new())),
            Some(Match::Ambiguous) => Ok(("AMBIGUOUS", String::new())),
            None => Err(order_error(&OrderError::NotWorking(id))),
        }
    }

    /// Take the exit of a position: (lease, quantity it may sell now).
    fn claim_exit(
        &self,
        instrument: u32,
        track: &str,
        holder: &str,
        qty: i64,
        now_ns: i64,
    ) -> PyResult<(u64, i64)> {
        let (track, holder) = (self::track(track)?, self::holder(holder)?);
        let claimed = self.core.lock().claim_exit(InstrumentId(instrument), track, holder, Qty(qty), now_ns);
        let (lease, qty) = claimed.map_err(|reason| permit::order_refused(reason.into()))?;
        Ok((lease, qty.0))
    }

    /// Give a lease back.
    fn release_exit(&self, lease: u64) {
        self.core.lock().release_exit(lease);
    }

    /// Note whether the venue takes no orders of an exit now; the lease stays.
    fn block_exit(&self, lease: u64, blocked: bool) {
        self.core.lock().block_exit(lease, blocked);
    }

    /// (holder, lease, quantity in flight) of the exit that is outstanding, if one is.
    fn exit_of(&self, instrument: u32, track: &str) -> PyResult<Option<(&'static str, u64, i64)>> {
        let exit = self.core.lock().exit_of(InstrumentId(instrument), self::track(track)?);
        Ok(exit.map(|(holder, lease, selling, _)| (holder.name(), lease, selling.0)))
    }

    /// Whether the outstanding exit of a position is noted as blocked.
    fn is_exit_blocked(&self, instrument: u32, track: &str) -> PyResult<bool> {
        let exit = self.core.lock().exit_of(InstrumentId(instrument), self::track(track)?);
        Ok(exit.is_some_and(|(_, _, _, is_blocked)| is_blocked))
    }

    /// Refuse entries of an instrument, or take them again.
    #[pyo3(signature = (instrument, *, reason, frozen))]
    fn freeze(&self, instrument: u32, reason: &str, frozen: bool) {
        self.core.lock().freeze(InstrumentId(instrument), reason, frozen);
    }

    /// Why entries of an instrument are refused; empty if they are not.
    fn freezes(&self, instrument: u32) -> Vec<String> {
        self.core.lock().freezes(InstrumentId(instrument)).map(str::to_owned).collect()
    }

    /// (quantity, cost without fees, opened_ns) of a track's holding.
    fn position(&self, instrument: u32, track: &str) -> PyResult<(i64, i64, i64)> {
        let held = self.core.lock().book().position(InstrumentId(instrument), self::track(track)?);
        Ok((held.qty.0, held.cost_total.0, held.opened_ns))
    }

    /// Every holding: (instrument, track, quantity, cost without fees, opened_ns).
    fn positions(&self) -> Vec<(u32, &'static str, i64, i64, i64)> {
        let gateway = self.core.lock();
        let open = gateway.book().open();
        open.map(|(id, track, held)| (id.0, track.name(), held.qty.0, held.cost_total.0, held.opened_ns))
            .collect()
    }

    /// (most, least) that may come to be held once every order that may be live has been answered.
    fn exposure(&self, instrument: u32, track: &str) -> PyResult<(i64, i64)> {
        Ok(self.core.lock().exposure(InstrumentId(instrument), self::track(track)?))
    }

    /// Unfilled quantity of working buys and sells of a track.
    fn working(&self, instrument: u32, track: &str) -> PyResult<(i64, i64)> {
        let (buy, sell) =
            self.core.lock().orders().working_qty(InstrumentId(instrument), self::track(track)?);
        Ok((buy.0, sell.0))
    }

    /// What was sold beyond what was held and is not explained yet: (instrument, track, quantity).
    fn oversold(&self) -> Vec<(u32, &'static str, i64)> {
        self.core.lock().oversold().map(|(id, track, qty)| (id.0, track.name(), qty.0)).collect()
    }

    /// Forget what was sold beyond a holding: it has been reconciled.
    fn explain_oversold(&self, instrument: u32, track: &str) -> PyResult<()> {
        self.core.lock().explain_oversold(InstrumentId(instrument), self::track(track)?);
        Ok(())
    }

    /// Cash in money units.
    #[getter]
    fn cash(&self) -> i64 {
        self.core.lock().book().account().cash.0
    }

    /// Cash held for purchases, in money units.
    #[getter]
    fn reserved_cash(&self) -> i64 {
        self.core.lock().orders().reserved().0
    }

    /// Number of permits that have neither been redeemed nor voided.
    #[getter]
    fn open_permits(&self) -> usize {
        self.core.lock().open_permits()
    }

    /// (fees, taxes, realised profit net of the sales' own costs) so far, in money units.
    fn flows(&self) -> (i64, i64, i64) {
        let account = *self.core.lock().book().account();
        (account.fees.0, account.taxes.0, account.realized.0)
    }

    /// What is held for an order: its own reservation or its share of its hold; 0 once it has ended.
    fn hold_of(&self, order_id: u64) -> i64 {
        self.core.lock().hold_of(OrderId(order_id)).0
    }

    /// Split the cash of the account among the pools.
    fn fund_pools(&self, scalp: i64, swing: i64, portfolio: i64) -> PyResult<()> {
        self.core.lock().fund_pools([Money(scalp), Money(swing), Money(portfolio)]).map_err(errors::value)
    }

    /// Whether the pools are funded.
    #[getter]
    fn pools_funded(&self) -> bool {
        self.core.lock().book().is_funded()
    }

    /// (cash, held for purchases, set aside, whether entries are refused) of a pool.
    fn pool_money(&self, track: &str) -> PyResult<(i64, i64, i64, bool)> {
        let track = self::track(track)?;
        let gateway = self.core.lock();
        let pool = *gateway.book().pool(track).ok_or_else(|| errors::value(PoolError::Unfunded))?;
        let held = gateway.orders().reserved_by_track().of(track);
        Ok((pool.cash.0, held.0, pool.set_aside.0, pool.is_blocked))
    }

    /// Cash that belongs to no pool.
    fn unallocated(&self) -> i64 {
        self.core.lock().book().unallocated().0
    }

    /// Move free cash between pools; None stands for what is unallocated.
    #[pyo3(signature = (from_pool, to_pool, amount))]
    fn move_pool_cash(&self, from_pool: Option<&str>, to_pool: Option<&str>, amount: i64) -> PyResult<()> {
        let (from, to) = (place(from_pool)?, place(to_pool)?);
        self.core.lock().move_pool_cash(from, to, Money(amount)).map_err(errors::value)
    }

    /// Keep `amount` of a pool from orders and transfers, in place of what was kept so far.
    fn set_aside(&self, track: &str, amount: i64) -> PyResult<()> {
        self.core.lock().set_aside(self::track(track)?, Money(amount)).map_err(errors::value)
    }

    /// Refuse orders that buy for a track, or take them again.
    fn block_entries(&self, track: &str, blocked: bool) -> PyResult<()> {
        self.core.lock().block_entries(self::track(track)?, blocked).map_err(errors::value)
    }

    /// Book external cash (negative: taken away) to a pool, or to what is unallocated.
    #[pyo3(signature = (track, amount))]
    fn credit(&self, track: Option<&str>, amount: i64) -> PyResult<()> {
        self.core.lock().credit(place(track)?, Money(amount)).map_err(errors::value)
    }

    /// Turn every `denominator` of an instrument held into `numerator`, rounded down to whole lots, at the same cost.
    fn split(&self, instrument: u32, numerator: i64, denominator: i64) -> PyResult<Vec<SplitTuple>> {
        let rows = self.core.lock().split(InstrumentId(instrument), numerator, denominator);
        Ok(rows.map_err(errors::value)?.iter().map(split_row).collect())
    }

    /// Take in an order of the process before this one, as its journal knew it; no gate is asked.
    #[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    #[pyo3(signature = (order_id, instrument, track, side, kind, tif, limit, qty, *, action, broker_nos, submitted_ns, now_ns, amend=None, lease=0))]
    fn restore_order(
        &self,
        order_id: u64,
        instrument: u32,
        track: &str,
        side: &str,
        kind: &str,
        tif: &str,
        limit: i64,
        qty: i64,
        action: &str,
        broker_nos: Vec<String>,
        submitted_ns: i64,
        now_ns: i64,
        amend: Option<(i64, i64)>,
        lease: u64,
    ) -> PyResult<&'static str> {
        let restored = Restored {
            id: OrderId(order_id),
            request: wanted(instrument, [track, side, kind, tif], limit, qty)?,
            terms: Terms { action: self::action(action)?, hold: 0, lease },
            numbers: &broker_nos,
            submitted_ns,
            amend: amend.map(|(limit, qty)| (Price(limit), Qty(qty))),
        };
        let after = self.core.lock().restore_order(&restored, now_ns).map_err(|error| order_error(&error))?;
        Ok(after.state.name())
    }

    /// Take over a holding from the day before, as `position` tells it.
    fn restore_position(
        &self,
        instrument: u32,
        track: &str,
        qty: i64,
        cost_total: i64,
        opened_ns: i64,
    ) -> PyResult<()> {
        let position =
            Position { qty: Qty(qty), cost_total: Money(cost_total), opened_ns, ..Position::default() };
        let taken =
            self.core.lock().restore_position(InstrumentId(instrument), self::track(track)?, position);
        taken.map_err(errors::value)
    }

    /// Forget the orders that have ended, with their numbers and fills: a broker gives numbers anew each day.
    fn new_day(&self) {
        self.core.lock().new_day();
    }
}

impl Gateway {
    fn answered(&self, order_id: u64, answer: Answer, now_ns: i64) -> PyResult<&'static str> {
        let after = self.core.lock().on_answer(OrderId(order_id), answer, now_ns);
        after.map(|order| order.state.name()).map_err(|error| order_error(&error))
    }

    fn numbered(
        &self,
        order_id: u64,
        answer: Answer,
        broker_no: &str,
        now_ns: i64,
    ) -> PyResult<&'static str> {
        let id = OrderId(order_id);
        let mut gateway = self.core.lock();
        if gateway.orders().known(id).is_none() {
            return Err(order_error(&OrderError::NotWorking(id)));
        }
        if !gateway.note_number(id, broker_no) {
            return Err(errors::value(format!(
                "number {broker_no} is another order's, not order {order_id}'s"
            )));
        }
        let after = gateway.on_answer(id, answer, now_ns);
        after.map(|order| order.state.name()).map_err(|error| order_error(&error))
    }
}

/// Whether the table of an execution's states has a way from one to the other.
#[pyfunction]
#[pyo3(name = "execution_may_go", signature = (from_state, to_state))]
pub(crate) fn execution_may_go(from_state: &str, to_state: &str) -> PyResult<bool> {
    use qts_core::order::execution::ExecState;
    let state = |name: &str| {
        ExecState::from_name(name)
            .ok_or_else(|| errors::value(format!("{name:?} is no state of an execution")))
    };
    Ok(state(from_state)?.may_go(state(to_state)?))
}
