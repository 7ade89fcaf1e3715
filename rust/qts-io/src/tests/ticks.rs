//! Tick files.

use std::io::{self, Read};

use qts_core::event::TickKind;
use qts_core::wire::csv::TICK_HEADER;

use super::*;
use crate::batch::BATCH_RECORDS;
use crate::{TickFile, TickReader};

const SYMBOL: &str = "005930";

fn row(ts_ns: usize) -> String {
    format!("{ts_ns},{ts_ns},{SYMBOL},T,71300,10,BUY,71200,5,71300,7\n")
}

fn text(rows: usize) -> String {
    TICK_HEADER.chars().chain((1..=rows).flat_map(|ts_ns| row(ts_ns).into_bytes()).map(char::from)).collect()
}

/// Reads a file in both ways, which must agree.
fn read(name: &str, content: impl AsRef<[u8]>, skip: bool) -> (Vec<MarketRecord>, Result<(), String>) {
    let files = Files::new();
    let path = files.write(name, &content);
    let table = table(&[SYMBOL]);
    let by_thread = match TickFile::open(&path, &table, skip) {
        Ok(mut file) => {
            let (records, end) = drain(&mut file);
            assert_eq!(file.stats().rows(), records.len() as u64);
            (records, end.map_err(|error| message(&error)))
        }
        Err(error) => (Vec::new(), Err(message(&error))),
    };
    let on_this_thread = match TickReader::new(name, content.as_ref(), &table, skip) {
        Ok(mut reader) => {
            let (records, end) = drain(&mut reader);
            (records, end.map_err(|error| error.to_string()))
        }
        Err(error) => (Vec::new(), Err(error.to_string())),
    };
    assert_eq!(by_thread, on_this_thread);
    by_thread
}

fn refused(name: &str, content: impl AsRef<[u8]>) -> String {
    let (_, end) = read(name, content, false);
    end.unwrap_err()
}

#[test]
fn plain_and_packed_text_read_the_same_whatever_the_name() {
    let text = text(3 * BATCH_RECORDS + 7);
    let (records, end) = read("t.csv", &text, false);
    assert_eq!((records.len(), end.clone()), (3 * BATCH_RECORDS + 7, Ok(())));
    assert!(records.iter().enumerate().all(|(at, record)| record.ts_recv_ns.unsigned_abs() == at as u64 + 1));
    assert_eq!((records[0].kind, records[0].ask_qty), (TickKind::Trade, Qty(7)));
    for (name, content) in [
        ("t.csv.gz", gzip(&text)),
        ("packed.csv", gzip(&text)),
        ("plain.csv.gz", text.clone().into_bytes()),
        ("two-parts.gz", [gzip(&text[..5_000]), gzip(&text[5_000..])].concat()),
    ] {
        assert_eq!(read(name, content, false), (records.clone(), Ok(())), "{name}");
    }
}

#[test]
fn line_endings_and_marks_of_other_systems() {
    let expected = read("t.csv", text(2), false);
    assert_eq!(expected.0.len(), 2);
    let variants = [
        text(2).trim_end().to_owned(),
        text(2).replace('\n', "\r\n"),
        format!("\u{feff}{}", text(2)),
        format!("{}\r\n\n", text(2)),
    ];
    for variant in variants {
        assert_eq!(read("t.csv", variant, false), expected);
    }
}

#[test]
fn a_file_without_rows() {
    assert_eq!(refused("t.csv", ""), "t.csv: found an empty file; expected a header and at least one row");
    assert_eq!(
        refused("t.csv", gzip("")),
        "t.csv: found an empty file; expected a header and at least one row"
    );
    let only = "t.csv: line 1: found a header and nothing else; expected at least one row";
    assert_eq!(refused("t.csv", TICK_HEADER), only);
    assert_eq!(
        read("t.csv", TICK_HEADER, true),
        (Vec::new(), Err(only.to_owned())),
        "skipping rows is no excuse"
    );
}

#[test]
fn a_wrong_header_is_found_when_the_file_is_opened() {
    let text = text(3).replace("ask_qty", "ask_size");
    let message = refused("t.csv", &text);
    assert!(
        message.starts_with(
            "t.csv: line 1, column ask_qty: found a header without ask_qty and with unexpected \"ask_size\""
        ),
        "{message}"
    );
    assert!(read("t.csv", &text, true).1.is_err(), "skipping rows is no excuse");
}

