//! One-shot rights to send one message.

use std::collections::BTreeMap;

use super::super::{OrderEvent, OrderState, Refusal, WorkingOrder};
use super::{Gateway, NS_PER_MS, SharedGateway};
use crate::event::{OrderId, Side, Track};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;
use crate::safety::ActionClass;
use crate::sim::matcher::{OrderKind, TimeInForce};

/// What a message does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A new order.
    Place,
    /// Another price or quantity, with the class of action that it was asked for.
    Amend(ActionClass),
    /// The end of an order.
    Cancel,
}

impl Action {
    /// Name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Place => "PLACE",
            Self::Amend(_) => "AMEND",
            Self::Cancel => "CANCEL",
        }
    }
}

/// What goes to the broker. Only [`Gateway::redeem`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outgoing {
    /// The order it is about.
    pub order: OrderId,
    /// What it does.
    pub action: Action,
    /// Instrument.
    pub instrument: InstrumentId,
    /// Track that pays or holds.
    pub track: Track,
    /// Direction.
    pub side: Side,
    /// Limit or market.
    pub kind: OrderKind,
    /// How long it works.
    pub tif: TimeInForce,
    /// Limit; of a market order the worst price that was reserved for.
    pub limit: Price,
    /// Quantity in all.
    pub qty: Qty,
    /// The broker's newest number of the order; empty for a new one.
    pub broker_no: String,
}

/// The number of a permit. Whoever has it can redeem it once or give it back; there is no second one.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a ticket that nobody redeems or voids keeps its order waiting"]
pub struct Ticket {
    nonce: u64,
    order: OrderId,
    action: Action,
}

impl Ticket {
    /// The order it is about.
    pub const fn order(&self) -> OrderId {
        self.order
    }
}

#[derive(Debug, Clone, Copy)]
struct Issued {
    order: OrderId,
    action: Action,
    expires_ns: i64,
}

/// Permits that have neither been redeemed nor voided.
#[derive(Debug, Default)]
pub(super) struct Permits {
    last: u64,
    open: BTreeMap<u64, Issued>,
}

impl Gateway {
    pub(super) fn issue(&mut self, order: OrderId, action: Action, now_ns: i64) -> Ticket {
        self.permits.last = self.permits.last.saturating_add(1);
        let nonce = self.permits.last;
        let ttl_ns = i64::from(self.config.permit_ttl_ms).saturating_mul(NS_PER_MS);
        let expires_ns = now_ns.saturating_add(ttl_ns);
        self.permits.open.insert(nonce, Issued { order, action, expires_ns });
        Ticket { nonce, order, action }
    }

    /// Number of permits that are out.
    pub fn open_permits(&self) -> usize {
        self.permits.open.len()
    }

    /// The message to write now. The order counts as sent from here on.
    ///
    /// # Errors
    /// It has been used, has expired, or what stood at its issue no longer does; then nothing may be written, and what
    /// was reserved for it is released.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is good once: whoever uses it has none left")]
    pub fn redeem(&mut self, ticket: Ticket, now_ns: i64) -> Result<Outgoing, Refusal> {
        self.saw(now_ns);
        let Ticket { nonce, .. } = ticket;
        let issued = self.permits.open.remove(&nonce).ok_or(Refusal::PermitUsed)?;
        match self.send(&issued, now_ns) {
            Ok(message) => Ok(message),
            Err(reason) => {
                self.undo(&issued);
                Err(reason)
            }
        }
    }

    /// Takes a permit back: the message was never written. What was reserved for it is released.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is good once: whoever uses it has none left")]
    pub fn void(&mut self, ticket: Ticket) {
        let Ticket { nonce, .. } = ticket;
        if let Some(issued) = self.permits.open.remove(&nonce) {
            self.undo(&issued);
        }
    }

    fn undo(&mut self, issued: &Issued) {
        self.rate.give_back();
        match issued.action {
            Action::Place => self.drop_unsent(issued.order),
            Action::Amend(_) => self.end_amend(issued.order, false),
            Action::Cancel => {}
        }
    }

