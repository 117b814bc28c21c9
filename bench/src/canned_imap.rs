//! The canned backend for IMAP: it answers from memory, so that the proxy is the bottleneck.
use crate::mail::Mail;
use crate::tls::Stream;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One session: LOGIN, SELECT, UID FETCH of whole mails, and OK to everything else.
pub(crate) async fn session(mut client: impl Stream, mails: &[Mail]) -> io::Result<()> {
    const CAPABILITIES: &str = "CAPABILITY IMAP4rev1 LITERAL+ UIDPLUS IDLE";
    client.write_all(format!("* OK [{CAPABILITIES}] canned ready\r\n").as_bytes()).await?;
    let mut pending = Vec::with_capacity(512);
    // nginx logs in with literals, a line each.
    let mut begun = String::new();
    loop {
        let Some(end) = memchr::memchr(b'\n', &pending) else {
            if client.read_buf(&mut pending).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let line: Vec<u8> = pending.drain(..=end).collect();
        begun.push_str(String::from_utf8_lossy(&line).trim_end());
        if begun.ends_with('}') {
            client.write_all(b"+ go on\r\n").await?;
            continue;
        }
        let line = std::mem::take(&mut begun);
        let mut words = line.split(' ');
        let tag = words.next().unwrap_or("*");
        let verb = words.next().unwrap_or_default().to_ascii_uppercase();
        let mut answer = Vec::new();
        match verb.as_str() {
            "LOGOUT" => {
                client.write_all(format!("* BYE\r\n{tag} OK bye\r\n").as_bytes()).await?;
                return Ok(());
            }
            "CAPABILITY" => answer.extend_from_slice(format!("* {CAPABILITIES}\r\n").as_bytes()),
            "SELECT" => answer.extend_from_slice(
                format!("* {} EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* FLAGS (\\Seen)\r\n", mails.len())
                    .as_bytes(),
            ),
            "UID" => {
                let number = words.nth(1).and_then(|word| word.parse::<usize>().ok());
                if let Some((number, mail)) = number.and_then(|at| Some((at, mails.get(at.checked_sub(1)?)?)))
                {
                    answer.extend_from_slice(format!("* {number} FETCH (UID {number}").as_bytes());
                    // A proxy that has the mail asks for the rest alone.
                    if line.contains("BODY") {
                        let head = format!(" BODY[] {{{}}}\r\n", mail.bytes.len());
                        answer.extend_from_slice(head.as_bytes());
                        answer.extend_from_slice(&mail.bytes);
                    }
                    answer.extend_from_slice(b")\r\n");
                }
            }
            _other => {}
        }
        answer.extend_from_slice(format!("{tag} OK done\r\n").as_bytes());
        client.write_all(&answer).await?;
        client.flush().await?;
    }
}
