//! Calendar dates and times of day as text.

use std::io::Write as _;

use super::BarTime;

const DAY_S: i64 = 86_400;
const SECOND_NS: i64 = 1_000_000_000;

/// Start of a local day as UTC nanoseconds, for a local time `utc_offset_s` seconds east of UTC; `None` outside the
/// range of 64-bit nanoseconds (the years 1678 to 2261).
pub fn local_midnight_ns(day: i32, utc_offset_s: i32) -> Option<i64> {
    let seconds = i64::from(day).checked_mul(DAY_S)?.checked_sub(i64::from(utc_offset_s))?;
    seconds.checked_mul(SECOND_NS)
}

/// Days since 1970-01-01 of a date `YYYY-MM-DD`.
pub(super) fn parse_date(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let year = i32::try_from(number(&[y1, y2, y3, y4])?).ok()?;
    let month = number(&[m1, m2])?;
    let day = number(&[d1, d2])?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// UTC nanoseconds of `YYYY-MM-DD HH:MM[:SS[.fraction]]`, with `T` or a blank between, followed by `Z`, an offset
/// `+HH:MM`, or nothing for local time.
pub(super) fn parse_time(text: &[u8], utc_offset_s: i32) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let day = parse_date(date)?;
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, rest @ ..] = rest else { return None };
    let (hour, minute) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (number(&[*s1, *s2])?, rest),
        rest => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction_ns, rest) = parse_fraction(rest)?;
    let offset_s = match rest {
        [] => utc_offset_s,
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i32::try_from(seconds_of_day(hours, minutes, 0)).ok()?;
            if *sign == b'-' { seconds.saturating_neg() } else { seconds }
        }
        _ => return None,
    };
    let of_day_ns = seconds_of_day(hour, minute, second).checked_mul(SECOND_NS)?.checked_add(fraction_ns)?;
    local_midnight_ns(day, offset_s)?.checked_add(of_day_ns)
}

/// Nanoseconds of an optional `.digits`, and what follows it.
fn parse_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(length)?;
    if !(1..=9).contains(&length) {
        return None;
    }
    let missing = u32::try_from(9_usize.checked_sub(length)?).ok()?;
    let fraction_ns = i64::from(number(digits)?).checked_mul(10_i64.checked_pow(missing)?)?;
    Some((fraction_ns, rest))
}

/// Up to nine digits as a number.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u32::from(digit)) }
    })
}

fn seconds_of_day(hour: u32, minute: u32, second: u32) -> i64 {
    let minutes = i64::from(hour).saturating_mul(60).saturating_add(i64::from(minute));
    minutes.saturating_mul(60).saturating_add(i64::from(second))
}

const fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day of the Gregorian calendar; years are counted from March so that the leap day ends
/// them.
#[allow(clippy::arithmetic_side_effects, reason = "a year has four digits: every term stays small")]
#[allow(clippy::cast_possible_wrap, reason = "month and day are small")]
const fn days_from_civil(year: i32, month: u32, day: u32) -> i32 {
    let from_march = (month as i32 + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * from_march + 2) / 5 + day as i32 - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day since 1970-01-01.
#[allow(clippy::arithmetic_side_effects, reason = "64-bit arithmetic on a 32-bit count of days")]
const fn civil_from_days(day: i32) -> (i64, i64, i64) {
    let day = day as i64 + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, of_month)
}

/// Writes what a bar covers as a file has it: a date, or a time in UTC.
pub(super) fn write_bar_time(time: BarTime, out: &mut Vec<u8>) {
    let write_date = |day: i32, out: &mut Vec<u8>| {
        let (year, month, of_month) = civil_from_days(day);
        write!(out, "{year:04}-{month:02}-{of_month:02}")
    };
    // Writing to memory cannot fail.
    let _ = match time {
        BarTime::Day(day) => write_date(day, out),
        BarTime::Minute(start_ns) => {
            let seconds = start_ns.div_euclid(SECOND_NS);
            let day = i32::try_from(seconds.div_euclid(DAY_S)).unwrap_or(i32::MAX);
            let of_day = seconds.rem_euclid(DAY_S);
            let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
            write_date(day, out).and_then(|()| write!(out, "T{hour:02}:{minute:02}:{second:02}Z"))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(time: BarTime) -> String {
        let mut out = Vec::new();
        write_bar_time(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_count_from_1970() {
        for (text, day) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("2024-03-01", 19_783),
            ("0000-01-01", -719_528),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(parse_date(text.as_bytes()), Some(day), "{text}");
            assert_eq!(written(BarTime::Day(day)), text);
        }
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in -200_000..200_000 {
            assert_eq!(parse_date(written(BarTime::Day(day)).as_bytes()), Some(day));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2024",
            "2024-1-1",
            "2024-13-01",
            "2024-00-01",
            "2024-02-30",
            "2023-02-29",
            "1900-02-29",
            "2024-01-00",
            "2024/01/01",
            "20240101",
            "2024-01-01 ",
            "x024-01-01",
        ] {
            assert_eq!(parse_date(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn times_are_local_unless_they_say_otherwise() {
        let nine_in_seoul_ns = 1_704_067_200_000_000_000; // 2024-01-01T00:00:00Z
        for text in [
            "2024-01-01 09:00",
            "2024-01-01 09:00:00",
            "2024-01-01T09:00:00+09:00",
            "2024-01-01T00:00:00Z",
            "2024-01-01t00:00:00.000z",
            "2023-12-31T19:00:00-05:00",
        ] {
            assert_eq!(parse_time(text.as_bytes(), 32_400), Some(nine_in_seoul_ns), "{text}");
        }
        assert_eq!(parse_time(b"2024-01-01T00:00:01.25Z", 0), Some(nine_in_seoul_ns + 1_250_000_000));
        assert_eq!(written(BarTime::Minute(nine_in_seoul_ns)), "2024-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2024-01-01",
            "2024-01-01 9:00",
            "2024-01-01 24:00",
            "2024-01-01 09:60",
            "2024-01-01 09:00:60",
            "2024-01-01_09:00",
            "2024-01-01 09:00+0900",
            "2024-01-01 09:00+24:00",
            "2024-01-01 09:00:00.",
            "2024-01-01 09:00:00.0123456789",
            "9999-01-01 00:00",
            "2024-01-01 09:00 KST",
        ] {
            assert_eq!(parse_time(text.as_bytes(), 32_400), None, "{text:?}");
        }
    }
}
