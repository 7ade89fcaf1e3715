#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use proptest::prelude::*;

use super::*;

fn scale(decimals: u8) -> Scale {
    Scale::new(decimals).unwrap()
}

fn parsed(text: &str, decimals: u8) -> Result<i64, FixedError> {
    parse_decimal(text.as_bytes(), scale(decimals))
}

#[test]
fn plain_decimals_are_read_exactly() {
    assert_eq!(parsed("71300", 0), Ok(71_300));
    assert_eq!(parsed("2681.62", 8), Ok(268_162_000_000));
    assert_eq!(parsed("2681.6200000000", 2), Ok(268_162));
    assert_eq!(parsed("-0.5", 1), Ok(-5));
    assert_eq!(parsed("0007", 0), Ok(7));
}

#[test]
fn anything_else_is_refused_with_the_text_found() {
    for text in ["", "-", ".", "1.", ".5", "1e3", " 1", "1 ", "+1", "1,000", "1.2.3", "nan", "0x1", "１"] {
        assert!(matches!(parsed(text, 2), Err(FixedError::Parse { .. })), "{text:?} was taken");
    }
    let lost = parsed("0.125", 2).unwrap_err();
    assert_eq!(lost.to_string(), "found \"0.125\", expected no more decimals than the instrument has");
    assert!(parsed("92233720368547758.08", 2).is_err());
    assert_eq!(parsed("92233720368547758.07", 2), Ok(i64::MAX));
}

#[test]
fn a_long_text_is_shortened_in_the_message() {
    let FixedError::Parse { found, .. } = parsed(&"x".repeat(500), 0).unwrap_err() else { unreachable!() };
    assert_eq!(found.chars().count(), 41);
}

#[test]
fn a_scale_beyond_eight_decimals_is_refused() {
    assert_eq!(Scale::new(9), Err(FixedError::Scale { found: 9 }));
    assert_eq!(scale(8).pow10(), 100_000_000);
}

#[test]
fn numbers_print_without_trailing_zeros() {
    assert_eq!(format_decimal(268_162_000_000, scale(8)), "2681.62");
    assert_eq!(format_decimal(-5, scale(1)), "-0.5");
    assert_eq!(format_decimal(0, scale(8)), "0");
    assert_eq!(format_decimal(1_000, scale(3)), "1");
    assert_eq!(format_decimal(i64::MIN, scale(0)), "-9223372036854775808");
}

#[test]
fn products_are_exact_or_refused() {
    let money = notional(Price(268_162), scale(2), Qty(1_165), scale(3), scale(8));
    assert_eq!(money, Ok(Money(312_408_730_000)));
    let lost = notional(Price(1), scale(8), Qty(1), scale(8), scale(8));
    assert_eq!(lost, Err(FixedError::Inexact { op: "price times quantity", scale: 8 }));
    let large = notional(Price(i64::MAX), scale(0), Qty(2), scale(0), scale(0));
    assert!(matches!(large, Err(FixedError::Overflow { .. })));
}

#[test]
fn rates_round_the_way_their_name_says() {
    let rate = Rate(15_000);
    assert_eq!(Money(3_550_000).mul_rate_floor(rate), Ok(Money(532)));
    assert_eq!(Money(3_550_000).mul_rate_ceil(rate), Ok(Money(533)));
    assert_eq!(Money(-1).mul_rate_floor(Rate(1)), Ok(Money(-1)));
    assert_eq!(Money(-1).mul_rate_ceil(Rate(1)), Ok(Money(0)));
    assert!(Money(i64::MAX).mul_rate_floor(Rate(2 * Rate::ONE)).is_err());
}

#[test]
fn a_share_of_nothing_is_an_error_and_sums_leave_no_range() {
    assert!(Money(10).share_floor(Qty(1), Qty(0)).is_err());
    assert!(Money(10).share_floor(Qty(1), Qty(-3)).is_err());
    assert_eq!(Money(10).share_floor(Qty(1), Qty(3)), Ok(Money(3)));
    assert!(Price(i64::MAX).checked_add(Price(1)).is_err());
    assert!(Qty(i64::MIN).checked_sub(Qty(1)).is_err());
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any::<i64>(), decimals in 0_u8..=8) {
        let text = format_decimal(value, scale(decimals));
        // i64::MIN has no positive counterpart, so its digits alone are out of range.
        prop_assume!(value != i64::MIN);
        prop_assert_eq!(parsed(&text, decimals), Ok(value));
    }

    #[test]
    fn no_bytes_make_the_parser_fail_otherwise_than_by_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _outcome = parse_decimal(&bytes, scale(8));
    }

    #[test]
    fn shares_never_exceed_the_total(total in 0_i64..1_000_000_000_000, part in 0_i64..1_000_000, rest in 1_i64..1_000_000) {
        let share = Money(total).share_floor(Qty(part), Qty(part + rest)).unwrap();
        prop_assert!(share.0 >= 0 && share.0 <= total);
    }

    /// Times its divisor the result is the product again, and only what cannot be written exactly is refused.
    #[test]
    fn a_product_is_exact_or_an_error(
        price in any::<i32>(),
        qty in any::<i32>(),
        scales in (0_u8..=8, 0_u8..=8, 0_u8..=8),
    ) {
        let (price_scale, qty_scale, money_scale) = scales;
        let product = i128::from(price) * i128::from(qty);
        let outcome = notional(
            Price(price.into()),
            scale(price_scale),
            Qty(qty.into()),
            scale(qty_scale),
            scale(money_scale),
        );
        // Both sides in units of 10^-16, the finest that two scales make.
        let exact = product * 10_i128.pow(16 - u32::from(price_scale) - u32::from(qty_scale));
        match outcome {
            Ok(money) => prop_assert_eq!(i128::from(money.0) * 10_i128.pow(16 - u32::from(money_scale)), exact),
            Err(FixedError::Inexact { .. }) => prop_assert!(exact % 10_i128.pow(16 - u32::from(money_scale)) != 0),
            Err(_) => prop_assert!(exact.unsigned_abs() / 10_u128.pow(16 - u32::from(money_scale)) > i64::MAX as u128),
        }
    }

    /// Zeros beyond the scale change nothing; any other digit there is refused.
    #[test]
    fn only_zeros_may_go_beyond_the_scale(value in -1_000_000_i64..1_000_000, decimals in 1_u8..=8, zeros in 0_usize..9, digit in 1_u8..=9) {
        let unit = scale(decimals).pow10();
        let sign = if value < 0 { "-" } else { "" };
        let fraction = usize::from(decimals);
        let text = format!("{sign}{}.{:0fraction$}{}", value.abs() / unit, value.abs() % unit, "0".repeat(zeros));
        prop_assert_eq!(parsed(&text, decimals), Ok(value));
        let lost = parsed(&format!("{text}{digit}"), decimals);
        let refused = matches!(lost, Err(FixedError::Parse { .. }));
        prop_assert!(refused);
    }

    /// Rounding down and up differ by less than a unit and enclose the exact value.
    #[test]
    fn floor_and_ceil_enclose_the_product(amount in -1_000_000_000_000_i64..1_000_000_000_000, rate in 0..=Rate::ONE) {
        let exact = i128::from(amount) * i128::from(rate);
        let floor = i128::from(Money(amount).mul_rate_floor(Rate(rate)).unwrap().0);
        let ceil = i128::from(Money(amount).mul_rate_ceil(Rate(rate)).unwrap().0);
        let one = i128::from(Rate::ONE);
        prop_assert!(floor * one <= exact && exact <= ceil * one);
        prop_assert_eq!(ceil - floor, i128::from(exact % one != 0));
    }
}
