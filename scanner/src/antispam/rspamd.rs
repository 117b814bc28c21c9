//! rspamd: one `POST /checkv2` over HTTP/1.1, one JSON answer. Reads bytes that the daemon chose, which itself read the
//! mail.
use super::envelope::Envelope;
use super::{MAX_ANSWER, Score, said, thousandths};
use crate::outside::Connection;
use crate::outside::http::{Chunks, Head, HeadReader};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;

/// Asks about a mail; the caller bounds the time.
pub(crate) async fn ask(
    mut connection: Connection,
    host: &str,
    mail: &[u8],
    envelope: &Envelope,
    user: &str,
) -> Result<Score, String> {
    let mut answer = Vec::new();
    let mut heard = |octets: &[u8]| {
        answer.extend_from_slice(octets);
        if answer.len() > MAX_ANSWER { Err(io::Error::other("an answer without end")) } else { Ok(()) }
    };
    let talk = async {
        connection.send(request(host, mail.len(), envelope, user).as_bytes(), &mut heard).await?;
        connection.send(mail, &mut heard).await?;
        while connection.hear(&mut heard).await? {}
        io::Result::Ok(())
    };
    talk.await.map_err(|error| said("rspamd", error))?;
    understand(&answer)
}

fn request(host: &str, octets: usize, envelope: &Envelope, user: &str) -> String {
    let Envelope { ip, helo, from, to } = envelope;
    let mut head = format!(
        "POST /checkv2 HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mailward\r\nConnection: close\r\n\
         Content-Type: message/rfc822\r\nContent-Length: {octets}\r\n"
    );
    let user = user.bytes().all(|octet| octet.is_ascii_graphic()).then(|| user.to_owned());
    let facts = [
        ("IP", ip.map(|ip| ip.to_string())),
        ("Helo", helo.clone()),
        ("From", from.clone()),
        ("Rcpt", to.clone()),
        ("Deliver-To", user.filter(|user| !user.is_empty())),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head + "\r\n"
}

/// The fields that count of what rspamd says (protocol of version 2).
#[derive(Deserialize)]
struct Checked {
    score: f64,
    #[serde(default)]
    is_skipped: bool,
    #[serde(default)]
    symbols: BTreeMap<String, Value>,
}

/// Reads a whole HTTP response.
///
/// # Errors
/// Whatever has no score, in words for the log.
pub fn understand(answer: &[u8]) -> Result<Score, String> {
    let (head, body) = HeadReader::default().take(answer).map_err(|error| said("rspamd", error))?;
    let head = head.ok_or("rspamd: no answer")?;
    if head.status("HTTP/1.") != Some(200) {
        return Err(said("rspamd", head.first));
    }
    let body = body_of(&head, body).map_err(|error| said("rspamd", error))?;
    let checked: Checked = serde_json::from_slice(&body)
        .map_err(|error| said("rspamd: an answer that is not understood", error))?;
    if checked.is_skipped {
        return Err("rspamd: did not check it".to_owned());
    }
    let score = thousandths(checked.score).ok_or("rspamd: a score that is no number of points")?;
    let symbols: Vec<String> = checked.symbols.into_keys().collect();
    Ok(Score { score, symbols: symbols.join(",") })
}

fn body_of(head: &Head, body: &[u8]) -> io::Result<Vec<u8>> {
    if head.has_token("transfer-encoding", "chunked") {
        let (mut chunks, mut whole) = (Chunks::default(), Vec::new());
        let mut data = |octets: &[u8]| {
            whole.extend_from_slice(octets);
            Ok(())
        };
        let rest = chunks.take(body, &mut data)?;
        return if chunks.is_done() && rest.is_empty() {
            Ok(whole)
        } else {
            Err(io::Error::other("an answer cut off"))
        };
    }
    match head.get("content-length").map(str::parse::<usize>) {
        Some(Ok(length)) if body.len() == length => Ok(body.to_vec()),
        None => Ok(body.to_vec()),
        Some(_) => Err(io::Error::other("an answer cut off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn a_score_is_read_with_its_symbols() {
        let body = r#"{"is_skipped":false,"score":7.25,"required_score":15.0,"action":"add header","symbols":{"B":{"score":1},"A":{"score":2}}}"#;
        let expected = Score { score: 7_250, symbols: "A,B".into() };
        assert_eq!(understand(&response(body)), Ok(expected.clone()));
        let chunked = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        assert_eq!(understand(chunked.as_bytes()), Ok(expected));
    }

    #[test]
    fn everything_else_has_no_score() {
        for answer in [
            Vec::new(),
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_vec(),
            response("<html><body>Welcome</body></html>"),
            response(r#"{"score":NaN}"#),
            response(r#"{"score":1e999}"#),
            response(r#"{"score":1e200}"#),
            response(r#"{"score":"5"}"#),
            response(r#"{"score":null}"#),
            response(r#"{"error":"busy"}"#),
            response(r#"{"is_skipped":true,"score":0.0}"#),
            response("{\"score\":1.0"),
            b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"score\":1.0}".to_vec(),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"score\":1.0}\r\n".to_vec(),
            b"SPAMD/1.1 0 EX_OK\r\n\r\n".to_vec(),
            response(&"[".repeat(100_000)),
        ] {
            assert!(understand(&answer).is_err(), "{}", String::from_utf8_lossy(&answer));
        }
    }

    #[test]
    fn nothing_that_a_sender_chose_becomes_a_field_of_its_own() {
        let envelope = Envelope::read(&[
            ("Return-Path", "<a@example.org\r\nIP: 192.0.2.1>"),
            ("Delivered-To", "ann@example.net"),
        ]);
        let head = request("127.0.0.1:11333", 5, &envelope, "ann\r\nIP: 192.0.2.1");
        assert!(!head.contains("IP:"), "{head}");
        assert!(head.contains("\r\nRcpt: ann@example.net\r\n"), "{head}");
    }
}
