//! The builtin spam filter: points for fields of the header, and for the test mail of all spam filters. Needs no daemon.
use super::Score;
use policy::engine::SpamRule;

/// What SpamAssassin gives the test mail.
const TEST_POINTS: i64 = 1_000_000;
/// Names in `symbols` at most.
const MAX_SYMBOLS: usize = 32;

/// The points of a mail with these header fields.
pub fn score(mail: &[u8], fields: &[(&str, &str)], rules: &[SpamRule]) -> Score {
    let mut score = 0_i64;
    let mut symbols = Vec::new();
    if memchr::memmem::find(mail, &test_mail()).is_some() {
        score = TEST_POINTS;
        symbols.push("GTUBE");
    }
    for rule in rules {
        if rule.field.is_in(fields) {
            score = score.saturating_add(rule.score);
            symbols.push(&rule.symbol);
        }
    }
    symbols.truncate(MAX_SYMBOLS);
    Score { score, symbols: symbols.join(",") }
}

/// GTUBE, put together here so that no spam filter stops at this program.
pub fn test_mail() -> Vec<u8> {
    ["XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-", "STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::list::{Case, Patterns};
    use policy::model::HeaderMatch;

    #[test]
    fn each_rule_counts_once_and_the_test_mail_counts_for_a_thousand() {
        let rule = |name, value, score| SpamRule {
            field: HeaderMatch {
                name: Patterns::new([name], Case::Ignored),
                value: Patterns::new([value], Case::Ignored),
            },
            symbol: format!("S{score}"),
            score,
        };
        let rules =
            [rule("Subject", "*price*", 2_500), rule("X-*", "*", 1_000), rule("List-Id", "*", -3_000)];
        let fields = [("Subject", "Best Price"), ("X-A", "1"), ("X-B", "2")];
        let found = score(b"nothing", &fields, &rules);
        assert_eq!(found, Score { score: 3_500, symbols: "S2500,S1000".into() });
        assert_eq!(score(b"nothing", &[], &rules), Score { score: 0, symbols: String::new() });
        let found = score(&[b"x\r\n", test_mail().as_slice()].concat(), &[], &[]);
        assert_eq!(found, Score { score: 1_000_000, symbols: "GTUBE".into() });
    }
}
