//! One instrument: what the market shows of it, and our orders in it.

use std::collections::BTreeMap;

use super::{BookReport, Match, SimOrder};
use crate::event::{EndReason, MarketRecord, OrderId, Side, TickKind};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;

/// The best level of one side, as shown by the record.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// 0 = nothing is shown.
    price: Price,
    /// Size shown.
    qty: Qty,
    /// What we have taken of the size shown at this price.
    taken: Qty,
}

impl Level {
    const fn is_shown(&self) -> bool {
        self.price.0 > 0
    }

    fn show(&mut self, price: Price, qty: Qty) {
        if price != self.price {
            self.taken = Qty(0);
        }
        self.price = price;
        self.qty = qty;
    }

    /// Size shown and not yet taken by us.
    const fn available(&self) -> Qty {
        let left = self.qty.0.saturating_sub(self.taken.0);
        Qty(if left > 0 { left } else { 0 })
    }

    const fn take(&mut self, qty: Qty) {
        self.taken = Qty(self.taken.0.saturating_add(qty.0));
    }
}

/// Both best levels.
#[derive(Debug, Clone, Copy, Default)]
struct Top {
    bid: Level,
    ask: Level,
}

impl Top {
    const fn opposite(&self, side: Side) -> &Level {
        match side {
            Side::Buy => &self.ask,
            Side::Sell => &self.bid,
        }
    }

    const fn opposite_mut(&mut self, side: Side) -> &mut Level {
        match side {
            Side::Buy => &mut self.ask,
            Side::Sell => &mut self.bid,
        }
    }

    /// Size in front of an order that joins the book at its limit now; `None` behind the best quote, where the record
    /// does not say.
    fn ahead_of(&self, order: &SimOrder) -> Option<Qty> {
        let own = match order.side {
            Side::Buy => &self.bid,
            Side::Sell => &self.ask,
        };
        match order.reach(own.price) {
            _ if !own.is_shown() => Some(Qty(0)),
            0 => Some(own.qty),
            reach if reach > 0 => Some(Qty(0)),
            _ => None,
        }
    }
}

/// Where an order stands towards the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No quote has been shown in this session: it meets the next print or the first quote, whichever comes first.
    Arriving,
    /// Within its limit of the opposite quote: takes newly shown size.
    Aggressive,
    /// Waits for prints, behind this much size at its price; `None` = unknown.
    Passive(Option<Qty>),
    /// Works no longer; swept out after the record.
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Working {
    order: SimOrder,
    /// The instrument's lot: shown sizes and prints may be finer than what we can trade.
    lot: Qty,
    remaining: Qty,
    phase: Phase,
}

impl Working {
    /// As much of `offered` as the order still wants, in whole lots.
    fn share_of(&self, offered: Qty) -> Qty {
        let qty = self.remaining.0.min(offered.0);
        Qty(qty.saturating_sub(qty.checked_rem(self.lot.0).unwrap_or(0)))
    }

    fn fill(&mut self, qty: Qty, price: Price, ts_ns: i64, out: &mut Vec<BookReport>) {
        if qty.0 == 0 {
            return;
        }
        self.remaining = Qty(self.remaining.0.saturating_sub(qty.0));
        out.push(BookReport::Matched(Match { order: self.order.id, qty, price, ts_ns }));
        if self.remaining.0 == 0 {
            self.phase = Phase::Done;
        }
    }

    fn end(&mut self, reason: EndReason, ts_ns: i64, out: &mut Vec<BookReport>) {
        self.phase = Phase::Done;
        out.push(BookReport::Ended { order: self.order.id, reason, remaining: self.remaining, ts_ns });
    }

    /// Takes what the opposite quote shows, if that is within the limit; says whether it is.
    fn take_shown(&mut self, top: &mut Top, ts_ns: i64, out: &mut Vec<BookReport>) -> bool {
        let level = top.opposite_mut(self.order.side);
        let within = level.is_shown() && self.order.reach(level.price) >= 0;
        if within {
            let (qty, price) = (self.share_of(level.available()), level.price);
            level.take(qty);
            self.fill(qty, price, ts_ns, out);
        }
        within
    }

