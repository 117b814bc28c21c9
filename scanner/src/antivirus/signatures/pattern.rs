//! One body signature: pieces of octets, some of them open, and how much may stand between two pieces. Written by whoever
//! makes signatures, matched against octets that anybody on the Internet chose: every step is paid for, and who cannot
//! pay any more does not know.
use super::Refusal;
use memchr::memmem::Finder;

/// Pieces of one signature.
const MAX_PIECES: usize = 64;
/// Places where the next piece may begin, of one signature at a time.
const MAX_PLACES: usize = 1 << 20;

/// Steps of one comparison, besides those for its octets.
const EACH: usize = 16;
/// Octets that are passed over in one step.
const FAST: usize = 8;

/// Octets that are looked for first.
pub(super) const ANCHOR: usize = 4;
pub(super) type Anchor = [u8; ANCHOR];

/// Which piece an anchor is of, and where it stands in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnchorAt {
    piece: u8,
    at: u32,
}

/// Pieces in order.
#[derive(Debug)]
pub(super) struct Pattern {
    pieces: Box<[Piece]>,
}

/// A run of octets without a gap. There are many of them: what need not be there is not.
#[derive(Debug)]
struct Piece {
    /// What may stand between the piece before and this one.
    gap: Gap,
    octets: Box<[u8]>,
    /// The bits of each octet that count; empty: all.
    mask: Box<[u8]>,
    /// What must stand, or must not, where no bit counts.
    choices: Box<[Choice]>,
}

/// `(aa|bb)` or `!(aa|bb)`: octets of one length, one of which stands there, or none of which does.
#[derive(Debug)]
struct Choice {
    at: usize,
    not: bool,
    length: usize,
    /// One behind the other.
    octets: Box<[u8]>,
}

/// Least and most; without a most, anything.
#[derive(Clone, Copy, Debug)]
struct Gap {
    least: u32,
    most: Option<u32>,
}

impl Default for Gap {
    /// None.
    fn default() -> Self {
        Self { least: 0, most: Some(0) }
    }
}

/// Where the first piece may begin: both bounds included.
pub(super) type Places = (usize, usize);

/// Out of steps.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Steps that a search may still take.
#[derive(Debug)]
pub(super) struct Steps(pub(super) u64);

impl Steps {
    fn pay(&mut self, steps: usize) -> Result<(), TooMuch> {
        self.0 = self.0.checked_sub(steps as u64).ok_or(TooMuch)?;
        Ok(())
    }
}

