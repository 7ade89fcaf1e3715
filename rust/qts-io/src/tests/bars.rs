//! Bar files: which prints a bar becomes, and when.

use qts_core::event::TickKind;
use qts_core::market::source::MergedSource;
use qts_core::wire::csv::{DAILY_BAR_HEADER, MINUTE_BAR_HEADER};

use super::*;
use crate::{BarFile, BarReader, Session, Sessions, SessionsError};

const SEOUL_S: i32 = 32_400;
pub(super) const SECOND_NS: i64 = 1_000_000_000;
pub(super) const HOUR_NS: i64 = 3_600 * SECOND_NS;
pub(super) const DAY_NS: i64 = 24 * HOUR_NS;
/// 2024-01-02 09:00 in Seoul.
pub(super) const OPEN_NS: i64 = 1_704_153_600 * SECOND_NS;

fn row(effective_from_ns: i64, open_h: u32, close_h: u32) -> Dated<Session> {
    Dated { effective_from_ns, value: Session { open_s: open_h * 3_600, close_s: close_h * 3_600 } }
}

/// 09:00 to 15:00, so that a quarter of a session is 90 minutes.
pub(super) fn sessions() -> Sessions {
    Sessions::new(vec![row(0, 9, 15)], SEOUL_S).unwrap()
}

type Row = (u32, TickKind, i64, i64, i64);

/// Instrument, kind, minutes since the open of 2 January, price, size.
fn short(record: &MarketRecord) -> Row {
    let minutes = (record.ts_recv_ns - OPEN_NS) / (60 * SECOND_NS);
    (record.instrument.0, record.kind, minutes, record.price.0, record.qty.0)
}

fn read(text: &str) -> (Vec<Row>, Result<(), SourceError>) {
    let table = table(&["A", "B"]);
    match BarReader::new("bars.csv", text.as_bytes(), &table, sessions(), false) {
        Ok(mut bars) => {
            let (records, end) = drain(&mut bars);
            (records.iter().map(short).collect(), end)
        }
        Err(error) => (Vec::new(), Err(error)),
    }
}

fn refused(text: &str) -> String {
    read(text).1.unwrap_err().to_string()
}

#[test]
fn a_daily_bar_is_four_prints_and_a_close() {
    use TickKind::{Auction, BarClose, Trade};
    let (rows, end) = read(&format!("{DAILY_BAR_HEADER}2024-01-02,A,100,108,95,103,43\n"));
    assert_eq!(end, Ok(()));
    assert_eq!(
        rows,
        [
            (0, Auction, 0, 100, 10),
            (0, Trade, 90, 95, 10),
            (0, Trade, 180, 108, 10),
            (0, Trade, 270, 103, 13),
            (0, BarClose, 360, 103, 43),
        ]
    );
}

#[test]
fn the_extreme_nearer_to_the_open_comes_first() {
    let order = |bar: &str| -> Vec<i64> {
        let (rows, _) = read(&format!("{DAILY_BAR_HEADER}2024-01-02,A,{bar},400\n"));
        rows.iter().map(|row| row.3).collect()
    };
    assert_eq!(order("100,103,95,96"), [100, 103, 95, 96, 96]);
    assert_eq!(order("100,105,95,96"), [100, 95, 105, 96, 96], "the low if both are as near");
    assert_eq!(order("100,100,100,100"), [100; 5]);
}

#[test]
fn a_closed_bar_carries_the_whole_bar_and_its_start() {
    let table = table(&["A"]);
    let text = format!("{DAILY_BAR_HEADER}2024-01-02,A,100,108,95,103,43\n");
    let mut bars = BarReader::new("bars.csv", text.as_bytes(), &table, sessions(), false).unwrap();
    let close = *drain(&mut bars).0.last().unwrap();
    let expected = MarketRecord {
        ts_event_ns: OPEN_NS,
        ts_recv_ns: OPEN_NS + 6 * HOUR_NS,
        kind: TickKind::BarClose,
        price: Price(103),
        qty: Qty(43),
        open: Price(100),
        high: Price(108),
        low: Price(95),
        ..MarketRecord::default()
    };
    assert_eq!(close, expected);
    assert_eq!((bars.stats().rows(), bars.stats().first_ts_ns()), (1, Some(OPEN_NS)));
    assert_eq!(bars.stats().last_ts_ns(), Some(OPEN_NS + 6 * HOUR_NS));
    assert!(format!("{bars:?}").contains("bars.csv"));
}

