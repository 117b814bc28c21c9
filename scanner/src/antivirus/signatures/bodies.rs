//! Body signatures, in ClamAV's words: `.ndb`, one `name:kind:place:octets` a line. All of them are looked for in one
//! pass, by four octets of each; where these stand the whole is compared.
use super::pattern::{ANCHOR, Anchor, AnchorAt, Pattern, Places, Steps, TooMuch, size};
use super::{NOT_A_NAME, Refusal, name};
use std::collections::HashSet;

/// Steps that a search may take, for each octet and besides. An ordinary file takes next to none.
const STEPS_EACH: u64 = 64;
const STEPS_FLOOR: u64 = 1 << 22;

/// Patterns that one signature may be, where its alternatives have several lengths.
const MAX_PATTERNS: usize = 64;

/// Bits of the sieve for each signature: of a hundred windows that are no anchor three get through.
const BITS_EACH: usize = 32;
/// Bits of the sieve, as powers of two: from what is next to nothing to what stays near the processor.
const SIEVE: std::ops::RangeInclusive<u32> = 12..=22;

/// Signatures, in the order of their anchors once they are in force.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    bodies: Vec<Body>,
    /// Of each, by itself: this is what is searched.
    anchors: Vec<Anchor>,
    sieve: Sieve,
    /// Lines: some of them are several bodies.
    lines: usize,
}

/// Whether four octets may be an anchor: a set of hashes, as bits.
#[derive(Debug, Default)]
struct Sieve {
    bits: Box<[u64]>,
    /// The hash is as many of the highest bits of a product.
    shift: u32,
}

#[derive(Debug)]
struct Body {
    anchor: Anchor,
    anchor_at: AnchorAt,
    kind: Kind,
    place: Place,
    name: Box<str>,
    pattern: Pattern,
}

/// ClamAV's kinds of files that can be told by their beginning.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Any,
    Program,
    Office,
    Picture,
    Elf,
    MachO,
    Pdf,
    Flash,
    Java,
}

/// Where a signature may begin.
#[derive(Clone, Copy, Debug)]
enum Place {
    Anywhere,
    /// From the start, and so much further.
    Start(u32, u32),
    /// From the end, and so much further.
    End(u32, u32),
}

impl Bodies {
    /// One line.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn add(&mut self, line: &str) -> Result<(), Refusal> {
        const FORM: Refusal = "not name:kind:place:octets";
        let mut fields = line.split(':');
        let name = name(fields.next().ok_or(FORM)?).ok_or(NOT_A_NAME)?;
        let kind = Kind::parse(fields.next().ok_or(FORM)?)?;
        let place = Place::parse(fields.next().ok_or(FORM)?)?;
        let texts = of_one_length(fields.next().ok_or(FORM)?)?;
        let body = |text: &String| {
            let pattern = Pattern::parse(text)?;
            let (anchor, anchor_at) = pattern.anchor().ok_or("not four octets side by side")?;
            Ok(Body { anchor, anchor_at, kind, place, name: name.into(), pattern })
        };
        self.bodies.extend(texts.iter().map(body).collect::<Result<Vec<_>, Refusal>>()?);
        self.lines += 1;
        Ok(())
    }

    /// Puts them in order, once all are there. How many there are.
    pub(super) fn settle(&mut self) -> usize {
        self.bodies.sort_by_key(|body| body.anchor);
        self.bodies.shrink_to_fit();
        self.anchors = self.bodies.iter().map(|body| body.anchor).collect();
        self.sieve = Sieve::of(&self.anchors);
        self.lines
    }

    /// The signatures that match, each once, by name.
    ///
    /// # Errors
    /// [`TooMuch`]: it took more steps than it may; others may match.
    pub(super) fn find<'a>(&'a self, octets: &[u8], mut found: impl FnMut(&'a str)) -> Result<(), TooMuch> {
        if self.bodies.is_empty() {
            return Ok(());
        }
        let mut matched = HashSet::new();
        let mut steps = Steps((octets.len() as u64).saturating_mul(STEPS_EACH).saturating_add(STEPS_FLOOR));
        let mut asked = HashSet::new();
        for (window, at) in octets.windows(ANCHOR).zip(0..) {
            let Ok(anchor) = Anchor::try_from(window) else { continue };
            if !self.sieve.lets_through(anchor) {
                continue;
            }
            let begin = self.anchors.partition_point(|known| *known < anchor);
            let of_anchor = self.bodies.get(begin..).unwrap_or_default().iter();
            for (body, index) in of_anchor.take_while(|body| body.anchor == anchor).zip(begin..) {
                if !matched.contains(&index) && body.is_at(octets, at, &mut steps, || asked.insert(index))? {
                    matched.insert(index);
                    found(&body.name);
                }
            }
        }
        Ok(())
    }
}

/// The pattern once for each of its alternatives, where these have several lengths.
fn of_one_length(text: &str) -> Result<Vec<String>, Refusal> {
    let mut done = Vec::new();
    let mut open = vec![(String::new(), text)];
    while let Some((mut read, rest)) = open.pop() {
        let choice = rest.split_once('(').and_then(|(before, behind)| {
            let (inside, after) = behind.split_once(')')?;
            Some((before, inside, after))
        });
        let Some((before, inside, after)) = choice else {
            read.push_str(rest);
            done.push(read);
            continue;
        };
        read.push_str(before);
        let mut lengths = inside.split('|').map(str::len);
        let first = lengths.next();
        if lengths.all(|length| Some(length) == first) {
            open.push((format!("{read}({inside})"), after));
        } else if before.ends_with('!') {
            return Err("octets of several lengths that must not stand there");
        } else {
            open.extend(inside.split('|').map(|one| (format!("{read}{one}"), after)));
        }
        if open.len() + done.len() > MAX_PATTERNS {
            return Err("too many alternatives of several lengths");
        }
    }
    Ok(done)
}

