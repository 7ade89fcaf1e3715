//! Every interleaving of small cases, under the model checker:
//! `RUSTFLAGS="--cfg loom" cargo test -p qts-core --lib --release models`.
//!
//! The contents of records and headers are stored and loaded without any order of their own: what a reader sees of them
//! rests on the orders of the code alone. The checker also fails a model in which somebody waits for ever.
#![allow(clippy::arithmetic_side_effects, reason = "models count")]

use std::ptr::without_provenance_mut;

use loom::model::Builder;
use loom::sync::Notify;

use super::format::SEGMENT_HEADER;
use super::row::{Place, Room, Row, Tail, next, publish, published};
use crate::sync::{Arc, AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering, lock, thread};

const RECORD: usize = 8;
const ALWAYS: i64 = i64::MAX;
/// What a commit holds in place of a number of its own.
const COMMIT: u64 = 1;

/// A segment: for every record its length word, and its number and contents.
#[derive(Default)]
struct Memory {
    header: AtomicU64,
    records: [(AtomicU32, AtomicU64); 4],
}

impl Memory {
    fn write(&self, room: Room, value: u64) {
        let (word, cell) = &self.records[(room.at - SEGMENT_HEADER) / RECORD];
        cell.store(room.seq << 32 | value, Ordering::Relaxed);
        publish(word, 1);
    }

    /// The records in front of `to` from the one at `from` on, once they are published.
    fn read(&self, from: usize, to: usize) -> Vec<(u64, u64)> {
        let of = |at: usize| (at - SEGMENT_HEADER) / RECORD;
        let records = &self.records[of(from)..of(to)];
        let read = |(word, cell): &(AtomicU32, AtomicU64)| {
            while published(word) == 0 {
                thread::yield_now();
            }
            let contents = cell.load(Ordering::Relaxed);
            (contents >> 32, contents & u64::from(u32::MAX))
        };
        records.iter().map(read).collect()
    }
}

/// The journal without its files: segments with room for so many records and their last commit.
struct Model {
    row: Row<2>,
    memories: [Memory; 4],
    /// Segments that have been used.
    used: Mutex<usize>,
    limit: usize,
    flusher: Notify,
}

impl Model {
    fn new(records: usize) -> Arc<Self> {
        let limit = SEGMENT_HEADER + records * RECORD;
        let model = Self {
            row: Row::default(),
            memories: <[Memory; 4]>::default(),
            used: Mutex::new(1),
            limit,
            flusher: Notify::new(),
        };
        fill(model.row.place(0), 0);
        model.row.place(0).start(1, ALWAYS, Tail::EMPTY);
        Arc::new(model)
    }

    fn append(&self, value: u64) -> u64 {
        self.append_below(self.limit, value)
    }

    /// Marks of P0 events may go further than other records: there may be room for one where a segment ends.
    fn append_mark(&self, value: u64) -> u64 {
        self.append_below(self.limit + RECORD, value)
    }

    fn append_below(&self, limit: usize, value: u64) -> u64 {
        let room = loop {
            match self.row.reserve(RECORD, limit, 0) {
                Ok(room) => break room,
                Err(full) => self.rotate(full, limit),
            }
        };
        self.memory(room).write(room, value);
        if self.row.is_called(room.seq) {
            self.flusher.notify();
        }
        room.seq
    }

    fn memory(&self, room: Room) -> &Memory {
        &self.memories[room.base.addr() / RECORD - 1]
    }

    fn rotate(&self, from: usize, limit: usize) {
        let mut used = lock(&self.used);
        let to = self.row.place(next(from));
        if self.row.current() != from || self.row.place(from).has_room(RECORD, limit, 0) {
            return;
        }
        if !to.is_empty() {
            drop(used);
            return thread::yield_now();
        }
        fill(to, *used);
        let memory = &self.memories[*used];
        self.row.advance(ALWAYS, |first| memory.header.store(first, Ordering::Relaxed));
        *used += 1;
    }
}

fn fill(place: &Place, memory: usize) {
    place.fill(without_provenance_mut((memory + 1) * RECORD), 0);
}

/// Ends groups, as the flusher does.
struct Committer {
    turn: usize,
    at: usize,
    seq: u64,
    seen: Vec<(u64, u64)>,
}

impl Committer {
    const fn new() -> Self {
        Self { turn: 0, at: SEGMENT_HEADER, seq: 1, seen: Vec::new() }
    }

    fn commit(&mut self, model: &Model) {
        while self.turn <= model.row.current() {
            let place = model.row.place(self.turn);
            let tail = place.tail();
            if !tail.is_sealed && tail.end == self.at {
                return;
            }
            let room = place.reserve(RECORD, model.limit, 0);
            let is_last = room.is_none();
            let room = room.unwrap_or_else(|| place.last_room());
            let memory = model.memory(room);
            self.seen.extend(memory.read(self.at, room.at));
            memory.write(room, COMMIT);
            self.seen.push((room.seq, COMMIT));
            (self.at, self.seq) = (room.at + RECORD, room.seq + 1);
            if !is_last {
                return;
            }
            place.empty();
            (self.turn, self.at) = (next(self.turn), SEGMENT_HEADER);
            if self.turn <= model.row.current() {
                let header = &model.memories[self.turn].header;
                assert_eq!(header.load(Ordering::Relaxed), self.seq, "numbers without gaps");
            }
        }
    }

