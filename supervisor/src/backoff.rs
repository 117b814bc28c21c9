//! How long a role that keeps dying has to wait. Pure; `children` asks it after each death.
use std::time::Duration;

/// The pause after the first death.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// A child that lived this long died of something new.
const HEALTHY: Duration = Duration::from_secs(30);
/// This many deaths in a row are a crash loop, which is said once.
const ALARM: u32 = 5;

/// The deaths in a row of one role of one tenant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    deaths: u32,
}

/// What follows from a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    /// How long to wait before the replacement is started.
    pub(crate) wait: Duration,
    /// A crash loop has just been noticed.
    pub(crate) alarm: bool,
}

impl Backoff {
    /// A child died after it had lived for `lived`. The first replacement comes at once: one mail or one session that
    /// kills a child must not make others wait.
    pub(crate) fn died(&mut self, lived: Duration) -> Pause {
        if lived >= HEALTHY {
            self.deaths = 0;
        }
        self.deaths = self.deaths.saturating_add(1);
        let doublings = self.deaths.saturating_sub(2).min(16);
        let wait =
            if self.deaths == 1 { Duration::ZERO } else { FIRST.saturating_mul(1 << doublings).min(LONGEST) };
        Pause { wait, alarm: self.deaths == ALARM }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_bound_and_the_alarm_sounds_once() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Pause> = (0..14).map(|_| backoff.died(Duration::from_secs(1))).collect();
        let waits: Vec<u128> = pauses.iter().map(|pause| pause.wait.as_millis()).collect();
        assert_eq!(waits[..5], [0, 100, 200, 400, 800]);
        assert_eq!(waits[13], LONGEST.as_millis());
        assert_eq!(pauses.iter().filter(|pause| pause.alarm).count(), 1);
    }

    #[test]
    fn a_child_that_lived_long_is_replaced_at_once() {
        let mut backoff = Backoff::default();
        for _ in 0..8 {
            backoff.died(Duration::ZERO);
        }
        assert_eq!(backoff.died(HEALTHY).wait, Duration::ZERO);
        assert_eq!(backoff.deaths, 1);
    }
}