impl Pattern {
    /// ClamAV's notation: `aabb??a?{2-8}cc*dd[2-4](ee|ff)!(00|01)`.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        const HEX: Refusal = "octets that are not hexadecimal";
        let mut pieces = Vec::new();
        let mut piece = Open::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let gap = match first {
                '*' => Some((Gap { least: 0, most: None }, rest.get(1..).unwrap_or_default())),
                '{' | '[' => {
                    let close = if first == '{' { '}' } else { ']' };
                    let (inside, behind) = rest
                        .get(1..)
                        .and_then(|rest| rest.split_once(close))
                        .ok_or("a gap without an end")?;
                    Some((Gap::parse(inside).ok_or("a gap that is none")?, behind))
                }
                _ => None,
            };
            if let Some((gap, behind)) = gap {
                pieces.push(std::mem::replace(&mut piece, Open { gap, ..Open::default() }).close());
                rest = behind;
                continue;
            }
            if matches!(first, '(' | '!') {
                let not = first == '!';
                let choice = rest.strip_prefix('!').unwrap_or(rest).strip_prefix('(');
                let (inside, behind) =
                    choice.and_then(|rest| rest.split_once(')')).ok_or("alternatives without an end")?;
                piece.choose(inside, not)?;
                rest = behind;
                continue;
            }
            let (pair, after) = rest.split_at_checked(2).ok_or(HEX)?;
            let (octet, bits) = parse_octet(pair).ok_or(HEX)?;
            piece.octets.push(octet);
            piece.mask.push(bits);
            rest = after;
        }
        pieces.push(piece.close());
        if pieces.iter().any(|piece| piece.octets.is_empty()) {
            return Err("a gap with nothing before or behind it");
        }
        if pieces.len() > MAX_PIECES {
            return Err("too many gaps");
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// Four octets to look for first, those that are least likely to stand anywhere else.
    pub(super) fn anchor(&self) -> Option<(Anchor, AnchorAt)> {
        let windows = self.pieces.iter().zip(0..).flat_map(|(piece, number)| {
            piece.exact_runs().flat_map(move |(at, run)| {
                let four = |window: &[u8]| Anchor::try_from(window).ok();
                run.windows(ANCHOR).zip(at..).filter_map(move |(window, at)| {
                    Some((four(window)?, AnchorAt { piece: number, at: u32::try_from(at).ok()? }))
                })
            })
        });
        windows.max_by_key(|(anchor, _)| rarity(anchor))
    }

    /// Where its anchor was found at `hit`: whether the piece is there that the anchor is of. `None`: it is not.
    pub(super) fn piece_at(
        &self,
        octets: &[u8],
        hit: usize,
        anchor: AnchorAt,
        steps: &mut Steps,
    ) -> Result<Option<usize>, TooMuch> {
        let piece = self.pieces.get(usize::from(anchor.piece));
        let (Some(piece), Some(start)) = (piece, hit.checked_sub(size(anchor.at))) else { return Ok(None) };
        steps.pay(1 + piece.cost())?;
        Ok(piece.is_at(octets, start).then_some(start))
    }

    /// Whether one hit is as good as any: without gaps every hit is another place, and all that has to be known of it.
    pub(super) fn has_gaps(&self) -> bool {
        self.pieces.len() > 1
    }

    /// Whether it stands anywhere: from piece to piece, where it may end.
    pub(super) fn is_in(&self, octets: &[u8], places: Places, steps: &mut Steps) -> Result<bool, TooMuch> {
        // Before the first piece: places to begin at, not ends.
        let mut ends: Option<Vec<usize>> = None;
        for (piece, index) in self.pieces.iter().zip(1..) {
            let unbounded = self.pieces.get(index).is_some_and(|next| next.gap.most.is_none());
            let (least, most) = piece.gap.bounds();
            let mut next = Vec::new();
            let search = piece.search();
            steps.pay(EACH)?;
            let mut before = ends.as_deref().unwrap_or_default().iter().peekable();
            let (low, high) = match &ends {
                None => places,
                Some(ends) => match (ends.first(), ends.last()) {
                    (Some(first), Some(last)) => {
                        let high = most.map_or(usize::MAX, |most| last.saturating_add(most));
                        (first.saturating_add(least), high)
                    }
                    _ => return Ok(false),
                },
            };
            let mut from = low;
            while let Some(at) = search.next(octets, from, high, steps)? {
                // Ends that are too far before this place are too far before all that follow.
                let reached = match (&ends, most) {
                    (None, _) | (Some(_), None) => true,
                    (Some(_), Some(most)) => {
                        while before.next_if(|end| end.saturating_add(most) < at).is_some() {
                            steps.pay(1)?;
                        }
                        before.peek().is_some_and(|end| end.saturating_add(least) <= at)
                    }
                };
                if reached {
                    if index == self.pieces.len() {
                        return Ok(true);
                    }
                    next.push(at + piece.octets.len());
                    if unbounded {
                        break;
                    }
                    if next.len() > MAX_PLACES {
                        return Err(TooMuch);
                    }
                }
                from = at + 1;
            }
            ends = Some(next);
        }
        Ok(false)
    }
}

/// A piece while it is read.
#[derive(Default)]
struct Open {
    gap: Gap,
    octets: Vec<u8>,
    mask: Vec<u8>,
    choices: Vec<Choice>,
}

impl Open {
    /// Adds what stands between parentheses.
    fn choose(&mut self, alternatives: &str, not: bool) -> Result<(), Refusal> {
        const NONE: Refusal = "alternatives that are none of octets";
        let read = |text: &str| {
            let pairs =
                text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok().and_then(parse_octet));
            let exact =
                |pair: Option<(u8, u8)>| pair.filter(|(_, bits)| *bits == u8::MAX).map(|(octet, _)| octet);
            pairs.map(exact).collect::<Option<Vec<u8>>>().filter(|octets| !octets.is_empty())
        };
        let read = alternatives.split('|').map(read).collect::<Option<Vec<_>>>().ok_or(NONE)?;
        let length = read.first().map_or(0, Vec::len);
        if read.iter().any(|octets| octets.len() != length) {
            return Err("alternatives of several lengths");
        }
        self.choices.push(Choice { at: self.octets.len(), not, length, octets: read.concat().into() });
        self.octets.resize(self.octets.len() + length, 0);
        self.mask.resize(self.octets.len(), 0);
        Ok(())
    }

    fn close(self) -> Piece {
        let whole = self.mask.iter().all(|bits| *bits == u8::MAX);
        let mask = if whole { Box::default() } else { self.mask.into() };
        Piece { gap: self.gap, octets: self.octets.into(), mask, choices: self.choices.into() }
    }
}

