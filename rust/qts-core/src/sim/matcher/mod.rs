//! The one matcher: backtest, paper mode and every local imitation of a broker are skins of it.
//!
//! It plays our orders against a *recorded* market, which our orders cannot move. Whatever the record leaves open is
//! decided against us:
//!
//! * **Marketable on arrival.** An order whose limit reaches the shown opposite quote takes what is shown there, less
//!   what we have already taken of it, at the shown price. Size we took is not shown again until that side's price
//!   changes. The rest stays *aggressive*: each later quote within its limit gives it newly shown size. When the
//!   opposite quote moves beyond the limit, the rest becomes *passive*.
//! * **Passive.** Prints fill it, at its limit. A print beyond the limit fills up to the print's size; what it was
//!   too small for is aggressive from then on, because the market has left the limit behind. A print at the limit
//!   first uses up the size ahead of the order: the size shown at that price when the order joined, none inside the
//!   spread, unknown behind the best quote (then it is the size shown when the level first becomes the best). A print
//!   whose known aggressor is on our own side took from the other side of the book, so at the limit it neither fills
//!   us nor shortens our queue. An opposite quote that reaches the limit makes the order marketable: it takes what is
//!   shown, at the shown price. So every fill lies on the market as recorded at its time.
//! * **Market and immediate-or-cancel** orders end with whatever they do not take at once. With no quote and no print
//!   ever they are refused: nobody knows a price.
//! * **Auction prints** fill every order whose limit reaches them, at the print's price, in order of arrival.
//! * **Without quotes** (bars), an order that the last print is within meets the *next* print and trades at that
//!   print's price, never at the one it has already seen; any other order is passive with nothing ahead of it.
//! * **Amended.** An amendment of a working order takes effect at once, under the same id. One that only takes quantity
//!   away at the same limit keeps its place and what is ahead of it. Any other arrives anew, behind all that is there:
//!   it may be marketable at once, or stand behind the whole size shown. It never frees what has been filled: the new
//!   total must leave something to trade.
//! * No print is used twice: all fills on one print together are at most the print's size, the order that reaches
//!   furthest beyond the print first, then the one that arrived first.
//!
//! Everything is integers, in the instrument's own price and quantity units. A record of an instrument in which no
//! order works costs a few nanoseconds, and no record allocates beyond the caller's output buffer.

mod book;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{EndReason, MarketRecord, OrderId, Side, Track};
use crate::fixed::{Price, Qty};
use crate::instrument::{Instrument, InstrumentId, InstrumentTable};

use book::Book;

/// How an order states its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderKind {
    /// Trades at its limit or better.
    Limit,
    /// Takes what is there, then ends. A limit above 0 bounds the price it may pay or accept; 0 = no bound.
    Market,
}

/// How long an order works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeInForce {
    /// Until the session ends.
    Day,
    /// Immediate or cancel: what is not taken at once ends.
    Ioc,
}

/// An order as the venue sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimOrder {
    /// Identity; a second order under the id of a working one is a repeated message and is ignored.
    pub id: OrderId,
    /// What to trade.
    pub instrument: InstrumentId,
    /// Track that pays or holds; the matcher only carries it.
    pub track: Track,
    /// Direction.
    pub side: Side,
    /// Limit or market.
    pub kind: OrderKind,
    /// How long it works; a market order is immediate whatever this says.
    pub tif: TimeInForce,
    /// Worst price accepted, in price units; 0 = none (market orders only).
    pub limit: Price,
    /// Quantity to trade, in quantity units, a positive multiple of the lot.
    pub qty: Qty,
}

/// One execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// The order that traded.
    pub order: OrderId,
    /// Quantity traded, in quantity units, above 0.
    pub qty: Qty,
    /// Price traded at, in price units.
    pub price: Price,
    /// Engine time at the venue, UTC nanoseconds.
    pub ts_ns: i64,
}

