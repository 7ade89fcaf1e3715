//! Days played over a bridge: which records they become, and that their bars stay what they are.

use qts_core::event::TickKind;
use qts_core::instrument::InstrumentId;
use qts_core::market::bars::{Bar, BarBuilder};
use qts_core::sim::bridge::Bridge;
use qts_core::wire::csv::{DAILY_BAR_HEADER, MINUTE_BAR_HEADER};

use super::bars::{DAY_NS, HOUR_NS, OPEN_NS, SECOND_NS, sessions};
use super::*;
use crate::BarReader;

const PRINTS: u32 = 36;

fn played(text: &str, bridge: Option<Bridge>) -> Vec<MarketRecord> {
    let table = table(&["A", "B", "C"]);
    let mut bars = BarReader::new("bars.csv", text.as_bytes(), &table, sessions(), false).unwrap();
    if let Some(bridge) = bridge {
        bars = bars.bridged(bridge, &table);
    }
    let (records, end) = drain(&mut bars);
    assert_eq!(end, Ok(()));
    records
}

fn bridged(text: &str) -> Vec<MarketRecord> {
    played(text, Some(Bridge::new(7, PRINTS).unwrap()))
}

/// Twenty days of two symbols and a halted third; prices that differ from day to day.
fn text() -> String {
    let row = |day: i64, symbol: &str, at: i64| {
        let open = at + day * 137 % 700;
        let (high, low) = (open + day * 91 % 900, open - day * 53 % 800);
        let close = low + day * 313 % (high - low + 1);
        format!("2024-01-{day:02},{symbol},{open},{high},{low},{close},{}\n", 1_000 + day * 7_919)
    };
    let day = |day: i64| {
        let halted = format!("2024-01-{day:02},C,100,100,100,100,0\n");
        row(day, "A", 70_000) + &row(day, "B", 150_000) + &halted
    };
    DAILY_BAR_HEADER.to_owned() + &(2..22).map(day).collect::<String>()
}

fn of(records: &[MarketRecord], kind: TickKind) -> Vec<MarketRecord> {
    records.iter().filter(|record| record.kind == kind).copied().collect()
}

fn built(records: &[MarketRecord], interval_ns: i64) -> Vec<Bar> {
    let mut builder = BarBuilder::new(3);
    builder.add_series(interval_ns).unwrap();
    let mut bars = Vec::new();
    for record in records {
        builder.on_record(record).unwrap();
        builder.drain(record.ts_recv_ns, &mut bars);
    }
    builder.drain(i64::MAX, &mut bars);
    bars
}

#[test]
fn daily_bars_are_the_same_with_and_without_a_bridge() {
    let (plain, bridge) = (played(&text(), None), bridged(&text()));
    assert_ne!(plain, bridge);
    assert_eq!(of(&plain, TickKind::BarClose), of(&bridge, TickKind::BarClose));
    assert_eq!(of(&plain, TickKind::BarClose).len(), 60);
    assert_eq!(built(&plain, DAY_NS), built(&bridge, DAY_NS));
}

#[test]
fn bars_built_from_the_prints_are_those_of_the_file() {
    let records = bridged(&text());
    let told: Vec<_> = of(&records, TickKind::BarClose)
        .into_iter()
        .filter(|bar| bar.qty.0 > 0)
        .map(|bar| (bar.instrument, [bar.open, bar.high, bar.low, bar.price], bar.qty))
        .collect();
    let prints: Vec<_> = records.iter().filter(|record| record.kind != TickKind::BarClose).copied().collect();
    // Days of UTC: the session lies within one.
    let found: Vec<_> = built(&prints, DAY_NS)
        .into_iter()
        .map(|bar| (bar.instrument, [bar.open, bar.high, bar.low, bar.close], bar.volume))
        .collect();
    assert_eq!(told.len(), 40);
    assert_eq!(found, told);
}

#[test]
fn trades_are_evenly_spaced_to_shortly_before_the_end_and_carry_quotes() {
    let records = bridged(&text());
    assert!(records.is_sorted_by_key(|record| record.ts_recv_ns));
    let first: Vec<_> = records
        .iter()
        .filter(|record| record.instrument == InstrumentId(0) && record.ts_recv_ns < OPEN_NS + 12 * HOUR_NS)
        .collect();
    let minutes: Vec<i64> =
        first.iter().map(|record| (record.ts_recv_ns - OPEN_NS) / (60 * SECOND_NS)).collect();
    // The last of 36 trades is 12.5 minutes before the end: 347.5 minutes in 35 steps.
    let expected: Vec<i64> =
        [0].into_iter().chain((0..36).map(|print| print * 3_475 / 350)).chain([360]).collect();
    assert_eq!(minutes, expected);
    let shows = |record: &MarketRecord| {
        record.bid < record.ask && record.bid <= record.price && record.price <= record.ask
    };
    assert_eq!(first[0].kind, TickKind::Auction);
    assert_eq!((first[0].bid, first[0].ask), (Price(0), Price(0)));
    for record in &first[1..37] {
        assert_eq!(record.kind, TickKind::Trade);
        assert!(shows(record) && record.bid_qty.0 > 0 && record.ask_qty == record.bid_qty, "{record:?}");
    }
    assert_eq!(first[37].kind, TickKind::BarClose);
}

#[test]
fn a_day_is_the_same_whatever_stands_beside_it() {
    let records = bridged(&text());
    let alone: String = text().lines().filter(|line| line.starts_with("2024-01-13,B")).collect();
    let day = bridged(&format!("{DAILY_BAR_HEADER}{alone}\n"));
    let (from, to) = (day[0].ts_recv_ns, day[day.len() - 1].ts_recv_ns);
    let beside: Vec<_> = records
        .into_iter()
        .filter(|record| record.instrument == InstrumentId(1) && (from..=to).contains(&record.ts_recv_ns))
        .collect();
    assert_eq!(day.len(), 38);
    assert_eq!(beside, day);
}

#[test]
fn a_halted_day_has_no_print_and_no_quote() {
    let halted: Vec<_> =
        bridged(&text()).into_iter().filter(|record| record.instrument == InstrumentId(2)).collect();
    assert_eq!(halted.len(), 20);
    assert!(halted.iter().all(|record| record.kind == TickKind::BarClose));
}

#[test]
fn minutes_are_played_as_ever() {
    let text = format!("{MINUTE_BAR_HEADER}2024-01-02 09:00,A,10,12,9,11,8\n");
    assert_eq!(bridged(&text), played(&text, None));
}