#[test]
fn prints_without_size_are_left_out() {
    let kinds = |volume: i64| -> Vec<(TickKind, i64)> {
        let (rows, _) = read(&format!("{DAILY_BAR_HEADER}2024-01-02,A,100,108,95,103,{volume}\n"));
        rows.iter().map(|row| (row.1, row.4)).collect()
    };
    assert_eq!(kinds(0), [(TickKind::BarClose, 0)], "a halted day");
    assert_eq!(kinds(3), [(TickKind::Trade, 3), (TickKind::BarClose, 3)]);
}

#[test]
fn volume_is_split_in_whole_lots() {
    let mut table = InstrumentTable::default();
    table.push(instrument("A", 0, 2, 50)).unwrap();
    let text = format!("{DAILY_BAR_HEADER}2024-01-02,A,100,108,95,103,9.90\n");
    let mut bars = BarReader::new("bars.csv", text.as_bytes(), &table, sessions(), false).unwrap();
    let sizes: Vec<i64> = drain(&mut bars).0.iter().map(|record| record.qty.0).collect();
    assert_eq!(sizes, [200, 200, 200, 390, 990]);
}

#[test]
fn a_minute_bar_is_played_inside_its_minute() {
    let text = format!(
        "{MINUTE_BAR_HEADER}2024-01-02 09:00,A,10,12,9,11,8\n2024-01-02T09:01:00+09:00,A,11,11,11,11,4\n"
    );
    let table = table(&["A"]);
    let mut bars = BarReader::new("bars.csv", text.as_bytes(), &table, sessions(), false).unwrap();
    let (records, end) = drain(&mut bars);
    assert_eq!(end, Ok(()));
    let seconds: Vec<i64> = records.iter().map(|record| (record.ts_recv_ns - OPEN_NS) / SECOND_NS).collect();
    assert_eq!(seconds, [0, 15, 30, 45, 60, 60, 75, 90, 105, 120]);
    assert_eq!(records[9].ts_event_ns, OPEN_NS + 60 * SECOND_NS);
}

#[test]
fn symbols_of_one_day_are_played_side_by_side() {
    let text = format!(
        "{DAILY_BAR_HEADER}2024-01-02,A,10,10,10,10,4\n2024-01-02,B,20,20,20,20,4\n2024-01-03,A,10,10,10,10,4\n"
    );
    let (rows, end) = read(&text);
    assert_eq!(end, Ok(()));
    let order: Vec<(u32, i64)> = rows.iter().map(|row| (row.0, row.2)).collect();
    let first_day = [0, 90, 180, 270, 360].map(|minute| [(0, minute), (1, minute)]).concat();
    assert_eq!(order[..10], first_day);
    assert!(order[10..].iter().all(|&(id, minute)| id == 0 && minute >= 24 * 60));
}

#[test]
fn files_of_the_same_dates_merge_in_order_of_time() {
    let files = Files::new();
    let table = table(&["A", "B"]);
    let mut sources: Vec<Box<dyn MarketSource + Send>> = Vec::new();
    for symbol in ["A", "B"] {
        let rows: Vec<String> =
            (2..30).map(|day| format!("2024-01-{day:02},{symbol},10,12,9,11,{day}")).collect();
        let text = format!("{DAILY_BAR_HEADER}{}", rows.join("\n"));
        let path = files.write(&format!("{symbol}.csv.gz"), gzip(text));
        sources.push(Box::new(BarFile::open(path, &table, sessions(), false).unwrap()));
    }
    let mut merged = MergedSource::new(sources);
    let (records, end) = drain(&mut merged);
    assert_eq!(end, Ok(()));
    assert!(records.is_sorted_by_key(|record| (record.ts_recv_ns, record.instrument)));
    let closes = records.iter().filter(|record| record.kind == TickKind::BarClose).count();
    assert_eq!(closes, 56);
}