/// What the venue says about an order, in the order it says it.
///
/// An order that fills completely ends with its last [`BookReport::Matched`]; any other ends with one
/// [`BookReport::Ended`]. One that is refused has only that `Ended`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookReport {
    /// The order is in the market.
    Accepted {
        /// Which order.
        order: OrderId,
        /// Engine time at the venue, UTC nanoseconds.
        ts_ns: i64,
    },
    /// A part or all of the order traded.
    Matched(Match),
    /// The order works no longer.
    Ended {
        /// Which order.
        order: OrderId,
        /// Why.
        reason: EndReason,
        /// What did not trade, in quantity units.
        remaining: Qty,
        /// Engine time at the venue, UTC nanoseconds.
        ts_ns: i64,
    },
    /// A cancel came too late or named no order: nothing of that id works, how it ended has been said before.
    CancelRefused {
        /// The order that was to be cancelled.
        order: OrderId,
        /// Engine time at the venue, UTC nanoseconds.
        ts_ns: i64,
    },
    /// A working order has a new limit and quantity; what it trades at once follows.
    Amended {
        /// Which order.
        order: OrderId,
        /// Its limit from now on, in price units.
        limit: Price,
        /// Its quantity from now on with all that has been filled, in quantity units.
        qty: Qty,
        /// Engine time at the venue, UTC nanoseconds.
        ts_ns: i64,
    },
    /// An amendment was not carried out: an order that works does so as before.
    AmendRefused {
        /// The order that was to be amended.
        order: OrderId,
        /// Why: `UnknownOrder` if nothing of that id works, `QtyInvalid` if the new total leaves nothing to trade or
        /// no whole lots, `OffTick`.
        reason: EndReason,
        /// Engine time at the venue, UTC nanoseconds.
        ts_ns: i64,
    },
}

/// The matcher for every instrument of a table.
#[derive(Debug)]
pub struct Matcher {
    instruments: Arc<InstrumentTable>,
    /// Dense by instrument number.
    books: Vec<Book>,
    /// Where each working order is.
    index: BTreeMap<OrderId, InstrumentId>,
}

impl Matcher {
    /// A matcher with an empty book for each instrument.
    pub fn new(instruments: Arc<InstrumentTable>) -> Self {
        let books = (0..instruments.len()).map(|_| Book::default()).collect();
        Self { instruments, books, index: BTreeMap::new() }
    }

    /// Takes in `order` at engine time `ts_ns` and reports what becomes of it at once.
    pub fn on_order(&mut self, order: SimOrder, ts_ns: i64, out: &mut Vec<BookReport>) {
        if self.index.contains_key(&order.id) {
            return;
        }
        let refused = |reason| BookReport::Ended { order: order.id, reason, remaining: order.qty, ts_ns };
        let slot = usize::try_from(order.instrument.0).ok();
        let (Some(instrument), Some(book)) =
            (self.instruments.get(order.instrument), slot.and_then(|slot| self.books.get_mut(slot)))
        else {
            // Not traded here, so there is no price for it either.
            out.push(refused(EndReason::NoReferencePrice));
            return;
        };
        if let Err(reason) = check(&order, instrument, ts_ns) {
            out.push(refused(reason));
        } else if order.is_immediate() && !book.has_reference() {
            out.push(refused(EndReason::NoReferencePrice));
        } else {
            out.push(BookReport::Accepted { order: order.id, ts_ns });
            if book.arrive(order, instrument.lot(), ts_ns, out) {
                self.index.insert(order.id, order.instrument);
            }
        }
    }

    /// Ends the order `id` at the owner's wish, or refuses if it no longer works.
    pub fn on_cancel(&mut self, id: OrderId, ts_ns: i64, out: &mut Vec<BookReport>) {
        let instrument = self.index.remove(&id);
        let removed = instrument.and_then(|instrument| self.book_mut(instrument)?.remove(id));
        out.push(match removed {
            Some((order, remaining)) => {
                BookReport::Ended { order: order.id, reason: EndReason::UserCancel, remaining, ts_ns }
            }
            None => BookReport::CancelRefused { order: id, ts_ns },
        });
    }

    /// Gives the working order `id` a new limit and a new total quantity, or refuses.
    ///
    /// `qty` counts what has been filled already and must exceed it: taking away the whole rest is a cancel.
    pub fn on_amend(&mut self, id: OrderId, limit: Price, qty: Qty, ts_ns: i64, out: &mut Vec<BookReport>) {
        match self.amend(id, limit, qty, ts_ns, out) {
            Ok(true) => {}
            Ok(false) => {
                self.index.remove(&id);
            }
            Err(reason) => out.push(BookReport::AmendRefused { order: id, reason, ts_ns }),
        }
    }

    /// Says whether the order still works.
    fn amend(
        &mut self,
        id: OrderId,
        limit: Price,
        qty: Qty,
        ts_ns: i64,
        out: &mut Vec<BookReport>,
    ) -> Result<bool, EndReason> {
        let at = *self.index.get(&id).ok_or(EndReason::UnknownOrder)?;
        let slot = usize::try_from(at.0).ok();
        let (Some(instrument), Some(book)) =
            (self.instruments.get(at), slot.and_then(|slot| self.books.get_mut(slot)))
        else {
            return Err(EndReason::UnknownOrder);
        };
        let (order, remaining) = book.find(id).ok_or(EndReason::UnknownOrder)?;
        if qty <= order.qty.saturating_sub(remaining) {
            return Err(EndReason::QtyInvalid);
        }
        let amended = SimOrder { limit, qty, ..order };
        check(&amended, instrument, ts_ns)?;
        out.push(BookReport::Amended { order: id, limit, qty, ts_ns });
        Ok(book.amend(amended, ts_ns, out))
    }