    /// Reacts to the shown quotes: on arrival, on the first quote of a session, and on each later one.
    fn meet_quote(&mut self, top: &mut Top, ts_ns: i64, out: &mut Vec<BookReport>) {
        let within = self.take_shown(top, ts_ns, out);
        if self.phase == Phase::Done {
            return;
        }
        if self.order.is_immediate() {
            self.end(EndReason::ImmediateOrCancel, ts_ns, out);
        } else if within {
            self.phase = Phase::Aggressive;
        } else {
            self.phase = Phase::Passive(top.ahead_of(&self.order));
        }
    }

    /// Reacts to the shown quotes while resting: an opposite quote within the limit makes the order marketable,
    /// otherwise the quotes may tell how much is ahead of it.
    fn rest(&mut self, ahead: Option<Qty>, top: &mut Top, ts_ns: i64, out: &mut Vec<BookReport>) {
        let opposite = top.opposite(self.order.side);
        if opposite.is_shown() && self.order.reach(opposite.price) >= 0 {
            self.meet_quote(top, ts_ns, out);
        } else {
            // What is known only shrinks by prints: cancels behind us look the same as cancels ahead of us.
            self.phase = Phase::Passive(ahead.or_else(|| top.ahead_of(&self.order)));
        }
    }

    /// Trades against a print that the limit reaches; returns how much of it.
    fn meet_print(&mut self, print: &Print, out: &mut Vec<BookReport>) -> Qty {
        let (offered, price) = match self.phase {
            Phase::Arriving => (print.left, print.price),
            Phase::Passive(_) if self.order.reach(print.price) > 0 => (print.left, self.order.limit),
            Phase::Passive(Some(ahead)) if print.aggressor != Some(self.order.side) => {
                // Our own fills on this print are already off `left`: what is left is what others got of it.
                let used = ahead.0.min(print.left.0);
                self.phase = Phase::Passive(Some(Qty(ahead.0.saturating_sub(used))));
                (Qty(print.left.0.saturating_sub(used)), self.order.limit)
            }
            Phase::Passive(_) | Phase::Aggressive | Phase::Done => (Qty(0), self.order.limit),
        };
        let qty = self.share_of(offered);
        self.fill(qty, price, print.ts_ns, out);
        qty
    }

    /// The market has traded through the limit: whatever the print was too small to fill is marketable now. It takes
    /// what is shown next, instead of waiting at a price that the market has left behind.
    fn follow(&mut self, price: Price) {
        if matches!(self.phase, Phase::Passive(_)) && self.order.reach(price) > 0 {
            self.phase = Phase::Aggressive;
        }
    }

    /// What is left after its first print: an immediate order ends, one that the print was not within queues up.
    fn settle_arrival(&mut self, print: &Print, out: &mut Vec<BookReport>) {
        if self.phase != Phase::Arriving {
            return;
        }
        if self.order.is_immediate() {
            self.end(EndReason::ImmediateOrCancel, print.ts_ns, out);
        } else if self.order.reach(print.price) < 0 {
            self.phase = Phase::Passive(Some(Qty(0)));
        }
    }
}

/// A trade of the recorded market, while our orders share it.
struct Print {
    price: Price,
    /// What none of our orders has used yet.
    left: Qty,
    aggressor: Option<Side>,
    ts_ns: i64,
}

impl Print {
    fn use_up(&mut self, qty: Qty) {
        self.left = Qty(self.left.0.saturating_sub(qty.0));
    }
}

/// One instrument's market and our orders in it, oldest first.
#[derive(Debug, Default)]
pub(super) struct Book {
    top: Top,
    /// Price of the last print of this session; 0 = none yet.
    last: Price,
    /// A quote has been shown in this session.
    quoted: bool,
    /// A quote or a print has been seen at all.
    referenced: bool,
    orders: Vec<Working>,
}

impl Book {
    /// Whether no order works here.
    #[inline]
    pub(super) const fn is_idle(&self) -> bool {
        self.orders.is_empty()
    }

    /// Whether any price has ever been seen.
    pub(super) const fn has_reference(&self) -> bool {
        self.referenced
    }

