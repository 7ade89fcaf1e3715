//! What can be asked of the broker. Paging is the caller's: everything here is complete.

use crate::fixed::{FixedError, Money, Qty};
use crate::instrument::InstrumentId;

use super::{Execution, Notice, OrderNo, OrderRow, RowState, SimExchange};

/// What is held of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionRow {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Held, in quantity units.
    pub qty: Qty,
    /// Held and not offered for sale.
    pub sellable: Qty,
    /// What it cost without fees, in money units.
    pub cost_total: Money,
}

impl SimExchange {
    /// Orders of the day, by number; only live ones if `open_only`. Cancels have no row of their own.
    pub fn orders(&self, open_only: bool) -> impl Iterator<Item = &OrderRow> {
        self.orders.rows().filter(move |row| !open_only || row.state == RowState::Live)
    }

    /// The row under a number; `None` if no order has it.
    pub fn order(&self, number: OrderNo) -> Option<&OrderRow> {
        self.orders.row(number)
    }

    /// Executions of the day at or after `since_ns`, oldest first.
    pub fn executions(&self, since_ns: i64) -> impl Iterator<Item = &Execution> {
        self.executions.iter().filter(move |execution| execution.ts_ns >= since_ns)
    }

    /// Everything held, by instrument.
    pub fn positions(&self) -> impl Iterator<Item = PositionRow> {
        self.account.holdings().map(|(instrument, holding)| PositionRow {
            instrument,
            qty: holding.qty,
            sellable: self.sellable(instrument),
            cost_total: holding.cost_total,
        })
    }

    /// Cash with everything unsettled, and what of it no live purchase may need.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn cash(&self) -> Result<(Money, Money), FixedError> {
        Ok((self.account.cash(), self.orderable(self.now_ns)?))
    }

    /// Fetches what the stream has said since it was fetched last, in its order.
    pub fn take_notices(&mut self) -> impl Iterator<Item = Notice> {
        self.stream.drain()
    }

    /// How many notices were lost because nobody fetched them.
    pub const fn notices_lost(&self) -> u64 {
        self.stream.lost()
    }
}