impl Choice {
    fn is_met(&self, octets: &[u8]) -> bool {
        let there = octets.get(self.at..self.at + self.length).unwrap_or_default();
        self.octets.chunks(self.length).any(|one| one == there) != self.not
    }
}

impl Piece {
    /// Steps of one comparison.
    fn cost(&self) -> usize {
        self.octets.len() + self.choices.iter().map(|choice| choice.octets.len()).sum::<usize>()
    }

    fn is_at(&self, octets: &[u8], at: usize) -> bool {
        let there = at.checked_add(self.octets.len()).and_then(|end| octets.get(at..end));
        let Some(there) = there else { return false };
        if self.mask.is_empty() {
            return *there == *self.octets;
        }
        let wanted = self.octets.iter().zip(&self.mask);
        there.iter().zip(wanted).all(|(octet, (wanted, bits))| octet & bits == *wanted)
            && self.choices.iter().all(|choice| choice.is_met(there))
    }

    /// What finds it: its longest run of octets that are given whole, and where that stands in it.
    fn search(&self) -> Search<'_> {
        let run = self.exact_runs().max_by_key(|(_, run)| run.len());
        let finder = run.map(|(before, run)| (before, run.len(), Finder::new(run)));
        Search { piece: self, finder }
    }

    /// Runs of octets that are given whole, and where each stands.
    fn exact_runs(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let all = self.mask.is_empty().then_some((0, &*self.octets));
        let mut at = 0;
        let some = self.mask.chunk_by(|one, other| (*one == u8::MAX) == (*other == u8::MAX));
        all.into_iter().chain(some.filter_map(move |bits| {
            let start = at;
            at += bits.len();
            let whole = bits.first() == Some(&u8::MAX);
            whole.then(|| (start, self.octets.get(start..at).unwrap_or_default()))
        }))
    }
}

/// Finds one piece, from place to place.
struct Search<'a> {
    piece: &'a Piece,
    finder: Option<(usize, usize, Finder<'a>)>,
}

impl Search<'_> {
    /// The first place from `from` to `high` at which it stands.
    fn next(
        &self,
        octets: &[u8],
        from: usize,
        high: usize,
        steps: &mut Steps,
    ) -> Result<Option<usize>, TooMuch> {
        let length = self.piece.octets.len();
        let Some(last) = octets.len().checked_sub(length).map(|last| last.min(high)) else { return Ok(None) };
        let mut at = from;
        while at <= last {
            let next = match &self.finder {
                // From one place of the run to the next.
                Some((before, run, finder)) => {
                    let there = octets.get(at + *before..last + *before + run).unwrap_or_default();
                    match finder.find(there) {
                        Some(skipped) => at + skipped,
                        None => {
                            steps.pay(EACH + there.len() / FAST)?;
                            return Ok(None);
                        }
                    }
                }
                None => at,
            };
            steps.pay(EACH + (next - at) / FAST + self.piece.cost())?;
            if self.piece.is_at(octets, next) {
                return Ok(Some(next));
            }
            at = next + 1;
        }
        Ok(None)
    }
}

/// Two digits, each of which may be `?`: the octet, and its bits that count.
fn parse_octet(pair: &str) -> Option<(u8, u8)> {
    let digit = |text: &str| match text {
        "?" => Some((0, 0)),
        digit => u8::from_str_radix(digit, 16).ok().map(|value| (value, 0x0f)),
    };
    let (high, low) = (digit(pair.get(..1)?)?, digit(pair.get(1..)?)?);
    Some(((high.0 << 4) | low.0, (high.1 << 4) | low.1))
}

impl Gap {
    /// `n`, `n-`, `-m` or `n-m`.
    fn parse(text: &str) -> Option<Self> {
        let Some((least, most)) = text.split_once('-') else {
            let exact = text.parse().ok()?;
            return Some(Self { least: exact, most: Some(exact) });
        };
        let least = if least.is_empty() { 0 } else { least.parse().ok()? };
        let most = if most.is_empty() { None } else { Some(most.parse().ok()?) };
        (most.is_none_or(|most| most >= least)).then_some(Self { least, most })
    }

    fn bounds(self) -> (usize, Option<usize>) {
        (size(self.least), self.most.map(size))
    }
}

pub(super) fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// How unlikely octets are to stand somewhere by chance: those that fill files, and text, are likely.
fn rarity(octets: &Anchor) -> usize {
    let of = |octet: &u8| match octet {
        0 | 0xff => 0,
        b' ' | b'e' | b't' | b'a' | b'\r' | b'\n' => 1,
        32..=126 => 2,
        _ => 3,
    };
    let different = octets.windows(2).filter(|pair| matches!(pair, [a, b] if a != b)).count();
    octets.iter().map(of).sum::<usize>() + different
}
