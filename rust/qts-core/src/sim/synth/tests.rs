//! What the synthetic market looks like, and that it is the same every time.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]
#![allow(clippy::cast_precision_loss, reason = "statistics")]

use super::*;
use crate::event::TickKind;
use crate::testing::krx_table;
use crate::wire::csv::BarTime;

const OPEN_NS: i64 = 1_704_067_200_000_000_000; // 2024-01-01 09:00 in Seoul
const DAY_NS: i64 = 24 * 60 * MINUTE_NS;
const HALF_HOUR_NS: i64 = 30 * MINUTE_NS;
const SEOUL_S: i32 = 32_400;
const GOLDEN_HASH: u64 = 17_088_978_901_689_747_583;

/// Symbols of different prices, ticks and volatilities: one at a band edge, one below 2,000, one above 500,000.
const SYMBOLS: [(&str, i64, i64, u32); 4] = [
    ("005930", 71_300, 15_000_000, 280_000),
    ("005380", 199_900, 500_000, 400_000),
    ("003490", 1_999, 2_000_000, 300_000),
    ("207940", 760_000, 60_000, 280_000),
];

fn session(day: i64) -> SynthSession {
    let open_ns = OPEN_NS + day * DAY_NS;
    SynthSession {
        open_ns,
        continuous_end_ns: open_ns + 380 * MINUTE_NS,
        close_ns: open_ns + 390 * MINUTE_NS,
    }
}

fn table() -> InstrumentTable {
    krx_table(&SYMBOLS.map(|(name, ..)| name))
}

fn config(seed: u64, days: i64, daily_events: u32) -> SynthConfig {
    let symbols = (0..).zip(SYMBOLS).map(|(id, (_, base, volume, vol))| SynthSymbol {
        instrument: InstrumentId(id),
        base_price: Price(base),
        daily_volume: Qty(volume),
        daily_events,
        annual_vol_ppm: vol,
    });
    SynthConfig { seed, sessions: (0..days).map(session).collect(), symbols: symbols.collect() }
}

fn records(config: &SynthConfig) -> Vec<MarketRecord> {
    let mut market = SynthMarket::new(&table(), config).unwrap();
    std::iter::from_fn(|| market.next_record()).collect()
}

fn of(records: &[MarketRecord], instrument: u32) -> Vec<MarketRecord> {
    records.iter().copied().filter(|record| record.instrument.0 == instrument).collect()
}

#[test]
fn the_same_seed_gives_the_same_market_and_another_seed_another() {
    let once = records(&config(1, 2, 3_000));
    assert_eq!(once, records(&config(1, 2, 3_000)));
    assert_ne!(once, records(&config(2, 2, 3_000)));
}

#[test]
fn the_market_of_a_seed_never_changes() {
    // FNV-1a over what a session is made of. A difference means that recorded seeds no longer give what they gave.
    let hash = records(&config(42, 1, 2_000)).iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, record| {
        let parts =
            [record.ts_recv_ns, record.price.0, record.qty.0, record.bid.0, record.ask.0, record.bid_qty.0];
        parts.iter().fold(hash, |hash, part| (hash ^ part.unsigned_abs()).wrapping_mul(0x0000_0100_0000_01b3))
    });
    assert_eq!(hash, GOLDEN_HASH);
}

#[test]
fn a_symbol_trades_the_same_in_any_company() {
    let all = config(1, 2, 3_000);
    let alone = SynthConfig { symbols: vec![all.symbols[2]], ..all.clone() };
    let reversed = SynthConfig { symbols: all.symbols.iter().rev().copied().collect(), ..all.clone() };
    let expected = of(&records(&all), 2);
    assert_eq!(of(&records(&alone), 2), expected);
    assert_eq!(of(&records(&reversed), 2), expected);
}

