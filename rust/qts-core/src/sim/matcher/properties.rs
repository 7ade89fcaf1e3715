//! What must hold for the matcher whatever the market and the orders do.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::testkit::{instruments, record};
use super::{BookReport, Match, Matcher, OrderKind, SimOrder, TimeInForce};
use crate::event::{EndReason, MarketRecord, OrderId, Side, TickKind, Track};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;

const ABC: InstrumentId = InstrumentId(0);

#[derive(Debug, Clone, Copy)]
enum Step {
    Market(MarketRecord),
    Order(SimOrder),
    /// Cancels the order sent this many orders ago.
    Cancel(u64),
    /// Amends the order sent this many orders ago.
    Amend {
        back: u64,
        limit: i64,
        qty: i64,
    },
    EndSession,
}

/// A few prices around 100, so that orders, quotes and prints meet all the time.
fn any_price() -> impl Strategy<Value = i64> {
    96_i64..=104
}

fn any_side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

fn any_quote() -> impl Strategy<Value = MarketRecord> {
    // One in eight shows an empty side; a size of 0 at a shown price is possible too.
    (any_price(), 0_i64..4, 0_i64..30, 0_i64..30, 0_u8..8).prop_map(
        |(bid, spread, bid_qty, ask_qty, empty)| {
            let mut quote = record(ABC, TickKind::Quote);
            if empty != 1 {
                (quote.bid, quote.bid_qty) = (Price(bid), Qty(bid_qty));
            }
            if empty != 2 {
                (quote.ask, quote.ask_qty) = (Price(bid + spread), Qty(ask_qty));
            }
            quote
        },
    )
}

fn any_print() -> impl Strategy<Value = MarketRecord> {
    (any_price(), 0_i64..40, proptest::option::of(any_side()), 0_u8..6).prop_map(
        |(price, qty, aggressor, kind)| {
            let kind = if kind == 0 { TickKind::Auction } else { TickKind::Trade };
            MarketRecord { price: Price(price), qty: Qty(qty), aggressor, ..record(ABC, kind) }
        },
    )
}

fn any_order() -> impl Strategy<Value = SimOrder> {
    (any_side(), any_price(), 1_i64..60, 0_u8..8).prop_map(|(side, limit, qty, shape)| SimOrder {
        id: OrderId(0),
        instrument: ABC,
        track: Track::Scalp,
        side,
        kind: if shape <= 1 { OrderKind::Market } else { OrderKind::Limit },
        tif: if shape == 2 { TimeInForce::Ioc } else { TimeInForce::Day },
        limit: Price(if shape == 0 { 0 } else { limit }),
        qty: Qty(qty),
    })
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any_quote().prop_map(Step::Market),
        8 => any_print().prop_map(Step::Market),
        5 => any_order().prop_map(Step::Order),
        1 => (0_u64..6).prop_map(Step::Cancel),
        3 => (0_u64..4, any_price(), 1_i64..60).prop_map(|(back, limit, qty)| Step::Amend { back, limit, qty }),
    ];
    let rare_end = prop_oneof![30 => step, 1 => Just(Step::EndSession)];
    proptest::collection::vec(rare_end, 1..120)
}

/// A few quotes are left out, so that markets without any are met as well.
fn without_quotes(mut steps: Vec<Step>) -> Vec<Step> {
    steps.retain(|step| !matches!(step, Step::Market(record) if record.kind == TickKind::Quote));
    steps
}

