//! Text for readers that know ASCII only.
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Letters without their marks, German ones as Germans write them without umlauts; `?` for what has no such form.
pub(crate) fn to_ascii(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            'ä' => folded.push_str("ae"),
            'ö' => folded.push_str("oe"),
            'ü' => folded.push_str("ue"),
            'Ä' => folded.push_str("Ae"),
            'Ö' => folded.push_str("Oe"),
            'Ü' => folded.push_str("Ue"),
            'ß' => folded.push_str("ss"),
            ' '..='~' => folded.push(letter),
            // Compatibility forms too: a no-break space is a space.
            _ => {
                let plain = std::iter::once(letter).nfkd().filter(|part| !is_combining_mark(*part));
                folded.extend(plain.map(|part| if matches!(part, ' '..='~') { part } else { '?' }));
            }
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::to_ascii;

    #[test]
    fn letters_lose_their_marks_and_what_has_no_ascii_form_is_a_question_mark() {
        assert_eq!(
            to_ascii("Příliš žluťoučký kůň, größer, réessayez :\u{a0}ñ"),
            "Prilis zlutoucky kun, groesser, reessayez : n"
        );
        assert_eq!(to_ascii("日本\r\n"), "????");
    }
}
