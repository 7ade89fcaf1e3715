//! Orders on their way to the venue, and what it says about them.

use super::{SessionError, StepEngine, Yield};
use crate::clock::Clock;
use crate::event::{
    EndReason, EventPriority, EventType, FillPayload, OrderEndPayload, OrderId, P0Payload, Source,
};
use crate::fixed::Qty;
use crate::order::gateway::{Action, Answer, BrokerFill, Outgoing, Permit, Wish};
use crate::order::{ENDED_KEPT, OrderError, OrderRequest, WorkingOrder};
use crate::safety::ActionClass;
use crate::sim::matcher::{BookReport, Match, OrderKind, SimOrder, TimeInForce};

impl<C: Clock> StepEngine<C> {
    /// Sends an order through the gateway to the venue.
    ///
    /// A refusal is not an error here: it comes back as an `ORDER_REJECTED` event like any other answer.
    ///
    /// # Errors
    /// [`OrderError::UnknownInstrument`]; nothing was sent.
    pub fn submit(&mut self, request: OrderRequest) -> Result<OrderId, SessionError> {
        self.submit_as(request, Wish::plain(request).terms.action)
    }

    /// Sends an order as [`StepEngine::submit`] does, of a class that the safety word is asked for.
    ///
    /// # Errors
    /// As [`StepEngine::submit`].
    pub fn submit_as(&mut self, request: OrderRequest, action: ActionClass) -> Result<OrderId, SessionError> {
        if self.instruments.get(request.instrument).is_none() {
            return Err(OrderError::UnknownInstrument(request.instrument.0).into());
        }
        let mut wish = Wish::plain(request);
        wish.terms.action = action;
        // Asked and answered under one lock: nothing can come between the gates and the write.
        let mut gateway = self.native.gateway.lock();
        let sent = gateway
            .request(&wish, self.now_ns)
            .map_err(|(id, refused)| (id, refused.reason))
            .and_then(|ticket| {
                let id = ticket.order();
                gateway.redeem(ticket, self.now_ns).map_err(|reason| (id, reason))
            });
        drop(gateway);
        match sent {
            Ok(message) => {
                self.write(&message);
                Ok(message.order)
            }
            Err((id, reason)) => {
                self.put_order_end(id, &request, reason.end_reason(), request.qty, self.now_ns)?;
                Ok(id)
            }
        }
    }

    /// Sends a cancel for a working order.
    ///
    /// # Errors
    /// [`OrderError::NotWorking`] if the order has ended (its last event says how).
    pub fn cancel(&mut self, id: OrderId) -> Result<(), SessionError> {
        let mut gateway = self.native.gateway.lock();
        let ticket = gateway.cancel_ticket(id, self.now_ns).map_err(|_| OrderError::NotWorking(id))?;
        let message = gateway.redeem(ticket, self.now_ns).map_err(|_| OrderError::NotWorking(id))?;
        drop(gateway);
        self.write(&message);
        Ok(())
    }

    /// Sends what `permit` permits.
    ///
    /// # Errors
    /// [`SessionError::Permit`] if it is refused, [`SessionError::WrongPermit`]; nothing was sent.
    pub fn send(&mut self, permit: &mut Permit) -> Result<OrderId, SessionError> {
        if !permit.is_from(&self.native.gateway) {
            return Err(SessionError::WrongPermit("another account issued it"));
        }
        let message = permit.redeem(self.now_ns).map_err(SessionError::Permit)?;
        self.permitted.insert(message.order.0);
        if self.permitted.len() > ENDED_KEPT {
            self.permitted.pop_first();
        }
        self.write(&message);
        Ok(message.order)
    }

    /// Hands a message to the venue. A market order goes as an immediate-or-cancel limit at its worst accepted price, so
    /// that its cost is bounded and the reservation is real.
    fn write(&mut self, message: &Outgoing) {
        match message.action {
            Action::Place => {
                let is_market = message.kind == OrderKind::Market;
                let order = SimOrder {
                    id: message.order,
                    instrument: message.instrument,
                    track: message.track,
                    side: message.side,
                    kind: OrderKind::Limit,
                    tif: if is_market { TimeInForce::Ioc } else { message.tif },
                    limit: message.limit,
                    qty: message.qty,
                };
                self.venue.submit(order, self.now_ns);
            }
            Action::Cancel => self.venue.cancel(message.order, self.now_ns),
            Action::Amend(_) => self.venue.amend(message.order, message.limit, message.qty, self.now_ns),
        }
    }

