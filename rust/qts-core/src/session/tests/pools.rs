use proptest::prelude::*;

use super::*;
use crate::shadow::{PoolError, SplitError};

fn funded(records: Vec<MarketRecord>, cash: [i64; 3]) -> StepEngine<ManualClock> {
    let engine = engine(records, 1, 0);
    let rest = cash.iter().sum::<i64>() - 10_000_000;
    engine.gateway().lock().credit(None, Money(rest)).unwrap();
    engine.gateway().lock().fund_pools(cash.map(Money)).unwrap();
    engine
}

fn on(track: Track, request: OrderRequest) -> OrderRequest {
    OrderRequest { track, ..request }
}

fn quotes(count: i64) -> Vec<MarketRecord> {
    (0..count).map(|at| quote(at * 10, 70_000, 70_100)).collect()
}

/// Why each order was refused, in the order they were sent.
fn refusals(engine: &mut StepEngine<ManualClock>) -> Vec<String> {
    let seen = drive(engine, |_, _| {});
    seen.into_iter().filter_map(|(_, what)| what.strip_prefix("ORDER_REJECTED ").map(str::to_owned)).collect()
}

#[test]
fn a_purchase_needs_its_pool_and_the_account() {
    // 10 x 70,100 and the fee: 701,106.
    let mut engine = funded(quotes(3), [701_106, 701_105, 5_000_000]);
    engine.submit(on(Track::Swing, buy(70_100, 10))).unwrap();
    let scalp = engine.submit(buy(70_100, 10)).unwrap();
    assert_eq!(engine.gateway().lock().hold_of(scalp), Money(701_106));
    assert_eq!(engine.gateway().lock().orders().reserved_by_track().of(Track::Scalp), Money(701_106));
    engine.submit(buy(70_100, 1)).unwrap();
    assert_eq!(refusals(&mut engine), ["INSUFFICIENT_CASH", "INSUFFICIENT_CASH"]);
    assert_eq!(engine.gateway().lock().hold_of(scalp), Money(0), "it has ended");
    assert_eq!(
        engine.gateway().lock().book().pool(Track::Scalp).unwrap().cash,
        Money(701_106 - 701_000 - 105)
    );
}

#[test]
fn money_set_aside_buys_nothing() {
    let mut engine = funded(quotes(3), [1_000_000, 0, 0]);
    engine.gateway().lock().set_aside(Track::Scalp, Money(298_895)).unwrap();
    engine.submit(buy(70_100, 10)).unwrap();
    engine.gateway().lock().set_aside(Track::Scalp, Money(298_894)).unwrap();
    engine.submit(buy(70_100, 10)).unwrap();
    assert!(matches!(
        engine.gateway().lock().set_aside(Track::Scalp, Money(298_895)),
        Err(PoolError::Short { found: 298_894, .. })
    ));
    assert_eq!(refusals(&mut engine), ["INSUFFICIENT_CASH"]);
}

#[test]
fn a_blocked_pool_buys_nothing_and_sells_all() {
    let mut engine = funded(quotes(9), [2_000_000, 2_000_000, 0]);
    let mut ticks = 0;
    let seen = drive(&mut engine, |engine, item| {
        if matches!(item, Yield::Tick(_)) {
            ticks += 1;
            match ticks {
                1 => drop(engine.submit(buy(70_100, 10)).unwrap()),
                2 => {
                    engine.gateway().lock().block_entries(Track::Scalp, true).unwrap();
                    engine.submit(buy(70_100, 1)).unwrap();
                    engine.submit(on(Track::Swing, buy(70_100, 1))).unwrap();
                    engine.submit(OrderRequest { side: Side::Sell, ..buy(70_000, 10) }).unwrap();
                }
                4 => {
                    engine.gateway().lock().block_entries(Track::Scalp, false).unwrap();
                    engine.submit(buy(70_100, 2)).unwrap();
                }
                _ => {}
            }
        }
    });
    let told: Vec<&str> =
        seen.iter().map(|(_, what)| what.as_str()).filter(|what| !what.starts_with(['t', 'c'])).collect();
    let expected = [
        "FILL_CONFIRMED 10@70100 left 0",
        "ORDER_REJECTED POOL_BLOCKED",
        "FILL_CONFIRMED 1@70100 left 0",
        "FILL_CONFIRMED 10@70000 left 0",
        "FILL_CONFIRMED 2@70100 left 0",
    ];
    assert_eq!(told, expected);
}

