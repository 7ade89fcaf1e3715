#![allow(clippy::arithmetic_side_effects, reason = "tests count")]

use super::*;

fn record(kind: RecordKind, seq: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; record_bytes(payload.len())];
    let meta = Meta { kind, version: 1, flags: 0, seq, ts_ns: 1_000 };
    let length = encode(&mut bytes[4..], &meta, payload).expect("it fits");
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Groups of records as they follow each other, with their commits.
struct Writer {
    bytes: Vec<u8>,
    seq: u64,
    hash: ChainHash,
}

impl Writer {
    fn new(number: u32, seq: u64, hash: ChainHash) -> Self {
        let header = SegmentHeader { number, first_seq: seq, chain: Some(hash) };
        Self { bytes: header.encode().to_vec(), seq, hash }
    }

    fn group(&mut self, payloads: &[&[u8]]) -> &mut Self {
        let from = self.bytes.len();
        for payload in payloads {
            self.bytes.extend(record(RecordKind::P0Event, self.seq, payload));
            self.seq += 1;
        }
        self.hash = chain(&self.hash, &self.bytes[from..]);
        let mut commit = vec![0; COMMIT_BYTES];
        let records = u32::try_from(payloads.len()).expect("few");
        let length = encode_commit(&mut commit[4..], self.seq, 1_000, records, &self.hash).expect("it fits");
        commit[..4].copy_from_slice(&length.to_le_bytes());
        self.bytes.extend(commit);
        self.seq += 1;
        self
    }

    fn loose(&mut self, payload: &[u8]) -> &mut Self {
        self.bytes.extend(record(RecordKind::P0Event, self.seq, payload));
        self.seq += 1;
        self
    }
}

fn verify(segments: &[&[u8]]) -> Result<Vec<Option<SegmentEnd>>, (usize, Damage)> {
    verify_behind(&Anchor::GENESIS, segments)
}

fn verify_behind(anchor: &Anchor, segments: &[&[u8]]) -> Result<Vec<Option<SegmentEnd>>, (usize, Damage)> {
    let heads = segments.iter().map(|bytes| SegmentHeader::decode(bytes)).collect();
    let mut verifier = Verifier::new(anchor, heads);
    let mut ends = Vec::new();
    for (at, bytes) in segments.iter().enumerate() {
        let at = |damage| (at, damage);
        let mut walk = match verifier.open(bytes).map_err(at)? {
            Opening::Walk(walk) => Some(walk),
            _ => None,
        };
        if let Some(walk) = &mut walk {
            while walk.next(bytes).map_err(at)?.is_some() {}
        }
        ends.push(verifier.close(walk.as_ref(), bytes).map_err(at)?);
    }
    Ok(ends)
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    for length in [0, 1, 7, 8, 9, 120, MAX_PAYLOAD] {
        let payload: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("small")).collect();
        let bytes = record(RecordKind::Fill, 7, &payload);
        let found = decode(&bytes).expect("a whole record");
        assert_eq!((found.payload, found.meta.seq, found.meta.kind), (&payload[..], 7, RecordKind::Fill));
        assert_eq!((found.size(), bytes.len() % 8), (bytes.len(), 0));
    }
    let mut out = vec![0; record_bytes(MAX_PAYLOAD + 1)];
    let meta = Meta { kind: RecordKind::Fill, version: 1, flags: 0, seq: 1, ts_ns: 0 };
    assert_eq!(encode(&mut out[4..], &meta, &vec![0; MAX_PAYLOAD + 1]), None);
}

#[test]
fn every_flipped_bit_of_a_record_is_seen() {
    let good = record(RecordKind::Fill, 7, b"eleven byte");
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&bytes).is_err(), "bit {bit}");
    }
}

#[test]
fn kinds_have_numbers_and_names_of_their_own() {
    for kind in RecordKind::ALL {
        assert_eq!(RecordKind::from_number(kind.number()), Some(kind));
        assert_eq!(RecordKind::from_name(kind.name()), Some(kind));
    }
    assert_eq!((RecordKind::from_number(0), RecordKind::from_name("fill")), (None, None));
}

#[test]
fn segments_in_order_are_clean() {
    let mut first = Writer::new(1, 1, GENESIS);
    first.group(&[b"a", b"b"]).group(&[]);
    let mut second = Writer::new(2, first.seq, first.hash);
    second.group(&[b"c"]).bytes.extend([0; 4_096]);
    let ends = verify(&[&first.bytes, &second.bytes]).expect("nothing wrong");
    let end = ends[1].clone().expect("it counts");
    assert_eq!((end.next_seq, end.pending, end.torn), (7, 0, None));
}

#[test]
fn a_journal_begins_where_its_anchor_says() {
    let mut first = Writer::new(1, 1, GENESIS);
    first.group(&[b"a", b"b"]).group(&[]);
    let mut second = Writer::new(2, first.seq, first.hash);
    second.group(&[b"c"]);
    let mut third = Writer::new(3, second.seq, second.hash);
    third.group(&[b"d"]);
    let behind = |number, writer: &Writer| Anchor {
        segment: number,
        next_seq: writer.seq,
        chain: writer.hash,
        ..Anchor::GENESIS
    };
    let anchor = behind(1, &first);
    assert_eq!(Anchor::decode(&anchor.encode()), Some(anchor));
    for bit in 0..ANCHOR_BYTES * 8 {
        let mut bytes = anchor.encode();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Anchor::decode(&bytes), None, "bit {bit}");
    }
    verify_behind(&anchor, &[&second.bytes, &third.bytes]).expect("nothing wrong");
    verify_behind(&behind(3, &third), &[]).expect("nothing left");

    // Taken away by somebody else, with and without retirements before.
    for anchor in [anchor, Anchor::GENESIS] {
        let (segment, damage) = verify_behind(&anchor, &[&third.bytes]).expect_err("one is missing");
        assert_eq!((segment, damage.at), (0, 16), "{damage}");
    }
    // One that was never finished has nothing to follow either.
    let mut open = third.bytes.clone();
    open[..SEGMENT_HEADER]
        .copy_from_slice(&SegmentHeader { number: 3, first_seq: second.seq, chain: None }.encode());
    assert_eq!(verify_behind(&anchor, &[&open]).expect_err("one is missing").1.at, 16);
    // Other segments in place of those that were there.
    let forged = Anchor { chain: [7; 32], ..anchor };
    assert_eq!(verify_behind(&forged, &[&second.bytes]).expect_err("another chain").1.at, 24);
}

