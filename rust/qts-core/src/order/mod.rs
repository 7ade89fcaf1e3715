//! Order life cycle: the state machine, the table of orders, and the gateway in front of every venue.
//!
//! An order that a gate refuses never reaches the venue; one that passes holds a reservation for the worst that its
//! fill can cost, so that cash and holdings can never be spent twice.

pub mod execution;
pub mod gateway;
mod ids;
mod refused;
mod reserved;
mod state;
mod table;

use thiserror::Error;

pub use refused::{Refusal, Refused};
pub use reserved::Reserved;
pub use state::{OrderEvent, OrderState};
pub use table::{
    Amend, ENDED_KEPT, FillTotals, Holdings, OrderRequest, OrderTable, PoolFunds, Terms, WorkingOrder,
};

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
    /// An order of this id, or with one of its numbers, is there already.
    #[error("order {} is known already", .0.0)]
    AlreadyKnown(OrderId),
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
    /// More was sold than is held, by more than can be booked.
    #[error("a sale of {sold} quantity units exceeds the {held} held")]
    Oversold {
        /// Quantity sold, in quantity units.
        sold: i64,
        /// Quantity held, in quantity units.
        held: i64,
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