#[test]
fn records_come_in_order_of_time_and_end() {
    let config = config(3, 3, 2_000);
    let all = records(&config);
    assert!(all.is_sorted_by_key(|record| record.ts_recv_ns));
    assert!(all.iter().all(|record| record.ts_event_ns == record.ts_recv_ns));
    assert_eq!(all.last().map(|record| record.ts_recv_ns), Some(session(2).close_ns));
    let mut market = SynthMarket::new(&table(), &config).unwrap();
    while MarketSource::next(&mut market).unwrap().is_some() {}
    assert_eq!(market.next(), Ok(None));
}

#[test]
fn a_session_opens_and_closes_with_an_auction_and_has_no_quotes_after_continuous_trading() {
    let all = records(&config(4, 2, 2_000));
    for (id, day) in [(0, 0), (0, 1), (3, 0), (3, 1)] {
        let session = session(day);
        let day: Vec<MarketRecord> = of(&all, id)
            .into_iter()
            .filter(|record| (session.open_ns..=session.close_ns).contains(&record.ts_recv_ns))
            .collect();
        let auctions: Vec<i64> = day
            .iter()
            .filter(|record| record.kind == TickKind::Auction)
            .map(|record| record.ts_recv_ns)
            .collect();
        assert_eq!(auctions, [session.open_ns, session.close_ns]);
        assert_eq!(day[0].kind, TickKind::Auction);
        assert_eq!((day[1].kind, day[1].ts_recv_ns), (TickKind::Quote, session.open_ns));
        let [.., last_quote, close] = day.as_slice() else { panic!("a session has records") };
        assert_eq!((last_quote.kind, last_quote.ts_recv_ns), (TickKind::Quote, session.continuous_end_ns));
        assert_eq!((last_quote.bid, last_quote.ask), (Price(0), Price(0)));
        assert_eq!(close.kind, TickKind::Auction);
    }
}

#[test]
fn every_record_is_possible_on_the_exchange() {
    let table = table();
    let config = config(5, 1, 20_000);
    let mut books = [(0, 0, 0, 0); SYMBOLS.len()];
    for record in records(&config) {
        let symbol = &config.symbols[record.instrument.0 as usize];
        let instrument = table.get(record.instrument).unwrap();
        let (lower, upper) = instrument.price_limits(symbol.base_price, record.ts_recv_ns).unwrap();
        let check = |price: Price| {
            assert!(instrument.is_on_tick(price, record.ts_recv_ns), "{record:?}");
            assert!((lower..=upper).contains(&price), "{record:?}");
        };
        let book = &mut books[record.instrument.0 as usize];
        if record.kind == TickKind::Quote {
            let now = (record.bid.0, record.bid_qty.0, record.ask.0, record.ask_qty.0);
            assert_ne!(*book, now, "a quote says something new");
            *book = now;
            if record.ts_recv_ns < session(0).continuous_end_ns {
                assert!(
                    record.bid < record.ask && record.bid_qty.0 > 0 && record.ask_qty.0 > 0,
                    "{record:?}"
                );
                check(record.bid);
                check(record.ask);
            }
        } else {
            assert!(record.qty.0 > 0);
            assert_eq!(record.aggressor.is_some(), record.kind == TickKind::Trade);
            check(record.price);
            assert_eq!((record.bid, record.ask), (Price(0), Price(0)));
        }
    }
}

#[test]
fn the_first_trade_of_an_arrival_is_at_the_quote_and_within_its_size() {
    use crate::event::Side;
    let mut top: Option<MarketRecord> = None;
    for record in of(&records(&config(6, 1, 20_000)), 0) {
        match (record.kind, top.take()) {
            (TickKind::Quote, _) => top = Some(record),
            (TickKind::Trade, Some(quote)) => {
                let (price, qty) = match record.aggressor {
                    Some(Side::Buy) => (quote.ask, quote.ask_qty),
                    _ => (quote.bid, quote.bid_qty),
                };
                assert_eq!(record.price, price);
                assert!(record.qty <= qty);
            }
            _ => {}
        }
    }
}