    fn values(&self) -> Vec<u64> {
        assert!(self.seen.iter().zip(1..).all(|((seq, _), expected)| *seq == expected), "{:?}", self.seen);
        self.seen.iter().map(|(_, value)| *value).filter(|value| *value != COMMIT).collect()
    }
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn appender(model: &Arc<Model>, values: &'static [u64]) -> thread::JoinHandle<Vec<u64>> {
    let model = Arc::clone(model);
    thread::spawn(move || values.iter().map(|value| model.append(*value)).collect())
}

#[test]
fn a_group_holds_whole_records_of_two_appenders() {
    check(3, || {
        let model = Model::new(4);
        let others = [appender(&model, &[11]), appender(&model, &[21])];
        let mut committer = Committer::new();
        committer.commit(&model);
        let mut seqs: Vec<u64> = others.into_iter().flat_map(|other| other.join().unwrap()).collect();
        committer.commit(&model);
        let mut values = committer.values();
        values.sort_unstable();
        assert_eq!(values, [11, 21]);
        seqs.dedup();
        assert_eq!(seqs.len(), 2);
    });
}

#[test]
fn no_record_is_lost_or_doubled_where_a_segment_ends() {
    check(2, || {
        let model = Model::new(1);
        let others = [appender(&model, &[11]), appender(&model, &[21])];
        let mut committer = Committer::new();
        committer.commit(&model);
        let mut seqs: Vec<u64> = others.into_iter().flat_map(|other| other.join().unwrap()).collect();
        committer.commit(&model);
        let mut values = committer.values();
        values.sort_unstable();
        assert_eq!(values, [11, 21]);
        seqs.sort_unstable();
        let found = |seq: &u64| committer.seen.iter().any(|(found, value)| found == seq && *value != COMMIT);
        assert!(seqs.iter().all(found), "{seqs:?} of {:?}", committer.seen);
    });
}

#[test]
fn a_mark_does_not_slip_behind_the_end_of_a_segment() {
    check(3, || {
        // Full for all but marks; the segment behind it has room for everything that may come there.
        let model = Model::new(2);
        let mut seqs = vec![model.append(11), model.append(12)];
        let marker = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.append_mark(21))
        };
        seqs.push(model.append(13));
        seqs.push(marker.join().unwrap());
        let mut committer = Committer::new();
        committer.commit(&model);
        assert_eq!(committer.values().len(), seqs.len());
        let found = |seq: &u64| committer.seen.iter().any(|(found, value)| found == seq && *value != COMMIT);
        assert!(seqs.iter().all(found), "{seqs:?} of {:?}", committer.seen);
    });
}

#[test]
fn a_place_is_used_again_under_the_eyes_of_a_late_appender() {
    check(2, || {
        let model = Model::new(1);
        let other = appender(&model, &[21]);
        let mut committer = Committer::new();
        for value in [11, 12, 13] {
            model.append(value);
            committer.commit(&model);
        }
        other.join().unwrap();
        committer.commit(&model);
        let values = committer.values();
        assert_eq!(values.len(), 4, "{values:?}");
        assert!(values.iter().filter(|value| **value < 20).eq(&[11, 12, 13]), "in their order: {values:?}");
        assert!(values.contains(&21));
    });
}

#[test]
fn what_was_ended_stays_ended() {
    check(3, || {
        let model = Model::new(3);
        let place = model.row.place(0);
        let is_over = Arc::new(AtomicBool::new(false));
        let (late, flag) = (Arc::clone(&model), Arc::clone(&is_over));
        let other = thread::spawn(move || {
            let before = flag.load(Ordering::Acquire);
            let room = late.row.place(0).reserve(RECORD, late.limit, 0);
            (before, room.map(|room| late.memory(room).write(room, 21)))
        });
        let tail = place.seal();
        is_over.store(true, Ordering::Release);
        let (before, room) = other.join().unwrap();
        assert!(!(before && room.is_some()), "reserved behind the end");
        assert_eq!(tail.records, u64::from(room.is_some()), "what was reserved in front of the end is in it");
        assert_eq!((place.seal(), place.last_room().seq), (tail, tail.records + 1));
    });
}

#[test]
fn the_appender_that_completes_a_group_wakes_the_flusher() {
    check(3, || {
        let model = Model::new(4);
        let others = [appender(&model, &[11]), appender(&model, &[21])];
        loop {
            model.row.call_at(2);
            if model.row.place(0).tail().records >= 2 {
                break;
            }
            model.flusher.wait();
        }
        others.into_iter().for_each(|other| drop(other.join().unwrap()));
        let mut committer = Committer::new();
        committer.commit(&model);
        assert_eq!(committer.values().len(), 2);
    });
}
