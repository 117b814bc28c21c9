//! One ICAP response, read as its octets come, and what it says. Pure. A body is compared with what was sent and not kept.
use super::{Sent, not_understood};
use crate::antivirus::{Finding, is_ignored};
use crate::outside::http::{Chunks, Head, HeadReader};
use ipc::log::printable;
use policy::status::Status;
use std::io;

/// Octets of the HTTP headers in a response.
const MAX_ENCAPSULATED: usize = 64 * 1024;

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its code.
    pub status: u16,
    /// Its first line and fields.
    pub head: Head,
    /// The code of the HTTP response in it, if there is one.
    pub http: Option<u16>,
    /// What stands in the place of what was sent.
    pub body: Body,
    /// The server closes the connection.
    pub closes: bool,
}

/// The body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// Octet for octet what was sent.
    Same,
    /// Something else.
    Other,
}

/// Reads one response.
#[derive(Debug)]
pub struct Reader<'s> {
    /// What was sent and is not yet seen in the body.
    expected: &'s [u8],
    stage: Stage,
    heads: HeadReader,
    response: Option<Response>,
}

#[derive(Debug)]
enum Stage {
    Head,
    /// The HTTP headers: how many octets are missing, where the response's begin, what came.
    Encapsulated {
        missing: usize,
        http: Option<usize>,
        body: bool,
        octets: Vec<u8>,
    },
    Body(Chunks),
    Done,
}

impl<'s> Reader<'s> {
    /// Of the answer to a request about these octets.
    pub fn new(sent: &'s [u8]) -> Self {
        Self { expected: sent, stage: Stage::Head, heads: HeadReader::default(), response: None }
    }

    /// Takes octets as they come.
    ///
    /// # Errors
    /// What is no response, or more than one.
    pub fn take(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            octets = match &mut self.stage {
                Stage::Head => {
                    let (head, rest) = self.heads.take(octets)?;
                    if let Some(head) = head {
                        self.begin(head)?;
                    }
                    rest
                }
                Stage::Encapsulated { missing, octets: known, .. } => {
                    let (now, rest) = octets.split_at_checked(*missing).unwrap_or((octets, &[]));
                    known.extend_from_slice(now);
                    *missing -= now.len();
                    if *missing == 0 {
                        self.headers_are_whole();
                    }
                    rest
                }
                Stage::Body(chunks) => {
                    let (expected, response) = (&mut self.expected, &mut self.response);
                    let rest = chunks.take(octets, &mut |data| {
                        match expected.strip_prefix(data) {
                            Some(left) => *expected = left,
                            None => other(response),
                        }
                        Ok(())
                    })?;
                    if chunks.is_done() {
                        if !expected.is_empty() {
                            other(response);
                        }
                        self.stage = Stage::Done;
                    }
                    rest
                }
                Stage::Done => return Err(io::Error::other("answered more than was asked")),
            };
        }
        Ok(())
    }

    /// Whether the response is whole.
    pub const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// The response, once it is whole.
    pub fn response(self) -> Option<Response> {
        self.response.filter(|_| matches!(self.stage, Stage::Done))
    }

    fn begin(&mut self, head: Head) -> io::Result<()> {
        let status = head.status("ICAP/1.").ok_or_else(|| io::Error::other("an answer that is not ICAP"))?;
        // 100 has nothing in it, and 204 by its meaning neither.
        let list = head.get("encapsulated").filter(|_| status != 100 && status != 204);
        let Sections { headers, http, body } = match list {
            Some(list) => {
                Sections::read(list).ok_or_else(|| io::Error::other("sections that are not understood"))?
            }
            None => Sections { headers: 0, http: None, body: false },
        };
        let closes = head.has_token("connection", "close");
        let there = if body { Body::Same } else { Body::None };
        self.response = Some(Response { status, head, http: None, body: there, closes });
        self.stage = match (headers, body) {
            (0, false) => Stage::Done,
            (0, true) => Stage::Body(Chunks::default()),
            (missing, body) => Stage::Encapsulated { missing, http, body, octets: Vec::new() },
        };
        Ok(())
    }

    fn headers_are_whole(&mut self) {
        let Stage::Encapsulated { http, body, octets, .. } = &self.stage else { return };
        let line = http.and_then(|at| octets.get(at..)).unwrap_or_default();
        let line = line.split(|octet| *octet == b'\r').next().unwrap_or_default();
        let first = String::from_utf8_lossy(line).into_owned();
        let http =
            Head::parse(format!("{first}\r\n\r\n").as_bytes()).ok().and_then(|head| head.status("HTTP/1."));
        if let Some(response) = &mut self.response {
            response.http = http;
        }
        self.stage = if *body { Stage::Body(Chunks::default()) } else { Stage::Done };
    }
}