/// Plays `steps`; returns what was sent and said at each.
fn play(steps: &[Step]) -> Vec<(Step, Vec<BookReport>)> {
    let mut matcher = Matcher::new(Arc::new(instruments()));
    let mut last_id = 0;
    let mut played = Vec::new();
    for (ts_ns, step) in (1_i64..).zip(steps) {
        let (mut step, mut said) = (*step, Vec::new());
        match &mut step {
            Step::Market(record) => {
                record.ts_recv_ns = ts_ns;
                matcher.on_record(record, &mut said);
            }
            Step::Order(order) => {
                last_id += 1;
                order.id = OrderId(last_id);
                matcher.on_order(*order, ts_ns, &mut said);
            }
            Step::Cancel(back) => matcher.on_cancel(OrderId(last_id.saturating_sub(*back)), ts_ns, &mut said),
            Step::Amend { back, limit, qty } => {
                let id = OrderId(last_id.saturating_sub(*back));
                matcher.on_amend(id, Price(*limit), Qty(*qty), ts_ns, &mut said);
            }
            Step::EndSession => matcher.end_session(ts_ns, &mut said),
        }
        assert_eq!(matcher.working(ABC).count(), matcher.working_count());
        played.push((step, said));
    }
    let mut said = Vec::new();
    matcher.end_session(i64::MAX, &mut said);
    assert_eq!(matcher.working_count(), 0);
    played.push((Step::EndSession, said));
    played
}

/// An order's life as told by the reports.
#[derive(Debug, Clone, Copy)]
struct Life {
    order: SimOrder,
    filled: i64,
    accepted: bool,
    ended: bool,
}

/// Follows the reports and holds them against the market, with none of the matcher's own code.
#[derive(Debug, Default)]
struct Auditor {
    lives: BTreeMap<u64, Life>,
    /// Shown (price, size, taken by us): bid, then ask.
    shown: [(i64, i64, i64); 2],
    quoted: bool,
}

impl Auditor {
    fn audit(&mut self, step: &Step, said: &[BookReport]) {
        if let Step::Order(order) = step {
            self.lives.insert(order.id.0, Life { order: *order, filled: 0, accepted: false, ended: false });
        }
        if let Step::Market(record) = step
            && record.kind == TickKind::Quote
        {
            self.show(record);
        }
        let mut used_of_print = 0;
        for report in said {
            match *report {
                BookReport::Accepted { order, .. } => self.accepted(order, step),
                BookReport::Matched(it) => {
                    let order = self.matched(&it);
                    match step {
                        Step::Market(record) if record.kind != TickKind::Quote => {
                            used_of_print += it.qty.0;
                            self.on_print(&order, &it, record);
                        }
                        Step::Market(_) | Step::Order(_) | Step::Amend { .. } => self.on_quote(&order, &it),
                        Step::Cancel(_) | Step::EndSession => panic!("nothing trades here: {it:?}"),
                    }
                }
                BookReport::Ended { order, reason, remaining, .. } => self.ended(order, reason, remaining),
                BookReport::CancelRefused { order, .. } => {
                    assert!(self.lives.get(&order.0).is_none_or(|life| life.ended), "it still works");
                }
                BookReport::Amended { order, limit, qty, .. } => self.amended(order, limit, qty, step),
                BookReport::AmendRefused { order, reason, .. } => self.amend_refused(order, reason, step),
            }
        }
        match step {
            Step::Market(record) if record.kind != TickKind::Quote => {
                assert!(used_of_print <= record.qty.0, "{used_of_print} used of a print of {}", record.qty.0);
            }
            Step::EndSession => {
                assert!(self.lives.values().all(|life| life.ended), "somebody outlives the session");
                (self.shown, self.quoted) = Default::default();
            }
            Step::Market(_) | Step::Order(_) | Step::Cancel(_) | Step::Amend { .. } => {}
        }
    }

    fn show(&mut self, quote: &MarketRecord) {
        self.quoted = true;
        let now = [(quote.bid, quote.bid_qty), (quote.ask, quote.ask_qty)];
        for (shown, (price, qty)) in self.shown.iter_mut().zip(now) {
            let taken = if shown.0 == price.0 { shown.2 } else { 0 };
            *shown = (price.0, qty.0, taken);
        }
    }

    fn accepted(&mut self, id: OrderId, step: &Step) {
        assert!(matches!(step, Step::Order(order) if order.id == id), "accepted when it arrives");
        let life = self.lives.get_mut(&id.0).unwrap();
        assert!(!life.accepted && !life.ended && life.filled == 0);
        life.accepted = true;
    }