#[test]
fn bad_rows_are_told_with_their_place_after_the_rows_before_them() {
    let good = "2024-01-02,A,10,10,10,10,4\n";
    for (bad, expected) in [
        (
            "2024-01-02,A,10,10,10,10,4",
            "column date: found a second bar of this symbol for this time; expected one bar",
        ),
        (
            "2024-01-01,B,10,10,10,10,4",
            "column date: found 2024-01-01 after 2024-01-02; expected rows in order of date",
        ),
        ("2024-01-03,B,10,9,10,10,4", "column high: found \"9\"; expected a high at or above"),
        ("2024-01-03,B,10,10,10,1x,4", "column close: found \"1x\"; expected a price"),
        (
            "9999-01-03,B,10,10,10,10,4",
            "column date: found a date out of range; expected a date between 1678 and 2261",
        ),
    ] {
        let (rows, end) = read(&format!("{DAILY_BAR_HEADER}{good}{bad}\n"));
        assert_eq!(rows.len(), 5, "{bad}");
        let message = end.unwrap_err().to_string();
        assert!(message.starts_with(&format!("bars.csv: line 3, {expected}")), "{message}");
    }
    assert!(refused("").contains("an empty file"));
    assert!(refused(DAILY_BAR_HEADER).contains("a header and nothing else"));
    assert!(refused("date,close\n").contains("found a header without symbol, open"));
}

#[test]
fn skipped_bars_are_counted() {
    let files = Files::new();
    let text = format!(
        "{DAILY_BAR_HEADER}2024-01-02,A,10,10,10,10,4\nx\n2024-01-02,A,1,1,1,1,1\n\n2024-01-03,A,10,10,10,10,4\n2024-01-04,Z,1,1,1,1,1\n"
    );
    let path = files.write("a.csv", text);
    let mut bars = BarFile::open(&path, &table(&["A"]), sessions(), true).unwrap();
    let stats = bars.stats();
    let (records, end) = drain(&mut bars);
    assert_eq!((records.len(), end), (10, Ok(())));
    assert_eq!((stats.rows(), stats.bad_rows()), (2, 3));
    let lines: Vec<u64> = stats.bad_row_samples().iter().map(|error| error.line).collect();
    assert_eq!(lines, [3, 4, 7]);
    assert!(BarFile::open(path.join("x"), &table(&["A"]), sessions(), true).is_err());
}

#[test]
fn sessions_hold_by_date() {
    let midnight = OPEN_NS - 9 * HOUR_NS;
    // One late day (3 January), dated by the local midnight; the day after is dated by the UTC one.
    let rows =
        vec![row(0, 9, 15), row(midnight + DAY_NS, 10, 16), row(midnight + 2 * DAY_NS + 9 * HOUR_NS, 9, 15)];
    let sessions = Sessions::new(rows, SEOUL_S).unwrap();
    let opens: Vec<i64> = (19_723..19_728)
        .map(|day| (sessions.span_ns(day).unwrap().0 - midnight).rem_euclid(DAY_NS) / HOUR_NS)
        .collect();
    assert_eq!(opens, [9, 9, 10, 9, 9]);
    let (open_ns, close_ns) = sessions.span_ns(19_724).unwrap();
    assert_eq!((open_ns, close_ns), (OPEN_NS, OPEN_NS + 6 * HOUR_NS));
    assert_eq!(
        sessions.span_ns(-1).map(|span| span.0),
        Some(-DAY_NS),
        "before the first row the first row holds"
    );
    assert_eq!(sessions.span_ns(i32::MAX), None);
}

#[test]
fn sessions_that_make_no_sense_are_refused() {
    let refused = |rows: Vec<Dated<Session>>, offset_s| Sessions::new(rows, offset_s).unwrap_err();
    assert_eq!(refused(Vec::new(), 0), SessionsError::Empty);
    assert_eq!(refused(vec![row(0, 9, 15)], 86_400), SessionsError::Offset { found_s: 86_400 });
    assert_eq!(refused(vec![row(0, 9, 9)], 0), SessionsError::Hours { open_s: 32_400, close_s: 32_400 });
    assert_eq!(refused(vec![row(0, 9, 25)], 0), SessionsError::Hours { open_s: 32_400, close_s: 90_000 });
    assert_eq!(
        refused(vec![row(5, 9, 15), row(5, 9, 15)], 0).to_string(),
        "sessions must be in ascending order of date: 5 ns comes after 5 ns"
    );
}
