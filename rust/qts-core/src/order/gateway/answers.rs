//! What a broker says, and what becomes of orders, holds, positions and cash by it.
//!
//! Whatever comes late, twice or not at all is told apart here. A fill moves money even if no order of ours was to have
//! it: it is booked and reported, never dropped.

use super::super::{OrderError, OrderEvent, OrderState, WorkingOrder};
use super::Gateway;
use crate::event::{EndReason, FillPayload, OrderEndPayload, OrderId, Side};
use crate::fixed::{Money, Price, Qty};
use crate::shadow::BookError;

/// What is known of an order after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The broker holds it.
    Acknowledged,
    /// The broker refused it; `true`: it has proven never to have had it.
    Rejected(bool),
    /// The answer to what is in flight is lost.
    Lost,
    /// The amendment in flight went through.
    Amended,
    /// The amendment in flight was refused.
    AmendRefused,
    /// The cancel in flight was refused.
    CancelRefused,
    /// It is off the book at our wish.
    Cancelled,
    /// It ended with the session.
    Expired,
}

/// A fill as a broker reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerFill<'a> {
    /// The order it belongs to.
    pub order: OrderId,
    /// The broker's name of it, unique within the order.
    pub event: &'a str,
    /// Quantity, in quantity units.
    pub qty: Qty,
    /// Price, in price units.
    pub price: Price,
    /// Commission; `None` = as the instrument says.
    pub fee: Option<Money>,
    /// Tax; `None` = as the instrument says.
    pub tax: Option<Money>,
}

/// What a fill turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillState {
    /// The order stands so now.
    Order(OrderState),
    /// It has been booked before: nothing changes.
    Duplicate,
    /// More than was ordered: booked.
    Overfill,
    /// More than was held: booked, the position is flat and the excess is noted.
    Oversold,
    /// The order had ended: booked.
    Late,
}

impl FillState {
    /// Name in contracts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Order(state) => state.name(),
            Self::Duplicate => "DUPLICATE",
            Self::Overfill => "OVERFILL",
            Self::Oversold => "OVERSOLD",
            Self::Late => "LATE",
        }
    }
}

/// A fill that has been looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillOutcome {
    /// What it was.
    pub state: FillState,
    /// Filled of the order so far, in quantity units.
    pub cumulative: Qty,
    /// Left to fill, in quantity units.
    pub remaining: Qty,
    /// The position afterwards, in quantity units.
    pub position: Qty,
    /// What it moved; `None` for a duplicate.
    pub fill: Option<FillPayload>,
}

