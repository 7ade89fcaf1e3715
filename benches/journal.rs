//! The journal: appends per second, and what a commit group costs over the bare sync it contains.
//!
//! `group_of_64` appends 64 records of 120 bytes and waits until they are durable; `bare_fdatasync` writes the same
//! bytes into a file of the same kind and syncs it. The last bench takes both in turn within one run, because disks
//! change their speed, and prints the ratio of the medians.

#![allow(clippy::arithmetic_side_effects, clippy::expect_used, reason = "a bench that fails should stop")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qts_core::journal::{COMMIT_BYTES, RecordKind, record_bytes};
use qts_io::journal::{Disk, Journal, JournalConfig, SystemDisk, UtcClock};

const PAYLOAD: [u8; 120] = [7; 120];
const GROUP: usize = 64;
const GROUP_BYTES: usize = GROUP * record_bytes(PAYLOAD.len()) + COMMIT_BYTES;
const SEGMENT: usize = 64 << 20;
const LONG: Duration = Duration::from_secs(10);

fn utc() -> UtcClock {
    Box::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_nanos()).expect("before 2262")
    })
}

fn open(dir: &Path, sync: bool) -> Journal {
    let config = JournalConfig { sync, quota_bytes: u64::MAX, ..JournalConfig::default() };
    Journal::open(dir, config, utc()).expect("a good journal").0
}

/// Segments that are over would fill the disk.
fn remove_old(dir: &Path) {
    let mut paths: Vec<_> =
        std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("one").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "qtsj"));
    paths.sort();
    for path in paths.iter().rev().skip(5) {
        std::fs::remove_file(path).expect("removed");
    }
}

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(1));
    for (name, sync) in [("append_120", true), ("append_120_without_sync", false)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let dir = tempfile::tempdir().expect("a directory");
                let journal = open(dir.path(), sync);
                let mut took = Duration::ZERO;
                for from in (0..count).step_by(100_000) {
                    let began = Instant::now();
                    for _ in from..count.min(from + 100_000) {
                        black_box(journal.append(RecordKind::Fill, black_box(&PAYLOAD)).expect("room"));
                    }
                    took += began.elapsed();
                    // What is measured is the append; the disk catches up in between.
                    journal.wait_durable(journal.last_seq(), LONG).expect("durable");
                    remove_old(dir.path());
                }
                took
            });
        });
    }
    group.finish();
}

/// A file like a segment, to write and sync by hand.
struct Bare {
    dir: PathBuf,
    file: File,
    at: u64,
    files: u32,
}

impl Bare {
    fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), file: Self::make(dir, 0), at: 0, files: 1 }
    }

    fn make(dir: &Path, number: u32) -> File {
        let file = SystemDisk.create(&dir.join(format!("bare-{number}")), SEGMENT as u64).expect("a file");
        SystemDisk.sync_dir(dir).expect("synced");
        file
    }

    fn group(&mut self, bytes: &[u8]) {
        if self.at + bytes.len() as u64 > SEGMENT as u64 {
            // Blocks that have been written before are cheaper to sync: a fresh file, as the journal takes one.
            self.at = 0;
            self.file = Self::make(&self.dir, self.files);
            std::fs::remove_file(self.dir.join(format!("bare-{}", self.files - 1))).expect("removed");
            self.files += 1;
        }
        self.file.write_all_at(bytes, self.at).expect("written");
        self.at += bytes.len() as u64;
        self.file.sync_data().expect("synced");
    }
}

fn append_group(journal: &Journal) {
    let mut last = 0;
    for _ in 0..GROUP {
        last = journal.append(RecordKind::Fill, black_box(&PAYLOAD)).expect("room");
    }
    journal.wait_durable(last, LONG).expect("durable");
}

fn group_commit(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, mut bare) = (open(dir.path(), true), Bare::new(dir.path()));
    let bytes = vec![7; GROUP_BYTES];
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(GROUP as u64)).sample_size(20);
    group.bench_function("group_of_64", |bencher| bencher.iter(|| append_group(&journal)));
    group.bench_function("bare_fdatasync", |bencher| bencher.iter(|| bare.group(&bytes)));
    group.finish();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..2_000 {
        let began = Instant::now();
        append_group(&journal);
        ours.push(began.elapsed());
        let began = Instant::now();
        bare.group(&bytes);
        theirs.push(began.elapsed());
    }
    ours.sort();
    theirs.sort();
    let median = |times: &[Duration]| times.get(times.len() / 2).copied().unwrap_or_default();
    let (ours, theirs) = (median(&ours), median(&theirs));
    eprintln!(
        "journal/group_over_bare: {:.2} (medians {ours:?} and {theirs:?}, in turn)",
        ours.as_secs_f64() / theirs.as_secs_f64()
    );
}

criterion_group!(benches, appends, group_commit);
criterion_main!(benches);
