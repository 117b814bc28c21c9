//! One item of a list of times: `[days] [dates] [HH:MM-HH:MM]`.
use super::Moment;
use serde::{Deserialize, Serialize};

pub(super) const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAY: u16 = 24 * 60;

/// Why an item of a list of times was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeError {
    /// It is nothing that a list of times can have; says what is wrong.
    Invalid(String),
    /// `@list` names no list.
    UnknownList(String),
}

/// What one item covers; what is not given covers everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    /// A bit for each weekday, Monday the lowest; 0: not given.
    weekdays: u8,
    dates: Option<Dates>,
    /// Minutes: from, and before. From may be later than before: over midnight.
    hours: Option<(u16, u16)>,
}

/// Both ends included; a first that is after the last wraps over the year.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Dates {
    /// (month, day).
    EveryYear((u8, u8), (u8, u8)),
    /// (year, month, day).
    Once((i16, u8, u8), (i16, u8, u8)),
}

impl Times {
    pub(super) fn parse(text: &str) -> Result<Self, TimeError> {
        let mut times = Self::default();
        // How far along `[days] [dates] [hours]` the words are.
        let mut stage = 0;
        for word in text.split_ascii_whitespace() {
            let lower = word.to_ascii_lowercase();
            let place = if lower.contains(':') {
                times.hours = Some(hours(&lower)?);
                3
            } else if let Some(weekdays) = weekdays(&lower) {
                times.weekdays = weekdays;
                1
            } else {
                times.dates = Some(dates(&lower)?);
                2
            };
            if place <= stage {
                return Err(invalid("days, dates and hours stand in this order, each once"));
            }
            stage = place;
        }
        if stage == 0 { Err(invalid("there is nothing in it")) } else { Ok(times) }
    }

    pub(super) fn matches(&self, moment: &Moment) -> bool {
        match self.hours {
            None => self.on(moment),
            Some((from, before)) if from < before => {
                (from..before).contains(&moment.minute) && self.on(moment)
            }
            Some((from, before)) => {
                (moment.minute >= from && self.on(moment))
                    || (moment.minute < before && self.on(&moment.yesterday()))
            }
        }
    }

    /// Whether the day of this moment is meant.
    fn on(&self, day: &Moment) -> bool {
        let weekday = self.weekdays == 0 || self.weekdays >> day.weekday & 1 == 1;
        weekday
            && match &self.dates {
                None => true,
                Some(Dates::Once(first, last)) => (*first..=*last).contains(&(day.year, day.month, day.day)),
                Some(Dates::EveryYear(first, last)) => {
                    let date = (day.month, day.day);
                    if first <= last {
                        (*first..=*last).contains(&date)
                    } else {
                        date >= *first || date <= *last
                    }
                }
            }
    }
}

/// The number of a weekday, 0 is Monday.
pub(super) fn weekday(word: &str) -> Option<u8> {
    let word = word.to_ascii_lowercase();
    WEEKDAYS.iter().position(|name| *name == word).and_then(|index| u8::try_from(index).ok())
}

/// "mon", "mon-fri", "sat,sun": a bit for each; `None`: no weekdays.
fn weekdays(text: &str) -> Option<u8> {
    let mut bits = 0;
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (mut day, last) = (weekday(first)?, weekday(last)?);
        bits |= 1 << day;
        while day != last {
            day = (day + 1) % 7;
            bits |= 1 << day;
        }
    }
    Some(bits)
}

fn dates(text: &str) -> Result<Dates, TimeError> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (date(first), date(last)) {
        (Some(Date::EveryYear(first, _)), Some(Date::EveryYear(_, last))) => {
            Ok(Dates::EveryYear(first, last))
        }
        (Some(Date::Once(first)), Some(Date::Once(last))) if first <= last => Ok(Dates::Once(first, last)),
        (Some(Date::Once(_)), Some(Date::Once(_))) => Err(invalid("the range ends before it begins")),
        (Some(_), Some(_)) => Err(invalid("one end of the range has a year and the other has none")),
        (None, _) => Err(invalid(&format!("`{first}` is no weekday, date or month"))),
        (_, None) => Err(invalid(&format!("`{last}` is no date or month"))),
    }
}

enum Date {
    /// The first and the last day that are meant.
    EveryYear((u8, u8), (u8, u8)),
    Once((i16, u8, u8)),
}

fn date(text: &str) -> Option<Date> {
    if let Some(index) = MONTHS.iter().position(|name| *name == text) {
        let month = u8::try_from(index + 1).ok()?;
        return Some(Date::EveryYear((month, 1), (month, 31)));
    }
    let digits = |text: &str, count: usize| {
        (text.len() == count && text.bytes().all(|octet| octet.is_ascii_digit()))
            .then(|| text.parse::<i16>().ok())?
    };
    let mut fields = text.split('-');
    let (first, second, third) = (fields.next()?, fields.next()?, fields.next());
    if fields.next().is_some() {
        return None;
    }
    let (year, month, day) = match third {
        Some(third) => (Some(digits(first, 4)?), digits(second, 2)?, digits(third, 2)?),
        None => (None, digits(first, 2)?, digits(second, 2)?),
    };
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    // A leap year takes 02-29, which every year has in some years.
    Moment::new(year.unwrap_or(2024), month, day, 0)?;
    Some(match year {
        Some(year) => Date::Once((year, month, day)),
        None => Date::EveryYear((month, day), (month, day)),
    })
}

fn hours(text: &str) -> Result<(u16, u16), TimeError> {
    let (from, before) = text
        .split_once('-')
        .ok_or_else(|| invalid(&format!("`{text}` has no end: write \"08:00-18:00\"")))?;
    let of = |text: &str| minute(text).ok_or_else(|| invalid(&format!("`{text}` is no time of day")));
    let (from, before) = (of(from)?, of(before)?);
    if from == before || from == DAY {
        return Err(invalid("these hours are empty: leave them out for the whole day"));
    }
    Ok((from, before))
}

/// "HH:MM" since midnight; "24:00" is the end of the day.
pub(super) fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |text: &str| {
        (text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit()))
            .then(|| text.parse::<u16>().ok())?
    };
    let (hour, minute) = (two(hour)?, two(minute)?);
    let minutes = hour * 60 + minute;
    (minute < 60 && minutes <= DAY).then_some(minutes)
}

fn invalid(why: &str) -> TimeError {
    TimeError::Invalid(why.to_owned())
}
