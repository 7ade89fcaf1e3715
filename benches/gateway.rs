//! What stage 1 and a send cost in the core: the questions to every gate with the hold, and an order from the wish to the
//! message, with nothing and with a hundred orders of others working.

#![allow(missing_docs, reason = "criterion's macros make an entry point")]
#![allow(clippy::expect_used, clippy::arithmetic_side_effects, reason = "a bench that cannot go on ends")]
#![allow(clippy::disallowed_methods, reason = "it measures its own time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use qts_core::event::{Side, Track};
use qts_core::fixed::{Money, Price, Qty, Rate, Scale};
use qts_core::instrument::{
    CostRates, Dated, Instrument, InstrumentId, InstrumentSpec, InstrumentTable, TickBand,
};
use qts_core::order::gateway::{Decision, Gateway, GatewayConfig, Surroundings, Wish};
use qts_core::order::{OrderRequest, Terms};
use qts_core::safety::{ActionClass, ProtectiveExits, SafetyWord};
use qts_core::sim::matcher::{OrderKind, TimeInForce};

const T: i64 = 1_700_000_000 * 1_000_000_000;
const SAMPLES: usize = 200_000;

fn share(symbol: &str) -> Instrument {
    let scale = Scale::new(0).expect("a scale");
    Instrument::new(InstrumentSpec {
        symbol: symbol.to_owned(),
        currency: "KRW".to_owned(),
        price_scale: scale,
        qty_scale: scale,
        money_scale: scale,
        lot: Qty(1),
        price_increment: Price(1),
        ladder: vec![Dated {
            effective_from_ns: 0,
            value: vec![TickBand { from: Price(0), tick: Price(100) }],
        }],
        costs: vec![Dated {
            effective_from_ns: 0,
            value: CostRates { buy_fee: Rate(15_000), sell_fee: Rate(15_000), sell_tax: Rate(200_000) },
        }],
        limit_rate: vec![Dated { effective_from_ns: 0, value: None }],
    })
    .expect("a share")
}

/// A gateway of 2,500 instruments in which `working` orders of others work.
fn gateway(working: u32) -> Gateway {
    let mut table = InstrumentTable::default();
    for number in 0..2_500 {
        table.push(share(&format!("{number:06}"))).expect("another symbol");
    }
    let mut gateway =
        Gateway::new(Arc::new(table), Money(1_000_000_000_000), GatewayConfig::unlimited()).expect("limits");
    gateway.attach_safety(Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly)));
    for number in 0..working {
        let ticket = gateway.request(&wish(1 + number, 0), T).expect("free cash");
        gateway.redeem(ticket, T).expect("a permit");
    }
    gateway
}

fn wish(instrument: u32, hold: u64) -> Wish {
    let request = OrderRequest {
        instrument: InstrumentId(instrument),
        track: Track::Scalp,
        side: Side::Buy,
        kind: OrderKind::Limit,
        tif: TimeInForce::Day,
        limit: Price(70_000),
        qty: Qty(10),
    };
    let terms = Terms { action: ActionClass::Entry, hold, lease: 0 };
    Wish { request, terms, is_told_apart: false }
}

const DECISION: Decision = Decision {
    instrument: InstrumentId(0),
    track: Track::Scalp,
    side: Side::Buy,
    qty: Qty(10),
    hold_price: Price(70_000),
    action: ActionClass::Entry,
};

const AROUND: Surroundings = Surroundings {
    quote_ts_ns: T,
    max_age_ns: 0,
    is_link_up: true,
    is_market_open: true,
    is_state_open: true,
};

fn precheck(gateway: &mut Gateway) -> u64 {
    gateway.precheck(black_box(&DECISION), black_box(&AROUND), T).hold
}

fn place(gateway: &mut Gateway, hold: u64) {
    let ticket = gateway.request(black_box(&wish(0, hold)), T).expect("a hold");
    black_box(gateway.redeem(ticket, T).expect("a permit"));
}

/// Prints the percentiles that criterion does not.
#[allow(clippy::print_stdout, reason = "a bench tells its figures")]
fn percentiles(name: &str, mut sample: impl FnMut() -> u64) {
    let mut took: Vec<u64> = (0..SAMPLES).map(|_| sample()).collect();
    took.sort_unstable();
    let at = |part: usize| took.get(SAMPLES / 1_000 * part).copied().unwrap_or(0);
    println!("{name}: p50 {} ns, p99 {} ns, p99.9 {} ns (with the clock)", at(500), at(990), at(999));
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn benches_of(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gateway");
    for working in [0, 100] {
        let mut gateway = gateway(working);
        group.bench_function(format!("precheck and close, {working} orders work"), |bencher| {
            bencher.iter(|| {
                let hold = precheck(&mut gateway);
                gateway.close_hold(hold, Qty(0));
            });
        });
        percentiles(&format!("precheck, {working} orders work"), || {
            let since = Instant::now();
            let hold = precheck(&mut gateway);
            let took = nanoseconds(since);
            gateway.close_hold(hold, Qty(0));
            took
        });
        percentiles(&format!("request and redeem, {working} orders work"), || {
            let hold = precheck(&mut gateway);
            let since = Instant::now();
            place(&mut gateway, hold);
            let took = nanoseconds(since);
            let newest = qts_core::event::OrderId(gateway.orders().submitted());
            let rejected = qts_core::order::gateway::Answer::Rejected(false);
            gateway.on_answer(newest, rejected, T).expect("a sent order");
            gateway.close_hold(hold, Qty(0));
            took
        });
    }
    group.finish();
}

criterion_group!(benches, benches_of);
criterion_main!(benches);