#[test]
fn a_loose_tail_is_kept_and_a_torn_one_is_told() {
    let mut writer = Writer::new(1, 1, GENESIS);
    writer.group(&[b"a"]).loose(b"b").loose(b"c");
    let whole = writer.bytes.clone();
    let end = verify(&[&whole]).expect("no damage")[0].clone().expect("it counts");
    assert_eq!((end.next_seq, end.pending, end.torn), (5, 2, None));

    let cut = whole.len() - 12;
    let mut torn = whole;
    torn[cut..].fill(0);
    let end = verify(&[&torn]).expect("no damage")[0].clone().expect("it counts");
    assert_eq!((end.next_seq, end.pending), (4, 1));
    assert_eq!(end.torn.map(|torn| torn.at), Some(end.at));
}

#[test]
fn damage_in_front_of_a_later_commit_names_its_record() {
    let mut writer = Writer::new(1, 1, GENESIS);
    let at = writer.group(&[b"a"]).loose(b"b").bytes.len() - record_bytes(1);
    // The loose record becomes the first of this group.
    writer.bytes.truncate(at);
    writer.seq -= 1;
    writer.group(&[b"b", b"c"]).group(&[b"d"]);
    for byte in [at, at + 5, at + RECORD_HEADER] {
        let mut bytes = writer.bytes.clone();
        bytes[byte] ^= 0x40;
        let (segment, damage) = verify(&[&bytes]).expect_err("it was durable");
        assert_eq!((segment, damage.at), (0, at), "{damage}");
    }
    // Only its own commit follows: a crash may have caught the group while it was being synced.
    let last = writer.bytes.len() - COMMIT_BYTES - 8;
    writer.bytes[last] ^= 1;
    let end = verify(&[&writer.bytes]).expect("no damage")[0].clone().expect("it counts");
    assert!(end.torn.is_some());
}

#[test]
fn a_record_taken_out_breaks_the_chain() {
    let mut honest = Writer::new(1, 1, GENESIS);
    honest.group(&[b"a"]);
    let mut forged = Writer::new(1, 1, GENESIS);
    forged.group(&[b"x"]);
    // A forged record with a right CRC in front of the honest commit.
    let size = record_bytes(1);
    let mut bytes = honest.bytes.clone();
    bytes[SEGMENT_HEADER..SEGMENT_HEADER + size]
        .copy_from_slice(&forged.bytes[SEGMENT_HEADER..SEGMENT_HEADER + size]);
    let (_, damage) = verify(&[&bytes]).expect_err("another hash");
    assert!(damage.found.starts_with("chain hash"), "{damage}");
}

#[test]
fn segments_that_do_not_belong_together_are_told_apart() {
    let mut first = Writer::new(1, 1, GENESIS);
    first.group(&[b"a"]);
    let mut gap = Writer::new(2, first.seq + 1, first.hash);
    gap.group(&[b"b"]);
    let (segment, damage) = verify(&[&first.bytes, &gap.bytes]).expect_err("record 3 is missing");
    assert_eq!((segment, damage.at), (0, first.bytes.len()), "{damage}");
    let mut other = Writer::new(2, first.seq, [7; 32]);
    other.group(&[b"b"]);
    assert_eq!(verify(&[&first.bytes, &other.bytes]).expect_err("another chain").1.at, 24);
    let again = Writer::new(1, first.seq, first.hash);
    assert_eq!(verify(&[&first.bytes, &again.bytes]).expect_err("the same number").1.at, 12);
}

#[test]
fn a_segment_written_again_replaces_what_could_not_be_synced() {
    let mut first = Writer::new(1, 1, GENESIS);
    first.group(&[b"a"]);
    let (seq, hash) = (first.seq, first.hash);
    first.group(&[b"b"]);
    let at = first.bytes.len() - 8;
    first.bytes[at] ^= 1;
    let mut again = Writer::new(3, seq, hash);
    again.group(&[b"b"]).group(&[b"c"]);
    let ends = verify(&[&first.bytes, &again.bytes]).expect("the fresh one counts");
    assert_eq!(ends[0].clone().expect("it counts").next_seq, seq);
    assert_eq!(ends[1].clone().expect("it counts").next_seq, 7);
}

#[test]
fn unfinished_events_are_those_without_a_mark() {
    let events: Vec<Vec<u8>> = (1..=4).map(|seq| record(RecordKind::P0Event, seq, &[0])).collect();
    let done: Vec<Vec<u8>> = [3_u64, 1, 9]
        .iter()
        .zip(5..)
        .map(|(of, seq)| record(RecordKind::P0Done, seq, &of.to_le_bytes()))
        .collect();
    let all = events.iter().chain(&done).map(|bytes| decode(bytes).expect("whole"));
    assert_eq!(unfinished(all).iter().map(|record| record.meta.seq).collect::<Vec<_>>(), [2, 4]);
}
