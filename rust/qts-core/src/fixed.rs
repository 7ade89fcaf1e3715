//! Exact decimal numbers as scaled integers: prices, quantities, money and rates.
//!
//! A value is an `i64` count of units; the scale says how many decimals a unit has (0 = whole won, 8 = satoshi-like).
//! Products go through `i128`. Whatever would lose digits or leave the range is an error, never a rounding in silence.

use std::fmt;

use thiserror::Error;

/// Why a number cannot be represented.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FixedError {
    /// The result leaves the 64-bit range.
    #[error("number out of range in {op}")]
    Overflow {
        /// The operation that failed.
        op: &'static str,
    },
    /// The result has more decimals than its scale can hold.
    #[error("{op} has more than {scale} decimals")]
    Inexact {
        /// The operation that failed.
        op: &'static str,
        /// Decimals available.
        scale: u8,
    },
    /// The text is not a decimal number that fits.
    #[error("found {found:?}, expected {expected}")]
    Parse {
        /// The text as found, shortened if long.
        found: String,
        /// What was expected instead.
        expected: &'static str,
    },
    /// A scale outside 0 to 8.
    #[error("scale is {found}, expected 0 to 8 decimals")]
    Scale {
        /// The scale asked for.
        found: u8,
    },
}

/// Powers of ten for every scale.
const POW10: [i64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Number of decimals of a unit, 0 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Scale(u8);

impl Scale {
    /// The largest scale: 8 decimals.
    pub const MAX: Self = Self(8);

    /// A scale of `decimals` decimals.
    ///
    /// # Errors
    /// [`FixedError::Scale`] above 8.
    pub const fn new(decimals: u8) -> Result<Self, FixedError> {
        if decimals <= Self::MAX.0 { Ok(Self(decimals)) } else { Err(FixedError::Scale { found: decimals }) }
    }

    /// Number of decimals.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Units in one whole.
    #[allow(clippy::indexing_slicing, reason = "a scale is at most 8, checked when it is built")]
    pub const fn pow10(self) -> i64 {
        POW10[self.0 as usize]
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(pub i64);

        impl $name {
            /// Sum.
            ///
            /// # Errors
            /// [`FixedError::Overflow`].
            #[inline]
            pub fn checked_add(self, other: Self) -> Result<Self, FixedError> {
                let sum = self.0.checked_add(other.0);
                sum.map(Self).ok_or(FixedError::Overflow { op: concat!(stringify!($name), " sum") })
            }

            /// Difference.
            ///
            /// # Errors
            /// [`FixedError::Overflow`].
            #[inline]
            pub fn checked_sub(self, other: Self) -> Result<Self, FixedError> {
                let difference = self.0.checked_sub(other.0);
                difference.map(Self).ok_or(FixedError::Overflow { op: concat!(stringify!($name), " difference") })
            }

            /// Sum, held at the end of the range.
            #[inline]
            #[must_use]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// Difference, held at the end of the range.
            #[inline]
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
    };
}

number! {
    /// Price of one unit of quantity, in units of the instrument's price scale.
    Price
}
number! {
    /// Quantity, in units of the instrument's quantity scale.
    Qty
}
number! {
    /// Money, in units of the currency's scale.
    Money
}
number! {
    /// A fraction times 1e8: 1.5 basis points are 15,000.
    Rate
}

impl Rate {
    /// Units of a rate of one (100 %).
    pub const ONE: i64 = 100_000_000;
}

impl Money {
    /// `self × rate`, rounded down to a unit (towards minus infinity).
    ///
    /// # Errors
    /// [`FixedError::Overflow`].
    pub fn mul_rate_floor(self, rate: Rate) -> Result<Self, FixedError> {
        let product = i128::from(self.0).saturating_mul(i128::from(rate.0));
        narrow(product.div_euclid(i128::from(Rate::ONE)), "money times rate").map(Self)
    }

    /// `self × rate`, rounded up to a unit.
    ///
    /// # Errors
    /// [`FixedError::Overflow`].
    pub fn mul_rate_ceil(self, rate: Rate) -> Result<Self, FixedError> {
        let product = i128::from(self.0).saturating_mul(i128::from(rate.0));
        let floor_of_negative = product.saturating_neg().div_euclid(i128::from(Rate::ONE));
        narrow(floor_of_negative.saturating_neg(), "money times rate").map(Self)
    }

    /// `floor(self × part / whole)`: the share of a total that `part` of `whole` carries.
    ///
    /// # Errors
    /// [`FixedError::Overflow`] if the share leaves the range or `whole` is not positive.
    pub fn share_floor(self, part: Qty, whole: Qty) -> Result<Self, FixedError> {
        const OP: &str = "share of money";
        if whole.0 <= 0 {
            return Err(FixedError::Overflow { op: OP });
        }
        let product = i128::from(self.0).saturating_mul(i128::from(part.0));
        let share = product.checked_div_euclid(i128::from(whole.0)).ok_or(FixedError::Overflow { op: OP })?;
        narrow(share, OP).map(Self)
    }
}

/// Price times quantity in money units: exact, or an error.
///
/// # Errors
/// [`FixedError::Inexact`] if money of that scale cannot hold every digit, [`FixedError::Overflow`] out of range.
#[inline]
pub fn notional(
    price: Price,
    price_scale: Scale,
    qty: Qty,
    qty_scale: Scale,
    money_scale: Scale,
) -> Result<Money, FixedError> {
    const OP: &str = "price times quantity";
    // |i64 × i64| < 2^126: the product itself cannot leave the i128 range.
    let product = i128::from(price.0).saturating_mul(i128::from(qty.0));
    let decimals = price_scale.0.saturating_add(qty_scale.0);
    let money = match decimals.checked_sub(money_scale.0) {
        Some(0) => product,
        Some(surplus) => {
            let divisor = 10_i128.pow(u32::from(surplus));
            if product.checked_rem(divisor) != Some(0) {
                return Err(FixedError::Inexact { op: OP, scale: money_scale.0 });
            }
            product.checked_div(divisor).ok_or(FixedError::Overflow { op: OP })?
        }
        None => {
            let factor = 10_i128.pow(u32::from(money_scale.0.saturating_sub(decimals)));
            product.checked_mul(factor).ok_or(FixedError::Overflow { op: OP })?
        }
    };
    narrow(money, OP).map(Money)
}

fn narrow(value: i128, op: &'static str) -> Result<i64, FixedError> {
    i64::try_from(value).map_err(|_| FixedError::Overflow { op })
}

/// Reads plain decimal text as an integer of `scale` decimals.
///
/// Zeros beyond the scale are fine ("2681.6200000000" at scale 2); any other digit there is refused, as are exponents,
/// blanks, separators and a bare point. The range is symmetric: the magnitude has to fit, so `i64::MIN` is not read.
///
/// # Errors
/// [`FixedError::Parse`] with the text as found.
#[inline]
pub fn parse_decimal(text: &[u8], scale: Scale) -> Result<i64, FixedError> {
    parse(text, scale).map_err(|expected| FixedError::Parse { found: shorten(text), expected })
}

fn parse(text: &[u8], scale: Scale) -> Result<i64, &'static str> {
    const NUMBER: &str = "a plain decimal number such as 71300 or 0.25";
    const RANGE: &str = "a number within the 64-bit range of its scale";
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut value: i64 = 0;
    let mut whole_digits = 0_u32;
    let mut decimals: Option<u8> = None;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            if byte == b'.' && decimals.is_none() && whole_digits > 0 {
                decimals = Some(0);
                continue;
            }
            return Err(NUMBER);
        }
        match decimals.as_mut() {
            None => whole_digits = whole_digits.saturating_add(1),
            Some(seen) if *seen < scale.0 => *seen = seen.saturating_add(1),
            Some(_) if digit == 0 => continue,
            Some(_) => return Err("no more decimals than the instrument has"),
        }
        value = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(digit))).ok_or(RANGE)?;
    }
    if whole_digits == 0 || digits.last() == Some(&b'.') {
        return Err(NUMBER);
    }
    let missing = scale.0.saturating_sub(decimals.unwrap_or(0));
    let factor = Scale(missing).pow10();
    let value = value.checked_mul(factor).ok_or(RANGE)?;
    Ok(if negative { value.saturating_neg() } else { value })
}