    /// Ends an order that has not left.
    pub(super) fn drop_unsent(&mut self, id: OrderId) {
        let Some(&before) = self.table.get(id) else { return };
        if before.state == OrderState::Validated
            && let Ok(after) = self.table.on(id, OrderEvent::GateFailed)
        {
            self.follow(before.terms.hold, before.remaining(), &after, Qty(0));
        }
    }

    fn send(&mut self, issued: &Issued, now_ns: i64) -> Result<Outgoing, Refusal> {
        if now_ns > issued.expires_ns {
            return Err(Refusal::PermitExpired);
        }
        let order = *self.table.get(issued.order).ok_or(Refusal::NotWorking)?;
        let sent = match issued.action {
            Action::Place => self.send_place(&order, now_ns)?,
            Action::Amend(action) => self.send_amend(&order, action, now_ns)?,
            Action::Cancel => {
                self.table.on(order.id, OrderEvent::CancelSent).map_err(|_| Refusal::NotWorking)?;
                (order.request.limit, order.request.qty)
            }
        };
        let broker_no = match issued.action {
            Action::Place => String::new(),
            Action::Amend(_) | Action::Cancel => self.table.ids.newest(order.id).unwrap_or("").to_owned(),
        };
        let request = &order.request;
        Ok(Outgoing {
            order: order.id,
            action: issued.action,
            instrument: request.instrument,
            track: request.track,
            side: request.side,
            kind: request.kind,
            tif: request.tif,
            limit: sent.0,
            qty: sent.1,
            broker_no,
        })
    }

    fn send_place(&mut self, order: &WorkingOrder, now_ns: i64) -> Result<(Price, Qty), Refusal> {
        if order.state != OrderState::Validated {
            return Err(Refusal::NotWorking);
        }
        self.still_permitted(&order.request, &order.terms)?;
        self.table.on(order.id, OrderEvent::Sent).map_err(|_| Refusal::NotWorking)?;
        self.change(order.id, |order| order.submitted_ns = now_ns);
        Ok((order.request.limit, order.request.qty))
    }

    fn send_amend(
        &mut self,
        order: &WorkingOrder,
        action: ActionClass,
        _now_ns: i64,
    ) -> Result<(Price, Qty), Refusal> {
        let amend = order.amend.filter(|amend| !amend.is_sent).ok_or(Refusal::NotWorking)?;
        let is_live = matches!(order.state, OrderState::Accepted | OrderState::Partial);
        if !is_live || amend.qty <= order.filled {
            return Err(Refusal::NotWorking);
        }
        self.may_amend(order, amend.limit, action)?;
        self.change(order.id, |order| {
            if let Some(amend) = &mut order.amend {
                amend.is_sent = true;
            }
        });
        Ok((amend.limit, amend.qty))
    }
}

/// A [`Ticket`] together with the gateway that issued it. Dropped unused, it is void.
#[derive(Debug)]
pub struct Permit {
    gateway: SharedGateway,
    ticket: Option<Ticket>,
    order: OrderId,
    action: Action,
}

impl Permit {
    pub(super) const fn new(gateway: SharedGateway, ticket: Ticket) -> Self {
        let (order, action) = (ticket.order, ticket.action);
        Self { gateway, ticket: Some(ticket), order, action }
    }

    /// The order it is about.
    pub const fn order(&self) -> OrderId {
        self.order
    }

    /// What it permits.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Symbol of the order's instrument.
    pub fn symbol(&self) -> String {
        let gateway = self.gateway.lock();
        let order = gateway.table.known(self.order);
        let instrument = order.and_then(|order| gateway.instrument(order.request.instrument));
        instrument.map_or_else(String::new, |instrument| instrument.symbol().to_owned())
    }

    /// Whether `gateway` issued it.
    pub fn is_from(&self, gateway: &SharedGateway) -> bool {
        self.gateway.is_same(gateway)
    }

    /// See [`Gateway::redeem`].
    ///
    /// # Errors
    /// See [`Gateway::redeem`].
    pub fn redeem(&mut self, now_ns: i64) -> Result<Outgoing, Refusal> {
        let ticket = self.ticket.take().ok_or(Refusal::PermitUsed)?;
        self.gateway.lock().redeem(ticket, now_ns)
    }

    /// See [`Gateway::void`].
    pub fn void(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gateway.lock().void(ticket);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.void();
    }
}