#[test]
fn pools_cannot_come_after_an_order() {
    let mut engine = engine(quotes(1), 1, 0);
    engine.submit(buy(70_000, 1)).unwrap();
    let late = engine.gateway().lock().fund_pools([Money(10_000_000), Money(0), Money(0)]);
    assert_eq!(late, Err(PoolError::TooLate { orders: 1 }));
    assert!(!engine.gateway().lock().book().is_funded());
}

#[test]
fn a_split_waits_until_no_order_of_the_instrument_works() {
    let mut engine = funded(quotes(9), [2_000_000, 0, 0]);
    let mut ticks = 0;
    drive(&mut engine, |engine, item| {
        if matches!(item, Yield::Tick(_)) {
            ticks += 1;
            match ticks {
                1 => drop(engine.submit(buy(70_100, 3)).unwrap()),
                3 => {
                    let resting = engine.submit(buy(60_000, 1)).unwrap();
                    let working = engine.gateway().lock().split(SAMSUNG, 5, 2);
                    assert_eq!(working, Err(SplitError::Working { orders: 1, instrument: 0 }));
                    engine.cancel(resting).unwrap();
                }
                6 => {
                    let rows = engine.gateway().lock().split(SAMSUNG, 5, 2).unwrap();
                    assert_eq!((rows[0].before, rows[0].after.qty, rows[0].rest), (Qty(3), Qty(7), 1));
                    assert_eq!(rows[0].after.cost_total, Money(210_300));
                }
                _ => {}
            }
        }
    });
    assert_eq!(engine.gateway().lock().book().position(SAMSUNG, Track::Scalp).qty, Qty(7));
    assert_eq!(engine.gateway().lock().split(InstrumentId(7), 2, 1), Err(SplitError::UnknownInstrument(7)));
}

/// Everything about money that an engine says.
fn money(engine: &StepEngine<ManualClock>) -> String {
    let gateway = engine.gateway().lock();
    let pools = Track::ALL.map(|track| gateway.book().pool(track).copied());
    let held: Vec<_> = gateway.orders().iter().map(|order| (order.id, order.reserved)).collect();
    format!("{pools:?} {:?} {:?} {held:?}", gateway.book().account(), gateway.orders().reserved_by_track())
}

#[derive(Debug, Clone)]
enum Wish {
    Order { track: Track, side: Side, limit: i64, qty: i64 },
    Cancel(u64),
    Move { from: Option<Track>, to: Option<Track>, amount: i64 },
    SetAside { track: Track, amount: i64 },
    Credit { track: Option<Track>, amount: i64 },
    Block { track: Track, is_blocked: bool },
    Split { numerator: i64, denominator: i64 },
}

fn track() -> impl Strategy<Value = Track> {
    prop::sample::select(Track::ALL.to_vec())
}

fn wish() -> impl Strategy<Value = Wish> {
    let place = || prop::option::of(track());
    prop_oneof![
        4 => (track(), any::<bool>(), 698_i64..704, 1_i64..9).prop_map(|(track, is_buy, limit, qty)| {
            let side = if is_buy { Side::Buy } else { Side::Sell };
            Wish::Order { track, side, limit: limit * 100, qty }
        }),
        1 => (1_u64..30).prop_map(Wish::Cancel),
        2 => (place(), place(), -10_i64..900_000)
            .prop_map(|(from, to, amount)| Wish::Move { from, to, amount }),
        1 => (track(), -10_i64..500_000).prop_map(|(track, amount)| Wish::SetAside { track, amount }),
        1 => (place(), -500_000_i64..500_000).prop_map(|(track, amount)| Wish::Credit { track, amount }),
        1 => (track(), any::<bool>()).prop_map(|(track, is_blocked)| Wish::Block { track, is_blocked }),
        1 => (0_i64..4, 1_i64..4)
            .prop_map(|(numerator, denominator)| Wish::Split { numerator, denominator }),
    ]
}

/// What the pools and the rest must have, counted by another way: from what was granted and what filled.
#[derive(Debug, Default)]
struct Expected {
    cash: [i64; 3],
    unallocated: i64,
}

impl Expected {
    fn add(&mut self, track: Option<Track>, amount: i64) {
        match track {
            Some(track) => self.cash[track as usize] += amount,
            None => self.unallocated += amount,
        }
    }
}

