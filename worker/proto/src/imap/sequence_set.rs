//! Sequence sets (RFC 9051 section 9, `sequence-set`): `1:4,7,9:*`, and `$` (RFC 5182). They stay as they were written; the
//! frame bounds how many numbers they can hold.
use super::cursor::{Cursor, Parsed};
use std::borrow::Cow;

/// A set that is well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet<'f>(Cow<'f, [u8]>);

/// `*` in a set.
pub const STAR: u32 = u32::MAX;

impl<'f> SequenceSet<'f> {
    /// Reads one.
    ///
    /// # Errors
    /// [`super::cursor::Wrong`].
    pub fn parse(cursor: &mut Cursor<'f>) -> Parsed<Self> {
        if cursor.eat(b'$') {
            return Ok(Self(Cow::Borrowed(b"$")));
        }
        let text = cursor.span(|cursor| {
            loop {
                number(cursor)?;
                if cursor.eat(b':') {
                    number(cursor)?;
                }
                if !cursor.eat(b',') {
                    return Ok(());
                }
            }
        })?;
        Ok(Self(Cow::Borrowed(text)))
    }

    /// As it was written.
    pub fn text(&self) -> &[u8] {
        &self.0
    }

    /// `$`: the result that was saved.
    pub fn is_saved_result(&self) -> bool {
        self.text() == b"$"
    }

    /// Its ranges, each with the lower number first; `*` is [`STAR`]. None in `$`.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> {
        let text = if self.is_saved_result() { &[] } else { self.text() };
        text.split(|byte| *byte == b',').filter_map(|range| {
            let mut ends = range.split(|byte| *byte == b':').map(value);
            let first = ends.next()??;
            let last = ends.next().unwrap_or(Some(first))?;
            Some((first.min(last), first.max(last)))
        })
    }

    /// Whether a number is in it, where `*` is `largest`.
    pub fn contains(&self, number: u32, largest: u32) -> bool {
        self.ranges().any(|(low, high)| {
            let (low, high) =
                (if low == STAR { largest } else { low }, if high == STAR { largest } else { high });
            (low.min(high)..=low.max(high)).contains(&number)
        })
    }

    /// The only number in it.
    pub fn single(&self) -> Option<u32> {
        let mut ranges = self.ranges();
        let (low, high) = ranges.next()?;
        (low == high && low != STAR && ranges.next().is_none()).then_some(low)
    }

    /// Whether one of these is in it: ascending numbers, of which the last may be the largest that there is.
    pub(super) fn meets(&self, numbers: &[u32]) -> bool {
        numbers.iter().any(|number| self.contains(*number, numbers.last().copied().unwrap_or(0)))
    }

    /// The same, owning its text.
    pub fn into_owned(self) -> SequenceSet<'static> {
        SequenceSet(Cow::Owned(self.0.into_owned()))
    }
}

/// Numbers, or UIDs, as a set: neighbours as ranges.
pub(super) fn number_set(numbers: &[u32]) -> Vec<u8> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    numbers.dedup();
    let mut set = String::new();
    let mut rest = numbers.as_slice();
    while let Some((first, _)) = rest.split_first() {
        let neighbours = |pair: &&[u32]| matches!(pair, [one, next] if one.checked_add(1) == Some(*next));
        let run = 1 + rest.windows(2).take_while(neighbours).count();
        if !set.is_empty() {
            set.push(',');
        }
        set.push_str(&first.to_string());
        if let Some(last) = rest.get(run - 1).filter(|last| *last > first) {
            set.push(':');
            set.push_str(&last.to_string());
        }
        rest = rest.get(run..).unwrap_or_default();
    }
    set.into_bytes()
}

fn number(cursor: &mut Cursor<'_>) -> Parsed<()> {
    if !cursor.eat(b'*') {
        cursor.number_above_zero()?;
    }
    Ok(())
}

fn value(text: &[u8]) -> Option<u32> {
    if text == b"*" {
        return Some(STAR);
    }
    text.iter()
        .try_fold(0_u32, |value, byte| value.checked_mul(10)?.checked_add(u32::from(byte.checked_sub(b'0')?)))
}
