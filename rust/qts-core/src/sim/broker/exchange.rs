//! What happens at the exchange: requests that arrive, the market that moves, and what that does to the books.

use crate::event::{EndReason, MarketRecord, OrderId, Side, TickKind, Track};
use crate::fixed::{FixedError, Price, Qty};
use crate::instrument::InstrumentId;
use crate::sim::matcher::{BookReport, Match, SimOrder};

use super::account::Trade;
use super::{Execution, Notice, NoticeKind, OrderNo, OrderNotice, OrderRow, Request, RowState, SimExchange};

impl SimExchange {
    /// Lets time pass: what is due by `now_ns` reaches the exchange. Returns the time, which never goes back.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn advance(&mut self, now_ns: i64) -> Result<i64, FixedError> {
        self.now_ns = self.now_ns.max(now_ns);
        while let Some(&(due_ns, request)) = self.in_transit.front()
            && due_ns <= self.now_ns
        {
            self.in_transit.pop_front();
            self.arrive(request, due_ns)?;
        }
        Ok(self.now_ns)
    }

    /// When something next reaches the exchange; `None` if nothing is on the way.
    pub fn next_due_ns(&self) -> Option<i64> {
        self.in_transit.front().map(|&(due_ns, _)| due_ns)
    }

    /// Shows new best prices; a price of 0 is an empty side.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn on_quote(
        &mut self,
        instrument: InstrumentId,
        bid: (Price, Qty),
        ask: (Price, Qty),
        ts_ns: i64,
    ) -> Result<(), FixedError> {
        let mut record = empty_record(instrument, TickKind::Quote, ts_ns);
        (record.bid, record.bid_qty) = bid;
        (record.ask, record.ask_qty) = ask;
        self.on_record(&record)
    }

    /// Prints a trade of others, or the single price of an auction.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn on_trade(
        &mut self,
        instrument: InstrumentId,
        price: Price,
        qty: Qty,
        aggressor: Option<Side>,
        is_auction: bool,
        ts_ns: i64,
    ) -> Result<(), FixedError> {
        let kind = if is_auction { TickKind::Auction } else { TickKind::Trade };
        self.on_record(&MarketRecord { aggressor, price, qty, ..empty_record(instrument, kind, ts_ns) })
    }

    /// Lets the market move by one record. Where nothing is traded only its quote is remembered.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn on_record(&mut self, record: &MarketRecord) -> Result<(), FixedError> {
        let ts_ns = self.advance(record.ts_recv_ns)?;
        let record = MarketRecord { ts_recv_ns: ts_ns, ..*record };
        let trades = self.trades(record.instrument, ts_ns);
        let Some(trading) = self.trading_mut(record.instrument) else { return Ok(()) };
        if record.kind == TickKind::Quote || record.bid.0 > 0 || record.ask.0 > 0 {
            let (kind, price, qty) = (TickKind::Quote, Price(0), Qty(0));
            let shown = MarketRecord { kind, price, qty, ..record };
            (trading.shown, trading.is_unseen) = (Some(shown), !trades);
        }
        if trades {
            self.catch_up(record.instrument, ts_ns);
            self.matcher.on_record(&record, &mut self.reports);
        }
        self.book_reports()
    }

    /// Ends the session: what works expires, what is on its way is refused, and the last quotes are no more.
    ///
    /// # Errors
    /// [`FixedError`] if a figure leaves its range.
    pub fn end_session(&mut self, ts_ns: i64) -> Result<(), FixedError> {
        let ts_ns = self.advance(ts_ns)?;
        while let Some((_, request)) = self.in_transit.pop_front() {
            self.refuse(request, ts_ns);
        }
        self.matcher.end_session(ts_ns, &mut self.reports);
        for trading in &mut self.trading {
            (trading.shown, trading.is_unseen) = (None, false);
        }
        self.book_reports()
    }

    /// Shows the book what was shown while nothing was traded.
    pub(super) fn catch_up(&mut self, instrument: InstrumentId, ts_ns: i64) {
        let unseen = self.trading_mut(instrument).and_then(|trading| {
            let is_unseen = std::mem::take(&mut trading.is_unseen);
            trading.shown.filter(|_| is_unseen)
        });
        if let Some(shown) = unseen {
            let record = MarketRecord { ts_recv_ns: ts_ns, ..shown };
            self.matcher.on_record(&record, &mut self.reports);
        }
    }

    fn arrive(&mut self, request: Request, ts_ns: i64) -> Result<(), FixedError> {
        let (Request::Place { root } | Request::Amend { root, .. } | Request::Cancel { root, .. }) = request;
        let Some(chain) = self.orders.chain(root).copied() else { return Ok(()) };
        let id = chain.order.instrument;
        let trades = self.trades(id, ts_ns);
        if trades {
            self.catch_up(id, ts_ns);
            self.book_reports()?;
        }
        let goes_by = |named| self.orders.chain(root).is_some_and(|now| now.is_live && now.newest == named);
        match request {
            Request::Place { .. } if trades && !self.armed.take_exchange_refusal() => {
                let order = SimOrder {
                    id: OrderId(root.0),
                    instrument: id,
                    track: Track::Scalp,
                    side: chain.order.side,
                    kind: chain.order.kind,
                    tif: chain.order.tif,
                    limit: chain.bound,
                    qty: chain.order.qty,
                };
                self.matcher.on_order(order, ts_ns, &mut self.reports);
            }
            Request::Amend { named, limit, qty, .. } if trades && goes_by(named) => {
                self.matcher.on_amend(OrderId(root.0), limit, qty, ts_ns, &mut self.reports);
            }
            Request::Cancel { named, .. } if self.config.is_open(ts_ns) && goes_by(named) => {
                self.matcher.on_cancel(OrderId(root.0), ts_ns, &mut self.reports);
            }
            Request::Place { .. } | Request::Amend { .. } | Request::Cancel { .. } => {
                self.refuse(request, ts_ns);
            }
        }
        self.book_reports()
    }

    /// Refuses, at the exchange, what the broker had taken.
    fn refuse(&mut self, request: Request, ts_ns: i64) {
        match request {
            Request::Place { root } => self.end(root, RowState::Rejected, NoticeKind::Rejected, ts_ns),
            Request::Amend { root, number, named, .. } => {
                self.orders.drop_amend(root);
                self.tell_refused(number, named, ts_ns);
            }
            Request::Cancel { number, named, .. } => self.tell_refused(number, named, ts_ns),
        }
    }

    /// Says that the amendment or the cancel `number` of the order that goes by `named` was refused.
    fn tell_refused(&mut self, number: OrderNo, named: OrderNo, ts_ns: i64) {
        let remaining = self.orders.row(named).map_or(Qty(0), |row| row.remaining);
        let kind = NoticeKind::Rejected;
        let notice = OrderNotice { order_no: number, kind, original_no: Some(named), remaining, ts_ns };
        self.stream.say(Notice::Order(notice));
    }

    pub(super) fn book_reports(&mut self) -> Result<(), FixedError> {
        let mut reports = std::mem::take(&mut self.reports);
        let booked = reports.drain(..).try_for_each(|report| self.book(report));
        self.reports = reports;
        booked
    }

    fn book(&mut self, report: BookReport) -> Result<(), FixedError> {
        match report {
            BookReport::Accepted { order, ts_ns } => {
                if let Some(row) = self.orders.row(OrderNo(order.0)).copied() {
                    self.tell(&row, NoticeKind::Accepted, ts_ns);
                }
            }
            BookReport::Matched(matched) => self.book_fill(&matched)?,
            BookReport::Ended { order, reason, ts_ns, .. } => {
                let (state, kind) = match reason {
                    EndReason::UserCancel | EndReason::ImmediateOrCancel => {
                        (RowState::Cancelled, NoticeKind::Cancelled)
                    }
                    EndReason::SessionEnd => (RowState::Expired, NoticeKind::Expired),
                    _ => (RowState::Rejected, NoticeKind::Rejected),
                };
                self.end(OrderNo(order.0), state, kind, ts_ns);
            }
            BookReport::Amended { order, limit, qty, ts_ns } => {
                if let Some(row) = self.orders.amend(OrderNo(order.0), limit, qty, ts_ns) {
                    self.tell(&row, NoticeKind::Amended, ts_ns);
                }
            }
            BookReport::AmendRefused { order, ts_ns, .. } => {
                let root = OrderNo(order.0);
                let pending = self.orders.chain(root).and_then(|chain| Some((chain.pending?, chain.newest)));
                if let Some((pending, named)) = pending {
                    self.orders.drop_amend(root);
                    self.tell_refused(pending.number, named, ts_ns);
                }
            }
            // What is live in the list works at the exchange, and no other is cancelled there.
            BookReport::CancelRefused { .. } => {}
        }
        Ok(())
    }

    fn book_fill(&mut self, matched: &Match) -> Result<(), FixedError> {
        let &Match { order, qty, price, ts_ns } = matched;
        let Some((row, cumulative)) = self.orders.fill(OrderNo(order.0), qty) else { return Ok(()) };
        let (id, side) = (row.order.instrument, row.order.side);
        let Some(instrument) = self.instruments.get(id) else { return Ok(()) };
        let amount = instrument.amount(price, qty)?;
        let (fee, tax) = (instrument.fee(side, amount, ts_ns)?, instrument.tax(side, amount, ts_ns)?);
        self.account.book(&Trade { instrument: id, side, qty, amount, fee, tax })?;
        let execution = Execution {
            exec_no: self.next_exec_no,
            order_no: row.order_no,
            instrument: id,
            side,
            qty,
            price,
            cumulative,
            amount,
            fee,
            tax,
            ts_ns,
        };
        self.next_exec_no = self.next_exec_no.saturating_add(1);
        self.executions.push(execution);
        self.stream.say(Notice::Fill(execution));
        Ok(())
    }

    fn end(&mut self, root: OrderNo, state: RowState, kind: NoticeKind, ts_ns: i64) {
        if let Some(row) = self.orders.end(root, state) {
            self.tell(&row, kind, ts_ns);
        }
    }

    fn tell(&mut self, row: &OrderRow, kind: NoticeKind, ts_ns: i64) {
        let &OrderRow { order_no, original_no, remaining, .. } = row;
        self.stream.say(Notice::Order(OrderNotice { order_no, kind, original_no, remaining, ts_ns }));
    }
}

/// A record of `kind` that says nothing yet.
const fn empty_record(instrument: InstrumentId, kind: TickKind, ts_ns: i64) -> MarketRecord {
    MarketRecord {
        ts_event_ns: ts_ns,
        ts_recv_ns: ts_ns,
        instrument,
        kind,
        aggressor: None,
        price: Price(0),
        qty: Qty(0),
        bid: Price(0),
        bid_qty: Qty(0),
        ask: Price(0),
        ask_qty: Qty(0),
        open: Price(0),
        high: Price(0),
        low: Price(0),
    }
}