    /// Working orders with their unfilled quantities, oldest first.
    pub(super) fn working(&self) -> impl Iterator<Item = (&SimOrder, Qty)> {
        self.orders.iter().map(|working| (&working.order, working.remaining))
    }

    /// Takes in an accepted order; says whether it still works afterwards.
    pub(super) fn arrive(
        &mut self,
        order: SimOrder,
        lot: Qty,
        ts_ns: i64,
        out: &mut Vec<BookReport>,
    ) -> bool {
        self.join(Working { order, lot, remaining: order.qty, phase: Phase::Arriving }, ts_ns, out)
    }

    /// Lets an order that has just arrived meet the market and queue up behind all others; says whether it still works.
    fn join(&mut self, mut working: Working, ts_ns: i64, out: &mut Vec<BookReport>) -> bool {
        if self.quoted {
            working.meet_quote(&mut self.top, ts_ns, out);
        } else if self.last.0 > 0 && working.order.reach(self.last) < 0 {
            if working.order.is_immediate() {
                working.end(EndReason::ImmediateOrCancel, ts_ns, out);
            } else {
                working.phase = Phase::Passive(Some(Qty(0)));
            }
        }
        let works = working.phase != Phase::Done;
        if works {
            self.orders.push(working);
        }
        works
    }

    /// A working order with its unfilled quantity.
    pub(super) fn find(&self, id: OrderId) -> Option<(SimOrder, Qty)> {
        self.orders
            .iter()
            .find(|working| working.order.id == id)
            .map(|working| (working.order, working.remaining))
    }

    /// Puts `order` in the place of the working order of its id, more than whose fills it asks for; says whether it
    /// still works.
    pub(super) fn amend(&mut self, order: SimOrder, ts_ns: i64, out: &mut Vec<BookReport>) -> bool {
        let Some(at) = self.orders.iter().position(|working| working.order.id == order.id) else {
            return false;
        };
        let mut working = self.orders.remove(at);
        let before = working.order;
        let filled = before.qty.saturating_sub(working.remaining);
        (working.order, working.remaining) = (order, order.qty.saturating_sub(filled));
        if order.limit == before.limit && order.qty < before.qty {
            self.orders.insert(at, working);
            return true;
        }
        working.phase = Phase::Arriving;
        self.join(working, ts_ns, out)
    }

    /// Trades a part of one working order, leaving the market as it is; says whether it could.
    pub(super) fn trade_beside(
        &mut self,
        id: OrderId,
        qty: Qty,
        price: Price,
        ts_ns: i64,
        out: &mut Vec<BookReport>,
    ) -> bool {
        let Some(working) = self.orders.iter_mut().find(|working| working.order.id == id) else {
            return false;
        };
        let fits =
            qty.0 > 0 && working.share_of(qty) == qty && price.0 > 0 && working.order.reach(price) >= 0;
        if fits {
            working.fill(qty, price, ts_ns, out);
        }
        fits
    }

    /// Takes out a working order; returns it with its unfilled quantity.
    pub(super) fn remove(&mut self, id: OrderId) -> Option<(SimOrder, Qty)> {
        let at = self.orders.iter().position(|working| working.order.id == id)?;
        let working = self.orders.remove(at);
        Some((working.order, working.remaining))
    }

    /// Remembers what a record shows while no order works.
    #[inline]
    pub(super) fn note(&mut self, record: &MarketRecord) {
        if is_print(record) {
            self.note_print(record);
        }
        if shows_quote(record) {
            self.note_quote(record);
        }
    }

    #[inline]
    const fn note_print(&mut self, record: &MarketRecord) {
        self.last = record.price;
        self.referenced = true;
    }

    #[inline]
    fn note_quote(&mut self, record: &MarketRecord) {
        self.top.bid.show(record.bid, record.bid_qty);
        self.top.ask.show(record.ask, record.ask_qty);
        self.quoted = true;
        self.referenced |= self.top.bid.is_shown() || self.top.ask.is_shown();
    }

