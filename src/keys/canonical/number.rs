//! One spelling for each decimal number. Pure.

/// The most digits of an integer that is written without an exponent.
const MOST_DIGITS: usize = 21;

/// Writes a JSON number: an integer of at most 21 digits without an exponent, any other number as
/// its significant digits and a power of ten (`15e-1`). Writes nothing and returns `None` if the
/// exponent does not fit an `i64`.
pub(super) fn write_number(number: &str, form: &mut String) -> Option<()> {
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => ("-", number),
        None => ("", number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        form.push('0');
        return Some(());
    }
    let zeros = digits.len() - significant.len();
    let exponent = exponent.parse::<i64>().ok()?;
    let exponent = exponent.checked_add(i64::try_from(zeros).ok()?)?;
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    form.push_str(sign);
    form.push_str(significant);
    match usize::try_from(exponent) {
        Ok(zeros) if zeros <= MOST_DIGITS && significant.len() + zeros <= MOST_DIGITS => {
            form.extend(std::iter::repeat_n('0', zeros));
        }
        _ => {
            form.push('e');
            form.push_str(&exponent.to_string());
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: &str) -> Option<String> {
        let mut form = String::new();
        write_number(number, &mut form).map(|()| form)
    }

    #[test]
    fn equal_numbers_have_one_spelling() {
        for (form, spellings) in [
            ("0", &["0", "-0", "0.0", "0e7", "-0.00E-2"][..]),
            ("1", &["1", "1.0", "1.00", "1e0", "10e-1", "0.1E1", "1E+0"]),
            ("-15e-1", &["-1.5", "-1.50", "-15e-1", "-0.15e1"]),
            ("600000", &["600000", "6e5", "600000.0", "0.6e6"]),
            ("9007199254740993", &["9007199254740993"]),
            (
                "9007199254740992",
                &["9007199254740992", "9007199254740992.0"],
            ),
            ("100000000000000000000", &["1e20", "100000000000000000000"]),
            ("1e21", &["1e21", "1000000000000000000000"]),
            ("1e-400", &["1e-400", "0.1e-399"]),
        ] {
            for spelling in spellings {
                assert_eq!(written(spelling).as_deref(), Some(form), "{spelling}");
            }
        }
        assert_eq!(written("1e99999999999999999999"), None);
        assert_eq!(written("1.5e-9223372036854775808"), None);
    }
}
