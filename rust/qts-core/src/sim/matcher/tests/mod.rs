//! The rules of the matcher, one situation per test.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use std::sync::Arc;

use super::testkit::{instruments, record};
use super::{BookReport, Matcher, OrderKind, SimOrder, TimeInForce};
use crate::event::{EndReason, MarketRecord, OrderId, Side, TickKind, Track};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;

mod amended;
mod orders;
mod printed;
mod quoted;

const ABC: InstrumentId = InstrumentId(0);
const OTHER: InstrumentId = InstrumentId(1);

/// A matcher with a clock that ticks once per call, and everything it has said since it was last asked.
struct Scene {
    matcher: Matcher,
    now_ns: i64,
    last_id: u64,
    said: Vec<BookReport>,
}

impl Scene {
    /// Nothing has happened yet.
    fn empty() -> Self {
        Self { matcher: Matcher::new(Arc::new(instruments())), now_ns: 0, last_id: 0, said: Vec::new() }
    }

    /// The market shows 99 x 30 against 101 x 40.
    fn quoted() -> Self {
        let mut scene = Self::empty();
        scene.quote((99, 30), (101, 40));
        scene
    }

    /// A market without quotes whose last print was 100.
    fn printed() -> Self {
        let mut scene = Self::empty();
        scene.auction(100, 1_000);
        scene
    }

    fn tick(&mut self) -> i64 {
        self.now_ns += 1;
        self.now_ns
    }

    fn send(&mut self, side: Side, kind: OrderKind, tif: TimeInForce, limit: i64, qty: i64) -> OrderId {
        self.last_id += 1;
        let order = SimOrder {
            id: OrderId(self.last_id),
            instrument: ABC,
            track: Track::Scalp,
            side,
            kind,
            tif,
            limit: Price(limit),
            qty: Qty(qty),
        };
        let now_ns = self.tick();
        self.matcher.on_order(order, now_ns, &mut self.said);
        order.id
    }

    fn buy(&mut self, limit: i64, qty: i64) -> OrderId {
        self.send(Side::Buy, OrderKind::Limit, TimeInForce::Day, limit, qty)
    }

    fn sell(&mut self, limit: i64, qty: i64) -> OrderId {
        self.send(Side::Sell, OrderKind::Limit, TimeInForce::Day, limit, qty)
    }

    fn market(&mut self, side: Side, qty: i64) -> OrderId {
        self.send(side, OrderKind::Market, TimeInForce::Day, 0, qty)
    }

    fn play(&mut self, mut record: MarketRecord) {
        record.ts_recv_ns = self.tick();
        self.matcher.on_record(&record, &mut self.said);
    }

    fn quote(&mut self, bid: (i64, i64), ask: (i64, i64)) {
        let mut quote = record(ABC, TickKind::Quote);
        (quote.bid, quote.bid_qty) = (Price(bid.0), Qty(bid.1));
        (quote.ask, quote.ask_qty) = (Price(ask.0), Qty(ask.1));
        self.play(quote);
    }

    fn print(&mut self, kind: TickKind, aggressor: Option<Side>, price: i64, qty: i64) {
        let print = MarketRecord { price: Price(price), qty: Qty(qty), aggressor, ..record(ABC, kind) };
        self.play(print);
    }

    fn trade(&mut self, price: i64, qty: i64) {
        self.print(TickKind::Trade, None, price, qty);
    }

    fn auction(&mut self, price: i64, qty: i64) {
        self.print(TickKind::Auction, None, price, qty);
    }

    fn amend(&mut self, id: OrderId, limit: i64, qty: i64) {
        let now_ns = self.tick();
        self.matcher.on_amend(id, Price(limit), Qty(qty), now_ns, &mut self.said);
    }

    /// Everything said since the last call.
    fn said(&mut self) -> Vec<BookReport> {
        std::mem::take(&mut self.said)
    }

    /// The matches since the last call, as (order, quantity, price).
    fn matches(&mut self) -> Vec<(u64, i64, i64)> {
        let matched = |report| match report {
            BookReport::Matched(it) => Some((it.order.0, it.qty.0, it.price.0)),
            _ => None,
        };
        self.said().into_iter().filter_map(matched).collect()
    }

    /// The ends since the last call, as (order, reason, unfilled quantity).
    fn ends(&mut self) -> Vec<(u64, EndReason, i64)> {
        let ended = |report| match report {
            BookReport::Ended { order, reason, remaining, .. } => Some((order.0, reason, remaining.0)),
            _ => None,
        };
        self.said().into_iter().filter_map(ended).collect()
    }

    fn remaining(&self) -> Vec<(u64, i64)> {
        self.matcher.working(ABC).map(|(order, remaining)| (order.id.0, remaining.0)).collect()
    }
}
