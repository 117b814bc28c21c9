//! A scripted POP3 server: answers like an ordinary one unless a test overrides a command, and records what it was sent.
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What to do at a command instead of the ordinary answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These bytes as they are.
    Bytes(Vec<u8>),
    /// These bytes, then close.
    Close(Vec<u8>),
    /// Nothing, with the connection kept open.
    Silence,
}

/// A running server; its threads end with the test process.
#[derive(Clone, Debug)]
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves `mails`; `overrides` is by verb or whole command line, upper case ("" is the greeting).
    pub fn start(mails: Vec<Vec<u8>>, overrides: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let overrides: HashMap<String, Answer> =
            overrides.iter().map(|(key, answer)| ((*key).to_owned(), answer.clone())).collect();
        let shared = Arc::new((mails, overrides));
        let server = Self { address, seen: Arc::clone(&seen) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (shared, seen) = (Arc::clone(&shared), Arc::clone(&seen));
                thread::spawn(move || {
                    let _ = serve(client, &shared.0, &shared.1, &seen);
                });
            }
        });
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every line that any client sent so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    client: TcpStream,
    mails: &[Vec<u8>],
    overrides: &HashMap<String, Answer>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut writer = client.try_clone()?;
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    let mut first = true;
    loop {
        if !first {
            let mut bytes = Vec::new();
            if reader.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(());
            }
            line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            seen.lock().unwrap().push(line.clone());
        }
        let upper = line.to_uppercase();
        let verb = upper.split(' ').next().unwrap_or_default();
        let answer = overrides.get(&upper).or_else(|| overrides.get(verb)).cloned();
        let answer = if first && !overrides.contains_key("") {
            Answer::Bytes(b"+OK laboratory ready <1.2@lab>\r\n".to_vec())
        } else {
            answer.unwrap_or_else(|| ordinary(&upper, mails))
        };
        first = false;
        match answer {
            Answer::Bytes(bytes) => writer.write_all(&bytes)?,
            Answer::Close(bytes) => return writer.write_all(&bytes),
            Answer::Silence => {}
        }
    }
}

/// The octets of a RETR answer.
pub fn retr(mail: &[u8]) -> Vec<u8> {
    let mut answer = format!("+OK {} octets\r\n", mail.len()).into_bytes();
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".") {
            answer.push(b'.');
        }
        answer.extend_from_slice(line);
    }
    if !answer.ends_with(b"\r\n") {
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b".\r\n");
    answer
}

fn ordinary(line: &str, mails: &[Vec<u8>]) -> Answer {
    let mut words = line.split(' ');
    let verb = words.next().unwrap_or_default();
    let number = words.next().and_then(|word| word.parse::<usize>().ok());
    let mail = number.and_then(|number| mails.get(number.wrapping_sub(1)));
    let listing = |value: &dyn Fn(usize, &Vec<u8>) -> String| {
        let lines: String = mails
            .iter()
            .enumerate()
            .map(|(index, mail)| format!("{} {}\r\n", index + 1, value(index, mail)))
            .collect();
        format!("+OK\r\n{lines}.\r\n")
    };
    let text = match (verb, number, mail) {
        ("CAPA", ..) => {
            "+OK\r\nUSER\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nSASL PLAIN\r\n.\r\n".to_owned()
        }
        ("STAT", ..) => format!("+OK {} {}\r\n", mails.len(), mails.iter().map(Vec::len).sum::<usize>()),
        ("LIST", None, _) => listing(&|_, mail| mail.len().to_string()),
        ("UIDL", None, _) => listing(&|index, _| format!("uid-{}", index + 1)),
        ("LIST", Some(number), Some(mail)) => format!("+OK {number} {}\r\n", mail.len()),
        ("UIDL", Some(number), Some(_)) => format!("+OK {number} uid-{number}\r\n"),
        ("RETR" | "TOP", _, Some(mail)) => return Answer::Bytes(retr(mail)),
        ("RETR" | "TOP" | "LIST" | "UIDL" | "DELE", _, None) => "-ERR no such message\r\n".to_owned(),
        ("QUIT", ..) => return Answer::Close(b"+OK bye\r\n".to_vec()),
        _ => "+OK\r\n".to_owned(),
    };
    Answer::Bytes(text.into_bytes())
}