#[test]
fn a_file_that_is_neither_gzip_nor_text() {
    assert!(refused("t.csv.gz", b"PK\x03\x04 whatever\n").starts_with(
        "t.csv.gz: found data that is neither gzip nor text; expected gzip data or the header ts_event_ns,"
    ));
    assert!(refused("t.csv.gz", vec![7; 100_000]).contains("found a line of more than 65536 bytes"));
}

#[test]
fn damaged_gzip_data() {
    let packed = gzip(text(50_000));
    let (records, end) = read("t.csv.gz", &packed[..packed.len() / 2], true);
    let expected = format!(
        "t.csv.gz: line {}: found gzip data that ends too early; expected a complete gzip file",
        records.len() + 2
    );
    assert_eq!(end, Err(expected));
    assert!(records.len() > 10_000, "what came before is delivered: {}", records.len());
    // The checksum stands at the end, before the length.
    let mut broken = packed.clone();
    let checksum = packed.len() - 8;
    broken[checksum] ^= 1;
    let (records, end) = read("t.csv.gz", &broken, true);
    assert_eq!(records.len(), 50_000);
    assert!(end.unwrap_err().contains("found damaged gzip data ("));
    broken[packed.len() / 2..].fill(0xa5);
    assert!(read("t.csv.gz", &broken, true).1.is_err());
    assert!(refused("t.csv.gz", &packed[..5]).contains("gzip data that ends too early"));
}

#[test]
fn a_path_that_is_no_file() {
    let files = Files::new();
    let table = table(&[SYMBOL]);
    let open = |path: PathBuf| message(&TickFile::open(path, &table, false).map(|_| ()).unwrap_err());
    assert_eq!(
        open(files.0.path().join("missing.csv")),
        "missing.csv: found no such file; expected a readable .csv or .csv.gz file"
    );
    std::fs::create_dir(files.0.path().join("ticks.csv")).unwrap();
    assert_eq!(
        open(files.0.path().join("ticks.csv")),
        "ticks.csv: found a directory; expected a readable .csv or .csv.gz file"
    );
    let under_a_file = files.write("plain", "x").join("t.csv");
    assert!(open(under_a_file).starts_with("plain/t.csv: found Not a directory"));
}

#[test]
fn rows_before_a_bad_row_are_delivered_before_its_error() {
    for good in [0, 1, BATCH_RECORDS - 1, BATCH_RECORDS, BATCH_RECORDS + 1, 9 * BATCH_RECORDS] {
        let text = format!("{}{}{}", text(good), "oops\n", row(good + 1));
        let (records, end) = read("t.csv", text, false);
        assert_eq!(records.len(), good);
        let message = end.unwrap_err();
        assert!(
            message.starts_with(&format!("t.csv: line {}: found 1 column; expected 11", good + 2)),
            "{message}"
        );
    }
}

#[test]
fn every_kind_of_bad_row_is_told_with_its_place() {
    for (bad, column) in [
        ("3,3,005930,T,71300", ""),
        ("3,3,005930,T,7x,10,BUY,,,,", ", column price"),
        ("3,3,005930,T,71300.5,10,BUY,,,,", ", column price"),
        ("3,3,000660,T,71300,10,BUY,,,,", ", column symbol"),
        ("3,3,005930,Z,71300,10,BUY,,,,", ", column kind"),
        ("3,3,005930,T,71300,10,buy,,,,", ", column side"),
        ("3,3,005930,Q,,,,71400,5,71300,7", ", column bid"),
        ("3,3,005930,T,0,10,BUY,,,,", ", column price"),
        ("3,3,005930,T,71300,-10,BUY,,,,", ", column qty"),
        ("3,1,005930,T,71300,10,BUY,,,,", ", column ts_recv_ns"),
    ] {
        let content = format!("{}{bad}\n{}", text(2), row(4));
        let (records, end) = read("t.csv", &content, false);
        assert_eq!(records.len(), 2, "{bad}");
        let message = end.unwrap_err();
        assert!(message.starts_with(&format!("t.csv: line 4{column}: found ")), "{message}");
        let (records, end) = read("t.csv", &content, true);
        assert_eq!((records.len(), end), (3, Ok(())), "skipped: {bad}");
    }
    let mut content = text(2).into_bytes();
    content.extend_from_slice(b"3,3,005\xff30,T,71300,10,BUY,,,,\n");
    assert!(refused("t.csv", content).ends_with("expected UTF-8 text"));
}