    /// Trades `qty` of the working order `id` at `price` beside the recorded market: a rehearsal of what no record can
    /// show, such as a fill that overtakes a cancel. Says whether it did: not beyond the limit, and no more than is left.
    pub fn trade_beside(
        &mut self,
        id: OrderId,
        qty: Qty,
        price: Price,
        ts_ns: i64,
        out: &mut Vec<BookReport>,
    ) -> bool {
        let Some(at) = self.index.get(&id).copied() else { return false };
        let traded = self.book_mut(at).is_some_and(|book| book.trade_beside(id, qty, price, ts_ns, out));
        if traded {
            let slot = usize::try_from(at.0).ok();
            if let Some(book) = slot.and_then(|slot| self.books.get_mut(slot)) {
                book.sweep(&mut self.index);
            }
        }
        traded
    }

    /// Lets the market move by one record; fills carry the record's receive time.
    #[inline]
    pub fn on_record(&mut self, record: &MarketRecord, out: &mut Vec<BookReport>) {
        let Some(book) = usize::try_from(record.instrument.0).ok().and_then(|slot| self.books.get_mut(slot))
        else {
            return;
        };
        if book.is_idle() {
            book.note(record);
        } else {
            book.play(record, out);
            book.sweep(&mut self.index);
        }
    }

    /// Ends every working order at the end of a session, by instrument and arrival, and forgets the shown quotes and
    /// the last prints: they are no part of the next session.
    pub fn end_session(&mut self, ts_ns: i64, out: &mut Vec<BookReport>) {
        for book in &mut self.books {
            book.end_session(ts_ns, out);
        }
        self.index.clear();
    }

    /// Ends the session of one instrument, as [`Matcher::end_session`] does for all.
    pub fn end_session_of(&mut self, instrument: InstrumentId, ts_ns: i64, out: &mut Vec<BookReport>) {
        if let Some(book) = self.book_mut(instrument) {
            book.end_session(ts_ns, out);
            self.index.retain(|_, at| *at != instrument);
        }
    }

    /// Working orders of `instrument` with their unfilled quantities in quantity units, oldest first.
    pub fn working(&self, instrument: InstrumentId) -> impl Iterator<Item = (&SimOrder, Qty)> {
        let slot = usize::try_from(instrument.0).ok();
        slot.and_then(|slot| self.books.get(slot)).into_iter().flat_map(Book::working)
    }

    /// Number of orders that work in all instruments together.
    pub fn working_count(&self) -> usize {
        self.index.len()
    }

    fn book_mut(&mut self, instrument: InstrumentId) -> Option<&mut Book> {
        self.books.get_mut(usize::try_from(instrument.0).ok()?)
    }
}

impl SimOrder {
    /// Whether the order ends with what it cannot take at once.
    pub const fn is_immediate(&self) -> bool {
        matches!(self.kind, OrderKind::Market) || matches!(self.tif, TimeInForce::Ioc)
    }

    /// How far the limit lies beyond `price`, in price units: 0 = exactly at it, negative = the order does not reach
    /// it, and an order without a limit reaches any price.
    const fn reach(&self, price: Price) -> i64 {
        if self.limit.0 == 0 {
            return i64::MAX;
        }
        match self.side {
            Side::Buy => self.limit.0.saturating_sub(price.0),
            Side::Sell => price.0.saturating_sub(self.limit.0),
        }
    }
}

/// What a venue checks of an order by itself. Daily price limits need a base price, which is the gate's business.
fn check(order: &SimOrder, instrument: &Instrument, ts_ns: i64) -> Result<(), EndReason> {
    if order.qty.0 <= 0 || order.qty.0.checked_rem(instrument.lot().0) != Some(0) {
        return Err(EndReason::QtyInvalid);
    }
    let may_lack_limit = order.kind == OrderKind::Market;
    let limit_is_valid = match order.limit.0 {
        0 => may_lack_limit,
        limit => limit > 0 && instrument.is_on_tick(order.limit, ts_ns),
    };
    if limit_is_valid { Ok(()) } else { Err(EndReason::OffTick) }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;