    /// Plays a record against the working orders: its print first, then the quotes it shows.
    pub(super) fn play(&mut self, record: &MarketRecord, out: &mut Vec<BookReport>) {
        if is_print(record) {
            self.note_print(record);
            let mut print = Print {
                price: record.price,
                left: record.qty,
                aggressor: record.aggressor,
                ts_ns: record.ts_recv_ns,
            };
            if record.kind == TickKind::Auction {
                self.play_auction(&mut print, out);
            } else {
                self.play_print(&mut print, out);
            }
            for working in &mut self.orders {
                working.settle_arrival(&print, out);
            }
        }
        if shows_quote(record) {
            self.play_quote(record, out);
        }
    }

    /// Shares a single-price uncross among all orders that reach it, in order of arrival.
    fn play_auction(&mut self, print: &mut Print, out: &mut Vec<BookReport>) {
        for working in &mut self.orders {
            if working.order.reach(print.price) >= 0 {
                let qty = working.share_of(print.left);
                working.fill(qty, print.price, print.ts_ns, out);
                print.use_up(qty);
            }
        }
    }

    /// Shares a print among the orders that reach it: furthest beyond it first, then in order of arrival.
    fn play_print(&mut self, print: &mut Print, out: &mut Vec<BookReport>) {
        let mut served = None;
        while print.left.0 > 0
            && let Some((reach, at)) = self.next_in_line(print.price, served)
            && let Some(working) = self.orders.get_mut(at)
        {
            let qty = working.meet_print(print, out);
            print.use_up(qty);
            served = Some((reach, at));
        }
        if self.quoted {
            for working in &mut self.orders {
                working.follow(print.price);
            }
        }
    }

    /// The order to serve after the one `served` last, as (reach beyond the price, place in order of arrival).
    fn next_in_line(&self, price: Price, served: Option<(i64, usize)>) -> Option<(i64, usize)> {
        let mut best: Option<(i64, usize)> = None;
        for (at, working) in self.orders.iter().enumerate() {
            let reach = working.order.reach(price);
            let waits = reach >= 0
                && served.is_none_or(|(last, last_at)| reach < last || (reach == last && at > last_at));
            if waits && best.is_none_or(|(most, _)| reach > most) {
                best = Some((reach, at));
            }
        }
        best
    }

    /// Shows new quotes to every order, in order of arrival.
    fn play_quote(&mut self, record: &MarketRecord, out: &mut Vec<BookReport>) {
        let first_of_session = !self.quoted;
        self.note_quote(record);
        for working in &mut self.orders {
            match working.phase {
                Phase::Arriving | Phase::Aggressive => {
                    working.meet_quote(&mut self.top, record.ts_recv_ns, out);
                }
                // Before the first quote nothing was known of the queue, so it joins now.
                Phase::Passive(_) if first_of_session => {
                    working.rest(None, &mut self.top, record.ts_recv_ns, out);
                }
                Phase::Passive(ahead) => working.rest(ahead, &mut self.top, record.ts_recv_ns, out),
                Phase::Done => {}
            }
        }
    }

    /// Drops the orders that a record has ended.
    pub(super) fn sweep(&mut self, index: &mut BTreeMap<OrderId, InstrumentId>) {
        self.orders.retain(|working| {
            let works = working.phase != Phase::Done;
            if !works {
                index.remove(&working.order.id);
            }
            works
        });
    }

    /// Ends all orders, oldest first, and forgets this session's quotes and prints.
    pub(super) fn end_session(&mut self, ts_ns: i64, out: &mut Vec<BookReport>) {
        for mut working in self.orders.drain(..) {
            working.end(EndReason::SessionEnd, ts_ns, out);
        }
        self.top = Top::default();
        self.last = Price(0);
        self.quoted = false;
    }
}

/// A trade with a size; a price without one traded nothing.
#[inline]
const fn is_print(record: &MarketRecord) -> bool {
    matches!(record.kind, TickKind::Trade | TickKind::Auction) && record.price.0 > 0 && record.qty.0 > 0
}

/// Whether the record says what is shown: a quote always does (an absent side is an empty one), a print only if it
/// carries a side, and a closed bar never.
#[inline]
const fn shows_quote(record: &MarketRecord) -> bool {
    match record.kind {
        TickKind::Quote => true,
        TickKind::Trade | TickKind::Auction => record.bid.0 > 0 || record.ask.0 > 0,
        TickKind::BarClose => false,
    }
}