impl Answer {
    /// Name in contracts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "ACCEPTED",
            Self::Rejected(_) => "REJECTED",
            Self::Lost => "LOST",
            Self::Amended => "AMENDED",
            Self::AmendRefused => "AMEND_REFUSED",
            Self::CancelRefused => "CANCEL_REFUSED",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl Gateway {
    /// Notes the broker's number of an order; false if it is another order's.
    pub fn note_number(&mut self, id: OrderId, number: &str) -> bool {
        self.table.known(id).is_some() && self.table.ids.add(id, number)
    }

    /// The order that a broker knows by `number`, or knew before an amendment.
    pub fn find(&self, number: &str) -> Option<OrderId> {
        self.table.ids.find(number)
    }

    /// The broker's newest number of an order; empty if there is none.
    pub fn number_of(&self, id: OrderId) -> &str {
        self.table.ids.newest(id).unwrap_or("")
    }

    /// Every number of an order, oldest first.
    pub fn numbers_of(&self, id: OrderId) -> impl Iterator<Item = &str> {
        self.table.ids.chain(id)
    }

    /// Applies an answer. An order that has ended stays as it ended.
    ///
    /// # Errors
    /// [`OrderError::NotWorking`] if the order is not known, [`OrderError::IllegalTransition`] if nothing has been sent
    /// that this could answer; nothing changes.
    pub fn on_answer(
        &mut self,
        id: OrderId,
        answer: Answer,
        now_ns: i64,
    ) -> Result<WorkingOrder, OrderError> {
        self.saw(now_ns);
        let before = *self.table.known(id).ok_or(OrderError::NotWorking(id))?;
        if before.state.is_terminal() {
            return Ok(before);
        }
        match answer {
            Answer::Acknowledged => self.step(&before, OrderEvent::Acknowledged),
            Answer::Rejected(is_not_received) => {
                before.state.on(OrderEvent::Refused)?;
                self.change(id, |order| order.is_not_received = is_not_received);
                self.step(&before, OrderEvent::Refused)
            }
            Answer::Lost => {
                let after = self.step(&before, OrderEvent::AnswerLost)?;
                let changed = self.change(id, |order| {
                    order.is_cancel_in_doubt |= order.state == OrderState::CancelPending;
                    if let Some(amend) = &mut order.amend {
                        amend.is_in_doubt = amend.is_sent;
                    }
                });
                Ok(changed.unwrap_or(after))
            }
            Answer::Amended | Answer::AmendRefused => {
                before.state.on(OrderEvent::Acknowledged)?;
                self.end_amend(id, answer == Answer::Amended);
                self.table.known(id).copied().ok_or(OrderError::NotWorking(id))
            }
            Answer::CancelRefused if before.state != OrderState::CancelPending => Ok(before),
            Answer::CancelRefused => {
                let event = if before.filled.0 > 0 {
                    OrderEvent::CancelRefusedPartly
                } else {
                    OrderEvent::CancelRefused
                };
                let after = self.step(&before, event)?;
                Ok(self.change(id, |order| order.is_cancel_in_doubt = false).unwrap_or(after))
            }
            Answer::Cancelled => self.step(&before, OrderEvent::CancelConfirmed),
            Answer::Expired => self.step(&before, OrderEvent::SessionEnded),
        }
    }

    /// One step of the state machine, with the hold behind the order.
    fn step(&mut self, before: &WorkingOrder, event: OrderEvent) -> Result<WorkingOrder, OrderError> {
        let after = self.table.on(before.id, event)?;
        self.follow(before.terms.hold, before.remaining(), &after, Qty(0));
        Ok(after)
    }

    /// Changes what is known of a working order; its reservation and its hold follow.
    pub(super) fn change(
        &mut self,
        id: OrderId,
        change: impl FnOnce(&mut WorkingOrder),
    ) -> Option<WorkingOrder> {
        let before = *self.table.get(id)?;
        let instrument = self.instruments.get(before.request.instrument)?;
        let after = self.table.change(id, instrument, self.now_ns, change)?;
        self.follow(before.terms.hold, before.remaining(), &after, Qty(0));
        Some(after)
    }

    /// Ends the amendment of an order that is in flight: its terms are the new ones, or stay the old ones.
    pub(super) fn end_amend(&mut self, id: OrderId, is_done: bool) {
        self.change(id, |order| {
            if let Some(amend) = order.amend.take()
                && is_done
            {
                order.request.limit = amend.limit;
                // What was filled while it was on its way cannot be taken back.
                order.request.qty = amend.qty.max(order.filled);
            }
        });
    }

    /// Books a fill once.
    ///
    /// # Errors
    /// [`OrderError`] if the order is not known, the quantity is not positive or a figure leaves its range; nothing is
    /// booked then.
    pub fn on_fill(&mut self, fill: &BrokerFill<'_>, now_ns: i64) -> Result<FillOutcome, OrderError> {
        self.saw(now_ns);
        let order = *self.table.known(fill.order).ok_or(OrderError::NotWorking(fill.order))?;
        if fill.qty.0 <= 0 {
            return Err(OrderError::Overfilled { order: fill.order, fill: fill.qty.0, remaining: 0 });
        }
        if self.table.ids.has_fill(fill.order, fill.event) {
            return Ok(FillOutcome {
                state: FillState::Duplicate,
                cumulative: order.filled,
                remaining: order.remaining(),
                position: self.book.position(order.request.instrument, order.request.track).qty,
                fill: None,
            });
        }
        let payload = self.payload(&order, fill, now_ns)?;
        let outcome = self.book_fill(&payload)?;
        self.table.ids.note_fill(fill.order, fill.event);
        Ok(outcome)
    }

    /// What a fill means in money, and for the order's totals.
    ///
    /// # Errors
    /// A figure that leaves its range.
    pub fn payload(
        &mut self,
        order: &WorkingOrder,
        fill: &BrokerFill<'_>,
        now_ns: i64,
    ) -> Result<FillPayload, OrderError> {
        let request = &order.request;
        let instrument = self
            .instruments
            .get(request.instrument)
            .ok_or(OrderError::UnknownInstrument(request.instrument.0))?;
        let amount = instrument.amount(fill.price, fill.qty)?;
        let fee = fill.fee.map_or_else(|| instrument.fee(request.side, amount, now_ns), Ok)?;
        let tax = fill.tax.map_or_else(|| instrument.tax(request.side, amount, now_ns), Ok)?;
        self.exec_seq = self.exec_seq.wrapping_add(1);
        Ok(FillPayload {
            order: fill.order,
            exec_seq: self.exec_seq,
            instrument: request.instrument,
            track: request.track,
            side: request.side,
            qty: fill.qty,
            price: fill.price,
            cumulative: order.filled.checked_add(fill.qty)?,
            remaining: Qty(order.remaining().0.saturating_sub(fill.qty.0).max(0)),
            amount,
            fee,
            tax,
            ts_exec_ns: now_ns,
            ts_recv_ns: now_ns,
        })
    }

    /// Books a fill on order, hold, lease, position and cash, all or nothing.
    ///
    /// # Errors
    /// [`OrderError`] if the order is not known or a figure leaves its range; nothing is booked then.
    pub fn book_fill(&mut self, fill: &FillPayload) -> Result<FillOutcome, OrderError> {
        self.saw(fill.ts_recv_ns);
        let order = *self.table.known(fill.order).ok_or(OrderError::NotWorking(fill.order))?;
        let instrument =
            self.instruments.get(fill.instrument).ok_or(OrderError::UnknownInstrument(fill.instrument.0))?;
        order.filled.checked_add(fill.qty)?;
        // The book first: it is what can fail.
        let oversold = match self.book.apply(fill) {
            Ok(_) => Qty(0),
            Err(BookError::Oversold { .. }) => self.book.apply_beyond(fill).map_err(book_error)?,
            Err(error) => return Err(book_error(error)),
        };
        if order.state == OrderState::Validated {
            // It has left, whatever its permit says.
            let _ = self.table.on(order.id, OrderEvent::Sent);
        }
        let remaining = order.remaining();
        let is_late = order.state.is_terminal();
        let is_over = if is_late {
            fill.qty.0 > order.request.qty.0.saturating_sub(order.filled.0)
        } else {
            fill.qty > order.fillable()
        };
        let totals = if is_late || is_over {
            self.table.fill_beyond(order.id, fill.qty)?
        } else {
            self.table.fill(order.id, fill.qty, instrument, fill.ts_recv_ns)?
        };
        let after = *self.table.known(order.id).ok_or(OrderError::NotWorking(order.id))?;
        self.follow(order.terms.hold, remaining, &after, fill.qty);
        self.count_exit(&order, fill.qty);
        if oversold.0 > 0 {
            let noted = self.oversold.entry((fill.instrument.0, fill.track)).or_default();
            *noted = noted.saturating_add(oversold);
        }
        let state = match (is_over, oversold.0 > 0, is_late) {
            (true, _, _) => FillState::Overfill,
            (_, true, _) => FillState::Oversold,
            (_, _, true) => FillState::Late,
            _ => FillState::Order(after.state),
        };
        let position = self.book.position(fill.instrument, fill.track).qty;
        let (cumulative, remaining) = (totals.cumulative, totals.remaining);
        Ok(FillOutcome { state, cumulative, remaining, position, fill: Some(*fill) })
    }

    /// Ends an order as a venue reports it. One that a gate refused never worked, so there is nothing to end.
    ///
    /// # Errors
    /// [`OrderError::IllegalTransition`].
    pub fn on_order_end(&mut self, end: &OrderEndPayload) -> Result<(), OrderError> {
        if self.table.get(end.order).is_none() {
            return Ok(());
        }
        let answer = match end.reason {
            EndReason::SessionEnd => Answer::Expired,
            reason if reason.is_rejection() => Answer::Rejected(false),
            _ => Answer::Cancelled,
        };
        self.on_answer(end.order, answer, end.ts_recv_ns).map(drop)
    }

    /// Forgets the orders that have ended, with their numbers and fills: a broker gives numbers anew each day.
    pub fn new_day(&mut self) {
        self.table.forget_ended();
    }

    /// Whether a sale of the order would be counted among what is in flight.
    pub fn is_selling(&self, id: OrderId) -> bool {
        self.table.get(id).is_some_and(|order| order.request.side == Side::Sell && order.remaining().0 > 0)
    }
}

fn book_error(error: BookError) -> OrderError {
    match error {
        BookError::Fixed(error) => OrderError::Fixed(error),
        BookError::UnknownInstrument(id) => OrderError::UnknownInstrument(id),
        BookError::Oversold { sold, held } => OrderError::Oversold { sold, held },
    }
}
