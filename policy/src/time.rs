//! Conditions on the time: weekdays, dates, hours, in the operator's time zone. Pure; the clock is the caller's.
mod item;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

pub use item::TimeError;
use item::Times;

/// A minute on the wall clock of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Year.
    pub year: i16,
    /// 1 is January.
    pub month: u8,
    /// Of the month, from 1.
    pub day: u8,
    /// 0 is Monday.
    pub weekday: u8,
    /// Since midnight.
    pub minute: u16,
}

/// A list of times. It matches iff some item without `!` matches (none given: all) and no item with `!` does.
///
/// An item is `[days] [dates] [hours]`, of which what is given must hold:
///
/// * days: `mon`, `mon-fri`, `sat,sun`; a range may wrap (`fri-mon`);
/// * dates: `2026-05-08`, `12-24` (every year), `jul`, or a range `a..b` of them, both ends included; it may wrap over
///   the year (`12-24..01-02`);
/// * hours: `08:00-18:00`, the closing minute excluded. `22:00-06:00` wraps over midnight and belongs to the day on
///   which it began: `fri 22:00-06:00` ends on Saturday morning.
///
/// ```
/// # use policy::time::{Moment, TimeList};
/// let mut list = TimeList::default();
/// list.add("mon-fri 08:00-18:00", &mut |_| None)?;
/// let morning = Moment { year: 2026, month: 5, day: 8, weekday: 4, minute: 9 * 60 };
/// assert!(list.matches(&morning) && !list.matches(&Moment { minute: 18 * 60, ..morning }));
/// # Ok::<(), policy::time::TimeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeList {
    positive: Vec<Item>,
    negative: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Item {
    Always,
    Times(Times),
    List(Arc<TimeList>),
}

impl TimeList {
    /// Whether the list matches this minute.
    pub fn matches(&self, moment: &Moment) -> bool {
        let met = |items: &[Item]| items.iter().any(|item| item.matches(moment));
        (self.positive.is_empty() || met(&self.positive)) && !met(&self.negative)
    }

    /// Whether the list restricts nothing.
    pub fn is_always(&self) -> bool {
        self.negative.is_empty() && (self.positive.is_empty() || self.positive.contains(&Item::Always))
    }

    /// Adds one item as the operator wrote it; `lists` gives the list behind `@name`.
    ///
    /// # Errors
    /// [`TimeError`]; the list is then as it was.
    pub fn add(
        &mut self,
        item: &str,
        lists: &mut dyn FnMut(&str) -> Option<Arc<TimeList>>,
    ) -> Result<(), TimeError> {
        let (side, text) = match item.strip_prefix('!') {
            Some(rest) => (&mut self.negative, rest.trim()),
            None => (&mut self.positive, item.trim()),
        };
        let times = match text.strip_prefix('@') {
            Some(name) => Item::List(lists(name).ok_or_else(|| TimeError::UnknownList(name.to_owned()))?),
            None if text == "*" => Item::Always,
            None => Item::Times(Times::parse(text)?),
        };
        side.push(times);
        Ok(())
    }
}

impl Item {
    fn matches(&self, moment: &Moment) -> bool {
        match self {
            Self::Always => true,
            Self::Times(times) => times.matches(moment),
            Self::List(list) => list.matches(moment),
        }
    }
}

impl Moment {
    /// A minute of a date; `None`: there is no such date or minute.
    pub fn new(year: i16, month: u8, day: u8, minute: u16) -> Option<Self> {
        let date = civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        (minute < 24 * 60).then(|| Self::of(date, minute))
    }

    /// Reads "mon 09:30", "2026-05-08 09:30", "09:30" or "2026-05-08"; what is not given is `base`'s, a weekday is the
    /// next one from `base` on. `None`: it is none of them.
    pub fn parse(text: &str, base: &Self) -> Option<Self> {
        let mut date = base.date()?;
        let mut minute = base.minute;
        let mut words = text.split_ascii_whitespace();
        let first = words.next()?;
        let last = words.next();
        if words.next().is_some() || (last.is_some() && first.contains(':')) {
            return None;
        }
        for word in [Some(first), last].into_iter().flatten() {
            if let Some(weekday) = item::weekday(word) {
                while date.weekday().to_monday_zero_offset() != i8::try_from(weekday).ok()? {
                    date = date.tomorrow().ok()?;
                }
            } else if word.contains(':') {
                minute = item::minute(word).filter(|minute| *minute < 24 * 60)?;
            } else {
                date = word.parse().ok()?;
            }
        }
        Some(Self::of(date, minute))
    }

    /// The same minute of the day before.
    fn yesterday(&self) -> Self {
        let before = self.date().and_then(|date| date.yesterday().ok());
        before.map_or(*self, |date| Self::of(date, self.minute))
    }

    fn date(&self) -> Option<civil::Date> {
        civil::Date::new(self.year, i8::try_from(self.month).ok()?, i8::try_from(self.day).ok()?).ok()
    }

    fn of(date: civil::Date, minute: u16) -> Self {
        Self {
            year: date.year(),
            month: date.month().unsigned_abs(),
            day: date.day().unsigned_abs(),
            weekday: date.weekday().to_monday_zero_offset().unsigned_abs(),
            minute,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weekday = item::WEEKDAYS.get(usize::from(self.weekday)).unwrap_or(&"?");
        let (hour, minute) = (self.minute / 60, self.minute % 60);
        write!(f, "{weekday} {}-{:02}-{:02} {hour:02}:{minute:02}", self.year, self.month, self.day)
    }
}

/// Where the operator's clock hangs. It travels in slices, for confined roles cannot read the system's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Zone {
    /// Universal time; also where the system says nothing of its zone.
    #[default]
    Utc,
    /// A name of the IANA database, which is built in.
    Named(String),
    /// A TZif file, RFC 9636: the contents of /etc/localtime.
    File(Vec<u8>),
}

impl Zone {
    /// A zone by its name; `None`: there is none.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(|_| Self::Named(name.to_owned()))
    }

    /// A clock that shows this zone's time. A file that cannot be read shows universal time.
    pub fn clock(&self) -> Clock {
        let zone = match self {
            Self::Utc => None,
            Self::Named(name) => TimeZone::get(name).ok(),
            Self::File(octets) => TimeZone::tzif("local", octets).ok(),
        };
        Clock(zone.unwrap_or(TimeZone::UTC))
    }
}

/// Turns seconds since 1970 into minutes on the operator's wall.
#[derive(Clone, Debug)]
pub struct Clock(TimeZone);

impl Clock {
    /// The seconds since 1970, UTC, at which this clock shows the moment. A minute that it skips is the one that it shows
    /// instead; of one that it shows twice the first.
    pub fn seconds(&self, moment: &Moment) -> i64 {
        let time = |minute: u16| {
            let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
            let shown = moment.date()?.at(hour, minute, 0, 0);
            self.0.to_ambiguous_timestamp(shown).compatible().ok()
        };
        time(moment.minute).map_or(0, |time| time.as_second())
    }

    /// The minute that these seconds since 1970, UTC, are in. What is beyond the calendar is its end.
    pub fn moment(&self, seconds: i64) -> Moment {
        let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let time = self.0.to_datetime(Timestamp::from_second(seconds).unwrap_or(end));
        let minute = u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs());
        Moment::of(time.date(), minute)
    }
}
