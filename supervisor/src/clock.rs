//! The operator's clock: what `time` conditions of connections are held against. The system's zone is read here, for
//! confined roles cannot.
use policy::model::Policy;
use policy::time::{Clock, Moment, Zone};
use std::fs::File;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// A larger file is no time zone.
const MAX_ZONE: u64 = 64 * 1024;

/// The zone of this machine: /etc/localtime, or universal time where there is none.
pub fn system_zone() -> Zone {
    let mut octets = Vec::new();
    let read = File::open("/etc/localtime").and_then(|file| file.take(MAX_ZONE).read_to_end(&mut octets));
    match read {
        Ok(length) if length > 0 => Zone::File(octets),
        Ok(_) | Err(_) => Zone::Utc,
    }
}

/// Fills in what `tz = "local"` means here.
pub fn settle_zone(policy: &mut Policy) {
    policy.service.zone.get_or_insert_with(system_zone);
}

/// Seconds since 1970 that this policy's clock shows as this moment; a minute that the clock skips is the nearest one.
pub fn seconds(policy: &Policy, moment: &Moment) -> i64 {
    policy.service.zone.clone().unwrap_or_else(system_zone).clock().seconds(moment)
}

/// The minute that it is by this clock.
pub fn now(clock: &Clock) -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    clock.moment(i64::try_from(since).unwrap_or(i64::MAX))
}
