//! A scanner behind ICAP (RFC 3507): OPTIONS first, then one request for each thing that is asked about, over a connection
//! that was given with the lease.
//!
//! Clean is 204, or 200 with the very octets that were sent, after all of them were; another body in their place is an
//! infection, named or not. A server that is content with the beginning of a mail is asked again with the whole.
mod answer;

pub use answer::{Body, Reader, Response, understand};

use super::Finding;
use crate::outside::{Connection, hung_up};
use ipc::log::printable;
use policy::status::Status;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Octets of one chunk.
const CHUNK: usize = 256 * 1024;
/// The most that is sent as a preview, whatever the server asks for.
const MAX_PREVIEW: usize = 64 * 1024;

/// Requests to one service.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    url: String,
    service: Option<Service>,
}

/// What OPTIONS said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    method: Method,
    /// Octets that the server wants to see first.
    preview: Option<usize>,
    /// Its words and its ISTag, which changes with its signatures.
    version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Response,
    Request,
}

/// How far the octets went before the answer was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of them, and their end.
    Whole,
    /// A preview, after which the server wanted no more.
    Preview,
    /// Some: the server did not wait for the rest.
    Part,
}

impl Session {
    pub(crate) const fn new(connection: Connection, url: String) -> Self {
        Self { connection, url, service: None }
    }

    /// Asks about octets; `ignore` names viruses that do not count.
    pub(crate) async fn ask_about(&mut self, octets: &[u8], ignore: &[String]) -> io::Result<Finding> {
        let service = self.options().await?;
        let (mut response, mut sent) = self.request(&service, octets, service.preview).await?;
        if sent == Sent::Preview && !response.names_violation() {
            (response, sent) = self.request(&service, octets, None).await?;
        }
        let finding = understand(&response, sent, ignore);
        if response.closes && finding.statuses.is_clean() {
            self.connection.hear(&mut |_| Err(io::Error::other("answered more than was asked"))).await?;
        }
        Ok(finding)
    }

    /// What the service says of itself.
    pub(crate) async fn ask_version(&mut self) -> io::Result<String> {
        Ok(self.options().await?.version)
    }