#[test]
fn skipped_rows_are_counted_and_the_first_ten_kept() {
    let files = Files::new();
    let mut content = text(5);
    content.push_str(&"bad\n".repeat(5_000));
    content.push_str(&row(9));
    let mut file = TickFile::open(files.write("t.csv", content), &table(&[SYMBOL]), true).unwrap();
    let stats = file.stats();
    assert_eq!((stats.rows(), stats.bad_rows(), stats.first_ts_ns(), stats.last_ts_ns()), (0, 0, None, None));
    assert_eq!(file.next().unwrap().map(|record| record.ts_recv_ns), Some(1));
    assert_eq!((stats.rows(), stats.first_ts_ns(), stats.last_ts_ns()), (1, Some(1), Some(1)));
    assert_eq!(drain(&mut file).1, Ok(()));
    drop(file);
    assert_eq!((stats.rows(), stats.bad_rows()), (6, 5_000));
    assert_eq!((stats.first_ts_ns(), stats.last_ts_ns()), (Some(1), Some(9)));
    let lines: Vec<u64> = stats.bad_row_samples().iter().map(|error| error.line).collect();
    assert_eq!(lines, (7..17).collect::<Vec<_>>());
    assert!(stats.path().ends_with("t.csv"));
}

#[test]
fn a_file_may_be_dropped_at_any_point() {
    let files = Files::new();
    let path = files.write("t.csv", text(40 * BATCH_RECORDS));
    for taken in [0, 1, BATCH_RECORDS, 5 * BATCH_RECORDS] {
        let mut file = TickFile::open(&path, &table(&[SYMBOL]), false).unwrap();
        for _ in 0..taken {
            assert!(file.next().unwrap().is_some());
        }
        let stats = file.stats();
        assert!(format!("{file:?}").contains("t.csv"));
        drop(file);
        assert_eq!(stats.rows(), taken as u64, "counts what was delivered, not what was read ahead");
    }
}

/// An endless tick stream that notes how much of it was asked for.
struct Endless {
    next: usize,
    pending: Vec<u8>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pending.is_empty() {
            self.pending = if self.next == 0 { TICK_HEADER.to_owned() } else { row(self.next) }.into_bytes();
            self.next += 1;
        }
        let count = self.pending.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.pending[..count]);
        self.pending.drain(..count);
        Ok(count)
    }
}

#[test]
fn a_stream_is_read_no_further_than_a_block_ahead() {
    let stream = Endless { next: 0, pending: Vec::new() };
    let mut reader = TickReader::new("stream", stream, &table(&[SYMBOL]), false).unwrap();
    for ts_ns in 1..=10_000 {
        assert_eq!(reader.next().unwrap().map(|record| record.ts_recv_ns), Some(ts_ns));
    }
    assert_eq!(reader.stats().rows(), 10_000);
    assert!(format!("{reader:?}").contains("stream"));
}

#[test]
fn a_reader_thread_that_breaks_off_is_an_error() {
    struct Panics(usize);
    impl Read for Panics {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 += 1;
            assert!(self.0 < 4, "this stream breaks its reader");
            let text = if self.0 == 1 { "t" } else { &TICK_HEADER[self.0 - 1..] };
            let count = if self.0 == 3 { text.len() } else { 1 };
            buffer[..count].copy_from_slice(&text.as_bytes()[..count]);
            Ok(count)
        }
    }
    let mut file = TickFile::read("stream", Panics(0), &table(&[SYMBOL]), false).unwrap();
    let error = file.next().unwrap_err();
    assert_eq!(
        error.to_string(),
        "stream: found a reader that stopped before the end; expected the rest of the file"
    );
    assert_eq!(file.next(), Ok(None));
}
