//! The canned backend: a POP3 or IMAP server that answers from memory, so that the proxy is the bottleneck.
use crate::canned_imap;
use crate::load::Protocol;
use crate::mail::Mail;
use crate::tls::Stream;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

/// Serves `mails` to any user until the process is ended.
pub(crate) async fn serve(
    listen: SocketAddr,
    protocol: Protocol,
    mails: Rc<Vec<Mail>>,
    tls: Option<TlsAcceptor>,
) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (client, _) = listener.accept().await?;
        let (mails, tls) = (Rc::clone(&mails), tls.clone());
        spawn_local(async move {
            // A client that breaks off ends its own task only.
            let _ = client.set_nodelay(true);
            let _ = match tls {
                None => serve_one(protocol, client, &mails).await,
                Some(tls) => match tls.accept(client).await {
                    Ok(client) => serve_one(protocol, client, &mails).await,
                    Err(error) => Err(error),
                },
            };
        });
    }
}

async fn serve_one(protocol: Protocol, client: impl Stream, mails: &[Mail]) -> io::Result<()> {
    match protocol {
        Protocol::Pop3 => session(client, mails).await,
        Protocol::Imap => canned_imap::session(client, mails).await,
    }
}

async fn session(mut client: impl Stream, mails: &[Mail]) -> io::Result<()> {
    client.write_all(b"+OK canned ready\r\n").await?;
    let mut pending = Vec::with_capacity(512);
    loop {
        let Some(end) = memchr::memchr(b'\n', &pending) else {
            if client.read_buf(&mut pending).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let line: Vec<u8> = pending.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line).trim_end().to_ascii_uppercase();
        let (verb, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let number = argument.split(' ').next().and_then(|word| word.parse::<usize>().ok());
        match verb {
            "QUIT" => {
                client.write_all(b"+OK bye\r\n").await?;
                return Ok(());
            }
            "STAT" => {
                let octets: usize = mails.iter().map(|mail| mail.bytes.len()).sum();
                client.write_all(format!("+OK {} {octets}\r\n", mails.len()).as_bytes()).await?;
            }
            "CAPA" => client.write_all(b"+OK\r\nUSER\r\nTOP\r\nUIDL\r\nPIPELINING\r\n.\r\n").await?,
            "RETR" => match number.and_then(|number| mails.get(number.wrapping_sub(1))) {
                Some(mail) => {
                    let answer = format!("+OK {} octets\r\n", mail.bytes.len());
                    client.write_all(&[answer.as_bytes(), &mail.wire].concat()).await?;
                    client.flush().await?;
                }
                None => client.write_all(b"-ERR no such message\r\n").await?,
            },
            "UIDL" | "LIST" => client.write_all(b"+OK\r\n.\r\n").await?,
            _ => client.write_all(b"+OK\r\n").await?,
        }
    }
}