fn other(response: &mut Option<Response>) {
    if let Some(response) = response {
        response.body = Body::Other;
    }
}

/// `Encapsulated: res-hdr=0, res-body=137` (RFC 3507 section 4.4.1).
struct Sections {
    /// Octets of headers before the body.
    headers: usize,
    /// Where the HTTP response's header begins.
    http: Option<usize>,
    body: bool,
}

impl Sections {
    fn read(list: &str) -> Option<Self> {
        let (mut last, mut http, mut body) = (0, None, None);
        for section in list.split(',') {
            let (name, at) = section.trim().split_once('=')?;
            let at: usize = at.trim().parse().ok().filter(|at| *at <= MAX_ENCAPSULATED)?;
            if at < last || body.is_some() {
                return None;
            }
            last = at;
            match name.trim().to_ascii_lowercase().as_str() {
                "res-hdr" => http = Some(at),
                "req-hdr" => {}
                "req-body" | "res-body" | "opt-body" => body = Some(true),
                "null-body" => body = Some(false),
                _ => return None,
            }
        }
        // The last section is the body, and says where the headers end.
        Some(Self { headers: last, http, body: body? })
    }
}

impl Response {
    /// Whether a header says that something is wrong with what was sent.
    pub fn names_violation(&self) -> bool {
        violation(&self.head).is_some()
    }
}

/// What a response to octets that went this far says of them.
pub fn understand(response: &Response, sent: Sent, ignore: &[String]) -> Finding {
    let whole = sent == Sent::Whole;
    match violation(&response.head) {
        Some(Violation { virus: Some(virus), .. }) if is_ignored(&virus, ignore) => {
            return if whole {
                Finding::clean()
            } else {
                not_understood(response, "answered before the end")
            };
        }
        Some(Violation { limit: true, virus }) => {
            return Finding::of(
                Status::Limit,
                virus.unwrap_or_else(|| "a violation of its limits".to_owned()),
            );
        }
        Some(Violation { virus: Some(virus), .. }) => return Finding::infected(&virus),
        Some(Violation { virus: None, .. }) => {
            return Finding::unnamed("a virus without a name");
        }
        None => {}
    }
    let served = response.http.is_none_or(|http| http == 200);
    match (response.status, response.body) {
        (200 | 201, Body::Other) => replaced(),
        (200 | 201, Body::None | Body::Same) if !served => replaced(),
        (204, _) | (200, Body::Same) if whole => Finding::clean(),
        (204, _) | (200, Body::Same) => not_understood(response, "answered before the end"),
        (400..=599, _) => Finding::of(Status::Error, printable(&response.head.first, 200)),
        _ => not_understood(response, "an answer that is not understood"),
    }
}

fn replaced() -> Finding {
    Finding::unnamed("something else was put in its place")
}

struct Violation {
    virus: Option<String>,
    /// It could not be looked into.
    limit: bool,
}

