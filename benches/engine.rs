//! The stepped engine without a strategy: on a made-up stream of quotes and trades, and on recorded ticks where they
//! are at hand (`../shared/data`), from memory and from the packed file.
//!
//! One element is one record through everything that a backtest does with it: source, venue, tap, bars, P1 queue,
//! dispatcher. `ring/put_pop` is the floor under it: the same payload through the bare ring.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench that fails should stop"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use qts_core::clock::Clock;
use qts_core::dispatch::DispatchConfig;
use qts_core::event::{MarketRecord, P1Event, TickKind, TickPayload};
use qts_core::fixed::{Money, Price, Qty, Rate, Scale};
use qts_core::instrument::{
    CostRates, Dated, Instrument, InstrumentId, InstrumentSpec, InstrumentTable, TickBand,
};
use qts_core::market::source::{MarketSource, SourceError};
use qts_core::order::gateway::GatewayConfig;
use qts_core::queue::RingBuffer;
use qts_core::session::{SessionConfig, StepEngine, Yield};
use qts_core::sim::latency::LatencyModel;
use qts_io::TickFile;
use qts_io::tickspool::{READ_BYTES, SpoolConfig, TickSpool, TickTap};

const RECORDS: usize = 100_000;

/// Latencies are not what is measured here.
struct NoClock;

impl Clock for NoClock {
    fn monotonic_ns(&self) -> u64 {
        1
    }
}

/// A file that only its owner reads: the engine wants its source to be shareable.
struct Exclusive(Mutex<TickFile>);

impl MarketSource for Exclusive {
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        self.0.get_mut().expect("nobody panics with it").next()
    }
}

struct Replay {
    records: Arc<[MarketRecord]>,
    at: usize,
}

impl MarketSource for Replay {
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        let record = self.records.get(self.at).copied();
        self.at += 1;
        Ok(record)
    }
}

/// One instrument in a table; `decimals` of price, quantity and money.
fn one(symbol: &str, decimals: (u8, u8, u8), tick: Price) -> Arc<InstrumentTable> {
    let scale = |decimals| Scale::new(decimals).expect("at most 8 decimals");
    let from_start = |value| Dated { effective_from_ns: 0, value };
    let spec = InstrumentSpec {
        symbol: symbol.to_owned(),
        currency: "KRW".to_owned(),
        price_scale: scale(decimals.0),
        qty_scale: scale(decimals.1),
        money_scale: scale(decimals.2),
        lot: Qty(1),
        price_increment: Price(1),
        ladder: vec![Dated { effective_from_ns: 0, value: vec![TickBand { from: Price(0), tick }] }],
        costs: vec![Dated {
            effective_from_ns: 0,
            value: CostRates { buy_fee: Rate(15_000), sell_fee: Rate(15_000), sell_tax: Rate(200_000) },
        }],
        limit_rate: vec![from_start(Some(Rate(30_000_000)))],
    };
    let mut table = InstrumentTable::default();
    table.push(Instrument::new(spec).expect("a valid instrument")).expect("an empty table");
    Arc::new(table)
}

/// Four quotes and a trade, again and again, 5 ms apart, walking up and down.
fn records() -> Arc<[MarketRecord]> {
    (0..RECORDS)
        .map(|at| {
            let step = i64::try_from(at).expect("small");
            let bid = 70_000 + (step / 50 % 20) * 100;
            let ts_ns = step * 5_000_000;
            let mut record = MarketRecord {
                ts_event_ns: ts_ns,
                ts_recv_ns: ts_ns,
                instrument: InstrumentId(0),
                bid: Price(bid),
                bid_qty: Qty(1_000 + step % 7),
                ask: Price(bid + 100),
                ask_qty: Qty(900 + step % 11),
                ..MarketRecord::default()
            };
            if at % 5 == 4 {
                record.kind = TickKind::Trade;
                record.price = Price(bid);
                record.qty = Qty(10);
            }
            record
        })
        .collect()
}

fn run(instruments: &Arc<InstrumentTable>, source: Box<dyn MarketSource + Send + Sync>) -> u64 {
    run_with(instruments, source, None)
}

