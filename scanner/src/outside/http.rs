//! The grammar that HTTP/1.1 and ICAP share: a first line, header fields, bodies in chunks. Pure; takes octets as they
//! come and keeps no more than is asked for. What is read was chosen by a daemon.
use std::io;

/// Octets of a first line with its fields.
const MAX_HEAD: usize = 64 * 1024;
/// Octets of the line that begins a chunk, extensions included.
const MAX_CHUNK_LINE: usize = 256;

/// A first line and its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `HTTP/1.1 200 OK`, `ICAP/1.0 204 No modifications needed`.
    pub first: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// Reads a whole head, its empty line included. Obsolete folding is unfolded: infection headers use it.
    ///
    /// # Errors
    /// Whatever is no head.
    pub fn parse(octets: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(octets).map_err(|_| "a header that is not text")?;
        let text = text.strip_suffix("\r\n\r\n").ok_or("a header without its end")?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.contains(['\r', '\n', '\0']) {
                return Err("a header with stray octets");
            }
            if let Some(more) = line.strip_prefix([' ', '\t']) {
                let (_, value) = fields.last_mut().ok_or("a header that begins folded")?;
                value.push('\n');
                value.push_str(more.trim());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or("a header field without a colon")?;
            let token = |c: char| c.is_ascii_graphic() && c != ':';
            if name.is_empty() || !name.chars().all(token) {
                return Err("a header field without a name");
            }
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { first, fields })
    }

    /// The first field of this name, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Whether a field that is a list has this token, in lower case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.fields.iter().filter(|(field, _)| field == name);
        values.flat_map(|(_, value)| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
    }

    /// The status code, if the first line is one of this protocol: "HTTP/1." or "ICAP/1.".
    pub fn status(&self, protocol: &str) -> Option<u16> {
        let (version, rest) = self.first.split_once(' ')?;
        let minor = version.strip_prefix(protocol)?;
        let code = rest.split(' ').next()?;
        let plain = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
        (minor.len() == 1 && plain(minor) && code.len() == 3 && plain(code)).then(|| code.parse().ok())?
    }
}

/// Collects a head as its octets come.
#[derive(Debug, Default)]
pub struct HeadReader {
    octets: Vec<u8>,
}

impl HeadReader {
    /// Takes octets up to the end of the head; gives the head, if it is whole, and what was not taken.
    ///
    /// # Errors
    /// A head that is none, or larger than any daemon's.
    pub fn take<'o>(&mut self, octets: &'o [u8]) -> io::Result<(Option<Head>, &'o [u8])> {
        let known = self.octets.len();
        self.octets.extend_from_slice(octets);
        let search = self.octets.get(known.saturating_sub(3)..).unwrap_or_default();
        let end = memchr::memmem::find(search, b"\r\n\r\n").map(|at| known.saturating_sub(3) + at + 4);
        let Some(end) = end.filter(|end| *end <= MAX_HEAD) else {
            if self.octets.len() > MAX_HEAD {
                return Err(io::Error::other("a header without end"));
            }
            return Ok((None, &[]));
        };
        self.octets.truncate(end);
        let head = Head::parse(&std::mem::take(&mut self.octets)).map_err(io::Error::other)?;
        Ok((Some(head), octets.get(end - known..).unwrap_or_default()))
    }
}

/// Takes a body in chunks apart as its octets come (RFC 9112 section 7.1).
#[derive(Debug)]
pub struct Chunks {
    line: Vec<u8>,
    state: Chunk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size,
    Data { left: u64 },
    DataEnd,
    Trailer,
    Done,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { line: Vec::new(), state: Chunk::Size }
    }
}

impl Chunks {
    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        self.state == Chunk::Done
    }

    /// Takes octets up to the end of the body and gives what is in the chunks to `data`; what was not taken is returned.
    ///
    /// # Errors
    /// What is no body in chunks, and those of `data`.
    pub fn take<'o>(
        &mut self,
        mut octets: &'o [u8],
        data: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<&'o [u8]> {
        while !octets.is_empty() && self.state != Chunk::Done {
            if let Chunk::Data { left } = self.state {
                let most = usize::try_from(left).unwrap_or(usize::MAX).min(octets.len());
                let (now, rest) = octets.split_at_checked(most).unwrap_or((octets, &[]));
                data(now)?;
                octets = rest;
                let left = left.saturating_sub(now.len() as u64);
                self.state = if left == 0 { Chunk::DataEnd } else { Chunk::Data { left } };
                continue;
            }
            let end = memchr::memchr(b'\n', octets).map_or(octets.len(), |at| at + 1);
            let (now, rest) = octets.split_at_checked(end).unwrap_or((octets, &[]));
            self.line.extend_from_slice(now);
            octets = rest;
            if self.line.len() > MAX_CHUNK_LINE {
                return Err(io::Error::other("a chunk without a size"));
            }
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line =
                    line.strip_suffix(b"\r\n").ok_or_else(|| io::Error::other("a chunk with a bare LF"))?;
                self.state = self.state.after(line)?;
            }
        }
        Ok(octets)
    }
}

