//! Orders without an answer, looked for in a broker's list of the day.

use super::super::{OrderState, WorkingOrder};
use super::{Gateway, NS_PER_MS};
use crate::event::{OrderId, Side};
use crate::fixed::{Price, Qty};
use crate::sim::matcher::OrderKind;

/// A row may be older than its order by as much: clocks differ.
const BEFORE_NS: i64 = 2_000 * NS_PER_MS;
/// Or younger: a request may wait on its way.
const AFTER_NS: i64 = 10_000 * NS_PER_MS;

/// One row of a broker's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The broker's number.
    pub broker_no: String,
    /// Number of the order that it amends; empty for a new order.
    pub original_no: String,
    /// Symbol.
    pub symbol: String,
    /// Direction.
    pub side: Side,
    /// Limit or market.
    pub kind: OrderKind,
    /// Quantity, in quantity units.
    pub qty: Qty,
    /// Limit, in price units.
    pub limit: Price,
    /// When the broker took it, UTC nanoseconds.
    pub ts_ns: i64,
}

/// What a list says about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It is the row of this number.
    Found(String),
    /// No row can be it.
    Absent,
    /// More than one row can be it, or a row can be another order of ours as well.
    Ambiguous,
}

impl Gateway {
    /// Looks for an order without a number in a broker's complete list of the day; `None` if it is not known.
    ///
    /// Rows with a number of ours are not looked at. The others are matched one to one: a row counts only if no other
    /// order of ours that waits for an answer could be it.
    pub fn resolve(&self, id: OrderId, rows: &[Listed]) -> Option<Match> {
        let order = self.table.known(id)?;
        if let Some(number) = self.table.ids.newest(id) {
            let is_listed = rows.iter().any(|row| row.broker_no == number);
            return Some(if is_listed { Match::Found(number.to_owned()) } else { Match::Absent });
        }
        let mut candidates = rows.iter().filter(|row| self.may_be(order, row));
        let Some(row) = candidates.next() else { return Some(Match::Absent) };
        let rivals = self.table.iter().filter(|other| other.id != id && is_unanswered(other));
        let has_rival = rivals.into_iter().any(|other| self.may_be(other, row));
        if candidates.next().is_some() || has_rival {
            return Some(Match::Ambiguous);
        }
        Some(Match::Found(row.broker_no.clone()))
    }

    fn may_be(&self, order: &WorkingOrder, row: &Listed) -> bool {
        let request = &order.request;
        let symbol = self.instrument(request.instrument).map_or("", |instrument| instrument.symbol());
        let window =
            order.submitted_ns.saturating_sub(BEFORE_NS)..=order.submitted_ns.saturating_add(AFTER_NS);
        row.original_no.is_empty()
            && self.table.ids.find(&row.broker_no).is_none()
            && row.symbol == symbol
            && row.side == request.side
            && row.kind == request.kind
            && row.qty == request.qty
            && (row.kind == OrderKind::Market || row.limit == request.limit)
            && window.contains(&row.ts_ns)
    }
}

fn is_unanswered(order: &WorkingOrder) -> bool {
    matches!(order.state, OrderState::Submitted | OrderState::Unknown)
}