fn run_with(
    instruments: &Arc<InstrumentTable>,
    source: Box<dyn MarketSource + Send + Sync>,
    log: Option<TickTap>,
) -> u64 {
    let config = SessionConfig {
        cash: Money(100_000_000),
        latency_out: LatencyModel::none(),
        latency_in: LatencyModel::none(),
        cycle_interval_ns: 1_000_000_000,
        dispatch: DispatchConfig::default(),
        limits: GatewayConfig::unlimited(),
    };
    let mut engine = StepEngine::new(Arc::clone(instruments), config, NoClock).expect("limits that can be");
    engine.add_bar_series(1_000_000_000).expect("a positive interval");
    engine.set_source(source);
    if let Some(log) = log {
        engine.set_log(Box::new(log));
    }
    while !matches!(engine.advance(i64::MAX, u32::MAX).expect("a clean run"), Yield::End) {}
    engine.records()
}

fn replay(records: &Arc<[MarketRecord]>) -> Box<dyn MarketSource + Send + Sync> {
    Box::new(Replay { records: Arc::clone(records), at: 0 })
}

fn stepped_engine(criterion: &mut Criterion) {
    let (share, records) = (one("005930", (0, 0, 0), Price(100)), records());
    let mut group = criterion.benchmark_group("stepped_engine");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("no_strategy", |bencher| bencher.iter(|| run(&share, replay(&records))));
    group.finish();
}

/// The same run with every record written to a spool, in turns with the run that writes none: a pair of medians, and
/// what recording costs.
#[allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement that is told")]
fn with_spool(_: &mut Criterion) {
    let (share, records) = (one("005930", (0, 0, 0), Price(100)), records());
    let dir = tempfile::tempdir().expect("a directory");
    let spool = Arc::new(TickSpool::open(dir.path(), SpoolConfig::default()).expect("a spool"));
    let mut after = 0;
    let (mut plain, mut recorded) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let begin = Instant::now();
        black_box(run(&share, replay(&records)));
        plain.push(begin.elapsed());
        let tap = spool.tap(&share).expect("a tap").patient();
        let begin = Instant::now();
        black_box(run_with(&share, replay(&records), Some(tap)));
        recorded.push(begin.elapsed());
        // Not timed: what a store would take away meanwhile.
        let mut left = RECORDS;
        while left > 0 {
            let batch = spool.read(after, RECORDS).expect("readable");
            left -= batch.bytes.len() / READ_BYTES;
            after = batch.through_seq;
        }
        spool.keep_behind(after);
        spool.retire().expect("retired");
    }
    assert_eq!(spool.figures().lost, 0);
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_nanos()
    };
    let (plain, recorded) = (median(&mut plain), median(&mut recorded));
    println!(
        "stepped_engine/with_spool: {} ns a record without, {} ns with: {:+.1} %",
        plain / RECORDS as u128,
        recorded / RECORDS as u128,
        (recorded as f64 / plain as f64 - 1.0) * 100.0,
    );
}

fn recorded_ticks(criterion: &mut Criterion) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ticks/ETHUSDT-PERP-20240808.csv.gz");
    if !path.is_file() {
        eprintln!("recorded_ticks: left out, no recording at {}", path.display());
        return;
    }
    let eth = one("ETHUSDT", (2, 4, 8), Price(1));
    let open = || TickFile::open(path.clone(), &eth, false).expect("a good file");
    let mut file = open();
    let records: Arc<[MarketRecord]> = std::iter::from_fn(|| file.next().expect("only good rows")).collect();
    let mut group = criterion.benchmark_group("recorded_ticks");
    group.throughput(Throughput::Elements(records.len() as u64));
    group.bench_function("from_memory", |bencher| bencher.iter(|| run(&eth, replay(&records))));
    group.bench_function("from_csv_gz", |bencher| {
        bencher.iter(|| run(&eth, Box::new(Exclusive(Mutex::new(open())))));
    });
    group.finish();
}

fn ring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    group.throughput(Throughput::Elements(1));
    let ring = RingBuffer::new(10_000, 1, 1);
    let (mut producer, mut consumer) = (ring.producer().expect("first"), ring.consumer().expect("first"));
    let event = P1Event::tick(TickPayload::default());
    group.bench_function("put_pop", |bencher| {
        bencher.iter(|| {
            producer.put(black_box(&event));
            black_box(consumer.pop())
        });
    });
    group.finish();
}

criterion_group!(benches, stepped_engine, with_spool, recorded_ticks, ring);
criterion_main!(benches);
