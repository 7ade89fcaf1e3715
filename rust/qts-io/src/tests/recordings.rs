//! Recorded markets, where they are at hand.

use std::path::Path;

use qts_core::event::TickKind;
use qts_core::market::source::MergedSource;

use super::*;
use crate::{BarFile, Session, Sessions, TickFile};

/// The recordings beside the project, or `None` (and a word about it) where there are none.
fn recordings() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if data.is_dir() {
        return Some(data);
    }
    eprintln!("skipped: no recordings at {}", data.display());
    None
}

fn eth() -> InstrumentTable {
    let mut table = InstrumentTable::default();
    table.push(instrument("ETHUSDT", 2, 4, 1)).unwrap();
    table
}

#[test]
fn both_tick_recordings_read_whole() {
    let Some(data) = recordings() else { return };
    for (name, quotes, trades) in
        [("ETHUSDT-PERP-20240808", 53_992, 14_076), ("ETHUSDT-SPOT-20240809", 34_681, 8_409)]
    {
        let path = data.join(format!("ticks/{name}.csv.gz"));
        let mut file = TickFile::open(path, &eth(), false).unwrap();
        let (records, end) = drain(&mut file);
        assert_eq!(end, Ok(()));
        let count = |kind| records.iter().filter(|record| record.kind == kind).count();
        assert_eq!((count(TickKind::Quote), count(TickKind::Trade)), (quotes, trades), "{name}");
        assert!(records.is_sorted_by_key(|record| record.ts_recv_ns));
        assert!(
            !records.is_sorted_by_key(|record| record.ts_event_ns),
            "exchange time runs backwards in life"
        );
        assert_eq!(file.stats().first_ts_ns(), records.first().map(|record| record.ts_recv_ns));
    }
}

#[test]
fn all_daily_recordings_merge_in_order_of_time() {
    let Some(data) = recordings() else { return };
    let codes = ["005930", "000660", "005380", "035420", "069500", "114800", "122630"];
    let table = table(&codes);
    let krx = vec![Dated { effective_from_ns: 0, value: Session { open_s: 32_400, close_s: 55_800 } }];
    let sessions = Sessions::new(krx, 32_400).unwrap();
    let mut stats = Vec::new();
    let mut sources: Vec<Box<dyn MarketSource + Send>> = Vec::new();
    for code in codes {
        let path = data.join(format!("krx-daily/{code}.csv"));
        let file = BarFile::open(path, &table, sessions.clone(), false).unwrap();
        stats.push(file.stats());
        sources.push(Box::new(file));
    }
    let (records, end) = drain(&mut MergedSource::new(sources));
    assert_eq!(end, Ok(()));
    assert!(records.is_sorted_by_key(|record| record.ts_recv_ns));
    let closes = records.iter().filter(|record| record.kind == TickKind::BarClose).count() as u64;
    assert_eq!(closes, stats.iter().map(|stats| stats.rows()).sum::<u64>());
    let traded: i64 =
        records.iter().filter(|record| record.kind != TickKind::BarClose).map(|r| r.qty.0).sum();
    let volume: i64 =
        records.iter().filter(|record| record.kind == TickKind::BarClose).map(|r| r.qty.0).sum();
    assert_eq!(traded, volume, "the prints carry the volume of their bars");
}
