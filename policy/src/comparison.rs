//! Conditions on numbers: sizes and scores.
use serde::{Deserialize, Serialize};

/// "<= 20MiB": an operator and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    operator: Operator,
    number: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Operator {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

impl Comparison {
    /// Reads an operator and leaves the number to `number`; `None`: it is no comparison.
    pub fn parse(text: &str, number: impl Fn(&str) -> Option<i64>) -> Option<Self> {
        // Two characters before one.
        const OPERATORS: [(&str, Operator); 5] = [
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("<", Operator::Less),
            (">", Operator::More),
            ("=", Operator::Equal),
        ];
        let (operator, rest) = OPERATORS
            .into_iter()
            .find_map(|(word, operator)| Some((operator, text.trim().strip_prefix(word)?)))?;
        Some(Self { operator, number: number(rest.trim())? })
    }

    /// Whether it holds for this number.
    pub fn holds(self, fact: i64) -> bool {
        match self.operator {
            Operator::Less => fact < self.number,
            Operator::AtMost => fact <= self.number,
            Operator::Equal => fact == self.number,
            Operator::AtLeast => fact >= self.number,
            Operator::More => fact > self.number,
        }
    }
}

/// `spam-score`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpamCondition {
    /// No filter knew the score.
    Unknown,
    /// The score is known, and compares like this; thousandths of a point.
    Score(Comparison),
}

impl SpamCondition {
    /// Whether it holds for this score, in thousandths; `None`: unknown.
    pub fn holds(self, score: Option<i64>) -> bool {
        match (self, score) {
            (Self::Unknown, score) => score.is_none(),
            (Self::Score(comparison), Some(score)) => comparison.holds(score),
            (Self::Score(_), None) => false,
        }
    }
}

/// "5", "-1.5", "0.125": a score in thousandths of a point.
pub fn parse_score(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > 3 {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<3}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(fraction)?.checked_mul(sign)
}
