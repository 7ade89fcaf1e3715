#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "an overflow here fails the test; statistics"
)]

use proptest::prelude::*;

use super::*;
use crate::instrument::InstrumentId;
use crate::testing::{krx_share, krx_spec};

fn bar(day: i32, prices: [i64; 4], volume: i64) -> BarRow {
    let [open, high, low, close] = prices.map(Price);
    BarRow {
        time: BarTime::Day(day),
        instrument: InstrumentId(0),
        open,
        high,
        low,
        close,
        volume: Qty(volume),
    }
}

fn bridged(seed: u64, prints: u32, row: &BarRow) -> BridgedDay {
    Bridge::new(seed, prints).unwrap().day(&krx_share("005930"), row, None, 0)
}

fn prices(day: &BridgedDay) -> Vec<i64> {
    day.prints.iter().map(|print| print.price.0).collect()
}

#[test]
fn a_day_never_changes() {
    let day = bridged(7, 12, &bar(19_724, [70_000, 71_200, 69_500, 70_900], 12_345));
    let told: Vec<_> = day.prints.iter().map(|print| (print.price.0, print.qty.0, print.bid.0)).collect();
    let expected = [
        (70_000, 640, 70_000),
        (70_000, 189, 69_900),
        (69_500, 1_525, 69_400),
        (70_000, 741, 69_900),
        (70_000, 907, 70_000),
        (70_100, 1_618, 70_000),
        (70_600, 231, 70_500),
        (70_400, 1_695, 70_400),
        (70_700, 45, 70_700),
        (71_200, 1_465, 71_200),
        (70_700, 1_246, 70_600),
        (70_900, 374, 70_800),
    ];
    assert_eq!((day.opening.0, told.as_slice()), (1_669, &expected[..]));
}

#[test]
fn days_differ_by_seed_symbol_and_date() {
    let row = bar(19_724, [70_000, 71_200, 69_500, 70_900], 12_345);
    let first = bridged(7, 39, &row);
    assert_eq!(bridged(7, 39, &row), first);
    assert_ne!(bridged(8, 39, &row), first);
    assert_ne!(bridged(7, 39, &BarRow { time: BarTime::Day(19_725), ..row }), first);
    let other = Bridge::new(7, 39).unwrap().day(&krx_share("000660"), &row, None, 0);
    assert_ne!(other, first);
}

#[test]
fn a_day_without_volume_has_no_print() {
    assert_eq!(bridged(1, 39, &bar(1, [100, 100, 100, 100], 0)), BridgedDay::default());
}

#[test]
fn of_few_lots_the_close_the_open_and_the_extremes_come_first() {
    let row = |volume| bar(1, [70_000, 71_000, 69_000, 70_500], volume);
    let told = |volume| {
        let day = bridged(3, 39, &row(volume));
        assert_eq!(day.opening.0 + day.prints.iter().map(|print| print.qty.0).sum::<i64>(), volume);
        (day.opening.0, prices(&day))
    };
    assert_eq!(told(1), (0, vec![70_500]));
    assert_eq!(told(2), (1, vec![70_500]));
    assert_eq!(told(3), (1, vec![71_000, 70_500]));
    let (opening, mut four) = told(4);
    assert_eq!((opening, four.pop()), (1, Some(70_500)));
    four.sort_unstable();
    assert_eq!(four, [69_000, 71_000]);
}

#[test]
fn quotes_stay_within_the_limits_of_the_day() {
    // Base 10,000: 7,000 to 13,000.
    let share = krx_share("005930");
    let row = bar(1, [12_900, 13_000, 7_000, 13_000], 1_000_000);
    for seed in 0..50 {
        let day = Bridge::new(seed, 39).unwrap().day(&share, &row, Some(Price(10_000)), 0);
        let (low, high) =
            (day.prints.iter().map(|p| p.bid.0).min(), day.prints.iter().map(|p| p.ask.0).max());
        assert!(low >= Some(7_000) && high <= Some(13_000), "{low:?} {high:?}");
        assert!(day.prints.iter().all(|print| print.bid < print.ask && print.bid.0 > 0));
    }
    let day = Bridge::new(1, 39).unwrap().day(&share, &row, Some(Price(50_000)), 0);
    assert!(
        day.prints.iter().all(|print| print.bid.0 > 0 && print.ask.0 > 0),
        "these limits are not the day's"
    );
    let cheap = bridged(1, 4, &bar(1, [1, 1, 1, 1], 1_000));
    assert!(cheap.prints.iter().all(|print| (print.bid.0, print.ask.0) == (1, 2)), "{cheap:?}");
}

#[test]
fn a_number_of_prints_that_shows_no_bar_is_refused() {
    for found in [0, 3, 23_401] {
        assert_eq!(Bridge::new(1, found), Err(BridgeError::Prints { found }));
    }
    assert_eq!(Bridge::new(1, 3).unwrap_err().to_string(), "a bridge of 3 prints a day, expected 4 to 23400");
}

