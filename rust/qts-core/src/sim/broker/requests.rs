//! What the broker checks of a request before it takes it.

use crate::event::Side;
use crate::fixed::{FixedError, Money, Price, Qty};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::matcher::OrderKind;

use super::orders::{Chain, PendingAmend, cost};
use super::{Action, NewOrder, OrderNo, Refusal, Request, SimExchange};

/// The broker's answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Taken, under this new number. What becomes of it is told by stream and list.
    Taken(OrderNo),
    /// Not carried out.
    Refused(Refusal),
}

/// A check that may refuse, or find a figure out of range.
type Checked<T> = Result<T, Stop>;

#[derive(Debug)]
enum Stop {
    Refused(Refusal),
    Range(FixedError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<FixedError> for Stop {
    fn from(error: FixedError) -> Self {
        Self::Range(error)
    }
}

fn answer(taken: Checked<OrderNo>) -> Result<Answer, FixedError> {
    match taken {
        Ok(number) => Ok(Answer::Taken(number)),
        Err(Stop::Refused(refusal)) => Ok(Answer::Refused(refusal)),
        Err(Stop::Range(error)) => Err(error),
    }
}

impl SimExchange {
    /// Hands in an order.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn place(&mut self, order: NewOrder, now_ns: i64) -> Result<Answer, FixedError> {
        let now_ns = self.advance(now_ns)?;
        let taken = self.try_place(order, now_ns);
        self.advance(now_ns)?;
        answer(taken)
    }

    /// Asks for a new limit and a new quantity, which counts what is filled, of the order that goes by `named`.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn amend(
        &mut self,
        named: OrderNo,
        limit: Price,
        qty: Qty,
        now_ns: i64,
    ) -> Result<Answer, FixedError> {
        let now_ns = self.advance(now_ns)?;
        let taken = self.try_amend(named, limit, qty, now_ns);
        self.advance(now_ns)?;
        answer(taken)
    }

