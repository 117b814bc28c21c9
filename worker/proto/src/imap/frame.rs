//! Bytes of any cut become frames: one command or one response each, its literals counted and never looked into. What
//! is malformed can thereby not move the place where the next frame begins. The machines are the only callers.
//!
//! Reads bytes chosen by either peer; trusts nothing but their count. Memory grows with octets that came, never with
//! the size that a literal announces.
use crate::machine::Side;
use memchr::{memchr, memchr2};
use zeroize::Zeroize;

/// What one frame may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Octets of its lines, without literals.
    pub line: usize,
    /// Octets of one literal that is kept.
    pub literal: u64,
    /// Octets of all literals that are kept.
    pub literals: u64,
}

/// More announcements than any frame needs: they cost more here than on the wire.
const MAX_LITERALS: usize = 4096;

/// Below this, memory is kept from one frame to the next.
const KEPT_CAPACITY: usize = 1024;

/// A frame that cannot be taken; the caller ends the session, since nobody knows where the next one would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Its lines are longer than the bound.
    TooLong,
    /// NUL, a bare CR, or from a server a bare LF, outside literals.
    Malformed,
    /// [`Framer::next`] was called before it was decided about a literal.
    Undecided,
}

/// A literal whose octets are not in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elided {
    /// Where its octets would begin: behind the CRLF of its announcement.
    pub at: usize,
    /// Its octets.
    pub size: u64,
    /// `~{n}` (RFC 3516).
    pub binary: bool,
}

/// One command or response, without its last CRLF. Literals that were kept stand in the text as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'f> {
    /// The text.
    pub text: &'f [u8],
    /// The literals that are not in it, in order.
    pub elided: &'f [Elided],
}

/// A literal that a peer is about to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced<'f> {
    /// Everything of the frame so far; this literal is its last elided one, and the text ends with its announcement.
    pub frame: Frame<'f>,
    /// Octets; `u64::MAX` stands for every number that is too large.
    pub size: u64,
    /// The client waits for `+`.
    pub synchronising: bool,
    /// `~{n}`.
    pub binary: bool,
}

