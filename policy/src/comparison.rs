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

/// What all spam filters together said of a mail. One's answer never hides that another had none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spam {
    /// The highest score that was given, thousandths of a point.
    pub score: Option<i64>,
    /// A filter did not answer.
    pub failed: bool,
}

impl FromIterator<Option<i64>> for Spam {
    /// Of each filter that was asked: its score, if it gave one.
    fn from_iter<I: IntoIterator<Item = Option<i64>>>(scores: I) -> Self {
        scores.into_iter().fold(Self::default(), |spam, score| Self {
            score: spam.score.max(score),
            failed: spam.failed || score.is_none(),
        })
    }
}

/// `spam-score`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpamCondition {
    /// A filter did not answer, or none was asked.
    Unknown,
    /// The score is known, and compares like this; thousandths of a point.
    Score(Comparison),
}

impl SpamCondition {
    /// Whether it holds for what was said.
    pub fn holds(self, spam: Spam) -> bool {
        match self {
            Self::Unknown => spam.failed || spam.score.is_none(),
            Self::Score(comparison) => spam.score.is_some_and(|score| comparison.holds(score)),
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

/// A score as people write it: "5", "-1.5", "0.125".
pub fn show_score(score: i64) -> String {
    let sign = if score < 0 { "-" } else { "" };
    let (whole, fraction) = (score.unsigned_abs() / 1000, score.unsigned_abs() % 1000);
    let text = format!("{sign}{whole}.{fraction:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_filters_score_does_not_hide_that_another_failed() {
        let spam = |scores: &[Option<i64>]| scores.iter().copied().collect::<Spam>();
        assert_eq!(spam(&[]), Spam { score: None, failed: false });
        assert_eq!(spam(&[Some(1), Some(7)]), Spam { score: Some(7), failed: false });
        assert_eq!(spam(&[Some(-1), None]), Spam { score: Some(-1), failed: true });
    }

    #[test]
    fn a_score_is_shown_as_it_is_written() {
        for text in ["0", "5", "-1.5", "0.125", "-0.001", "1000", "10.05"] {
            assert_eq!(parse_score(text).map(show_score).as_deref(), Some(text));
        }
    }
}