    /// Nothing more is asked, and nothing more may be said.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        let mut more = |_: &[u8]| Err(io::Error::other("answered more than was asked"));
        // A server that keeps the connection says nothing: that is looked at once and not waited for.
        match poll_once(pin!(self.connection.hear(&mut more))) {
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    async fn options(&mut self) -> io::Result<Service> {
        if let Some(service) = &self.service {
            return Ok(service.clone());
        }
        let question = format!("OPTIONS {} ICAP/1.0\r\n{}\r\n", self.url, self.common());
        let mut reader = Reader::new(&[]);
        self.connection.send(question.as_bytes(), &mut |octets| reader.take(octets)).await?;
        let response = self.finish(reader).await?;
        if response.status != 200 {
            return Err(io::Error::other(format!("OPTIONS is answered with {}", response.head.first)));
        }
        if response.closes {
            return Err(io::Error::other("the server closes the connection after OPTIONS"));
        }
        let service = Service::read(&response);
        self.service = Some(service.clone());
        Ok(service)
    }

    fn common(&self) -> String {
        let authority =
            self.url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        format!("Host: {authority}\r\nUser-Agent: Mailward\r\n")
    }

    /// One request and its final answer.
    async fn request(
        &mut self,
        service: &Service,
        octets: &[u8],
        preview: Option<usize>,
    ) -> io::Result<(Response, Sent)> {
        let (name, encapsulated, list) = encapsulate(service.method, octets.len());
        let announced = preview.map(|count| format!("Preview: {}\r\n", count.min(octets.len())));
        let mut start = format!(
            "{name} {} ICAP/1.0\r\n{}Allow: 204\r\n{}Encapsulated: {list}\r\n\r\n{encapsulated}",
            self.url,
            self.common(),
            announced.unwrap_or_default()
        )
        .into_bytes();
        let (first, rest) = octets.split_at_checked(preview.unwrap_or(0)).unwrap_or((octets, &[]));
        if preview.is_none() {
            return self.send_all(start, octets, octets).await;
        }
        chunk(&mut start, first);
        start.extend_from_slice(if rest.is_empty() { b"0; ieof\r\n\r\n" } else { b"0\r\n\r\n" });
        let mut reader = Reader::new(octets);
        self.connection.send(&start, &mut |came| reader.take(came)).await?;
        let response = self.finish(reader).await?;
        match (response.status, rest.is_empty()) {
            (100, false) => self.send_all(Vec::new(), rest, octets).await,
            (_, true) => Ok((response, Sent::Whole)),
            (_, false) => Ok((response, Sent::Preview)),
        }
    }

    /// Sends the body while the answer may come already, which is held against `whole`.
    async fn send_all(&mut self, start: Vec<u8>, body: &[u8], whole: &[u8]) -> io::Result<(Response, Sent)> {
        let mut reader = Reader::new(whole);
        let mut sent = Sent::Whole;
        let mut start = start;
        let mut heard = |came: &[u8]| {
            reader.take(came)?;
            if reader.is_done() { Err(io::Error::other("answered before the end")) } else { Ok(()) }
        };
        let mut ended = Ok(());
        for piece in body.chunks(CHUNK) {
            // The server may answer with nothing but the beginning of what it was sent: then it was not all asked about.
            chunk_start(&mut start, piece.len());
            ended = self.connection.send(&std::mem::take(&mut start), &mut heard).await;
            if ended.is_ok() {
                ended = self.connection.send(piece, &mut heard).await;
            }
            if ended.is_err() {
                break;
            }
            start.extend_from_slice(b"\r\n");
        }
        if ended.is_ok() {
            start.extend_from_slice(b"0\r\n\r\n");
            ended = self.connection.send(&start, &mut heard).await;
        }
        match ended {
            Ok(()) => {}
            Err(_) if reader.is_done() => sent = Sent::Part,
            Err(error) => return Err(error),
        }
        Ok((self.finish(reader).await?, sent))
    }

    /// Waits for the rest of an answer.
    async fn finish(&mut self, mut reader: Reader<'_>) -> io::Result<Response> {
        while !reader.is_done() {
            if !self.connection.hear(&mut |octets| reader.take(octets)).await? {
                return Err(hung_up());
            }
        }
        reader.response().ok_or_else(hung_up)
    }
}

impl Service {
    fn read(response: &Response) -> Self {
        let head = &response.head;
        let method = if head.has_token("methods", "RESPMOD") || !head.has_token("methods", "REQMOD") {
            Method::Response
        } else {
            Method::Request
        };
        let preview = head.get("preview").and_then(|octets| octets.parse().ok());
        let said = [head.get("service"), head.get("istag")];
        let version = said.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Self {
            method,
            preview: preview.map(|octets: usize| octets.min(MAX_PREVIEW)),
            version: printable(&version, 128),
        }
    }
}

/// The method, the HTTP message around the mail, and the list of its sections.
fn encapsulate(method: Method, octets: usize) -> (&'static str, String, String) {
    const ASKED: &str = "GET http://mailward.invalid/mail.eml HTTP/1.1\r\nHost: mailward.invalid\r\n\r\n";
    match method {
        Method::Response => {
            let answered = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: message/rfc822\r\nContent-Length: {octets}\r\n\r\n"
            );
            let (first, second) = (ASKED.len(), ASKED.len() + answered.len());
            let list = format!("req-hdr=0, res-hdr={first}, res-body={second}");
            ("RESPMOD", format!("{ASKED}{answered}"), list)
        }
        Method::Request => {
            let posted = format!(
                "POST http://mailward.invalid/mail.eml HTTP/1.1\r\nHost: mailward.invalid\r\n\
                 Content-Type: message/rfc822\r\nContent-Length: {octets}\r\n\r\n"
            );
            let list = format!("req-hdr=0, req-body={}", posted.len());
            ("REQMOD", posted, list)
        }
    }
}

fn chunk_start(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(format!("{length:x}\r\n").as_bytes());
}

fn chunk(out: &mut Vec<u8>, octets: &[u8]) {
    if !octets.is_empty() {
        chunk_start(out, octets.len());
        out.extend_from_slice(octets);
        out.extend_from_slice(b"\r\n");
    }
}

/// Polls a future a single time.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// An answer that was not understood, in the words of its first line.
fn not_understood(response: &Response, why: &str) -> Finding {
    Finding::of(Status::Unknown, printable(&format!("{why}: {}", response.head.first), 200))
}