/// What came next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'f> {
    /// Everything was used up.
    More,
    /// A literal comes. Decide with [`Framer::keep`], [`Framer::stream`], [`Framer::skip`] or [`Framer::abandon`].
    Announced(Announced<'f>),
    /// A piece of a literal that is streamed.
    Piece(&'f [u8]),
    /// The end of a literal that is streamed.
    LiteralEnd,
    /// The frame is complete.
    Frame(Frame<'f>),
}

/// One side's bytes on their way to frames.
pub struct Framer {
    side: Side,
    bounds: Bounds,
    state: State,
    plain: bool,
    /// What came of the frame, unless all of it stands in one read.
    text: Vec<u8>,
    elided: Vec<Elided>,
    /// Where the current line begins in `text`.
    line_start: usize,
    /// Octets of literals in `text`.
    inline: u64,
    offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Line,
    /// The last frame was given out and may still be borrowed.
    Given,
    Undecided,
    Keep(u64),
    Stream(u64),
    Skip(u64),
}

impl Framer {
    /// Nothing has come yet.
    pub const fn new(side: Side, bounds: Bounds) -> Self {
        Self {
            side,
            bounds,
            state: State::Line,
            plain: false,
            text: Vec::new(),
            elided: Vec::new(),
            line_start: 0,
            inline: 0,
            offset: 0,
        }
    }

    /// Other bounds, from the next octet on.
    pub const fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Whether lines are what comes, not commands: answers of a SASL exchange, DONE. They announce no literals.
    pub const fn set_plain(&mut self, plain: bool) {
        self.plain = plain;
    }

    /// Octets received, up to where the last step ended.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether no frame is under way.
    pub fn is_between_frames(&self) -> bool {
        self.state == State::Given || (self.state == State::Line && self.text.is_empty())
    }

    /// Takes off `input` what makes the next step. Call until it says [`Step::More`].
    ///
    /// # Errors
    /// [`FrameError`]; nothing may be read from this side afterwards.
    pub fn next<'f, 'i: 'f>(&'f mut self, input: &mut &'i [u8]) -> Result<Step<'f>, FrameError> {
        loop {
            match self.state {
                State::Given => {
                    self.clear();
                    self.state = State::Line;
                }
                State::Undecided => return Err(FrameError::Undecided),
                State::Keep(0) | State::Skip(0) => self.begin_line(),
                State::Keep(left) => {
                    let Some(piece) = self.take_literal(input, left) else { return Ok(Step::More) };
                    self.state = State::Keep(left - piece.len() as u64);
                    push_wiping(&mut self.text, piece);
                }
                State::Skip(left) => {
                    let Some(piece) = self.take_literal(input, left) else { return Ok(Step::More) };
                    self.state = State::Skip(left - piece.len() as u64);
                }
                State::Stream(0) => {
                    self.begin_line();
                    return Ok(Step::LiteralEnd);
                }
                State::Stream(left) => {
                    let Some(piece) = self.take_literal(input, left) else { return Ok(Step::More) };
                    self.state = State::Stream(left - piece.len() as u64);
                    return Ok(Step::Piece(piece));
                }
                State::Line => return self.take_line(input),
            }
        }
    }

    /// The announced literal shall stand in the text. `false`: it is over the bounds, and still undecided.
    #[must_use]
    pub fn keep(&mut self) -> bool {
        let Some(literal) = self.undecided() else { return false };
        let inline = self.inline.saturating_add(literal.size);
        if literal.size > self.bounds.literal || inline > self.bounds.literals {
            return false;
        }
        self.inline = inline;
        self.elided.pop();
        self.state = State::Keep(literal.size);
        true
    }

    /// The announced literal shall come in pieces.
    pub fn stream(&mut self) {
        if let Some(literal) = self.undecided() {
            self.state = State::Stream(literal.size);
        }
    }

    /// The octets of the announced literal are passed over; the frame goes on behind them.
    pub fn skip(&mut self) {
        if let Some(literal) = self.undecided() {
            self.state = State::Skip(literal.size);
        }
    }

    /// Forgets the frame: its synchronising literal was refused, so that a new command comes instead.
    pub fn abandon(&mut self) {
        if self.undecided().is_some() {
            self.state = State::Given;
        }
    }

    /// What came of the frame whose literal waits for a decision.
    pub fn undecided_frame(&self) -> Frame<'_> {
        Frame { text: &self.text, elided: &self.elided }
    }

    fn undecided(&self) -> Option<Elided> {
        if self.state == State::Undecided { self.elided.last().copied() } else { None }
    }

    fn take_literal<'i>(&mut self, input: &mut &'i [u8], left: u64) -> Option<&'i [u8]> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        if length == 0 {
            return None;
        }
        Some(self.advance(input, length))
    }

    fn advance<'i>(&mut self, input: &mut &'i [u8], length: usize) -> &'i [u8] {
        let (taken, rest) = input.split_at(length);
        *input = rest;
        self.offset += length as u64;
        taken
    }

    fn begin_line(&mut self) {
        self.line_start = self.text.len();
        self.state = State::Line;
    }

    fn take_line<'f, 'i: 'f>(&'f mut self, input: &mut &'i [u8]) -> Result<Step<'f>, FrameError> {
        let inline = usize::try_from(self.inline).unwrap_or(usize::MAX);
        let room = (self.bounds.line + inline).saturating_sub(self.text.len());
        let window = input.get(..room).unwrap_or(input);
        let Some(end) = memchr(b'\n', window) else {
            if !input.is_empty() && input.len() >= room {
                // The offset is that of the bound, however the line was cut.
                self.advance(input, room);
                return Err(FrameError::TooLong);
            }
            let piece = self.advance(input, input.len());
            push_wiping(&mut self.text, piece);
            if self.text.is_empty() {
                // An idle session holds nothing.
                self.text = Vec::new();
            }
            return Ok(Step::More);
        };
        let piece = self.advance(input, end + 1);
        let piece = piece.get(..end).unwrap_or_default();
        if self.text.is_empty() {
            let line = self.checked(piece)?;
            let Some(announced) = self.announcement(line, line) else {
                self.state = State::Given;
                return Ok(Step::Frame(Frame { text: line, elided: &[] }));
            };
            push_wiping(&mut self.text, line);
            return self.announce(announced);
        }
        push_wiping(&mut self.text, piece);
        let line = self.checked(self.text.get(self.line_start..).unwrap_or_default())?;
        let length = self.line_start + line.len();
        let announced = self.announcement(self.text.get(..length).unwrap_or_default(), line);
        self.text.truncate(length);
        match announced {
            Some(announced) => self.announce(announced),
            None => {
                self.state = State::Given;
                Ok(Step::Frame(Frame { text: &self.text, elided: &self.elided }))
            }
        }
    }

    /// A line without its line end.
    fn checked<'l>(&self, line: &'l [u8]) -> Result<&'l [u8], FrameError> {
        let line = match (self.side, line.strip_suffix(b"\r")) {
            (_, Some(line)) => line,
            (Side::Client, None) => crate::quirks::without_carriage_return(line),
            (Side::Server, None) => return Err(FrameError::Malformed),
        };
        if memchr2(0, b'\r', line).is_some() {
            return Err(FrameError::Malformed);
        }
        Ok(line)
    }

    /// The literal that the last line of a frame announces. Every `{n}` at the end of a client's line counts, also where the
    /// grammar has no place for one: what follows `{n+}` must never be taken for a command.
    fn announcement(&self, text: &[u8], line: &[u8]) -> Option<(Announcement, usize)> {
        let announcement = Announcement::at_end(line)?;
        let carries =
            !self.plain && (self.side == Side::Client || (is_data(text) && announcement.synchronising));
        carries.then_some((announcement, text.len()))
    }

    /// `text` holds the frame up to its announcement, which ends at `end`.
    fn announce(&mut self, (announcement, end): (Announcement, usize)) -> Result<Step<'_>, FrameError> {
        if self.elided.len() >= MAX_LITERALS {
            return Err(FrameError::TooLong);
        }
        push_wiping(&mut self.text, b"\r\n");
        let Announcement { size, synchronising, binary } = announcement;
        self.elided.push(Elided { at: end + 2, size, binary });
        self.state = State::Undecided;
        let frame = Frame { text: &self.text, elided: &self.elided };
        Ok(Step::Announced(Announced { frame, size, synchronising, binary }))
    }

    fn clear(&mut self) {
        self.text.zeroize();
        self.elided.clear();
        self.line_start = 0;
        self.inline = 0;
        if self.text.capacity() > KEPT_CAPACITY {
            self.text = Vec::new();
        }
        if self.elided.capacity() > KEPT_CAPACITY / size_of::<Elided>() {
            self.elided = Vec::new();
        }
    }
}

