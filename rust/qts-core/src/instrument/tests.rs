#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use proptest::prelude::*;

use super::*;
use crate::testing::{krx_share, krx_table};

fn limits(base: i64) -> (i64, i64) {
    let (lower, upper) = krx_share("005930").price_limits(Price(base), 0).unwrap();
    (upper.0, lower.0)
}

/// The vectors of spec 00 §7.3.
#[test]
fn price_limits_follow_the_specified_vectors() {
    assert_eq!(limits(9_990), (12_980, 7_000));
    assert_eq!(limits(49_950), (64_900, 35_000));
    assert_eq!(limits(71_300), (92_600, 50_000));
    assert_eq!(limits(199_900), (259_500, 140_000));
    assert_eq!(limits(500_000), (650_000, 350_000));
    assert_eq!(krx_share("005930").price_limits(Price(0), 0), None);
}

/// The table of spec 00 §7.2.
#[test]
fn ticks_follow_the_bands() {
    let share = krx_share("005930");
    for (price, tick) in [
        (1_999, 1),
        (2_000, 5),
        (4_995, 5),
        (5_000, 10),
        (19_990, 10),
        (20_000, 50),
        (50_000, 100),
        (199_900, 100),
        (200_000, 500),
        (500_000, 1_000),
    ] {
        assert_eq!(share.tick_at(Price(price), 0), Price(tick), "at {price}");
    }
}

#[test]
fn a_step_uses_the_tick_of_the_band_it_lands_in() {
    let share = krx_share("005930");
    let step = |price, ticks| share.step(Price(price), ticks, 0).map(|price| price.0);
    assert_eq!(step(1_999, 1), Ok(2_000));
    assert_eq!(step(2_000, -1), Ok(1_999));
    assert_eq!(step(2_000, 1), Ok(2_005));
    assert_eq!(step(500_000, -1), Ok(499_500));
    assert_eq!(step(70_000, 3), Ok(70_300));
    assert_eq!(step(70_000, 0), Ok(70_000));
    assert_eq!(step(70_050, 1), Ok(70_100));
    assert_eq!(step(70_050, -1), Ok(70_000));
    assert_eq!(step(1, -1), Err(InstrumentError::Step { price: 1, ticks: -1 }));
    assert_eq!(step(i64::MAX, 1), Err(InstrumentError::Step { price: i64::MAX, ticks: 1 }));
}

#[test]
fn rounding_to_the_ladder_goes_the_way_it_says() {
    let share = krx_share("005930");
    assert_eq!(share.floor_to_tick(Price(70_099), 0), Price(70_000));
    assert_eq!(share.ceil_to_tick(Price(70_001), 0), Price(70_100));
    assert_eq!(share.ceil_to_tick(Price(49_951), 0), Price(50_000));
    assert_eq!(share.ceil_to_tick(Price(70_000), 0), Price(70_000));
}

#[test]
fn rows_are_in_force_by_date_and_the_first_one_before_all() {
    let rows = [Dated { effective_from_ns: 10, value: 'a' }, Dated { effective_from_ns: 20, value: 'b' }];
    assert_eq!(in_force(&rows, 5), Some(&'a'));
    assert_eq!(in_force(&rows, 19), Some(&'a'));
    assert_eq!(in_force(&rows, 20), Some(&'b'));
}

/// The fills of spec 02 §5.6.
#[test]
fn costs_are_truncated_and_tax_falls_on_sales_only() {
    let share = krx_share("005930");
    assert_eq!(share.fee(Side::Buy, Money(7_000_000), 0), Ok(Money(1_050)));
    assert_eq!(share.fee(Side::Buy, Money(3_550_000), 0), Ok(Money(532)));
    assert_eq!(share.fee_ceil(Side::Buy, Money(3_550_000), 0), Ok(Money(533)));
    assert_eq!(share.tax(Side::Sell, Money(4_320_000), 0), Ok(Money(8_640)));
    assert_eq!(share.tax(Side::Buy, Money(4_320_000), 0), Ok(Money(0)));
}

#[test]
fn a_specification_that_does_not_fit_is_named() {
    let spec = krx_share("005930").spec;
    let refused = |change: fn(&mut InstrumentSpec)| {
        let mut spec = spec.clone();
        change(&mut spec);
        Instrument::new(spec).unwrap_err().to_string()
    };
    assert_eq!(refused(|spec| spec.symbol.clear()), ": the symbol is empty");
    assert!(refused(|spec| spec.lot = Qty(0)).contains("positive"));
    assert!(refused(|spec| spec.price_scale = Scale::MAX).contains("would not be exact"));
    assert!(refused(|spec| spec.ladder.clear()).contains("at least one dated row"));
    assert!(refused(|spec| spec.costs.push(spec.costs[0].clone())).contains("ascending order of date"));
    assert!(refused(|spec| spec.ladder[0].value[0].from = Price(1)).contains("starts at price 0"));
    assert!(refused(|spec| spec.ladder[0].value[0].tick = Price(0)).contains("starts at price 0"));
    // 5,001 is no tick of its own band, 5,000 none of a band below with ticks of 3.
    assert!(
        refused(|spec| spec.ladder[0].value[2].from = Price(5_001)).contains("each band starts on a tick")
    );
    assert!(refused(|spec| spec.ladder[0].value[1].tick = Price(3)).contains("each band starts on a tick"));
    assert!(refused(|spec| spec.costs[0].value.sell_tax = Rate(-1)).contains("between 0 and 1"));
}

#[test]
fn a_symbol_stands_once_in_the_table() {
    let mut table = krx_table(&["005930", "000660"]);
    assert_eq!(table.find("000660"), Some(InstrumentId(1)));
    assert_eq!(table.find("5930"), None);
    assert_eq!((table.len(), table.is_empty()), (2, false));
    let again = table.push(krx_share("005930"));
    assert_eq!(again, Err(InstrumentError::Duplicate("005930".to_owned())));
    assert_eq!(
        table.iter().map(|(id, row)| (id.0, row.symbol())).collect::<Vec<_>>(),
        [(0, "005930"), (1, "000660")]
    );
}

proptest! {
    /// Up and down again is where you were, for every price on the ladder.
    #[test]
    fn steps_are_inverse(raw in 10_i64..2_000_000, ticks in 1_i32..40) {
        let share = krx_share("005930");
        let price = share.floor_to_tick(Price(raw), 0);
        let up = share.step(price, ticks, 0).unwrap();
        prop_assert!(up > price && share.is_on_tick(up, 0));
        prop_assert_eq!(share.step(up, -ticks, 0).unwrap(), price);
    }

    #[test]
    fn limits_are_on_the_ladder_and_inside_thirty_percent(raw in 100_i64..3_000_000) {
        let share = krx_share("005930");
        let base = share.floor_to_tick(Price(raw), 0);
        let (lower, upper) = share.price_limits(base, 0).unwrap();
        prop_assert!(share.is_on_tick(lower, 0) && share.is_on_tick(upper, 0));
        prop_assert!(upper.0 * 10 <= base.0 * 13 && lower.0 * 10 >= base.0 * 7);
    }
}
