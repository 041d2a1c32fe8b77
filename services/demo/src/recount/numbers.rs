//! Numbers as two others see them: Python, which printed them into the keys of the vault, and PostgreSQL, which
//! keeps them as `numeric(19,5)`.

/// The digits behind the point that the vault keeps.
const SCALE: i64 = 5;
/// `numeric(19,5)` holds 19 digits in all.
const DIGITS: usize = 19;

/// A JSON number's text as Python's `str` prints what `json.loads` makes of it. `None` for a number too great for a
/// float.
pub(super) fn python_text(json: &str) -> Option<String> {
    if !json.contains(['.', 'e', 'E']) {
        // JSON allows neither leading zeros nor a plus sign, so an integer's own text is what Python prints, however
        // long it is. Only an integer has no negative zero.
        return Some(if json == "-0" { "0".to_owned() } else { json.to_owned() });
    }
    let value: f64 = json.parse().ok()?;
    value.is_finite().then(|| float_text(value))
}

/// `repr` of a finite float: the fewest digits that read back as the same float, with an exponent when the decimal
/// exponent is less than -4 or at least 16.
fn float_text(value: f64) -> String {
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits = mantissa.replace('.', "");
    let sign = if value.is_sign_negative() { "-" } else { "" };

    if !(-4..16).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    let Ok(exponent) = usize::try_from(exponent) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or_default();
        return format!("{sign}0.{}{digits}", "0".repeat(zeros));
    };
    let whole_digits = exponent + 1;
    if digits.len() <= whole_digits {
        return format!("{sign}{digits}{}.0", "0".repeat(whole_digits - digits.len()));
    }
    let (whole, fraction) = digits.split_at(whole_digits);
    format!("{sign}{whole}.{fraction}")
}

/// A JSON number's text as PostgreSQL prints it from a `numeric(19,5)` column that takes nothing below 0. `None` for
/// what such a column refuses.
pub(super) fn stored_text(json: &str) -> Option<String> {
    let (mantissa, exponent) = json.split_once(['e', 'E']).unwrap_or((json, "0"));
    let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some("0.00000".to_owned());
    }
    let exponent: i64 = exponent.parse().ok()?;
    // The number is `digits` times ten to the power of `shift`, counted in the last digit that is kept.
    let shift = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(SCALE)?;
    let shifted = usize::try_from(shift.unsigned_abs()).ok()?;
    let (kept, dropped) = if shift >= 0 {
        if digits.len().checked_add(shifted)? > DIGITS {
            return None;
        }
        (format!("{digits}{}", "0".repeat(shifted)), "")
    } else {
        let kept = digits.len().saturating_sub(shifted);
        // Where even the first digit lies behind the one that decides the rounding, all is rounded away.
        let dropped = if digits.len() < shifted { "0" } else { &digits[kept..] };
        (digits[..kept].to_owned(), dropped)
    };
    if negative || kept.len() > DIGITS {
        return None;
    }
    let mut units: u128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    if dropped.as_bytes().first().is_some_and(|digit| *digit >= b'5') {
        units += 1;
    }
    let (whole, fraction) = (units / 100_000, units % 100_000);
    let text = format!("{whole}.{fraction:05}");
    (text.len() <= DIGITS + 1).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_python_prints_them() {
        // Each pair is `json.loads` and `str` of CPython.
        let pairs = [
            ("300", "300"),
            ("-0", "0"),
            ("99999999999999999999999", "99999999999999999999999"),
            ("300.0", "300.0"),
            ("300.50", "300.5"),
            ("0.1", "0.1"),
            ("1e-7", "1e-07"),
            ("1.5e-7", "1.5e-07"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1E+2", "100.0"),
            ("1e2", "100.0"),
            ("1e15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("12345678901234567.0", "1.2345678901234568e+16"),
            ("1234567890123456.7", "1234567890123456.8"),
            ("12345678901234.75", "12345678901234.75"),
            ("1234567.125", "1234567.125"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1e100", "1e+100"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("-2.5", "-2.5"),
            ("-0.0", "-0.0"),
            ("0e5", "0.0"),
        ];
        for (json, python) in pairs {
            assert_eq!(python_text(json).as_deref(), Some(python), "{json}");
        }
        assert_eq!(python_text("1e999"), None);
    }

    #[test]
    fn amounts_are_kept_with_five_digits_behind_the_point() {
        // Each pair is `select x::numeric(19,5)` of PostgreSQL.
        let pairs = [
            ("300", "300.00000"),
            ("300.50", "300.50000"),
            ("0", "0.00000"),
            ("-0.0", "0.00000"),
            ("1e-7", "0.00000"),
            ("0.000004", "0.00000"),
            ("0.000005", "0.00001"),
            ("0.00001", "0.00001"),
            ("1.999995", "2.00000"),
            ("0.0000049", "0.00000"),
            ("1E+2", "100.00000"),
            ("1.5e3", "1500.00000"),
            ("12345678901234.75", "12345678901234.75000"),
            ("99999999999999.99999", "99999999999999.99999"),
        ];
        for (json, stored) in pairs {
            assert_eq!(stored_text(json).as_deref(), Some(stored), "{json}");
        }
        for refused in
            ["-1", "-0.1", "100000000000000", "99999999999999.999995", "1e14", "1e999", "1e99999999999999999999"]
        {
            assert_eq!(stored_text(refused), None, "{refused}");
        }
    }
}
