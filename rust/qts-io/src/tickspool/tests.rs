//! Spools on a real file system.
#![allow(clippy::arithmetic_side_effects, reason = "tests count")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qts_core::fixed::{Price, Qty};
use qts_core::instrument::InstrumentId;

use super::*;

const CHILD: &str = "QTS_SPOOL_CHILD";

fn record(number: i64) -> MarketRecord {
    let kind = if number % 3 == 0 { TickKind::Quote } else { TickKind::Trade };
    MarketRecord {
        ts_event_ns: number * 10,
        ts_recv_ns: number * 10 + 1,
        instrument: InstrumentId(u32::try_from(number % 7).expect("small")),
        kind,
        aggressor: (kind == TickKind::Trade).then_some(Side::Sell),
        price: Price(number),
        qty: Qty(number + 1),
        bid: Price(number - 1),
        bid_qty: Qty(5),
        ask: Price(number + 2),
        ask_qty: Qty(6),
        ..MarketRecord::default()
    }
}

fn rows() -> Vec<SymbolRow> {
    vec![("005930".to_owned(), 0, 0), ("BTC".to_owned(), 2, 8)]
}

fn spool(dir: &Path, config: SpoolConfig) -> Arc<TickSpool> {
    Arc::new(TickSpool::open(dir, config).expect("a good spool"))
}

fn small() -> SpoolConfig {
    SpoolConfig { segment_bytes: 64 << 10, group_ms: 1, quota_bytes: 16 << 20, ..SpoolConfig::default() }
}

fn tap(spool: &Arc<TickSpool>) -> TickTap {
    spool.tap_of(&rows()).expect("a table")
}

/// Waits for something that another thread does.
#[allow(clippy::disallowed_methods, reason = "real threads in real time")]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// Number and `ts_event_ns` of what is read.
fn parts(batch: &Batch) -> Vec<(u64, i64)> {
    let (records, rest) = batch.bytes.as_chunks::<READ_BYTES>();
    assert!(rest.is_empty());
    let word = |record: &[u8; READ_BYTES], at: usize| record.as_chunks::<8>().0[at];
    records.iter().map(|one| (u64::from_le_bytes(word(one, 0)), i64::from_le_bytes(word(one, 1)))).collect()
}

/// Everything from a number on, until `count` records have come.
fn read(spool: &TickSpool, after: u64, count: u64, most: usize) -> Vec<(u64, i64)> {
    read_with_lost(spool, after, count, most).0
}

/// As [`read`], with how many are noted as lost.
fn read_with_lost(spool: &TickSpool, mut after: u64, count: u64, most: usize) -> (Vec<(u64, i64)>, u64) {
    let (mut all, mut lost) = (Vec::new(), 0);
    until("durable records", || {
        let batch = spool.read(after, most).expect("readable");
        assert!(batch.bytes.len() <= most * READ_BYTES);
        all.extend(parts(&batch));
        after = batch.through_seq;
        lost += batch.lost;
        all.len() as u64 >= count
    });
    (all, lost)
}

#[test]
fn every_record_is_read_once_and_in_order_over_segments_and_blocks() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = spool(dir.path(), small());
    let mut log = tap(&spool);
    for number in 1..=20_000 {
        log.put(&record(number));
    }
    log.flush();
    for most in [1_000, 77, 1 << 20] {
        let all = read(&spool, 0, 20_000, most);
        assert!(all.iter().map(|(_, ts)| *ts).eq((1..=20_000).map(|number| number * 10)), "{most}");
        assert!(all.iter().zip(all.iter().skip(1)).all(|(a, b)| a.0 < b.0));
    }
    let all = read(&spool, 0, 20_000, 500);
    let (middle, _) = all[7_777];
    assert_eq!(read(&spool, middle, 12_222, 1_000), all[7_778..]);
    let figures = spool.figures();
    assert_eq!((figures.taken, figures.written, figures.lost, figures.pending), (20_000, 20_000, 0, 0));
    let one = spool.read(0, 2).expect("readable");
    assert_eq!(spool.table(one.table).expect("noted"), rows());
    assert_eq!(&one.bytes[8..READ_BYTES], &encode(&record(1)));
}

#[test]
fn bars_are_no_ticks() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = spool(dir.path(), small());
    let mut log = tap(&spool);
    log.put(&MarketRecord { kind: TickKind::BarClose, ..record(1) });
    log.put(&MarketRecord { kind: TickKind::Auction, aggressor: None, ..record(2) });
    log.flush();
    assert_eq!(read(&spool, 0, 1, 10).len(), 1);
    assert_eq!(spool.figures().taken, 1);
}

#[test]
fn numbers_rise_over_restarts_and_what_is_kept_elsewhere_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut last, mut early) = (0, 0);
    for round in 0..3 {
        let spool = spool(dir.path(), small());
        let mut log = tap(&spool);
        for number in 1..=5_000 {
            log.put(&record(number));
        }
        log.flush();
        let all = read(&spool, last, 5_000, 1_024);
        assert_eq!(all.len(), 5_000, "{round}");
        assert!(all[0].0 > last);
        early = last;
        last = all[4_999].0;
        assert!(spool.last_seq() >= last);
        spool.keep_behind(last);
        drop(log);
        spool.close().expect("synced");
    }
    let spool = spool(dir.path(), small());
    spool.keep_behind(last);
    spool.retire().expect("retired");
    // The spool's own thread may have retired some of them before: what counts is what is left of some twenty-five.
    let files = fs::read_dir(dir.path()).expect("there").count();
    assert!(files < 10, "{files}");
    assert!(read(&spool, 0, 1, 10)[0].0 > early, "the journal begins later");
}