impl Chunk {
    fn after(self, line: &[u8]) -> io::Result<Self> {
        match self {
            Self::Size => {
                let size = line.split(|octet| matches!(octet, b';' | b' ')).next().unwrap_or_default();
                let size = std::str::from_utf8(size).ok().filter(|size| {
                    (1..=15).contains(&size.len()) && size.bytes().all(|octet| octet.is_ascii_hexdigit())
                });
                let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
                match size.ok_or_else(|| io::Error::other("a chunk without a size"))? {
                    0 => Ok(Self::Trailer),
                    left => Ok(Self::Data { left }),
                }
            }
            Self::DataEnd if line.is_empty() => Ok(Self::Size),
            Self::DataEnd | Self::Data { .. } => Err(io::Error::other("a chunk longer than its size")),
            Self::Trailer if line.is_empty() => Ok(Self::Done),
            Self::Trailer | Self::Done => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whole_with_folded_fields() {
        let octets =
            b"ICAP/1.0 200 OK\r\nX-Violations-Found: 1\r\n\tmail\r\n\tWin.Test\r\nIstag: \"x\"\r\n\r\nrest";
        for cut in 0..octets.len() - 4 {
            let mut reader = HeadReader::default();
            let (first, second) = octets.split_at(cut);
            assert_eq!(reader.take(first).unwrap().0, None);
            let (head, rest) = reader.take(second).unwrap();
            let head = head.unwrap();
            assert_eq!((head.status("ICAP/1."), rest), (Some(200), &b"rest"[..]), "{cut}");
            assert_eq!(head.get("x-violations-found"), Some("1\nmail\nWin.Test"));
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for octets in [
            "ICAP/1.0 200 OK\r\nnothing\r\n\r\n",
            "ICAP/1.0 200 OK\r\n folded\r\n\r\n",
            "ICAP/1.0 200 OK\r\n: x\r\n\r\n",
            "ICAP/1.0 200 OK\r\na: b\nc: d\r\n\r\n",
        ] {
            assert!(HeadReader::default().take(octets.as_bytes()).is_err(), "{octets}");
        }
        assert!(HeadReader::default().take(&vec![b'x'; MAX_HEAD + 1]).is_err());
        for (first, status) in [
            ("ICAP/1.0 204 No", Some(204)),
            ("ICAP/1.0 204", Some(204)),
            ("ICAP/2.0 204", None),
            ("ICAP/1.0  204", None),
            ("ICAP/1.0 20", None),
            ("ICAP/1.0 2040", None),
            ("HTTP/1.1 200 OK", None),
        ] {
            let head = Head { first: first.to_owned(), fields: Vec::new() };
            assert_eq!(head.status("ICAP/1."), status, "{first}");
        }
    }

    #[test]
    fn chunks_are_put_together_wherever_they_were_cut() {
        let body = b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: x\r\n\r\nmore";
        for cut in 0..=body.len() {
            let (mut chunks, mut whole) = (Chunks::default(), Vec::new());
            let (first, second) = body.split_at(cut);
            let mut data = |octets: &[u8]| {
                whole.extend_from_slice(octets);
                Ok(())
            };
            let rest = chunks.take(first, &mut data).unwrap().to_vec();
            let rest = [&rest, chunks.take(second, &mut data).unwrap()].concat();
            assert!(chunks.is_done());
            assert_eq!((whole.as_slice(), rest.as_slice()), (&b"hello!"[..], &b"more"[..]), "{cut}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for body in ["x\r\n", "\r\n", "-1\r\n", "5\nhello", "1\r\nab\r\n", "10000000000000000\r\n"] {
            assert!(Chunks::default().take(body.as_bytes(), &mut |_| Ok(())).is_err(), "{body}");
        }
    }
}
