//! What the broker says by itself.

use std::collections::VecDeque;

use crate::event::Side;
use crate::fixed::{Money, Price, Qty};
use crate::instrument::InstrumentId;

use super::orders::OrderNo;

/// One execution, as the list of the day and the stream have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// The broker's number of the execution; never given twice, on no day.
    pub exec_no: u64,
    /// Number that the order went by.
    pub order_no: OrderNo,
    /// What was traded.
    pub instrument: InstrumentId,
    /// Direction.
    pub side: Side,
    /// Quantity of this execution, in quantity units.
    pub qty: Qty,
    /// Price, in price units.
    pub price: Price,
    /// Filled of the order so far under all its numbers.
    pub cumulative: Qty,
    /// Price times quantity, in money units.
    pub amount: Money,
    /// Commission, in money units.
    pub fee: Money,
    /// Transaction tax, in money units.
    pub tax: Money,
    /// When, UTC nanoseconds.
    pub ts_ns: i64,
}

/// What happened to an order beside its executions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// The exchange has it.
    Accepted,
    /// An amendment went through: the number is the new one, the original the one that it replaces.
    Amended,
    /// The rest was taken off: by a cancel, or because it was to trade at once or not at all.
    Cancelled,
    /// The exchange refused it after the broker had taken it. With an original, it was an amendment or a cancel of that
    /// order, which goes on as it is.
    Rejected,
    /// The session ended with it.
    Expired,
}

impl NoticeKind {
    /// Name as adapters use it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Amended => "AMENDED",
            Self::Cancelled => "CANCELLED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// A notice about an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderNotice {
    /// The number it is about.
    pub order_no: OrderNo,
    /// What happened.
    pub kind: NoticeKind,
    /// The number that this one names, if it amends or cancels.
    pub original_no: Option<OrderNo>,
    /// What works on under the number, in quantity units.
    pub remaining: Qty,
    /// When, UTC nanoseconds.
    pub ts_ns: i64,
}

/// One message of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// An execution.
    Fill(Execution),
    /// Anything else.
    Order(OrderNotice),
}

/// Messages not fetched yet, oldest first.
#[derive(Debug)]
pub(super) struct Stream {
    waiting: VecDeque<Notice>,
    max: usize,
    lost: u64,
}

impl Stream {
    pub(super) const fn new(max: usize) -> Self {
        Self { waiting: VecDeque::new(), max, lost: 0 }
    }

    pub(super) fn say(&mut self, notice: Notice) {
        if self.waiting.len() >= self.max {
            self.waiting.pop_front();
            self.lost = self.lost.saturating_add(1);
        }
        self.waiting.push_back(notice);
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Notice> {
        self.waiting.drain(..)
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }
}