impl Sieve {
    fn of(anchors: &[Anchor]) -> Self {
        let wanted = anchors.len().saturating_mul(BITS_EACH).checked_ilog2().map_or(0, |bits| bits + 1);
        let bits = wanted.clamp(*SIEVE.start(), *SIEVE.end());
        let mut sieve = Self { bits: vec![0; 1 << (bits - 6)].into(), shift: u32::BITS - bits };
        for anchor in anchors {
            let (word, bit) = sieve.place(*anchor);
            if let Some(word) = sieve.bits.get_mut(word) {
                *word |= bit;
            }
        }
        sieve
    }

    fn lets_through(&self, anchor: Anchor) -> bool {
        let (word, bit) = self.place(anchor);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(&self, anchor: Anchor) -> (usize, u64) {
        // Knuth's multiplier: neighbours land far from each other.
        let hash = u32::from_le_bytes(anchor).wrapping_mul(2_654_435_769) >> self.shift;
        (usize::try_from(hash >> 6).unwrap_or(usize::MAX), 1 << (hash & 63))
    }
}

impl Body {
    /// Whether it stands where its anchor was found. One with gaps is searched for everywhere, once: `first` says whether it
    /// was not yet.
    fn is_at(
        &self,
        octets: &[u8],
        hit: usize,
        steps: &mut Steps,
        first: impl FnOnce() -> bool,
    ) -> Result<bool, TooMuch> {
        let Some(start) = self.pattern.piece_at(octets, hit, self.anchor_at, steps)? else {
            return Ok(false);
        };
        match self.place.of(octets.len()) {
            Some(places) if self.kind.is(octets) => {
                if self.pattern.has_gaps() {
                    return if first() { self.pattern.is_in(octets, places, steps) } else { Ok(false) };
                }
                Ok((places.0..=places.1).contains(&start))
            }
            Some(_) | None => Ok(false),
        }
    }
}

impl Kind {
    fn parse(text: &str) -> Result<Self, Refusal> {
        match text {
            "0" => Ok(Self::Any),
            "1" => Ok(Self::Program),
            "2" => Ok(Self::Office),
            "5" => Ok(Self::Picture),
            "6" => Ok(Self::Elf),
            "9" => Ok(Self::MachO),
            "10" => Ok(Self::Pdf),
            "11" => Ok(Self::Flash),
            "12" => Ok(Self::Java),
            "3" | "7" => Err("a kind of file that ClamAV rewrites before it looks"),
            "4" | "8" | "13" => Err("a kind of file that is not told apart here"),
            _ => Err("not a kind of file"),
        }
    }

    fn is(self, octets: &[u8]) -> bool {
        let begins = |marks: &[&[u8]]| marks.iter().any(|mark| octets.starts_with(mark));
        match self {
            Self::Any => true,
            Self::Program => begins(&[b"MZ"]),
            Self::Office => begins(&[b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"]),
            Self::Picture => begins(&[
                b"\xff\xd8\xff",
                b"\x89PNG\r\n\x1a\n",
                b"GIF87a",
                b"GIF89a",
                b"BM",
                b"II*\0",
                b"MM\0*",
                b"RIFF",
            ]),
            Self::Flash => begins(&[b"FWS", b"CWS", b"ZWS"]),
            Self::Java => begins(&[b"\xca\xfe\xba\xbe"]),
            Self::Elf => begins(&[b"\x7fELF"]),
            Self::MachO => begins(&[
                b"\xfe\xed\xfa\xce",
                b"\xfe\xed\xfa\xcf",
                b"\xce\xfa\xed\xfe",
                b"\xcf\xfa\xed\xfe",
                b"\xca\xfe\xba\xbe",
            ]),
            Self::Pdf => {
                let start = octets.get(..octets.len().min(1024)).unwrap_or_default();
                memchr::memmem::find(start, b"%PDF-").is_some()
            }
        }
    }
}

impl Place {
    /// `*`, `n`, `EOF-n`, and either of the last two with `,n`: so much further at most.
    fn parse(text: &str) -> Result<Self, Refusal> {
        const FORM: Refusal = "a place that is none";
        if text == "*" {
            return Ok(Self::Anywhere);
        }
        let (text, further) = match text.split_once(',') {
            Some((text, further)) => (text, further.parse().map_err(|_| FORM)?),
            None => (text, 0),
        };
        if let Some(back) = text.strip_prefix("EOF-") {
            return back.parse().map(|back| Self::End(back, further)).map_err(|_| FORM);
        }
        if text.starts_with("EP") || text.starts_with('S') || text.starts_with("VI") || text.starts_with('$')
        {
            return Err("a place inside a program");
        }
        text.parse().map(|start| Self::Start(start, further)).map_err(|_| FORM)
    }

    /// In so many octets; `None` where there is no such place.
    fn of(self, length: usize) -> Option<Places> {
        match self {
            Self::Anywhere => Some((0, length)),
            Self::Start(start, further) => Some((size(start), size(start).saturating_add(size(further)))),
            Self::End(back, further) => {
                let start = length.checked_sub(size(back))?;
                Some((start, start.saturating_add(size(further))))
            }
        }
    }
}
