//! Keywords of IMAP (RFC 9051 section 2.3.2): what rules may give a mail. `load` checks them, and the worker again before it
//! writes one into a command.

/// Octets of one. RFC 9051 has no bound; Dovecot takes no longer ones.
pub const MAX_KEYWORD: usize = 50;

/// RFC 9051 section 9, `flag-keyword`: an atom, so no octet in it could be read as anything else. Flags that begin with `\` are
/// the RFC's own, and none.
pub fn is_keyword(text: &str) -> bool {
    (1..=MAX_KEYWORD).contains(&text.len())
        && text.bytes().all(|octet| octet.is_ascii_graphic() && !br#"(){%*"\]["#.contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_is_an_atom_and_nothing_else() {
        for keyword in ["$Junk", "NonJunk", "$MailFlagBit0", "a-b_c.d+e", "}", &"x".repeat(MAX_KEYWORD)] {
            assert!(is_keyword(keyword), "{keyword}");
        }
        for other in
            ["", "\\Seen", "a b", "a\r\n", "(a", "a)", "{3}", "a%", "*", "\"a\"", "]", "[", "schön", "\0"]
        {
            assert!(!is_keyword(other), "{other}");
        }
        assert!(!is_keyword(&"x".repeat(MAX_KEYWORD + 1)));
    }
}