#[test]
fn the_spread_is_mostly_one_to_three_ticks() {
    let table = table();
    let all = records(&config(7, 1, 20_000));
    for id in 0..4 {
        let instrument = table.get(InstrumentId(id)).unwrap();
        let mut spreads = [0_u32; 32];
        for quote in of(&all, id).iter().filter(|record| record.kind == TickKind::Quote && record.bid.0 > 0) {
            let mut price = quote.bid;
            let mut ticks = 0;
            while price < quote.ask {
                price = instrument.step(price, 1, quote.ts_recv_ns).unwrap();
                ticks += 1;
            }
            spreads[ticks.min(31)] += 1;
        }
        let quotes: u32 = spreads.iter().sum();
        assert!(quotes > 5_000 && spreads[0] == 0, "{spreads:?}");
        assert!(spreads[1] * 2 > quotes, "mostly one tick: {spreads:?}");
        assert!((spreads[1] + spreads[2] + spreads[3]) * 100 > quotes * 97, "{spreads:?}");
    }
}

#[test]
fn volume_follows_its_curve_and_comes_to_what_was_asked_for() {
    let config = config(8, 1, 20_000);
    let all = records(&config);
    for symbol in &config.symbols {
        let prints: Vec<MarketRecord> = of(&all, symbol.instrument.0)
            .into_iter()
            .filter(|record| record.kind != TickKind::Quote)
            .collect();
        let volume = |from_ns: i64, to_ns: i64| -> i64 {
            let within = prints.iter().filter(|print| (from_ns..to_ns).contains(&print.ts_recv_ns));
            within.filter(|print| print.kind == TickKind::Trade).map(|print| print.qty.0).sum()
        };
        let end_ns = session(0).continuous_end_ns;
        let ends = volume(OPEN_NS, OPEN_NS + HALF_HOUR_NS) + volume(end_ns - HALF_HOUR_NS, end_ns);
        let noon = volume(OPEN_NS + 6 * HALF_HOUR_NS, OPEN_NS + 8 * HALF_HOUR_NS);
        assert!(ends > 2 * noon, "{ends} {noon}");
        let total: i64 = prints.iter().map(|print| print.qty.0).sum();
        assert!((total - symbol.daily_volume.0).abs() * 5 < symbol.daily_volume.0, "{total}");
    }
}

#[test]
fn variance_follows_the_same_curve() {
    const DAYS: i64 = 40;
    let all = records(&config(9, DAYS, 2_000));
    let trades: [Vec<MarketRecord>; SYMBOLS.len()] = [0, 1, 2, 3]
        .map(|id| of(&all, id).into_iter().filter(|record| record.kind == TickKind::Trade).collect());
    // Mean square of the change of price over half an hour, over all days and symbols.
    let swing = |from_ns: i64| -> f64 {
        let mut sum = 0.0;
        for trades in &trades {
            for day in 0..DAYS {
                let from_ns = session(day).open_ns + from_ns;
                let first = trades.partition_point(|trade| trade.ts_recv_ns < from_ns);
                let end = trades.partition_point(|trade| trade.ts_recv_ns < from_ns + HALF_HOUR_NS);
                let (first, last) = (trades[first].price.0, trades[end - 1].price.0);
                sum += (last as f64 / first as f64).ln().powi(2);
            }
        }
        sum
    };
    let (first, noon, last) = (swing(0), swing(6 * HALF_HOUR_NS), swing(350 * MINUTE_NS));
    assert!(first > 2.0 * noon && last > 1.2 * noon, "{first} {noon} {last}");
}