/// The headers with which servers name what they found (draft-stecher-icap-subid and what came of it).
fn violation(head: &Head) -> Option<Violation> {
    let named = |text: &str| Some(printable(text.trim(), 128)).filter(|name| !name.is_empty());
    if let Some(found) = head.get("x-infection-found") {
        // Type=0; Resolution=2; Threat=Eicar-Test-Signature;
        let parameter = |name: &str| {
            found.split(';').find_map(|one| {
                let (key, value) = one.trim().split_once('=')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let virus = parameter("threat").and_then(|threat| named(&threat));
        return Some(Violation { virus, limit: parameter("type").as_deref() == Some("2") });
    }
    if let Some(found) = head.get("x-violations-found") {
        // The count; then for each a file, what is in it, and two numbers, a line each.
        let mut lines = found.split('\n');
        if lines.next().is_some_and(|count| count.trim() != "0") {
            return Some(Violation { virus: lines.nth(1).and_then(named), limit: false });
        }
    }
    ["x-virus-id", "x-virus-name"]
        .into_iter()
        .find_map(|name| head.get(name))
        .map(|virus| Violation { virus: named(virus), limit: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::status::StatusSet;

    const MAIL: &[u8] = b"Subject: x\r\n\r\nhello\r\n";

    fn read(octets: &[u8]) -> io::Result<Response> {
        let mut reader = Reader::new(MAIL);
        reader.take(octets)?;
        reader.response().ok_or_else(|| io::Error::other("not whole"))
    }

    fn said(octets: &str, sent: Sent) -> StatusSet {
        let finding =
            read(octets.as_bytes()).map(|response| understand(&response, sent, &["PUA.*".to_owned()]));
        finding.map_or_else(|error| panic!("{octets}: {error}"), |finding| finding.statuses)
    }

    const SAME: &str = "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n\
                        e\r\nSubject: x\r\n\r\n\r\n7\r\nhello\r\n\r\n0\r\n\r\n";

    #[test]
    fn clean_is_said_after_the_end_and_no_other_way() {
        for clean in [
            "ICAP/1.0 204 No modifications needed\r\n\r\n",
            "ICAP/1.0 204 No Content\r\nEncapsulated: null-body=0\r\n\r\n",
            "ICAP/1.0 204 No Content\r\nX-Infection-Found: Type=0; Resolution=0; Threat=PUA.Toolbar;\r\n\r\n",
            "ICAP/1.0 204 No Content\r\nX-Violations-Found: 0\r\n\r\n",
            SAME,
            // A bare body, without an HTTP header.
            "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n15\r\nSubject: x\r\n\r\nhello\r\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(said(clean, Sent::Whole), StatusSet::of(Status::Clean), "{clean}");
            for sent in [Sent::Part, Sent::Preview] {
                assert_eq!(said(clean, sent), StatusSet::of(Status::Unknown), "{clean} {sent:?}");
            }
        }
    }

    #[test]
    fn everything_else_has_its_status() {
        for (octets, status) in [
            (
                "ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Resolution=2; Threat=Eicar;\r\nEncapsulated: null-body=0\r\n\r\n",
                Status::Infected,
            ),
            ("ICAP/1.0 204 No\r\nX-Virus-ID: Eicar\r\n\r\n", Status::Infected),
            ("ICAP/1.0 403 Forbidden\r\nX-Virus-Name: Eicar\r\n\r\n", Status::Infected),
            (
                "ICAP/1.0 200 OK\r\nX-Violations-Found: 1\r\n\tmail.eml\r\n\tEicar\r\n\t0\r\n\t0\r\nEncapsulated: null-body=0\r\n\r\n",
                Status::Infected,
            ),
            (
                "ICAP/1.0 200 OK\r\nX-Infection-Found: Type=2; Resolution=2; Threat=Zip.Bomb;\r\nEncapsulated: null-body=0\r\n\r\n",
                Status::Limit,
            ),
            ("ICAP/1.0 200 OK\r\nX-Infection-Found:\r\nEncapsulated: null-body=0\r\n\r\n", Status::Infected),
            (
                "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=26\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n2\r\nno\r\n0\r\n\r\n",
                Status::Infected,
            ),
            (
                "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, null-body=26\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n",
                Status::Infected,
            ),
            ("ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n2\r\nno\r\n0\r\n\r\n", Status::Infected),
            // What was sent, and more; and only its beginning.
            (
                "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n16\r\nSubject: x\r\n\r\nhello\r\n!\r\n0\r\n\r\n",
                Status::Infected,
            ),
            (
                "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\ne\r\nSubject: x\r\n\r\n\r\n0\r\n\r\n",
                Status::Infected,
            ),
            ("ICAP/1.0 200 OK\r\nEncapsulated: null-body=0\r\n\r\n", Status::Unknown),
            ("ICAP/1.0 200 OK\r\n\r\n", Status::Unknown),
            ("ICAP/1.0 206 Partial\r\n\r\n", Status::Unknown),
            ("ICAP/1.0 100 Continue\r\n\r\n", Status::Unknown),
            ("ICAP/1.0 404 No such service\r\n\r\n", Status::Error),
            ("ICAP/1.0 503 Overloaded\r\n\r\n", Status::Error),
        ] {
            assert_eq!(said(octets, Sent::Whole), StatusSet::of(status), "{octets}");
        }
    }

    #[test]
    fn a_response_is_the_same_wherever_it_was_cut() {
        for cut in 0..=SAME.len() {
            let (first, second) = SAME.as_bytes().split_at(cut);
            let mut reader = Reader::new(MAIL);
            reader.take(first).unwrap();
            assert_eq!(reader.is_done(), cut == SAME.len());
            reader.take(second).unwrap();
            assert_eq!(reader.response().unwrap().body, Body::Same, "{cut}");
        }
    }

    #[test]
    fn what_is_no_response_is_an_error() {
        for octets in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "ICAP/1.0 204 OK\r\n\r\nICAP/1.0 204 OK\r\n\r\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0\r\n\r\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0, res-hdr=10\r\n\r\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=90, res-body=10\r\n\r\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=9999999\r\n\r\n",
            "ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\nx\r\n",
            "ICAP/1.0 204",
            "\0",
        ] {
            assert!(read(octets.as_bytes()).is_err(), "{octets}");
        }
    }
}