/// Does what is wished for; false if it was refused.
fn grant(engine: &mut StepEngine<ManualClock>, wish: &Wish, expected: &mut Expected) -> bool {
    match *wish {
        Wish::Order { track, side, limit, qty } => {
            engine.submit(on(track, OrderRequest { side, ..buy(limit, qty) })).unwrap();
            true
        }
        Wish::Cancel(id) => engine.cancel(OrderId(id)).is_ok(),
        Wish::Move { from, to, amount } => {
            let granted = engine.gateway().lock().move_pool_cash(from, to, Money(amount)).is_ok();
            if granted {
                assert!(amount > 0 && from != to);
                expected.add(from, -amount);
                expected.add(to, amount);
            }
            granted
        }
        Wish::SetAside { track, amount } => engine.gateway().lock().set_aside(track, Money(amount)).is_ok(),
        Wish::Credit { track, amount } => {
            let granted = engine.gateway().lock().credit(track, Money(amount)).is_ok();
            if granted {
                expected.add(track, amount);
            }
            granted
        }
        Wish::Block { track, is_blocked } => engine.gateway().lock().block_entries(track, is_blocked).is_ok(),
        Wish::Split { numerator, denominator } => {
            engine.gateway().lock().split(SAMSUNG, numerator, denominator).is_ok()
        }
    }
}

/// Lets time pass and books the fills on what is expected.
fn pass(engine: &mut StepEngine<ManualClock>, until_ms: i64, expected: &mut Expected) {
    loop {
        match engine.advance(until_ms * MS, 1_000).unwrap() {
            Yield::P0(P0Event { payload: P0Payload::Fill(fill), .. }) => {
                let gross = if fill.side == Side::Buy { -fill.amount.0 } else { fill.amount.0 };
                expected.add(Some(fill.track), gross - fill.fee.0 - fill.tax.0);
            }
            Yield::Reached | Yield::End => return,
            _ => {}
        }
    }
}

fn check(engine: &StepEngine<ManualClock>, expected: &Expected) {
    let gateway = engine.gateway().lock();
    let pools = Track::ALL.map(|track| *gateway.book().pool(track).unwrap());
    assert_eq!(pools.map(|pool| pool.cash.0), expected.cash);
    assert_eq!(gateway.book().unallocated().0, expected.unallocated);
    assert_eq!(gateway.book().account().cash.0, expected.cash.iter().sum::<i64>() + expected.unallocated);
    let held = gateway.orders().reserved_by_track();
    for (track, pool) in Track::ALL.into_iter().zip(pools) {
        let orders = gateway.orders().iter().filter(|order| order.request.track == track);
        let sum: i64 = orders.map(|order| gateway.hold_of(order.id).0).sum();
        assert_eq!(held.of(track).0, sum);
        assert!(pool.set_aside.0 >= 0 && sum >= 0 && pool.cash.0 - pool.set_aside.0 - sum >= 0, "{pool:?}");
    }
    assert_eq!(gateway.orders().reserved().0, Track::ALL.iter().map(|&track| held.of(track).0).sum::<i64>());
    assert!(expected.unallocated >= 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is ordered, filled, moved, credited, set aside, blocked and split in whatever order: money is neither
    /// made nor lost, what is held is what orders hold, nothing free goes below zero, and a refusal changes nothing.
    #[test]
    fn money_of_pools_is_conserved(wishes in prop::collection::vec((wish(), 0_i64..25), 1..80)) {
        let records = (0..200).map(|at| quote(at * 10, 69_900 + at % 5 * 100, 70_000 + at % 5 * 100)).collect();
        let mut engine = funded(records, [2_000_000, 1_000_000, 500_000]);
        let mut expected = Expected { cash: [2_000_000, 1_000_000, 500_000], unallocated: 0 };
        let mut at_ms = 0;
        for (wish, wait_ms) in wishes {
            let before = money(&engine);
            if !grant(&mut engine, &wish, &mut expected) {
                prop_assert_eq!(money(&engine), before, "{:?}", wish);
            }
            check(&engine, &expected);
            at_ms += wait_ms;
            pass(&mut engine, at_ms, &mut expected);
            check(&engine, &expected);
        }
        pass(&mut engine, i64::MAX / MS, &mut expected);
        check(&engine, &expected);
        prop_assert_eq!(engine.gateway().lock().orders().reserved(), Money(0));
    }
}