#[test]
fn a_spool_that_is_full_counts_what_is_lost_and_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = SpoolConfig { quota_bytes: 256 << 10, pending_blocks: 2, ..small() };
    let spool = spool(dir.path(), config);
    let mut log = tap(&spool);
    let mut number = 0;
    until("a full spool", || {
        for _ in 0..BLOCK_RECORDS {
            number += 1;
            log.put(&record(number));
        }
        let full = spool.figures();
        full.lost > 0
            && full.pending == 2 * 256
            && full.trouble.is_some_and(|text| text.contains("has to stay below"))
    });
    let full = spool.figures();
    assert_eq!(full.taken, full.written + full.pending + full.lost);
    assert_eq!(full.pending, 2 * 256);
    let (first, lost_before) = read_with_lost(&spool, 0, full.written, 1_000);
    let last = first[first.len() - 1].0;
    spool.keep_behind(last);
    until("room", || {
        spool.flush();
        spool.figures().pending == 0
    });
    number += 1;
    log.put(&record(number));
    log.flush();
    let (rest, lost_behind) = read_with_lost(&spool, last, 2 * 256 + 1, 1_000);
    let lost = lost_before + lost_behind;
    assert_eq!(lost, spool.figures().lost, "noted in the block behind the gap");
    assert_eq!(rest[rest.len() - 1].1, number * 10);
    assert_eq!(first.len() as u64 + rest.len() as u64 + lost, number.unsigned_abs());
    assert_eq!(spool.figures().trouble, None);
}

#[test]
fn whoever_is_patient_loses_nothing_to_a_slow_disk_and_stops_for_none_that_is_full() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = SpoolConfig { quota_bytes: 4 << 20, pending_blocks: 1, ..small() };
    let spool = spool(dir.path(), config);
    let mut log = tap(&spool).patient();
    for number in 1..=30_000 {
        log.put(&record(number));
    }
    assert_eq!(spool.figures().lost, 0);
    let mut number = 30_000;
    until("a full spool", || {
        number += 1;
        log.put(&record(number));
        spool.figures().lost > 0
    });
    let began = spool.figures();
    assert!(began.trouble.is_some());
    for _ in 0..100 * BLOCK_RECORDS {
        number += 1;
        log.put(&record(number));
    }
    // The last files are cut to their length, and one more may fit.
    let full = spool.figures();
    assert!(full.lost > began.lost + 50 * BLOCK_RECORDS as u64, "{full:?}");
    assert_eq!(full.taken, full.written + full.pending + full.lost);
}

#[test]
fn what_comes_while_it_is_shut_is_counted_and_noted() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = spool(dir.path(), small());
    let mut log = tap(&spool);
    for (number, is_shut) in [(1, false), (2, true), (3, true), (4, false)] {
        spool.shut(is_shut);
        log.put(&record(number));
        log.flush();
    }
    let (all, lost) = read_with_lost(&spool, 0, 2, 10);
    assert!(all.iter().map(|(_, ts)| *ts).eq([10, 40]));
    assert_eq!((lost, spool.figures().lost, spool.figures().taken), (2, 2, 4));
}

#[test]
fn a_table_that_was_changed_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = spool(dir.path(), small());
    let table = spool.keep_table(&rows()).expect("a table");
    assert_eq!(spool.keep_table(&rows()).expect("the same"), table);
    fs::write(spool.table_path(table), "005930\t2\t0\n").expect("written");
    assert!(matches!(spool.table(table), Err(JournalError::Foreign { .. })));
    assert!(spool.keep_table(&[("a\tb".to_owned(), 0, 0)]).is_err());
    assert!(spool.append(table, &[0; 71]).is_err());
}

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let spool = spool(Path::new(&dir), SpoolConfig { quota_bytes: 64 << 20, ..small() });
    let mut log = tap(&spool);
    let mut out = std::io::stdout().lock();
    for number in 1_i64..500_000 {
        log.put(&record(number));
        if number % 100 == 0 {
            log.flush();
            until("written", || {
                spool.flush();
                spool.figures().pending == 0
            });
            out.write_all(format!("{number}\n").as_bytes()).expect("a reader");
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_flushed() {
    let mut rounds = 0;
    for round in 0..5_u32 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "tickspool::tests::child", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut flushed = 0_i64;
        for _ in 0..20 + round * 7 {
            flushed = lines.next().and_then(Result::ok).and_then(|line| line.parse().ok()).unwrap_or(flushed);
        }
        child.kill().expect("running");
        child.wait().expect("dead");
        flushed = lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).last().unwrap_or(flushed);
        let spool = spool(dir.path(), small());
        let all = read(&spool, 0, flushed.unsigned_abs(), 4_096);
        assert!(all.iter().map(|(_, ts)| *ts).eq((1..).take(all.len()).map(|number: i64| number * 10)));
        rounds += u32::from(flushed > 0);
    }
    assert!(rounds >= 4, "{rounds}");
}
