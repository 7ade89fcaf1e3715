//! From a wish to a ticket: every gate, then the reservation, then the rate budget.

use super::super::{OrderEvent, OrderRequest, OrderState, Refusal, Refused, Terms, WorkingOrder};
use super::permits::{Action, Ticket};
use super::rate::Urgency;
use super::{Gateway, NS_PER_MS};
use crate::event::{OrderId, Side};
use crate::fixed::{Price, Qty};
use crate::safety::ActionClass;
use crate::sim::matcher::OrderKind;

/// How long to wait for a broker's number before asking again.
const NUMBER_WAIT_NS: i64 = 50 * NS_PER_MS;

/// A new order that somebody wants to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// What to trade.
    pub request: OrderRequest,
    /// Who is behind it, and what it draws on.
    pub terms: Terms,
    /// Whether the broker echoes an id of ours, so that equal orders can be told apart by it.
    pub is_told_apart: bool,
}

impl Wish {
    /// A wish of a strategy: cash and holding of its own track, no hold and no lease, for a venue that knows our ids.
    pub const fn plain(request: OrderRequest) -> Self {
        let action = match request.side {
            Side::Buy => ActionClass::Entry,
            Side::Sell => ActionClass::StrategyExit,
        };
        Self { request, terms: Terms { action, hold: 0, lease: 0 }, is_told_apart: true }
    }
}

/// Purchases increase and sales reduce: version 1 is long only.
const fn fits(action: ActionClass, side: Side) -> bool {
    match side {
        Side::Buy => matches!(action, ActionClass::Entry | ActionClass::OperatorIncrease),
        Side::Sell => matches!(
            action,
            ActionClass::StrategyExit
                | ActionClass::ProtectiveExit
                | ActionClass::TrustedExit
                | ActionClass::KillPlan
                | ActionClass::RunningExit
                | ActionClass::OperatorReduce
                | ActionClass::OperatorReduceApproved
        ),
    }
}

pub(super) const fn urgency(side: Side) -> Urgency {
    match side {
        Side::Buy => Urgency::Entry,
        Side::Sell => Urgency::Exit,
    }
}

impl Gateway {
    /// Takes a new order through the gates and reserves what it needs; VALIDATED.
    ///
    /// # Errors
    /// The gate that said no, with the id that was used up; nothing is reserved.
    pub fn request(&mut self, wish: &Wish, now_ns: i64) -> Result<Ticket, (OrderId, Refused)> {
        self.saw(now_ns);
        if let Err(reason) = self.gates(wish) {
            return Err((self.table.refuse(), reason.into()));
        }
        let request = &wish.request;
        let holdings = self.holdings(request.instrument, request.track);
        let Some(instrument) = self.instruments.get(request.instrument) else {
            return Err((self.table.refuse(), Refusal::QtyInvalid.into()));
        };
        let order = match self.table.admit(*request, wish.terms, instrument, holdings, now_ns) {
            Ok(order) => order,
            Err((id, reason)) => return Err((id, reason.into())),
        };
        self.follow(order.terms.hold, Qty(0), &order, Qty(0));
        if let Err(retry_at_ns) = self.rate.take(urgency(request.side), now_ns) {
            self.drop_unsent(order.id);
            return Err((order.id, Refused { reason: Refusal::RateLimit, retry_at_ns }));
        }
        Ok(self.issue(order.id, Action::Place, now_ns))
    }

    /// Every gate that looks at something else than the order itself.
    fn gates(&self, wish: &Wish) -> Result<(), Refusal> {
        let (request, terms) = (&wish.request, &wish.terms);
        if !fits(terms.action, request.side) {
            return Err(Refusal::ActionInvalid);
        }
        self.still_permitted(request, terms)?;
        let at = (request.instrument, request.track);
        match request.side {
            Side::Buy if terms.hold != 0 => self.check_hold(terms.hold, at, request.limit, request.qty.0)?,
            Side::Buy => {}
            Side::Sell => self.check_exit(at, terms.lease, request.qty.0)?,
        }
        if !wish.is_told_apart && self.table.iter().any(|order| looks_like(order, request)) {
            return Err(Refusal::EqualInDoubt);
        }
        Ok(())
    }

    /// Gates that are asked again right before the write.
    pub(super) fn still_permitted(&self, request: &OrderRequest, terms: &Terms) -> Result<(), Refusal> {
        if !self.permits_action(terms.action) {
            return Err(Refusal::SafetyBlocked);
        }
        match request.side {
            Side::Buy => {
                if self.blocks.is_frozen(request.instrument) {
                    return Err(Refusal::SymbolFrozen);
                }
                if self.book.pool(request.track).is_some_and(|pool| pool.is_blocked) {
                    return Err(Refusal::PoolBlocked);
                }
                Ok(())
            }
            Side::Sell => self.check_exit((request.instrument, request.track), terms.lease, 0),
        }
    }