impl Drop for Framer {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl std::fmt::Debug for Framer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never its content: it may be a password.
        write!(f, "Framer({:?}, {:?}, {} octets)", self.side, self.state, self.text.len())
    }
}

/// `{n}`, `{n+}`, `~{n}` or `~{n+}`.
#[derive(Clone, Copy)]
pub(super) struct Announcement {
    pub(super) size: u64,
    pub(super) synchronising: bool,
    pub(super) binary: bool,
}

impl Announcement {
    /// The one with which a line ends.
    fn at_end(line: &[u8]) -> Option<Self> {
        let inside = line.strip_suffix(b"}")?;
        let open = memchr::memrchr(b'{', inside)?;
        Self::read(inside.get(open + 1..)?, inside.get(..open).is_some_and(|before| before.ends_with(b"~")))
    }

    /// What stands between the braces.
    pub(super) fn read(inside: &[u8], binary: bool) -> Option<Self> {
        let (digits, synchronising) = match inside.strip_suffix(b"+") {
            Some(digits) => (digits, false),
            None => (inside, true),
        };
        if digits.is_empty() {
            return None;
        }
        let size = digits.iter().try_fold(0_u64, |size, byte| {
            byte.is_ascii_digit().then(|| size.saturating_mul(10).saturating_add(u64::from(byte - b'0')))
        })?;
        Some(Self { size, synchronising, binary })
    }
}

/// Whether a response of a server may hold literals: untagged data can. Tagged responses, `+` and untagged status
/// responses end in text for people, in which `{5}` is just text.
fn is_data(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"* ") else { return false };
    let word = rest.trim_ascii_start().split(|byte| *byte == b' ').next().unwrap_or_default();
    !["OK", "NO", "BAD", "BYE", "PREAUTH"].iter().any(|status| status.as_bytes().eq_ignore_ascii_case(word))
}

/// Appends. A vector that grows in place would leave its old octets in freed memory, so it is moved by hand.
fn push_wiping(text: &mut Vec<u8>, more: &[u8]) {
    if text.capacity() - text.len() < more.len() {
        let mut grown = Vec::with_capacity((text.len() + more.len()).max(2 * text.len()));
        grown.extend_from_slice(text);
        text.zeroize();
        *text = grown;
    }
    text.extend_from_slice(more);
}
