//! The simulated venue: the matcher at the end of a way that takes time in both directions.

use std::collections::VecDeque;
use std::sync::Arc;

use super::latency::LatencyModel;
use super::matcher::{BookReport, Matcher, SimOrder};
use crate::event::{MarketRecord, OrderId};
use crate::fixed::{Price, Qty};
use crate::instrument::{InstrumentId, InstrumentTable};

/// What travels to the venue.
#[derive(Debug, Clone, Copy)]
enum Request {
    Order(SimOrder),
    Cancel(OrderId),
    Amend { order: OrderId, limit: Price, qty: Qty },
}

/// One direction of the connection. Messages arrive in the order they were sent: one that drew a shorter latency
/// than its predecessor waits for it, as on any stream connection.
#[derive(Debug)]
struct Way<T> {
    latency: LatencyModel,
    in_transit: VecDeque<(i64, T)>,
    last_due_ns: i64,
}

impl<T> Way<T> {
    fn new(latency: LatencyModel) -> Self {
        Self { latency, in_transit: VecDeque::with_capacity(64), last_due_ns: i64::MIN }
    }

    fn send(&mut self, message: T, sent_ns: i64) {
        let due_ns = sent_ns.saturating_add(self.latency.sample()).max(self.last_due_ns);
        self.last_due_ns = due_ns;
        self.in_transit.push_back((due_ns, message));
    }

    fn next_due_ns(&self) -> Option<i64> {
        self.in_transit.front().map(|&(due_ns, _)| due_ns)
    }

    /// The next message if it has arrived by `now_ns`, with the time it arrived.
    fn receive(&mut self, now_ns: i64) -> Option<(i64, T)> {
        if self.next_due_ns()? > now_ns {
            return None;
        }
        self.in_transit.pop_front()
    }
}

/// A [`Matcher`] behind a connection with latency.
///
/// All times are engine time in UTC nanoseconds. The caller moves time: it calls [`Venue::advance_to`] when
/// [`Venue::next_due_ns`] is reached and feeds every market record through [`Venue::on_record`]. An order that
/// arrives exactly at a record's time is there before the record.
#[derive(Debug)]
pub struct Venue {
    matcher: Matcher,
    requests: Way<Request>,
    answers: Way<BookReport>,
    /// Earliest time either way has something due; the largest value if neither has.
    next_due_ns: i64,
    /// Reports of one call to the matcher, on their way into `answers`.
    reports: Vec<BookReport>,
}

impl Venue {
    /// A venue for `instruments`; `to` is the latency of requests, `from` that of the answers.
    pub fn new(instruments: Arc<InstrumentTable>, to: LatencyModel, from: LatencyModel) -> Self {
        Self {
            matcher: Matcher::new(instruments),
            requests: Way::new(to),
            answers: Way::new(from),
            next_due_ns: i64::MAX,
            reports: Vec::with_capacity(64),
        }
    }

    /// Sends an order at `now_ns`.
    pub fn submit(&mut self, order: SimOrder, now_ns: i64) {
        self.requests.send(Request::Order(order), now_ns);
        self.refresh_due();
    }

    /// Sends a cancel at `now_ns`; it never overtakes the order it is for.
    pub fn cancel(&mut self, order: OrderId, now_ns: i64) {
        self.requests.send(Request::Cancel(order), now_ns);
        self.refresh_due();
    }

    /// Sends an amendment at `now_ns`: a new limit and a new total quantity; see [`Matcher::on_amend`].
    pub fn amend(&mut self, order: OrderId, limit: Price, qty: Qty, now_ns: i64) {
        self.requests.send(Request::Amend { order, limit, qty }, now_ns);
        self.refresh_due();
    }

    /// When something next arrives at the venue or back from it; `None` if nothing is on the way.
    #[inline]
    pub const fn next_due_ns(&self) -> Option<i64> {
        if self.next_due_ns == i64::MAX { None } else { Some(self.next_due_ns) }
    }

    /// When the next answer is due; `None` if none is on the way.
    #[inline]
    pub fn next_report_ns(&self) -> Option<i64> {
        self.answers.next_due_ns()
    }

    /// When the last answer that is on the way is due; `None` if none is.
    pub fn last_report_ns(&self) -> Option<i64> {
        self.answers.in_transit.back().map(|&(due_ns, _)| due_ns)
    }

    /// Lets everything sent to the venue and due by `now_ns` arrive, each at its own time.
    #[inline]
    pub fn advance_to(&mut self, now_ns: i64) {
        if self.next_due_ns <= now_ns {
            self.receive_requests(now_ns);
        }
    }

    fn receive_requests(&mut self, now_ns: i64) {
        while let Some((ts_ns, request)) = self.requests.receive(now_ns) {
            match request {
                Request::Order(order) => self.matcher.on_order(order, ts_ns, &mut self.reports),
                Request::Cancel(order) => self.matcher.on_cancel(order, ts_ns, &mut self.reports),
                Request::Amend { order, limit, qty } => {
                    self.matcher.on_amend(order, limit, qty, ts_ns, &mut self.reports);
                }
            }
            self.send_reports(ts_ns);
        }
        self.refresh_due();
    }

    /// Lets the market move by one record, after everything that arrives by its receive time.
    #[inline]
    pub fn on_record(&mut self, record: &MarketRecord) {
        self.advance_to(record.ts_recv_ns);
        self.matcher.on_record(record, &mut self.reports);
        if !self.reports.is_empty() {
            self.send_reports(record.ts_recv_ns);
            self.refresh_due();
        }
    }

    /// Moves every answer that has come back by `now_ns` to the end of `out`, in the order the venue gave them.
    pub fn take_due_reports(&mut self, now_ns: i64, out: &mut Vec<BookReport>) {
        while let Some((_, report)) = self.answers.receive(now_ns) {
            out.push(report);
        }
        self.refresh_due();
    }

    /// Ends the session at `now_ns`: what has arrived by then and still works ends. What is on the way arrives later,
    /// for the next session.
    pub fn end_session(&mut self, now_ns: i64) {
        self.advance_to(now_ns);
        self.matcher.end_session(now_ns, &mut self.reports);
        self.send_reports(now_ns);
        self.refresh_due();
    }

    /// Ends the session of one instrument at `now_ns`, as [`Venue::end_session`] does for all.
    pub fn end_session_of(&mut self, instrument: InstrumentId, now_ns: i64) {
        self.advance_to(now_ns);
        self.matcher.end_session_of(instrument, now_ns, &mut self.reports);
        self.send_reports(now_ns);
        self.refresh_due();
    }

    /// The matcher, for its working orders.
    pub const fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    fn send_reports(&mut self, ts_ns: i64) {
        for report in self.reports.drain(..) {
            self.answers.send(report, ts_ns);
        }
    }

    fn refresh_due(&mut self) {
        let due_ns = |due: Option<i64>| due.unwrap_or(i64::MAX);
        self.next_due_ns = due_ns(self.requests.next_due_ns()).min(due_ns(self.answers.next_due_ns()));
    }
}

#[cfg(test)]
#[path = "venue_tests.rs"]
mod tests;
