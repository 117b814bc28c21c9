//! Lists of times against a table of every minute, computed the slow way.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails"
)]
use policy::time::{Moment, TimeList, Zone};
use proptest::prelude::*;
use std::sync::Arc;

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

fn list(items: &[&str]) -> TimeList {
    let mut list = TimeList::default();
    for item in items {
        list.add(item, &mut |_| None).unwrap_or_else(|error| panic!("{item}: {error:?}"));
    }
    list
}

/// Every day of three years, a leap year among them, the slow way: 2023-01-01 was a Sunday.
fn days() -> Vec<(i16, u8, u8, u8)> {
    let mut days = Vec::new();
    let mut weekday = 6;
    for year in 2023..2026 {
        for month in 1..=12 {
            let length = match month {
                2 if year % 4 == 0 => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            for day in 1..=length {
                days.push((year, month, day, weekday));
                weekday = (weekday + 1) % 7;
            }
        }
    }
    days
}

#[test]
fn a_moment_knows_its_weekday() {
    for (year, month, day, weekday) in days() {
        assert_eq!(Moment::new(year, month, day, 0).unwrap().weekday, weekday, "{year}-{month}-{day}");
    }
    assert_eq!(Moment::new(2023, 2, 29, 0), None);
    assert_eq!(Moment::new(2024, 2, 29, 24 * 60), None);
}

#[derive(Clone, Debug)]
struct Spec {
    days: Option<(u8, u8)>,
    dates: Option<((u8, u8), (u8, u8))>,
    hours: Option<(u16, u16)>,
}

impl Spec {
    fn text(&self) -> String {
        let mut words = Vec::new();
        if let Some((first, last)) = self.days {
            words.push(format!("{}-{}", WEEKDAYS[usize::from(first)], WEEKDAYS[usize::from(last)]));
        }
        if let Some(((m1, d1), (m2, d2))) = self.dates {
            words.push(format!("{m1:02}-{d1:02}..{m2:02}-{d2:02}"));
        }
        if let Some((from, to)) = self.hours {
            words.push(format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60));
        }
        words.join(" ")
    }

    fn on(&self, (_, month, day, weekday): (i16, u8, u8, u8)) -> bool {
        let mut weekdays = Vec::new();
        if let Some((first, last)) = self.days {
            let mut next = first;
            weekdays.push(next);
            while next != last {
                next = (next + 1) % 7;
                weekdays.push(next);
            }
        }
        let number = |month: u8, day: u8| u16::from(month) * 100 + u16::from(day);
        let dated = self.dates.is_none_or(|((m1, d1), (m2, d2))| {
            let (first, last, today) = (number(m1, d1), number(m2, d2), number(month, day));
            if first <= last { first <= today && today <= last } else { today >= first || today <= last }
        });
        (weekdays.is_empty() || weekdays.contains(&weekday)) && dated
    }

    /// The minutes of a day, with those that the day before left over.
    fn minutes(&self, yesterday: bool, today: bool) -> Vec<bool> {
        let mut table = vec![false; 24 * 60];
        let (from, to) = self.hours.unwrap_or((0, 24 * 60));
        let (evening, morning) = if from < to { (to, 0) } else { (24 * 60, to) };
        if today {
            table[usize::from(from)..usize::from(evening)].fill(true);
        }
        if yesterday {
            table[..usize::from(morning)].fill(true);
        }
        table
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let hours = (0_u16..24 * 60, 0_u16..=24 * 60).prop_filter("empty", |(from, to)| from != to);
    (
        proptest::option::of((0_u8..7, 0_u8..7)),
        proptest::option::of(((1_u8..=12, 1_u8..=28), (1_u8..=12, 1_u8..=28))),
        proptest::option::of(hours),
    )
        .prop_map(|(days, dates, hours)| Spec { days, dates, hours })
        .prop_filter("nothing given", |spec| !spec.text().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_list_agrees_with_the_table_of_every_minute(spec in spec(), start in 1_usize..1000) {
        let times = list(&[&spec.text()]);
        let opposite = list(&[&format!("!{}", spec.text())]);
        let days = days();
        for index in start..start + 60 {
            let day = days[index];
            let table = spec.minutes(spec.on(days[index - 1]), spec.on(day));
            for (minute, expected) in table.into_iter().enumerate().step_by(7) {
                let moment = Moment::new(day.0, day.1, day.2, minute as u16).unwrap();
                prop_assert_eq!(times.matches(&moment), expected, "{} at {}", spec.text(), moment);
                prop_assert_eq!(opposite.matches(&moment), !expected);
            }
        }
    }

    #[test]
    fn a_named_list_is_what_it_stands_for(spec in spec(), other in spec(), day in 1_usize..1000, minute in 0_u16..1440) {
        let day = days()[day];
        let moment = Moment::new(day.0, day.1, day.2, minute).unwrap();
        let named = Arc::new(list(&[&spec.text()]));
        let mut times = TimeList::default();
        times.add("@name", &mut |name| (name == "name").then(|| Arc::clone(&named))).unwrap();
        prop_assert_eq!(times.matches(&moment), named.matches(&moment));
        times.add(&format!("!{}", other.text()), &mut |_| None).unwrap();
        prop_assert_eq!(times.matches(&moment), named.matches(&moment) && !list(&[&other.text()]).matches(&moment));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,40}") {
        let _ = TimeList::default().add(&text, &mut |_| None);
    }

    #[test]
    fn a_clock_shows_the_time_that_it_is_told(seconds in 0_i64..4_000_000_000) {
        for zone in ["Europe/Prague", "America/New_York", "Asia/Kathmandu", "UTC"] {
            let clock = Zone::named(zone).unwrap().clock();
            let shown = clock.moment(seconds);
            prop_assert_eq!(clock.moment(clock.seconds(&shown)), shown);
        }
    }
}

#[test]
fn months_and_single_dates_have_inclusive_bounds() {
    let at = |month, day| Moment::new(2024, month, day, 720).unwrap();
    for (item, inside, outside) in [
        ("jul..aug", vec![at(7, 1), at(8, 31)], vec![at(6, 30), at(9, 1)]),
        ("feb", vec![at(2, 1), at(2, 29)], vec![at(1, 31), at(3, 1)]),
        ("dec..jan", vec![at(12, 1), at(1, 31)], vec![at(11, 30), at(2, 1)]),
        ("02-29", vec![at(2, 29)], vec![at(2, 28), at(3, 1)]),
        ("2024-05-08", vec![at(5, 8)], vec![at(5, 7), Moment::new(2025, 5, 8, 720).unwrap()]),
        ("2024-05-08..2024-05-10", vec![at(5, 8), at(5, 10)], vec![at(5, 11)]),
        ("12-24..01-02", vec![at(12, 24), at(1, 2), at(12, 31)], vec![at(12, 23), at(1, 3)]),
        ("sat,sun", vec![at(5, 11), at(5, 12)], vec![at(5, 10), at(5, 13)]),
    ] {
        for moment in inside {
            assert!(list(&[item]).matches(&moment), "{item} {moment}");
        }
        for moment in outside {
            assert!(!list(&[item]).matches(&moment), "{item} {moment}");
        }
    }
    for month in MONTHS {
        assert_eq!((1..=12).filter(|number| list(&[month]).matches(&at(*number, 15))).count(), 1);
    }
}

#[test]
fn what_is_no_time_is_told() {
    for item in [
        "",
        "monday",
        "08:00",
        "8:00-9:00",
        "24:00-06:00",
        "08:00-08:00",
        "25:00-26:00",
        "08:60-09:00",
        "02-30",
        "2023-02-29",
        "2024-01-01..01-02",
        "2025-01-01..2024-01-01",
        "08:00-18:00 mon",
        "mon tue",
        "jul..mon",
        "a..b",
        "13-01",
        "01-02-03-04",
    ] {
        assert!(TimeList::default().add(item, &mut |_| None).is_err(), "{item}");
    }
}

#[test]
fn a_moment_is_read_as_people_write_it() {
    let base = Moment::new(2026, 11, 24, 300).unwrap();
    let read = |text| Moment::parse(text, &base).map(|moment| moment.to_string());
    assert_eq!(read("mon 09:30").unwrap(), "mon 2026-11-30 09:30");
    assert_eq!(read("tue 09:30").unwrap(), "tue 2026-11-24 09:30");
    assert_eq!(read("2026-05-08 23:59").unwrap(), "fri 2026-05-08 23:59");
    assert_eq!(read("09:30").unwrap(), "tue 2026-11-24 09:30");
    assert_eq!(read("2026-05-08").unwrap(), "fri 2026-05-08 05:00");
    for wrong in ["", "soon", "24:00", "09:30 mon", "mon 09:30 x", "2026-02-30"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}
