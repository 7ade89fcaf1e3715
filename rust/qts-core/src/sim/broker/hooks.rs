//! What a fault plan can make happen.

use std::collections::VecDeque;

use crate::event::OrderId;
use crate::fixed::{FixedError, Money, Price, Qty};
use crate::instrument::InstrumentId;

use super::{OrderNo, Refusal, RefusalKind, SimExchange};

/// Kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A new order.
    Place,
    /// An amendment.
    Amend,
    /// A cancel.
    Cancel,
}

/// Refusals that wait for their request.
#[derive(Debug, Default)]
pub(super) struct Armed {
    /// By the broker, first come first served; `None` = of any request.
    refusals: VecDeque<(Option<Action>, RefusalKind)>,
    /// Of orders, by the exchange.
    at_exchange: u32,
}

impl Armed {
    pub(super) fn refusal_of(&mut self, action: Action) -> Option<Refusal> {
        let at = self.refusals.iter().position(|(of, _)| of.is_none_or(|of| of == action))?;
        self.refusals.remove(at).map(|(_, kind)| kind.sample())
    }

    pub(super) fn take_exchange_refusal(&mut self) -> bool {
        let is_armed = self.at_exchange > 0;
        self.at_exchange = self.at_exchange.saturating_sub(1);
        is_armed
    }
}

impl SimExchange {
    /// Halts trading in an instrument or lets it go on. While halted, orders and amendments are refused, cancels are
    /// taken, and nothing fills; the last quote of the halt is shown when it ends.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn halt(&mut self, instrument: InstrumentId, is_halted: bool) -> Result<(), FixedError> {
        let now_ns = self.now_ns;
        if let Some(trading) = self.trading_mut(instrument) {
            trading.is_halted = is_halted;
        }
        if self.trades(instrument, now_ns) {
            self.catch_up(instrument, now_ns);
        }
        self.book_reports()
    }

    /// Fills `qty` of an order at `price` now, whatever the market shows: a fill that races a cancel. Returns whether
    /// it did: not beyond the order's limit, no more than is left, and only of an order that the exchange has.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn fill_now(&mut self, number: OrderNo, qty: Qty, price: Price) -> Result<bool, FixedError> {
        let Some((root, _)) = self.orders.find(number) else { return Ok(false) };
        let id = OrderId(root.0);
        let filled = self.matcher.trade_beside(id, qty, price, self.now_ns, &mut self.reports);
        self.book_reports()?;
        Ok(filled)
    }

    /// Refuses the next request, or the next of one kind, as the broker. Several can wait.
    pub fn reject_next(&mut self, kind: RefusalKind, of: Option<Action>) {
        self.armed.refusals.push_back((of, kind));
    }

    /// Takes the next order and has the exchange refuse it: the number is given, and the stream says rejected.
    pub fn reject_next_at_exchange(&mut self) {
        self.armed.at_exchange = self.armed.at_exchange.saturating_add(1);
    }

    /// Pays money in, or out if it is negative, beside all orders.
    ///
    /// # Errors
    /// [`FixedError`] if the cash leaves its range.
    pub fn deposit(&mut self, amount: Money) -> Result<(), FixedError> {
        self.account.deposit(amount)
    }

    /// Adds to what is held, beside all orders; `cost` is what it cost.
    ///
    /// # Errors
    /// [`FixedError`] if the holding leaves its range.
    pub fn transfer_in(&mut self, instrument: InstrumentId, qty: Qty, cost: Money) -> Result<(), FixedError> {
        self.account.transfer_in(instrument, qty, cost)
    }
}
