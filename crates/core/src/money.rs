//! Amounts in integer micro-USD. No floating point reaches a spend cap.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The largest amount one request may name: one billion USD. Anything above is a mistake or an attack.
pub const MAX_AMOUNT_MICRO_USD: u64 = 1_000_000_000 * MICRO_PER_USD;

const MICRO_PER_USD: u64 = 1_000_000;

/// An amount of money in millionths of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

/// The unit in which a request states its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// US dollars with at most two decimals: `12`, `12.5`, `12.50`.
    Usd,
    /// Whole cents: `1250`.
    Cents,
    /// Whole millionths of a dollar: `12500000`.
    MicroUsd,
}

/// The text is not an amount of the declared unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a plain non-negative amount: digits, for USD at most two decimals, at most 1,000,000,000 USD; no sign, exponent or leading zero"
)]
pub struct AmountError;

impl MicroUsd {
    /// Reads the source text of a JSON number. Signs, exponents and leading zeros are refused rather than interpreted.
    pub fn parse(text: &str, unit: Unit) -> Result<Self, AmountError> {
        let (whole, fraction) = match (text.split_once('.'), unit) {
            (None, _) => (text, ""),
            (Some(parts), Unit::Usd) if !parts.1.is_empty() && parts.1.len() <= 2 => parts,
            _ => return Err(AmountError),
        };
        Self::from_parts(whole, fraction, unit)
    }

    /// Reads a decimal number of dollars with up to six decimals, as operators write caps.
    pub fn parse_usd_cap(text: &str) -> Result<Self, AmountError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.len() > 6 || text.ends_with('.') {
            return Err(AmountError);
        }
        Self::from_parts(whole, fraction, Unit::Usd)
    }

    fn from_parts(whole: &str, fraction: &str, unit: Unit) -> Result<Self, AmountError> {
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if whole.is_empty() || whole.len() > 16 || leading_zero || !digits(whole) || !digits(fraction) {
            return Err(AmountError);
        }
        let scale = match unit {
            Unit::Usd => MICRO_PER_USD,
            Unit::Cents => MICRO_PER_USD / 100,
            Unit::MicroUsd => 1,
        };
        let whole: u64 = whole.parse().map_err(|_| AmountError)?;
        let micro =
            whole.checked_mul(scale).and_then(|m| m.checked_add(fraction_micro(fraction))).ok_or(AmountError)?;
        if micro > MAX_AMOUNT_MICRO_USD {
            return Err(AmountError);
        }
        Ok(Self(micro))
    }
}

/// `fraction` holds at most six digits of a dollar.
fn fraction_micro(fraction: &str) -> u64 {
    let mut place = MICRO_PER_USD / 10;
    let mut micro = 0;
    for digit in fraction.bytes() {
        micro += u64::from(digit - b'0') * place;
        place /= 10;
    }
    micro
}

impl fmt::Display for MicroUsd {
    /// Dollars with at least two decimals: `12.50`, `0.000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 / MICRO_PER_USD;
        let fraction = self.0 % MICRO_PER_USD;
        if fraction.is_multiple_of(MICRO_PER_USD / 100) {
            write!(f, "{whole}.{:02}", fraction / (MICRO_PER_USD / 100))
        } else {
            write!(f, "{whole}.{fraction:06}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn reads_plain_amounts() {
        for (text, unit, micro) in [
            ("0", Unit::Usd, 0),
            ("0.01", Unit::Usd, 10_000),
            ("12.5", Unit::Usd, 12_500_000),
            ("1000000000", Unit::Usd, MAX_AMOUNT_MICRO_USD),
            ("1250", Unit::Cents, 12_500_000),
            ("7", Unit::MicroUsd, 7),
        ] {
            assert_eq!(MicroUsd::parse(text, unit), Ok(MicroUsd(micro)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        let usd = [
            "-1",
            "-0",
            "+1",
            "1e3",
            "1E3",
            "1e-400",
            "NaN",
            "Infinity",
            "",
            ".",
            "1.",
            ".5",
            "01",
            "00",
            "1.234",
            "1_000",
            " 1",
            "1 ",
            "0x10",
            "1,0",
            "1000000000.01",
            "99999999999999999999",
            "\"1\"",
            "12 EUR",
            "EUR 12",
            "12€",
            "$12",
            "１",
        ];
        for text in usd {
            assert_eq!(MicroUsd::parse(text, Unit::Usd), Err(AmountError), "{text}");
        }
        for text in ["1.0", "12.5", "-1"] {
            assert_eq!(MicroUsd::parse(text, Unit::Cents), Err(AmountError), "{text}");
            assert_eq!(MicroUsd::parse(text, Unit::MicroUsd), Err(AmountError), "{text}");
        }
    }

    #[test]
    fn caps_take_six_decimals() {
        assert_eq!(MicroUsd::parse_usd_cap("0.000015"), Ok(MicroUsd(15)));
        assert_eq!(MicroUsd::parse_usd_cap("0.0000151"), Err(AmountError));
        assert_eq!(MicroUsd::parse_usd_cap("1."), Err(AmountError));
    }

    #[test]
    fn prints_dollars() {
        for (micro, text) in [(0, "0.00"), (12_500_000, "12.50"), (1, "0.000001")] {
            assert_eq!(MicroUsd(micro).to_string(), text);
        }
    }
}