/// Text for an error message: as found, but never longer than a line.
fn shorten(text: &[u8]) -> String {
    let mut shown: String = String::from_utf8_lossy(text).chars().take(40).collect();
    if text.len() > 40 {
        shown.push('…');
    }
    shown
}

/// Writes an integer of `scale` decimals as plain decimal text without trailing zeros.
pub fn format_decimal(value: i64, scale: Scale) -> String {
    Decimal { value, scale }.to_string()
}

/// A scaled integer that prints as plain decimal text, for writers that need no string of their own.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    /// Units.
    pub value: i64,
    /// Decimals of a unit.
    pub scale: Scale,
}

impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.scale.pow10().unsigned_abs();
        let magnitude = self.value.unsigned_abs();
        let sign = if self.value < 0 { "-" } else { "" };
        let whole = magnitude.checked_div(unit).unwrap_or(0);
        let mut fraction = magnitude.checked_rem(unit).unwrap_or(0);
        if fraction == 0 {
            return write!(out, "{sign}{whole}");
        }
        let mut width = usize::from(self.scale.0);
        while fraction.is_multiple_of(10) {
            fraction = fraction.checked_div(10).unwrap_or(0);
            width = width.saturating_sub(1);
        }
        write!(out, "{sign}{whole}.{fraction:0width$}")
    }
}

#[cfg(test)]
mod tests;