    fn amended(&mut self, id: OrderId, limit: Price, qty: Qty, step: &Step) {
        let Step::Amend { limit: asked, qty: asked_qty, .. } = *step else { panic!("nobody asked") };
        let life = self.lives.get_mut(&id.0).unwrap();
        assert!(life.accepted && !life.ended && qty.0 > life.filled, "{life:?}");
        assert_eq!((limit.0, qty.0), (asked, asked_qty));
        (life.order.limit, life.order.qty) = (limit, qty);
    }

    fn amend_refused(&self, id: OrderId, reason: EndReason, step: &Step) {
        let Step::Amend { qty, .. } = *step else { panic!("nobody asked") };
        match self.lives.get(&id.0).filter(|life| !life.ended) {
            Some(life) => assert!(reason == EndReason::QtyInvalid && qty <= life.filled, "{life:?}"),
            None => assert_eq!(reason, EndReason::UnknownOrder),
        }
    }

    fn matched(&mut self, it: &Match) -> SimOrder {
        let life = self.lives.get_mut(&it.order.0).unwrap();
        assert!(life.accepted && !life.ended, "{life:?}");
        assert!(it.qty.0 > 0);
        life.filled += it.qty.0;
        assert!(life.filled <= life.order.qty.0, "{life:?} is overfilled");
        life.ended = life.filled == life.order.qty.0;
        let (limit, price) = (life.order.limit.0, it.price.0);
        match life.order.side {
            Side::Buy => assert!(limit == 0 || price <= limit),
            Side::Sell => assert!(price >= limit),
        }
        life.order
    }

    /// A fill on a quote is at the shown opposite price, and never of more than is shown there.
    fn on_quote(&mut self, order: &SimOrder, it: &Match) {
        let (price, qty, taken) = match order.side {
            Side::Buy => &mut self.shown[1],
            Side::Sell => &mut self.shown[0],
        };
        assert!(self.quoted && it.price.0 == *price);
        *taken += it.qty.0;
        assert!(*taken <= *qty, "{taken} taken of {qty} shown");
    }

    /// A fill on a print is at the print's price in an auction or where no quote is shown, else at the limit with the
    /// print at or through it.
    fn on_print(&self, order: &SimOrder, it: &Match, print: &MarketRecord) {
        if print.kind == TickKind::Auction || (!self.quoted && it.price == print.price) {
            assert_eq!(it.price, print.price);
            return;
        }
        assert_eq!(it.price, order.limit);
        let through = match order.side {
            Side::Buy => order.limit.0 - print.price.0,
            Side::Sell => print.price.0 - order.limit.0,
        };
        assert!(through > 0 || (through == 0 && print.aggressor != Some(order.side)));
    }

    fn ended(&mut self, id: OrderId, reason: EndReason, remaining: Qty) {
        let life = self.lives.get_mut(&id.0).unwrap();
        assert!(!life.ended, "{life:?} ends twice");
        assert!(life.accepted || reason == EndReason::NoReferencePrice);
        assert_eq!(life.filled + remaining.0, life.order.qty.0);
        life.ended = true;
    }
}

/// What is said about the orders from number `first` on, numbered from 1 and without times.
fn said_from(first: u64, played: Vec<(Step, Vec<BookReport>)>) -> Vec<BookReport> {
    let number = |order: OrderId| order.0.checked_sub(first - 1).filter(|&number| number > 0).map(OrderId);
    let renumbered = |report| {
        Some(match report {
            BookReport::Accepted { order, .. } => BookReport::Accepted { order: number(order)?, ts_ns: 0 },
            BookReport::Matched(it) => {
                BookReport::Matched(Match { order: number(it.order)?, ts_ns: 0, ..it })
            }
            BookReport::Ended { order, reason, remaining, .. } => {
                BookReport::Ended { order: number(order)?, reason, remaining, ts_ns: 0 }
            }
            BookReport::CancelRefused { order, .. } => {
                BookReport::CancelRefused { order: number(order)?, ts_ns: 0 }
            }
            BookReport::Amended { order, limit, qty, .. } => {
                BookReport::Amended { order: number(order)?, limit, qty, ts_ns: 0 }
            }
            BookReport::AmendRefused { order, reason, .. } => {
                BookReport::AmendRefused { order: number(order)?, reason, ts_ns: 0 }
            }
        })
    };
    played.into_iter().flat_map(|(_, said)| said).filter_map(renumbered).collect()
}

