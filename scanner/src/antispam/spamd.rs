//! SpamAssassin's daemon: one `SYMBOLS` request of the SPAMC protocol, one answer. Reads bytes that the daemon chose,
//! which itself read the mail.
use super::{MAX_ANSWER, Score, points, said};
use crate::outside::Connection;
use crate::outside::http::HeadReader;
use std::io;

/// Asks about a mail; the caller bounds the time.
pub(crate) async fn ask(mut connection: Connection, mail: &[u8]) -> Result<Score, String> {
    let mut answer = Vec::new();
    let mut heard = |octets: &[u8]| {
        answer.extend_from_slice(octets);
        if answer.len() > MAX_ANSWER { Err(io::Error::other("an answer without end")) } else { Ok(()) }
    };
    let talk = async {
        let head = format!("SYMBOLS SPAMC/1.5\r\nContent-length: {}\r\n\r\n", mail.len());
        connection.send(head.as_bytes(), &mut heard).await?;
        connection.send(mail, &mut heard).await?;
        while connection.hear(&mut heard).await? {}
        io::Result::Ok(())
    };
    talk.await.map_err(|error| said("spamd", error))?;
    understand(&answer)
}

/// Reads a whole answer: `SPAMD/1.1 0 EX_OK`, `Spam: True ; 15.0 / 5.0`, then the symbols.
///
/// # Errors
/// Whatever has no score, in words for the log.
pub fn understand(answer: &[u8]) -> Result<Score, String> {
    let (head, body) = HeadReader::default().take(answer).map_err(|error| said("spamd", error))?;
    let head = head.ok_or("spamd: no answer")?;
    let mut words = head.first.split(' ');
    let version = words.next().is_some_and(|version| version.starts_with("SPAMD/1."));
    if !version || words.next() != Some("0") {
        return Err(said("spamd", head.first));
    }
    let spam = head.get("spam").ok_or("spamd: an answer without a score")?;
    let score = spam.split_once(';').and_then(|(_, score)| score.split_once('/')).map(|(score, _)| score);
    let score = score.and_then(points).ok_or("spamd: a score that is no number of points")?;
    if head.get("content-length").and_then(|length| length.parse().ok()) != Some(body.len()) {
        return Err("spamd: an answer cut off".to_owned());
    }
    Ok(Score { score, symbols: String::from_utf8_lossy(body).trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_read_with_its_symbols() {
        let answer = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 19\r\nSpam: True ; 1000.2 / 5.0\r\n\r\nGTUBE,MISSING_DATE\r\n";
        let answer = [&answer[..answer.len() - 2], b"\n"].concat();
        let expected = Score { score: 1_000_200, symbols: "GTUBE,MISSING_DATE".into() };
        assert_eq!(understand(&answer), Ok(expected));
        let none = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: False ; -0.1 / 5.0\r\n\r\n";
        assert_eq!(understand(none), Ok(Score { score: -100, symbols: String::new() }));
    }

    #[test]
    fn everything_else_has_no_score() {
        for answer in [
            "",
            "SPAMD/1.1 76 Bad header line: x\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; nan / 5.0\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nContent-length: 9\r\nSpam: True ; 9 / 5.0\r\n\r\nA",
            "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 9 / 5.0\r\n\r\nA",
            "HTTP/1.1 200 OK\r\nSpam: True ; 9 / 5.0\r\n\r\n",
            "SPAMD/1.1 0 EX_OK\r\nContent-length: 0\r\nSpam: True ; 9 / 5.0\r\n",
        ] {
            assert!(understand(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