    /// The right to change price and total quantity of an order.
    ///
    /// # Errors
    /// The gate that said no; the order stays as it is.
    pub fn request_amend(
        &mut self,
        id: OrderId,
        (limit, qty): (Price, Qty),
        action: ActionClass,
        now_ns: i64,
    ) -> Result<Ticket, Refused> {
        self.saw(now_ns);
        let order = *self.table.get(id).ok_or(Refusal::NotWorking)?;
        if !matches!(order.state, OrderState::Accepted | OrderState::Partial) {
            return Err(Refusal::NotWorking.into());
        }
        if order.amend.is_some() {
            return Err(Refusal::AmendInFlight.into());
        }
        let request = &order.request;
        if !fits(action, request.side) {
            return Err(Refusal::ActionInvalid.into());
        }
        self.may_amend(&order, limit, action)?;
        let at = (request.instrument, request.track);
        let more = qty.0.saturating_sub(request.qty.0);
        match request.side {
            Side::Buy if order.terms.hold != 0 => self.check_hold(order.terms.hold, at, limit, more)?,
            Side::Buy => {}
            Side::Sell => self.check_exit(at, order.terms.lease, more)?,
        }
        let holdings = self.holdings(request.instrument, request.track);
        let instrument = self.instruments.get(request.instrument).ok_or(Refusal::NotWorking)?;
        let amended = self.table.begin_amend(id, (limit, qty), instrument, holdings, now_ns)?;
        self.follow(order.terms.hold, order.remaining(), &amended, Qty(0));
        if let Err(retry_at_ns) = self.rate.take(urgency(request.side), now_ns) {
            self.end_amend(id, false);
            return Err(Refused { reason: Refusal::RateLimit, retry_at_ns });
        }
        Ok(self.issue(id, Action::Amend(action), now_ns))
    }

    /// Whether the safety word and the blocks let an order be amended now.
    pub(super) fn may_amend(
        &self,
        order: &WorkingOrder,
        limit: Price,
        action: ActionClass,
    ) -> Result<(), Refusal> {
        let request = &order.request;
        self.still_permitted(request, &Terms { action, ..order.terms })?;
        let is_sooner = request.side == Side::Sell && limit <= request.limit;
        let is_permitted = action == ActionClass::RunningExit
            || self.permits_action(ActionClass::Amend)
            || is_sooner && self.permits_action(ActionClass::AmendTowardsExit);
        if is_permitted { Ok(()) } else { Err(Refusal::SafetyBlocked) }
    }

    /// The right to cancel an order that the broker has given a number.
    ///
    /// # Errors
    /// [`Refusal::NotWorking`] if it has ended or not left, [`Refusal::NoNumber`] until the broker has answered,
    /// [`Refusal::RateLimit`].
    pub fn request_cancel(&mut self, id: OrderId, now_ns: i64) -> Result<Ticket, Refused> {
        let state = self.table.get(id).ok_or(Refusal::NotWorking)?.state;
        if matches!(state, OrderState::Submitted | OrderState::Unknown) || self.table.ids.newest(id).is_none()
        {
            let is_sent = state != OrderState::Validated;
            let reason = if is_sent { Refusal::NoNumber } else { Refusal::NotWorking };
            let retry_at_ns = if is_sent { now_ns.saturating_add(NUMBER_WAIT_NS) } else { 0 };
            return Err(Refused { reason, retry_at_ns });
        }
        self.cancel_ticket(id, now_ns)
    }

    /// The right to cancel an order at a venue that knows it by our id.
    ///
    /// # Errors
    /// [`Refusal::NotWorking`] or [`Refusal::RateLimit`].
    pub fn cancel_ticket(&mut self, id: OrderId, now_ns: i64) -> Result<Ticket, Refused> {
        self.saw(now_ns);
        let order = self.table.get(id).ok_or(Refusal::NotWorking)?;
        order.state.on(OrderEvent::CancelSent).map_err(|_| Refusal::NotWorking)?;
        self.rate
            .take(Urgency::Cancel, now_ns)
            .map_err(|retry_at_ns| Refused { reason: Refusal::RateLimit, retry_at_ns })?;
        Ok(self.issue(id, Action::Cancel, now_ns))
    }
}

/// Whether a list of the broker could take one for the other.
fn looks_like(order: &WorkingOrder, wish: &OrderRequest) -> bool {
    let request = &order.request;
    let is_unanswered =
        matches!(order.state, OrderState::Validated | OrderState::Submitted | OrderState::Unknown);
    is_unanswered
        && request.instrument == wish.instrument
        && request.side == wish.side
        && request.qty == wish.qty
        && request.kind == wish.kind
        && (request.kind == OrderKind::Market || request.limit == wish.limit)
}
