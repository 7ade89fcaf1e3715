#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use std::collections::VecDeque;

use super::*;
use crate::clock::ManualClock;
use crate::event::{Side, TickKind, Track};
use crate::fixed::{Price, Qty};
use crate::market::source::SourceError;
use crate::order::OrderRequest;
use crate::sim::matcher::{OrderKind, TimeInForce};
use crate::testing::krx_table;

mod permits;
mod pools;

const SAMSUNG: InstrumentId = InstrumentId(0);
const MS: i64 = 1_000_000;

struct Script(VecDeque<MarketRecord>);

impl MarketSource for Script {
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        Ok(self.0.pop_front())
    }
}

fn quote(at_ms: i64, bid: i64, ask: i64) -> MarketRecord {
    MarketRecord {
        ts_event_ns: at_ms * MS,
        ts_recv_ns: at_ms * MS,
        instrument: SAMSUNG,
        kind: TickKind::Quote,
        bid: Price(bid),
        bid_qty: Qty(100),
        ask: Price(ask),
        ask_qty: Qty(100),
        ..MarketRecord::default()
    }
}

fn engine(records: Vec<MarketRecord>, latency_ms: i64, cycle_ms: i64) -> StepEngine<ManualClock> {
    let way = || LatencyModel::new(latency_ms * MS, 0, 1).unwrap();
    let config = SessionConfig {
        cash: Money(10_000_000),
        latency_out: way(),
        latency_in: way(),
        cycle_interval_ns: cycle_ms * MS,
        dispatch: DispatchConfig::default(),
        limits: GatewayConfig::unlimited(),
    };
    let mut engine =
        StepEngine::new(Arc::new(krx_table(&["005930"])), config, ManualClock::default()).unwrap();
    engine.set_source(Box::new(Script(records.into())));
    engine.set_interest(Interest { ticks: true, p0: true, cycles: true, ..Interest::default() });
    engine
}

fn buy(limit: i64, qty: i64) -> OrderRequest {
    OrderRequest {
        instrument: SAMSUNG,
        track: Track::Scalp,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: TimeInForce::Day,
        limit: Price(limit),
        qty: Qty(qty),
    }
}

/// Runs to the end; `on_item` acts as the host. Returns (time in ms, what) of everything handed over.
fn drive(
    engine: &mut StepEngine<ManualClock>,
    mut on_item: impl FnMut(&mut StepEngine<ManualClock>, &Yield),
) -> Vec<(i64, String)> {
    let mut seen = Vec::new();
    loop {
        let item = engine.advance(i64::MAX, 1_000).unwrap();
        let what = match &item {
            Yield::Tick(_) => "tick".to_owned(),
            Yield::P0(event) => match &event.payload {
                P0Payload::Fill(fill) => {
                    format!("{} {}@{} left {}", event.kind.name(), fill.qty.0, fill.price.0, fill.remaining.0)
                }
                P0Payload::OrderEnd(end) => format!("{} {}", event.kind.name(), end.reason.name()),
                other => format!("{other:?}"),
            },
            Yield::Cycle { cause, .. } => format!("cycle {}", cause.name()),
            Yield::Pause | Yield::Answer { .. } | Yield::Timer => continue,
            Yield::Reached => unreachable!("the end of time is never reached"),
            Yield::End => return seen,
        };
        seen.push((engine.now_ns() / MS, what));
        on_item(engine, &item);
    }
}

fn said(rows: &[(i64, &str)]) -> Vec<(i64, String)> {
    rows.iter().map(|&(at, what)| (at, what.to_owned())).collect()
}

#[test]
fn an_order_takes_its_way_there_and_its_answer_the_way_back() {
    let quotes = vec![quote(0, 70_000, 70_100), quote(8, 70_000, 70_200), quote(30, 70_000, 70_200)];
    let mut engine = engine(quotes, 5, 0);
    let mut sent = false;
    let seen = drive(&mut engine, |engine, _| {
        if !sent {
            sent = true;
            engine.submit(buy(70_100, 10)).unwrap();
        }
    });
    // Sent at 0, at the venue at 5 while the ask still is 70,100, known at 10.
    let expected = said(&[
        (0, "tick"),
        (8, "tick"),
        (10, "FILL_CONFIRMED 10@70100 left 0"),
        (30, "tick"),
        (30, "cycle INTERVAL"),
    ]);
    assert_eq!(seen, expected);
    assert_eq!(engine.gateway().lock().book().position(SAMSUNG, Track::Scalp).qty, Qty(10));
    assert_eq!(engine.gateway().lock().book().account().cash, Money(10_000_000 - 701_000 - 105));
    assert_eq!(engine.gateway().lock().orders().reserved(), Money(0));
}

#[test]
fn an_order_that_arrives_after_the_price_has_gone_does_not_fill_at_it() {
    let mut engine = engine(vec![quote(0, 70_000, 70_100), quote(3, 70_100, 70_200)], 5, 0);
    let mut sent = false;
    let seen = drive(&mut engine, |engine, _| {
        if !sent {
            sent = true;
            engine.submit(buy(70_100, 10)).unwrap();
        }
    });
    assert!(seen.iter().all(|(_, what)| !what.starts_with("FILL")), "{seen:?}");
    assert!(seen.iter().any(|(_, what)| what == "ORDER_CANCELLED SESSION_END"), "{seen:?}");
    assert_eq!(engine.gateway().lock().orders().reserved(), Money(0));
}