/// An order and what became of it, while its amendments are played as what they stand for.
struct Chain {
    /// As the matcher has it now, under its newest id.
    order: SimOrder,
    /// Filled under the ids before.
    filled_before: i64,
}

/// The matcher with each amendment that arrives anew replaced by a cancel and a new order for what is left.
struct Replacing {
    matcher: Matcher,
    chains: Vec<Chain>,
    /// Which chain each id belongs to.
    chain_of: BTreeMap<u64, usize>,
    said: Vec<BookReport>,
}

impl Replacing {
    fn chain(&self, back: u64) -> Option<usize> {
        self.chains.len().checked_sub(usize::try_from(back).unwrap() + 1)
    }

    fn send(&mut self, at: usize, order: SimOrder, ts_ns: i64) {
        let order = SimOrder { id: OrderId(u64::try_from(self.chain_of.len()).unwrap() + 1), ..order };
        self.chain_of.insert(order.id.0, at);
        self.matcher.on_order(order, ts_ns, &mut self.said);
        self.chains[at].order = order;
    }

    fn amend(&mut self, at: usize, limit: i64, total: i64, ts_ns: i64) {
        let Chain { order, filled_before } = self.chains[at];
        let Some(remaining) = self.matcher.working(ABC).find(|(it, _)| it.id == order.id).map(|it| it.1.0)
        else {
            return;
        };
        let filled = order.qty.0 - remaining;
        if total <= filled_before + filled {
            return;
        }
        if limit == order.limit.0 && total < filled_before + order.qty.0 {
            self.chains[at].order.qty = Qty(total - filled_before);
            let qty = self.chains[at].order.qty;
            self.matcher.on_amend(order.id, order.limit, qty, ts_ns, &mut self.said);
        } else {
            self.matcher.on_cancel(order.id, ts_ns, &mut Vec::new());
            self.chains[at].filled_before += filled;
            let left = Qty(total - self.chains[at].filled_before);
            self.send(at, SimOrder { limit: Price(limit), qty: left, ..order }, ts_ns);
        }
    }
}

/// The fills of `steps`, as (number of the order as first sent, quantity, price), with amendments replaced.
fn fills_with_replacements(steps: &[Step]) -> Vec<(u64, i64, i64)> {
    let matcher = Matcher::new(Arc::new(instruments()));
    let (chains, chain_of, said) = Default::default();
    let mut replacing = Replacing { matcher, chains, chain_of, said };
    let mut fills = Vec::new();
    for (ts_ns, step) in (1_i64..).zip(steps) {
        match *step {
            Step::Market(record) => {
                let record = MarketRecord { ts_recv_ns: ts_ns, ..record };
                replacing.matcher.on_record(&record, &mut replacing.said);
            }
            Step::Order(order) => {
                replacing.chains.push(Chain { order, filled_before: 0 });
                replacing.send(replacing.chains.len() - 1, order, ts_ns);
            }
            Step::Cancel(back) => {
                if let Some(at) = replacing.chain(back) {
                    replacing.matcher.on_cancel(replacing.chains[at].order.id, ts_ns, &mut replacing.said);
                }
            }
            Step::Amend { back, limit, qty } => {
                if let Some(at) = replacing.chain(back) {
                    replacing.amend(at, limit, qty, ts_ns);
                }
            }
            Step::EndSession => replacing.matcher.end_session(ts_ns, &mut replacing.said),
        }
        for report in replacing.said.drain(..) {
            if let BookReport::Matched(it) = report {
                let number = u64::try_from(replacing.chain_of[&it.order.0]).unwrap() + 1;
                fills.push((number, it.qty.0, it.price.0));
            }
        }
    }
    fills
}

