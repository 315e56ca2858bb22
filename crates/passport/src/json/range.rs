//! The range of doubles, told from decimal text without computing in floats.

/// 2^1024 - 2^970, in decimal: what is as large as this rounds to infinity (IEEE 754, ties to even).
const OVERFLOW: &str = "\
    179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587\
    207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711\
    531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093\
    042880177904174497792";

/// Whether a number of JSON (RFC 8259 section 6) rounds to a finite double.
pub(super) fn is_double(number: &str) -> bool {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || integer.bytes().filter(u8::is_ascii_digit).chain(fraction.bytes());
    let zeros = digits().take_while(|digit| *digit == b'0').count();
    let places = integer.trim_start_matches('-').len();
    if zeros == digits().count() {
        return true;
    }
    // The number is 0.d1 d2 d3... times ten to the power of `scale`, where d1 is not zero.
    let scale = exponent_of(exponent).saturating_add(signed(places)).saturating_sub(signed(zeros));
    match scale.cmp(&signed(OVERFLOW.len())) {
        core::cmp::Ordering::Less => true,
        core::cmp::Ordering::Greater => false,
        core::cmp::Ordering::Equal => digits().skip(zeros).lt(OVERFLOW.bytes()),
    }
}

/// The number after `e`; one too large to count is as good as the largest.
fn exponent_of(text: &str) -> i64 {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = digits.parse().unwrap_or(i64::MAX / 2);
    if is_negative { -magnitude } else { magnitude }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    fn as_floats_say(text: &str) -> bool {
        text.parse::<f64>().unwrap().is_finite()
    }

    #[test]
    fn the_bound_is_exact() {
        let below: String = format!("{}1", &OVERFLOW.get(..308).unwrap());
        for (text, expected) in [
            (format!("{OVERFLOW}.0"), false),
            (format!("-{OVERFLOW}.0"), false),
            (format!("{below}.9999999999999999999999999999999999999999999999999999"), true),
            (format!("{OVERFLOW}e-1"), true),
            (format!("0.{OVERFLOW}e309"), false),
            (format!("0.000{OVERFLOW}e312"), false),
            (format!("0.000{below}e312"), true),
            ("1.7976931348623157e308".into(), true),
            ("1.7976931348623159e308".into(), false),
            ("0e99999999999999999999".into(), true),
            ("0.000e+400".into(), true),
            ("1e-99999999999999999999".into(), true),
            ("1e99999999999999999999".into(), false),
            ("-1E+309".into(), false),
        ] {
            assert_eq!(is_double(&text), expected, "{text}");
            assert_eq!(as_floats_say(&text), expected, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn says_what_floats_say(
            number in "-?(0|[1-9][0-9]{0,330}|17976931348623158[0-9]{280,295})(\\.(0{0,20}|[0-9]{0,20})[0-9])?",
            exponent in prop_oneof![Just(String::new()), "[eE][+-]?[0-9]{1,3}", "[eE](30[5-9]|-[0-9]{1,2})", "e-?[0-9]{18,22}"],
        ) {
            let text = format!("{number}{exponent}");
            prop_assert_eq!(is_double(&text), as_floats_say(&text), "{}", text);
        }
    }
}