#[test]
fn a_refusal_by_the_gate_comes_back_as_an_event() {
    let mut engine = engine(vec![quote(0, 70_000, 70_100), quote(1, 70_000, 70_100)], 5, 0);
    let mut sent = false;
    let seen = drive(&mut engine, |engine, _| {
        if !sent {
            sent = true;
            engine.submit(buy(70_100, 1_000)).unwrap();
        }
    });
    assert_eq!(seen[1], (0, "ORDER_REJECTED INSUFFICIENT_CASH".to_owned()));
    assert_eq!(engine.dispatcher().counters(EventPriority::P0Critical).dropped, 0);
}

#[test]
fn cycles_sit_on_the_grid_and_cost_nothing_while_the_market_is_silent() {
    let quotes =
        vec![quote(1, 70_000, 70_100), quote(2_000, 70_000, 70_100), quote(100_000_001, 70_000, 70_100)];
    let mut engine = engine(quotes, 0, 1_000);
    let cycles: Vec<i64> = drive(&mut engine, |_, _| {})
        .into_iter()
        .filter(|(_, what)| what.starts_with("cycle"))
        .map(|(at, _)| at)
        .collect();
    // The last one closes the run.
    assert_eq!(cycles, [1_000, 2_000, 100_001_000, 100_001_000]);
}

#[test]
fn a_wish_for_a_cycle_is_granted_before_time_moves_on() {
    let mut engine = engine(vec![quote(1, 70_000, 70_100), quote(1, 70_000, 70_100)], 0, 0);
    let mut first = true;
    let seen = drive(&mut engine, |engine, _| {
        if first {
            first = false;
            engine.request_cycle(CycleCause::Event);
            engine.request_cycle(CycleCause::Event);
        }
    });
    assert_eq!(seen[0..3], said(&[(1, "tick"), (1, "cycle EVENT"), (1, "tick")])[..]);
    assert_eq!(engine.dispatcher().counters(EventPriority::P2Medium).merged, 1);
}

#[test]
fn stopping_ends_day_orders_and_runs_one_last_cycle() {
    let quotes = (0..100).map(|at| quote(at, 70_000, 70_100)).collect();
    let mut engine = engine(quotes, 1, 0);
    let mut ticks = 0;
    let seen = drive(&mut engine, |engine, item| {
        if matches!(item, Yield::Tick(_)) {
            ticks += 1;
            match ticks {
                1 => drop(engine.submit(buy(69_000, 1)).unwrap()),
                5 => engine.stop(),
                _ => {}
            }
        }
    });
    assert_eq!(ticks, 5);
    let tail: Vec<&str> = seen[5..].iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(tail, ["cycle INTERVAL", "ORDER_CANCELLED SESSION_END"]);
}

#[test]
fn until_stops_time_between_records() {
    let mut engine = engine(vec![quote(1, 70_000, 70_100), quote(9, 70_000, 70_100)], 0, 0);
    engine.set_interest(Interest::default());
    assert!(matches!(engine.advance(5 * MS, 10).unwrap(), Yield::Reached));
    assert_eq!((engine.now_ns(), engine.records()), (5 * MS, 1));
    assert!(matches!(engine.advance(i64::MAX, 10).unwrap(), Yield::End));
    assert_eq!(engine.records(), 2);
}

fn print(at_ms: i64, kind: TickKind, price: i64) -> MarketRecord {
    MarketRecord {
        kind,
        price: Price(price),
        qty: Qty(100),
        bid: Price(0),
        ask: Price(0),
        ..quote(at_ms, 0, 0)
    }
}

/// A daily bar ends the day orders of its instrument; what is sent after it waits for the next opening auction.
#[test]
fn an_order_sent_after_the_close_fills_in_the_next_auction() {
    const DAY_MS: i64 = 86_400_000;
    const OPEN_MS: i64 = 9 * 3_600_000;
    const CLOSE_MS: i64 = 15 * 3_600_000;
    let mut close = print(CLOSE_MS, TickKind::BarClose, 70_000);
    close.ts_event_ns = OPEN_MS * MS;
    let records = vec![
        print(OPEN_MS, TickKind::Auction, 69_000),
        close,
        print(DAY_MS + OPEN_MS, TickKind::Auction, 70_100),
        print(DAY_MS + OPEN_MS + 1, TickKind::Trade, 75_000),
    ];
    let mut engine = engine(records, 1, 1_000);
    let mut sent = 0;
    let seen = drive(&mut engine, |engine, item| match item {
        Yield::Tick(tick) if tick.kind == TickKind::Auction && sent == 0 => {
            sent = 1;
            engine.submit(buy(60_000, 1)).unwrap();
        }
        Yield::Cycle { .. } if engine.now_ns() >= CLOSE_MS * MS && sent == 1 => {
            sent = 2;
            engine.submit(buy(70_500, 10)).unwrap();
        }
        _ => {}
    });
    let ends: Vec<_> =
        seen.into_iter().filter(|(_, what)| what.starts_with("FILL") || what.starts_with("ORDER")).collect();
    let expected = said(&[
        (CLOSE_MS + 1, "ORDER_CANCELLED SESSION_END"),
        (DAY_MS + OPEN_MS + 1, "FILL_CONFIRMED 10@70100 left 0"),
    ]);
    assert_eq!(ends, expected);
}