/// The fills of `steps` as played.
fn fills(steps: &[Step]) -> Vec<(u64, i64, i64)> {
    let said = play(steps).into_iter().flat_map(|(_, said)| said);
    said.filter_map(|report| match report {
        BookReport::Matched(it) => Some((it.order.0, it.qty.0, it.price.0)),
        _ => None,
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_fill_and_every_life_can_be_explained_by_the_market(steps in any_steps()) {
        let mut auditor = Auditor::default();
        for (step, said) in play(&steps) {
            auditor.audit(&step, &said);
        }
    }

    #[test]
    fn every_fill_can_be_explained_where_no_quote_is_ever_shown(steps in any_steps()) {
        let mut auditor = Auditor::default();
        for (step, said) in play(&without_quotes(steps)) {
            auditor.audit(&step, &said);
        }
    }

    #[test]
    fn the_same_input_gives_the_same_reports(steps in any_steps()) {
        let said = |steps: &[Step]| play(steps).into_iter().flat_map(|(_, said)| said).collect::<Vec<_>>();
        prop_assert_eq!(said(&steps), said(&steps));
    }

    /// The way without working orders and the way with some leave the same market behind.
    #[test]
    fn an_order_that_nothing_reaches_changes_nothing_for_the_others(steps in any_steps()) {
        let names_an_order = |step: &Step| matches!(step, Step::Cancel(_) | Step::Amend { .. });
        let steps: Vec<Step> = steps.into_iter().filter(|step| !names_an_order(step)).collect();
        let out_of_reach = SimOrder {
            id: OrderId(0),
            instrument: ABC,
            track: Track::Scalp,
            side: Side::Buy,
            kind: OrderKind::Limit,
            tif: TimeInForce::Day,
            limit: Price(1),
            qty: Qty(1),
        };
        let with = std::iter::once(Step::Order(out_of_reach)).chain(steps.iter().copied()).collect::<Vec<_>>();
        prop_assert_eq!(said_from(2, play(&with)), said_from(1, play(&steps)));
    }

    #[test]
    fn an_amendment_that_arrives_anew_is_a_cancel_and_a_new_order(steps in any_steps()) {
        prop_assert_eq!(fills(&steps), fills_with_replacements(&steps));
    }

    /// Taking quantity away at the same price changes when the order ends and nothing before that.
    #[test]
    fn an_order_made_smaller_fills_as_it_would_have_up_to_its_new_total(
        steps in any_steps(),
        order in any_order(),
        cuts in proptest::collection::vec((0_usize..100, 1_i64..60), 0..4),
    ) {
        let mut market: Vec<Step> =
            steps.into_iter().filter(|step| matches!(step, Step::Market(_))).collect();
        market.insert(market.len() / 3, Step::Order(order));
        let (mut played, mut smaller) = (Matcher::new(Arc::new(instruments())), Matcher::new(Arc::new(instruments())));
        let (mut filled, mut filled_smaller, mut total) = (0, 0, order.qty.0);
        let filled_by = |said: Vec<BookReport>| {
            said.into_iter().map(|it| if let BookReport::Matched(it) = it { it.qty.0 } else { 0 }).sum::<i64>()
        };
        for (at, step) in market.iter().enumerate() {
            let ts_ns = i64::try_from(at).unwrap();
            let (mut said, mut said_smaller) = (Vec::new(), Vec::new());
            match *step {
                Step::Market(record) => {
                    played.on_record(&record, &mut said);
                    smaller.on_record(&record, &mut said_smaller);
                }
                Step::Order(order) => {
                    played.on_order(SimOrder { id: OrderId(1), ..order }, ts_ns, &mut said);
                    smaller.on_order(SimOrder { id: OrderId(1), ..order }, ts_ns, &mut said_smaller);
                }
                _ => {}
            }
            filled += filled_by(said);
            filled_smaller += filled_by(said_smaller);
            for &(_, cut) in cuts.iter().filter(|it| it.0 == at) {
                let works = smaller.working_count() == 1;
                if works && filled_smaller < cut && cut < total {
                    let mut said = Vec::new();
                    smaller.on_amend(OrderId(1), order.limit, Qty(cut), ts_ns, &mut said);
                    prop_assert!(matches!(said[..], [BookReport::Amended { .. }]), "{:?}", said);
                    total = cut;
                }
            }
            prop_assert_eq!(filled_smaller, filled.min(total));
        }
    }
}