#[test]
fn a_year_of_daily_bars_has_the_volatility_asked_for_and_follows_on_from_day_to_day() {
    let config = config(10, 252, 400);
    let market = SynthMarket::new(&table(), &config).unwrap();
    let bars: Vec<_> = SynthDaily::new(market, SEOUL_S).collect();
    assert_eq!(bars.len(), 4 * 252);
    assert_eq!(bars[0].time, BarTime::Day(19_723), "2024-01-01");
    assert!(bars.iter().all(|bar| {
        bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close) && bar.volume.0 > 0
    }));
    for symbol in &config.symbols {
        let bars: Vec<_> = bars.iter().filter(|bar| bar.instrument == symbol.instrument).collect();
        assert!(bars.is_sorted_by(|one, next| one.time < next.time));
        let instrument = &table();
        let instrument = instrument.get(symbol.instrument).unwrap();
        let mut squares = 0.0;
        for (day, next) in bars.iter().zip(&bars[1..]) {
            let (lower, upper) = instrument.price_limits(day.close, OPEN_NS).unwrap();
            assert!(lower <= next.low && next.high <= upper, "yesterday's close is today's base");
            squares += (next.close.0 as f64 / day.close.0 as f64).ln().powi(2);
        }
        let annual = (squares / 251.0 * 252.0).sqrt() * 1e6;
        let aim = f64::from(symbol.annual_vol_ppm);
        assert!((annual / aim - 1.0).abs() < 0.25, "{annual} {aim}");
        let volume: i64 = bars.iter().map(|bar| bar.volume.0).sum::<i64>() / 252;
        assert!((volume - symbol.daily_volume.0).abs() * 5 < symbol.daily_volume.0, "{volume}");
    }
}

#[test]
fn a_wild_share_stays_within_its_limits_and_above_zero() {
    let mut config = config(11, 300, 100);
    config.symbols.truncate(3);
    for symbol in &mut config.symbols {
        symbol.annual_vol_ppm = 2_000_000;
        symbol.base_price = Price(100);
    }
    let table = table();
    let mut base = [Price(100); 3];
    for bar in SynthDaily::new(SynthMarket::new(&table, &config).unwrap(), SEOUL_S) {
        let base = &mut base[bar.instrument.0 as usize];
        let (lower, upper) = table.get(bar.instrument).unwrap().price_limits(*base, OPEN_NS).unwrap();
        assert!(lower.0 > 0 && lower <= bar.low && bar.high <= upper, "{bar:?} {base:?}");
        *base = bar.close;
    }
}

#[test]
fn values_out_of_range_are_named() {
    let refused = |change: &dyn Fn(&mut SynthConfig)| {
        let mut config = config(1, 1, 1_000);
        change(&mut config);
        SynthMarket::new(&table(), &config).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|config| config.symbols.clear()),
        "synthetic market without symbols, expected at least one"
    );
    assert_eq!(
        refused(&|config| config.sessions.clear()),
        "synthetic market without sessions, expected at least one"
    );
    assert!(
        refused(&|config| config.sessions[0].continuous_end_ns = OPEN_NS).starts_with("session 1: open ")
    );
    assert!(refused(&|config| config.sessions[0].close_ns = OPEN_NS).starts_with("session 1: open "));
    assert!(refused(&|config| config.sessions.push(session(0))).starts_with("session 2: open "));
    assert_eq!(
        refused(&|config| config.symbols[1].instrument = InstrumentId(9)),
        "instrument number 9 is not in the table"
    );
    assert_eq!(refused(&|config| config.symbols[1].instrument = InstrumentId(0)), "005930 is listed twice");
    assert_eq!(
        refused(&|config| config.symbols[0].base_price = Price(71_301)),
        "005930: base_price is 71301, expected a price on the tick ladder, at least 100 ticks and below 2^40 units"
    );
    assert!(
        refused(&|config| config.symbols[2].base_price = Price(99)).starts_with("003490: base_price is 99")
    );
    assert!(
        refused(&|config| config.symbols[0].base_price = Price(0)).starts_with("005930: base_price is 0")
    );
    assert!(refused(&|config| config.symbols[0].daily_events = 99).starts_with("005930: daily_events is 99"));
    assert!(
        refused(&|config| config.symbols[0].daily_volume = Qty(999))
            .starts_with("005930: daily_volume is 999")
    );
    assert!(
        refused(&|config| config.symbols[0].annual_vol_ppm = 0).starts_with("005930: annual_vol_ppm is 0")
    );
}
