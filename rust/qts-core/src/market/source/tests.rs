use std::collections::VecDeque;

use super::*;
use crate::fixed::Price;

struct Script(VecDeque<Result<MarketRecord, SourceError>>);

impl MarketSource for Script {
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        self.0.pop_front().transpose()
    }
}

fn record(ts_recv_ns: i64, price: i64) -> MarketRecord {
    MarketRecord { ts_recv_ns, price: Price(price), ..MarketRecord::default() }
}

fn fault() -> SourceError {
    SourceError {
        path: "ticks.csv".to_owned(),
        line: 7,
        column: Some("bid"),
        found: "\"abc\"".to_owned(),
        expected: "a number".to_owned(),
    }
}

fn merged(scripts: Vec<Vec<Result<MarketRecord, SourceError>>>) -> MergedSource {
    MergedSource::new(
        scripts.into_iter().map(|rows| Box::new(Script(rows.into())) as Box<dyn MarketSource + Send>).collect(),
    )
}

#[test]
fn records_come_by_time_and_the_earlier_source_first() {
    let mut source = merged(vec![
        vec![Ok(record(1, 10)), Ok(record(5, 11))],
        vec![Ok(record(1, 20)), Ok(record(2, 21)), Ok(record(9, 22))],
        vec![],
    ]);
    let prices: Vec<i64> = std::iter::from_fn(|| source.next().unwrap()).map(|record| record.price.0).collect();
    assert_eq!(prices, [10, 20, 21, 11, 22]);
    assert_eq!(source.next(), Ok(None));
}

#[test]
fn an_error_names_file_line_and_column() {
    let mut source = merged(vec![vec![Ok(record(1, 10)), Err(fault())], vec![Ok(record(2, 20))]]);
    assert_eq!(source.next(), Err(fault()));
    assert_eq!(fault().to_string(), "ticks.csv, line 7, column bid: found \"abc\", expected a number");
    let whole = SourceError { line: 0, column: None, ..fault() };
    assert_eq!(whole.to_string(), "ticks.csv: found \"abc\", expected a number");
}

#[test]
fn a_single_source_passes_through() {
    let mut source = merged(vec![vec![Ok(record(1, 10))]]);
    assert_eq!(source.next(), Ok(Some(record(1, 10))));
    assert_eq!(source.next(), Ok(None));
    assert!(format!("{source:?}").contains("sources: 1"));
}