    /// Turns the venue's due answers into P0 events.
    pub(super) fn take_reports(&mut self) -> Result<(), SessionError> {
        if self.venue.next_report_ns().is_none_or(|at_ns| at_ns > self.now_ns) {
            return Ok(());
        }
        let mut reports = std::mem::take(&mut self.reports);
        self.venue.take_due_reports(self.now_ns, &mut reports);
        for report in reports.drain(..) {
            self.on_report(report)?;
            // One by one: totals of the next fill are counted from the table that this one has updated.
            while self.dispatcher.depth(EventPriority::P0Critical) > 0 {
                self.dispatcher.step(EventPriority::P0Critical, self.now_ns, &mut self.native)?;
            }
        }
        self.reports = reports;
        Ok(())
    }

    fn on_report(&mut self, report: BookReport) -> Result<(), SessionError> {
        match report {
            BookReport::Accepted { order, .. } => self.on_answer(order, Answer::Acknowledged),
            BookReport::Amended { order, .. } => self.on_answer(order, Answer::Amended),
            BookReport::AmendRefused { order, .. } => self.on_answer(order, Answer::AmendRefused),
            // The order ended before the cancel arrived; what ended it has been said before.
            BookReport::CancelRefused { order, .. } => self.on_answer(order, Answer::CancelRefused),
            BookReport::Matched(matched) => {
                let (kind, fill) = self.fill_of(&matched)?;
                self.put_p0(kind, Source::System, P0Payload::Fill(fill))
            }
            BookReport::Ended { order, reason, remaining, ts_ns } => {
                let request = self.working(order)?.request;
                self.put_order_end(order, &request, reason, remaining, ts_ns)
            }
        }
    }

    /// Lets the gateway know an answer that is no event, then whoever sent the order with a permit.
    fn on_answer(&mut self, order: OrderId, answer: Answer) -> Result<(), SessionError> {
        let is_permitted = self.permitted.contains(&order.0);
        let mut gateway = self.native.gateway.lock();
        if gateway.orders().known(order).is_some() {
            gateway.on_answer(order, answer, self.now_ns)?;
            if is_permitted && answer == Answer::Acknowledged {
                gateway.note_number(order, &order.0.to_string());
            }
        }
        drop(gateway);
        if is_permitted && self.native.interest.answers {
            self.native.outbox.push_back(Yield::Answer { order, answer });
        }
        Ok(())
    }

    fn working(&self, id: OrderId) -> Result<WorkingOrder, OrderError> {
        self.native.gateway.lock().orders().get(id).copied().ok_or(OrderError::NotWorking(id))
    }

    /// What a match means in money, and for the order's totals.
    fn fill_of(&mut self, matched: &Match) -> Result<(EventType, FillPayload), SessionError> {
        let order = self.working(matched.order)?;
        let fill = BrokerFill {
            order: matched.order,
            event: "",
            qty: matched.qty,
            price: matched.price,
            fee: None,
            tax: None,
        };
        // Costs are those of the moment the venue traded.
        let payload = self.native.gateway.lock().payload(&order, &fill, matched.ts_ns)?;
        let fill = FillPayload { ts_recv_ns: self.now_ns, ..payload };
        let kind = if fill.remaining.0 == 0 { EventType::FillConfirmed } else { EventType::FillPartial };
        Ok((kind, fill))
    }

    fn put_order_end(
        &mut self,
        order: OrderId,
        request: &OrderRequest,
        reason: EndReason,
        remaining: Qty,
        ts_exec_ns: i64,
    ) -> Result<(), SessionError> {
        let kind = if reason.is_rejection() { EventType::OrderRejected } else { EventType::OrderCancelled };
        let payload = OrderEndPayload {
            order,
            instrument: request.instrument,
            track: request.track,
            side: request.side,
            reason,
            remaining,
            ts_exec_ns,
            ts_recv_ns: self.now_ns,
        };
        self.put_p0(kind, Source::System, P0Payload::OrderEnd(payload))
    }
}
