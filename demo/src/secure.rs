//! The part of the story that is about TLS: the same mail in clear text, by STLS and by implicit TLS, and where the key is.
use crate::mailward::{Mailward, is_root};
use crate::server::{PASSWORD, USER};
use crate::tls_client::{By, Session};
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;

/// Fetches the first mail by each way; true if it arrived as the server holds it.
pub(crate) fn tell(out: &mut impl Write, mail: &[u8], mailward: &Mailward) -> io::Result<bool> {
    writeln!(out, "  TLS, with a certificate made for this run: mail 1 again, by")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut kept = true;
    for (name, by, address) in
        [("STLS", By::Stls, mailward.address()), ("implicit TLS", By::Implicit, mailward.tls_address())]
    {
        let (got, described) = runtime.block_on(fetch(by, address, mailward))?;
        let same = got == mail;
        kept &= same;
        let words = if same { "identical" } else { "CHANGED" };
        writeln!(out, "    {name:<13} port {:<6} {described:<36} {words}", address.port())?;
    }
    writeln!(out)?;
    Ok(kept)
}

/// Says whose memory has the private key; true if it is where it belongs.
pub(crate) fn show_key(out: &mut impl Write, mailward: &Mailward) -> io::Result<bool> {
    if !is_root() {
        writeln!(out, "  The private key is the keyholder's; as root its number is looked for in memory.\n")?;
        return Ok(true);
    }
    let processes = mailward.processes();
    let mut holders = Vec::new();
    for process in &processes {
        match holds(process.pid, &mailward.certificates().number) {
            Ok(true) => holders.push(process.role.clone()),
            Ok(false) => {}
            // A scanner ends after some mails, and another takes its place.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    writeln!(
        out,
        "  The private key was looked for in the memory of {} processes: {} has it.",
        processes.len(),
        if holders.is_empty() { "NONE".to_owned() } else { holders.join(" and ") }
    )?;
    writeln!(out)?;
    Ok(holders == ["keyholder"])
}

/// Whether a process has these octets in memory that it can write, in either order.
fn holds(pid: u32, number: &[u8]) -> io::Result<bool> {
    let reversed: Vec<u8> = number.iter().rev().copied().collect();
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let writable = maps.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        words.next().filter(|rights| rights.starts_with("rw"))?;
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
    });
    for (start, end) in writable {
        let mut octets = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
        // Some mappings of the kernel's cannot be read.
        let count = memory.read_at(&mut octets, start).unwrap_or(0);
        let octets = octets.get(..count).unwrap_or_default();
        let found = |wanted: &[u8]| memchr::memmem::find(octets, wanted).is_some();
        if found(number) || found(&reversed) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Logs in and fetches mail 1; its octets, and what the handshake agreed on.
async fn fetch(by: By, address: SocketAddr, mailward: &Mailward) -> io::Result<(Vec<u8>, String)> {
    let mut session = Session::connect(by, address, mailward).await?;
    if by == By::Implicit {
        session.line().await?;
    }
    for command in [format!("USER {USER}"), format!("PASS {PASSWORD}"), "RETR 1".to_owned()] {
        session.say(&command).await?;
        let answer = session.line().await?;
        if !answer.starts_with(b"+OK") {
            return Err(io::Error::other(format!("refused: {}", String::from_utf8_lossy(&answer))));
        }
    }
    let mut mail = Vec::new();
    loop {
        let line = session.line().await?;
        match line.strip_prefix(b".") {
            Some(b"\r\n") => break,
            Some(rest) => mail.extend_from_slice(rest),
            None => mail.extend_from_slice(&line),
        }
    }
    session.say("QUIT").await?;
    session.line().await?;
    Ok((mail, session.describe()))
}
