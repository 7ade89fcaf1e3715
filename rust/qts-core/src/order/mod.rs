//! Order life cycle: the state machine, the gate in front of the venue, and the table of working orders.
//!
//! An order that a gate refuses never reaches the venue; one that passes holds a reservation for the worst that its
//! fill can cost, so that cash and holdings can never be spent twice.

mod reserved;
mod state;
mod table;

use thiserror::Error;

pub use reserved::Reserved;
pub use state::{OrderEvent, OrderState};
pub use table::{FillTotals, Holdings, OrderRequest, OrderTable, PoolFunds, WorkingOrder};

use crate::event::OrderId;
use crate::fixed::FixedError;

/// Why an order operation could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OrderError {
    /// The state machine has no such row.
    #[error("an order that is {} cannot take {event:?}", from.name())]
    IllegalTransition {
        /// State found.
        from: OrderState,
        /// Event that came.
        event: OrderEvent,
    },
    /// No working order has this id.
    #[error("order {} is not working", .0.0)]
    NotWorking(OrderId),
    /// More was reported filled than was ordered.
    #[error("order {}: a fill of {fill} quantity units exceeds the {remaining} that remain", order.0)]
    Overfilled {
        /// The order.
        order: OrderId,
        /// Quantity of the fill, in quantity units.
        fill: i64,
        /// Quantity that remained, in quantity units.
        remaining: i64,
    },
    /// The instrument is not in the table.
    #[error("instrument {0} is not in the instrument table")]
    UnknownInstrument(u32),
    /// A figure left its range.
    #[error(transparent)]
    Fixed(#[from] FixedError),
}

#[cfg(test)]
mod tests;
