//! Multi-line answers that carry mail (RFC 1939 section 3): where they end, and dot-stuffing in both directions.
//!
//! A mail ends at CRLF.CRLF and nowhere else: a dot after a bare LF or a bare CR is content, whatever other readers
//! take it for. All three work on whole slices between the few places that matter and do not depend on the cut.
use memchr::memmem;

/// Finds the end of an answer that is passed on as it comes.
#[derive(Clone, Copy, Debug)]
pub struct Terminator {
    /// How many octets of CRLF.CRLF were just seen.
    matched: u8,
}

const END: &[u8; 5] = b"\r\n.\r\n";

impl Terminator {
    /// Right after the status line, whose CRLF counts.
    pub const fn after_status_line() -> Self {
        Self { matched: 2 }
    }

    /// How many octets belong to the answer, when its end is among them.
    pub fn find(&mut self, data: &[u8]) -> Option<usize> {
        let mut at = 0;
        // Only at the edge of a slice is the end looked for octet by octet.
        while self.matched > 0 {
            let byte = *data.get(at)?;
            at += 1;
            if self.step(byte) {
                return Some(at);
            }
        }
        let rest = data.get(at..).unwrap_or_default();
        if let Some(found) = memmem::find(rest, END) {
            return Some(at + found + END.len());
        }
        for byte in rest.get(rest.len().saturating_sub(END.len() - 1)..).unwrap_or_default() {
            self.step(*byte);
        }
        None
    }

    /// Whether `byte` completes the end.
    fn step(&mut self, byte: u8) -> bool {
        if END.get(usize::from(self.matched)) == Some(&byte) {
            self.matched += 1;
        } else if byte == b'\r' {
            self.matched = 1;
        } else {
            self.matched = 0;
        }
        usize::from(self.matched) == END.len()
    }
}

/// Takes the dot-stuffing off a mail.
#[derive(Clone, Copy, Debug)]
pub struct Unstuffer(Place);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After CRLF.
    LineStart,
    /// After a dot at the start of a line, which is withheld.
    Dot,
    /// After that dot and CR, both withheld.
    DotCarriageReturn,
    /// Inside a line.
    Inside,
    /// Inside a line, after CR.
    CarriageReturn,
}

impl Unstuffer {
    /// Right after the status line.
    pub const fn after_status_line() -> Self {
        Self(Place::LineStart)
    }

    /// Gives the mail's octets to `sink`; how many octets were the mail's with its end, when that was among them.
    pub fn feed(&mut self, data: &[u8], mut sink: impl FnMut(&[u8])) -> Option<usize> {
        let mut rest = data;
        while let Some((&first, after)) = rest.split_first() {
            match self.0 {
                Place::LineStart if first == b'.' => {
                    self.0 = Place::Dot;
                    rest = after;
                }
                Place::Dot if first == b'\r' => {
                    self.0 = Place::DotCarriageReturn;
                    rest = after;
                }
                Place::DotCarriageReturn if first == b'\n' => {
                    self.0 = Place::LineStart;
                    return Some(data.len() - after.len());
                }
                Place::DotCarriageReturn => {
                    sink(b"\r");
                    self.0 = Place::CarriageReturn;
                }
                Place::CarriageReturn if first == b'\n' => {
                    sink(b"\n");
                    self.0 = Place::LineStart;
                    rest = after;
                }
                Place::LineStart | Place::Dot | Place::Inside | Place::CarriageReturn => {
                    let (text, place) = until_dot(rest);
                    sink(text);
                    self.0 = place;
                    rest = rest.get(text.len()..).unwrap_or_default();
                }
            }
        }
        None
    }
}

/// Everything up to and with the CRLF before the next line that starts with a dot; where that leaves us.
fn until_dot(data: &[u8]) -> (&[u8], Place) {
    if let Some(at) = memmem::find(data, b"\r\n.") {
        return (data.get(..at + 2).unwrap_or(data), Place::LineStart);
    }
    let place = if data.ends_with(b"\r\n") {
        Place::LineStart
    } else if data.ends_with(b"\r") {
        Place::CarriageReturn
    } else {
        Place::Inside
    };
    (data, place)
}

/// Puts dot-stuffing on a mail.
#[derive(Clone, Copy, Debug)]
pub struct Stuffer(Place);

impl Stuffer {
    /// Right after the status line.
    pub const fn after_status_line() -> Self {
        Self(Place::LineStart)
    }

    /// Adds the next piece of the mail.
    pub fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(&first) = rest.first() {
            if self.0 == Place::LineStart && first == b'.' {
                out.push(b'.');
            }
            if self.0 == Place::CarriageReturn && first == b'\n' {
                out.push(b'\n');
                self.0 = Place::LineStart;
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let (text, place) = until_dot(rest);
            out.extend_from_slice(text);
            self.0 = place;
            rest = rest.get(text.len()..).unwrap_or_default();
        }
    }

    /// Ends the answer; a last line without CRLF gets one.
    pub fn finish(self, out: &mut Vec<u8>) {
        if self.0 != Place::LineStart {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

/// Finds where TOP ends in a mail: header, blank line and so many lines of the body (RFC 1939 section 7).
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// In the header: whether the line so far is empty, or CR.
    header: Option<Column>,
    lines: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Start,
    AfterCarriageReturn,
    Later,
}

impl Cut {
    /// `lines` of the body.
    pub const fn after(lines: u64) -> Self {
        Self { header: Some(Column::Start), lines }
    }

    /// How many octets of the next piece are wanted, when the cut is in it.
    pub fn find(&mut self, piece: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(column) = self.header {
            let rest = piece.get(at..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            let column = match (column, line) {
                (same, []) => same,
                (Column::Start, b"\r") => Column::AfterCarriageReturn,
                (Column::Start | Column::AfterCarriageReturn | Column::Later, _) => Column::Later,
            };
            let Some(end) = end else {
                self.header = Some(column);
                return None;
            };
            at += end + 1;
            self.header = (column == Column::Later).then_some(Column::Start);
        }
        if self.lines == 0 {
            return Some(at);
        }
        for end in memchr::memchr_iter(b'\n', piece.get(at..).unwrap_or_default()) {
            self.lines -= 1;
            if self.lines == 0 {
                return Some(at + end + 1);
            }
        }
        None
    }
}