    /// Asks to take off what is left of the order that goes by `named`.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn cancel(&mut self, named: OrderNo, now_ns: i64) -> Result<Answer, FixedError> {
        let now_ns = self.advance(now_ns)?;
        let taken = self.try_cancel(named, now_ns);
        self.advance(now_ns)?;
        answer(taken)
    }

    /// Counts a query against the requests of the second.
    ///
    /// # Errors
    /// [`Refusal::TOO_FAST`].
    pub fn charge(&mut self, now_ns: i64) -> Result<(), Refusal> {
        self.now_ns = self.now_ns.max(now_ns);
        if self.throttle.take(self.now_ns) { Ok(()) } else { Err(Refusal::TOO_FAST) }
    }

    fn try_place(&mut self, order: NewOrder, now_ns: i64) -> Checked<OrderNo> {
        self.admit(Action::Place, now_ns)?;
        let instrument = self.instruments.get(order.instrument).ok_or(Refusal::NO_SYMBOL)?;
        if !self.config.is_open(now_ns) {
            return Err(Refusal::CLOSED.into());
        }
        if self.trading(order.instrument).is_halted {
            return Err(Refusal::HALTED.into());
        }
        check_qty(instrument, order.qty)?;
        if order.limit.0 != 0 || order.kind == OrderKind::Limit {
            self.check_price(instrument, order.instrument, order.limit, now_ns)?;
        }
        let bound = self.bound_of(&order, instrument, now_ns)?;
        match order.side {
            Side::Buy if cost(instrument, bound, order.qty, now_ns)? > self.orderable(now_ns)? => {
                return Err(Refusal::NO_CASH.into());
            }
            Side::Sell if order.qty > self.sellable(order.instrument) => {
                return Err(Refusal::NO_HOLDING.into());
            }
            Side::Buy | Side::Sell => {}
        }
        let root = self.take_number();
        self.orders.open(root, order, bound, now_ns);
        self.forward(Request::Place { root }, now_ns);
        Ok(root)
    }

    fn try_amend(&mut self, named: OrderNo, limit: Price, qty: Qty, now_ns: i64) -> Checked<OrderNo> {
        self.admit(Action::Amend, now_ns)?;
        let (root, chain) = self.named(named)?;
        let id = chain.order.instrument;
        let instrument = self.instruments.get(id).ok_or(Refusal::NO_SYMBOL)?;
        if !self.config.is_open(now_ns) {
            return Err(Refusal::CLOSED.into());
        }
        if self.trading(id).is_halted {
            return Err(Refusal::HALTED.into());
        }
        if chain.pending.is_some() {
            return Err(Refusal::BUSY.into());
        }
        check_qty(instrument, qty)?;
        if qty > chain.order.qty || qty <= chain.filled {
            return Err(Refusal::BAD_AMEND_QTY.into());
        }
        self.check_price(instrument, id, limit, now_ns)?;
        let pending = PendingAmend { number: OrderNo(self.next_order_no), limit };
        let held = chain.hold(instrument, now_ns)?;
        let needed = Chain { pending: Some(pending), ..chain }.hold(instrument, now_ns)?;
        if needed.checked_sub(held)? > self.orderable(now_ns)? {
            return Err(Refusal::NO_CASH.into());
        }
        let number = self.take_number();
        self.orders.begin_amend(root, pending);
        self.forward(Request::Amend { root, number, named, limit, qty }, now_ns);
        Ok(number)
    }

    fn try_cancel(&mut self, named: OrderNo, now_ns: i64) -> Checked<OrderNo> {
        self.admit(Action::Cancel, now_ns)?;
        let (root, _) = self.named(named)?;
        if !self.config.is_open(now_ns) {
            return Err(Refusal::CLOSED.into());
        }
        let number = self.take_number();
        self.forward(Request::Cancel { root, number, named }, now_ns);
        Ok(number)
    }

    /// What every request passes: the allowance of the second, and refusals that a fault plan asked for.
    fn admit(&mut self, action: Action, now_ns: i64) -> Checked<()> {
        if !self.throttle.take(now_ns) {
            return Err(Refusal::TOO_FAST.into());
        }
        match self.armed.refusal_of(action) {
            Some(refusal) => Err(refusal.into()),
            None => Ok(()),
        }
    }

    /// The live order that goes by `named` now, or will once its amendment has gone through.
    fn named(&self, named: OrderNo) -> Checked<(OrderNo, Chain)> {
        let (root, chain) = self.orders.find(named).ok_or(Refusal::NO_ORDER)?;
        let is_pending = chain.pending.is_some_and(|pending| pending.number == named);
        if chain.is_live && (chain.newest == named || is_pending) {
            Ok((root, *chain))
        } else {
            Err(Refusal::NOTHING_LEFT.into())
        }
    }

    fn check_price(
        &self,
        instrument: &Instrument,
        id: InstrumentId,
        price: Price,
        now_ns: i64,
    ) -> Checked<()> {
        if price.0 <= 0 || !instrument.is_on_tick(price, now_ns) {
            return Err(Refusal::OFF_TICK.into());
        }
        match self.limits(instrument, id, now_ns) {
            Some((lowest, highest)) if price < lowest || price > highest => Err(Refusal::OUT_OF_BAND.into()),
            _ => Ok(()),
        }
    }

    /// The worst price that the order may trade at: its limit; of a market order the limit of the day, else of a
    /// purchase what is offered now.
    fn bound_of(&self, order: &NewOrder, instrument: &Instrument, now_ns: i64) -> Checked<Price> {
        if order.limit.0 > 0 {
            return Ok(order.limit);
        }
        match (self.limits(instrument, order.instrument, now_ns), order.side) {
            (Some((_, highest)), Side::Buy) => Ok(highest),
            (Some((lowest, _)), Side::Sell) => Ok(lowest),
            (None, Side::Sell) => Ok(Price(0)),
            (None, Side::Buy) => {
                let ask = self.trading(order.instrument).shown.map_or(Price(0), |shown| shown.ask);
                if ask.0 > 0 {
                    Ok(instrument.ceil_to_tick(ask, now_ns))
                } else {
                    Err(Refusal::NO_PRICE.into())
                }
            }
        }
    }

    fn forward(&mut self, request: Request, now_ns: i64) {
        self.in_transit.push_back((now_ns.saturating_add(self.config.exchange_delay_ns), request));
    }

    /// Cash that no live purchase may need.
    pub(super) fn orderable(&self, ts_ns: i64) -> Result<Money, FixedError> {
        self.orders.live().try_fold(self.account.cash(), |left, (_, chain)| {
            match self.instruments.get(chain.order.instrument) {
                Some(instrument) => left.checked_sub(chain.hold(instrument, ts_ns)?),
                None => Ok(left),
            }
        })
    }

    /// What is held and not offered for sale.
    pub(super) fn sellable(&self, instrument: InstrumentId) -> Qty {
        let held = self.account.holding(instrument).qty;
        self.orders
            .live()
            .filter(|(_, chain)| chain.order.instrument == instrument && chain.order.side == Side::Sell)
            .fold(held, |left, (_, chain)| left.saturating_sub(chain.remaining()))
    }
}

fn check_qty(instrument: &Instrument, qty: Qty) -> Checked<()> {
    if qty.0 > 0 && qty.0.checked_rem(instrument.lot().0) == Some(0) {
        Ok(())
    } else {
        Err(Refusal::BAD_QTY.into())
    }
}
