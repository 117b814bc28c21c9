//! What Mailward says to users: answers in the protocols and the notice that stands for a replaced mail, in the languages of
//! the configuration. The catalogues are Fluent files next to this source; what one lacks is said in English.
//!
//! A catalogue is read at its first use and kept for the life of the process. Protocols that are ASCII get a folded form of
//! the same text, because a client of 1996 shows `zprávu` as garbage and `zpravu` as Czech.
mod catalogue;
mod fold;
mod id;

use catalogue::catalogue;
use policy::names::Language;

pub use id::{Answer, Label};

/// An answer that always says the same. `utf8`: the protocol carries more than ASCII here.
pub fn answer(language: Language, answer: Answer, utf8: bool) -> &'static str {
    let text = catalogue(language).answer(answer);
    if utf8 { &text.full } else { &text.folded }
}

/// A line or a label of the notice, in UTF-8.
pub fn label(language: Language, label: Label) -> &'static str {
    catalogue(language).label(label)
}

/// The same in ASCII, for what stands in a part whose charset nobody knows.
pub fn label_ascii(language: Language, label: Label) -> String {
    ascii(self::label(language, label))
}

/// Text for readers that know ASCII only.
pub fn ascii(text: &str) -> String {
    fold::to_ascii(text)
}

/// A mail is refused for good.
pub fn mail_refused(language: Language, reason: &str, case: &str, utf8: bool) -> String {
    said(catalogue(language).mail_refused(reason, case), utf8)
}

/// A mail cannot be delivered now. `case` is known once the mail was spooled.
pub fn mail_deferred(language: Language, case: Option<&str>, utf8: bool) -> String {
    said(catalogue(language).mail_deferred(case), utf8)
}

fn said(text: String, utf8: bool) -> String {
    if utf8 { text } else { fold::to_ascii(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1939 section 3 allows 512 octets with the status, the code and CRLF.
    const LINE: usize = 512 - "-ERR [SYS/TEMP] \r\n".len();

    #[test]
    fn every_language_says_everything_in_its_own_words() {
        for language in Language::ALL {
            let missing = catalogue::missing(language);
            assert!(missing.is_empty(), "{language} lacks {missing:?}");
        }
    }

    #[test]
    fn what_a_catalogue_lacks_is_said_in_english() {
        let czech = catalogue::read_for_test("log-in-first = nejprve se přihlaste\n");
        assert_eq!(czech.answer(Answer::LogInFirst).full, "nejprve se přihlaste");
        assert_eq!(czech.answer(Answer::NotNow).full, "not now");
        assert_eq!(czech.mail_deferred(Some("7")), "mail cannot be checked now, try again later (case 7)");
    }

    #[test]
    fn an_answer_is_one_short_line_and_its_folded_form_prints_in_ascii() {
        for language in Language::ALL {
            for said in Answer::ALL {
                let (full, folded) = (answer(language, said, true), answer(language, said, false));
                assert!(full.len() < LINE && !full.contains(char::is_control), "{language}: {full}");
                assert!(folded.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{language}: {folded}");
                assert!(!folded.contains('?'), "{language}: a letter that does not fold in {full}");
            }
            let refused = mail_refused(language, "Eicar", "0123456789ab", false);
            assert!(refused.is_ascii() && refused.contains("Eicar") && refused.contains("0123456789ab"));
            assert!(mail_deferred(language, None, true).len() < LINE);
        }
    }

    #[test]
    fn what_is_put_into_a_text_stands_in_it_without_marks_around_it() {
        assert_eq!(
            mail_refused(Language::Cs, "Eicar", "ab", true),
            "zpráva odmítnuta: Eicar (případ ab)",
            "no isolation characters"
        );
        assert_eq!(mail_refused(Language::Cs, "Eicar", "ab", false), "zprava odmitnuta: Eicar (pripad ab)");
        assert_eq!(
            answer(Language::De, Answer::MechanismNotAvailable, false).split(' ').nth(1),
            Some("Verfahren")
        );
        assert!(answer(Language::De, Answer::NoTlsHere, false).ends_with("verfuegbar"));
    }
}