fn any_bar() -> impl Strategy<Value = BarRow> {
    let price = 1_i64..2_000_000;
    let near = (price.clone(), 0_i64..300).prop_map(|(at, by)| (at, at + by));
    let bounds = prop_oneof![(price.clone(), price).prop_map(|(a, b)| (a.min(b), a.max(b))), near];
    (bounds, 0_i64..=100, 0_i64..=100, 4_i64..5_000_000, -9_000_i32..90_000).prop_map(
        |((low, high), open, close, volume, day)| {
            let at = |percent| low + (high - low) * percent / 100;
            bar(day, [at(open), high, low, at(close)], volume)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_prints_of_a_day_are_its_bar(row in any_bar(), seed in any::<u64>(), prints in 4_u32..120) {
        let share = krx_share("005930");
        let day = bridged(seed, prints, &row);
        let seen = prices(&day);
        let with_opening = || [row.open.0].into_iter().chain(seen.iter().copied());
        prop_assert!(day.opening.0 > 0);
        prop_assert_eq!(with_opening().max(), Some(row.high.0));
        prop_assert_eq!(with_opening().min(), Some(row.low.0));
        prop_assert_eq!(seen.last(), Some(&row.close.0));
        prop_assert_eq!(day.opening.0 + day.prints.iter().map(|p| p.qty.0).sum::<i64>(), row.volume.0);
        prop_assert!(day.prints.is_sorted_by(|a, b| a.number < b.number));
        for print in &day.prints {
            let ends = [row.open, row.high, row.low, row.close];
            prop_assert!(ends.contains(&print.price) || share.is_on_tick(print.price, 0), "{:?}", print);
            prop_assert!(print.number < prints && print.qty.0 > 0 && print.shown.0 > 0);
            prop_assert!(print.bid <= print.price && print.price <= print.ask && print.bid < print.ask);
            prop_assert!(print.bid.0 == 0 || share.is_on_tick(print.bid, 0) || print.bid == print.price);
            let far = print.ask.0 - print.bid.0;
            prop_assert!(print.bid.0 == 0 || far <= 1_000, "one tick: {:?}", print);
        }
    }
}

/// A day of a random walk in 390 steps, as its bar.
fn walked(random: &mut Random, day: i32) -> BarRow {
    let (mut at, mut high, mut low) = (1_000_000_i64, 1_000_000_i64, 1_000_000_i64);
    for _ in 0..390 {
        at += random.bell() * 25;
        (high, low) = (high.max(at), low.min(at));
    }
    bar(day, [1_000_000, high, low, at], 10_000_000)
}

/// An instrument whose ladder has every price: what rounding does to a path is not what is looked at here.
fn fine() -> Instrument {
    let mut spec = krx_spec("005930");
    spec.ladder[0].value.truncate(1);
    Instrument::new(spec).unwrap()
}

/// Gain of holding `sign(x[k] - x[k - back])` from each print to the one `ahead` later, over the moves it rode on.
fn pattern(days: &[Vec<i64>], back: usize, ahead: usize) -> f64 {
    let (mut gain, mut moves) = (0_i64, 0_i64);
    for day in days {
        for at in back..day.len() - ahead {
            let next = day[at + ahead] - day[at];
            gain += (day[at] - day[at - back]).signum() * next;
            moves += next.abs();
        }
    }
    gain as f64 / moves as f64
}

/// Followed or faded, over whatever span, the path gives less than a thirtieth of the moves that were ridden: of moves
/// of a tenth of a percent, some thousandths of a percent, where a sale costs two tenths in tax alone.
#[test]
fn the_path_has_no_pattern_to_earn_from() {
    let share = fine();
    for (prints, bound) in [(39, 0.03), (78, 0.015), (390, 0.01)] {
        let mut random = Random::new(11, "days");
        let bridge = Bridge::new(42, prints).unwrap();
        let days: Vec<Vec<i64>> =
            (0..6_000).map(|day| prices(&bridge.day(&share, &walked(&mut random, day), None, 0))).collect();
        for back in [1, 2, 5, 10] {
            for ahead in [1, 2, 5, 10] {
                if back + ahead < days[0].len() - 1 {
                    let found = pattern(&days, back, ahead);
                    assert!(found.abs() < bound, "{prints}: {back} back, {ahead} ahead: {found}");
                }
            }
        }
    }
}

/// Up and down are alike: the mirror image of a day's bar has a path that is as often above as the other is below.
#[test]
fn the_path_leans_to_no_side() {
    let share = fine();
    let middle = |row: fn(i32) -> BarRow| {
        let days = (0..4_000).map(|day| prices(&Bridge::new(9, 39).unwrap().day(&share, &row(day), None, 0)));
        let sum: i64 = days.flatten().map(|price| price - 1_000_000).sum();
        sum as f64 / (4_000.0 * 39.0)
    };
    let up = middle(|day| bar(day, [1_000_000, 1_010_000, 996_000, 1_003_000], 10_000_000));
    let down = middle(|day| bar(day, [1_000_000, 1_004_000, 990_000, 997_000], 10_000_000));
    assert!((up + down).abs() < 150.0, "{up} {down}");
    assert!(up > 0.0 && down < 0.0);
}

#[test]
fn high_and_low_come_first_as_often_and_at_any_time() {
    let share = fine();
    let row = |day| bar(day, [1_000_000, 1_010_000, 990_000, 1_000_000], 10_000_000);
    let bridge = Bridge::new(5, 39).unwrap();
    let mut high_first = 0;
    let mut thirds = [0; 3];
    let days = 4_000;
    for day in 0..days {
        let seen = bridge.day(&share, &row(day), None, 0).prints;
        let at = |wanted| seen.iter().find(|print| print.price == Price(wanted)).map(|print| print.number);
        let (high, low) = (at(1_010_000), at(990_000));
        high_first += i32::from(high < low);
        thirds[high.map_or(0, |high| high / 13) as usize] += 1;
    }
    assert!((high_first - days / 2).abs() < 4 * 32, "{high_first} of {days}");
    assert!(thirds.iter().all(|&third| third > days / 5), "{thirds:?}");
}
