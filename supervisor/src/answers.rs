//! What engines said of mails, kept so that one mail in many mailboxes is shown to each engine once (D20). A delivery whose
//! engines need not be asked is still parsed and judged by a scanner. Pure; the keys are keyed hashes, so that what is held
//! here does not say whose mail is known.
use hmac::{Hmac, KeyInit, Mac};
use ipc::ids::{EngineAnswer, MOST_VIRUSES, Sha256};
use policy::status::{Status, StatusSet};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// Local signature files do not show in what clamd says of its version: what they change counts after this time.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// What an answer may hold to be kept; a scanner that parsed a mail says it.
const MAX_TEXT: usize = 256;

/// What was asked: an engine, and what it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// Names the engine with its settings and its signatures.
    pub(crate) generation: u64,
    /// Index of the mail filter, by whose limits the mail was taken apart for it.
    pub(crate) filter: u16,
    /// Whose mail: one tenant learns nothing of another's.
    pub(crate) tenant: u16,
    /// The mail.
    pub(crate) mail: Sha256,
}

/// The same, as it is kept.
type Key = [u8; 32];

/// The answers, the oldest forgotten first.
pub(crate) struct Answers {
    key: [u8; 32],
    known: HashMap<Key, (Instant, EngineAnswer)>,
    order: VecDeque<Key>,
    most: usize,
}

impl Answers {
    /// Holds at most `most` answers, under a key of this start.
    ///
    /// # Errors
    /// When the kernel gives no random octets.
    pub(crate) fn new(most: usize) -> io::Result<Self> {
        let mut key = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        Ok(Self { key, known: HashMap::new(), order: VecDeque::new(), most })
    }

    /// Another `answer-cache`.
    pub(crate) fn bound(&mut self, most: usize) {
        self.most = most;
        self.shrink();
    }

    /// Whether anything is ever kept.
    pub(crate) const fn is_off(&self) -> bool {
        self.most == 0
    }

    /// What was answered, if that still counts.
    pub(crate) fn get(&self, asked: &Asked, now: Instant) -> Option<EngineAnswer> {
        let (since, answer) = self.known.get(&self.key(asked))?;
        (now.saturating_duration_since(*since) < KEPT).then(|| EngineAnswer { micros: 0, ..answer.clone() })
    }

    /// Keeps what was answered.
    pub(crate) fn put(&mut self, asked: &Asked, answer: EngineAnswer, now: Instant) {
        let key = self.key(asked);
        if self.known.insert(key, (now, answer)).is_none() {
            self.order.push_back(key);
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    fn key(&self, asked: &Asked) -> Key {
        let Asked { generation, filter, tenant, mail } = asked;
        let Ok(mut mac) = Hmac::<sha2::Sha256>::new_from_slice(&self.key) else { return [0; 32] };
        mac.update(&generation.to_be_bytes());
        mac.update(&filter.to_be_bytes());
        mac.update(&tenant.to_be_bytes());
        mac.update(&mail.0);
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

/// Whether an answer is one for good. An engine that failed is asked again, and what was over a limit today need not be
/// over it when the limit is known better.
pub(crate) fn can_be_kept(answer: &EngineAnswer) -> bool {
    let passing = StatusSet::naming([Status::Error, Status::Unknown, Status::Limit, Status::Skipped]);
    !answer.statuses.is_empty()
        && !answer.statuses.meets(passing)
        && answer.viruses.names.len() <= MOST_VIRUSES
        && answer.viruses.names.iter().all(|virus| virus.len() <= MAX_TEXT)
        && answer.detail.len() <= MAX_TEXT
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::ids::Viruses;

    fn answer(status: Status) -> EngineAnswer {
        let statuses = StatusSet::of(status);
        EngineAnswer {
            engine: "clamd".into(),
            statuses,
            viruses: Viruses::default(),
            detail: String::new(),
            parts: Vec::new(),
            micros: 9,
        }
    }

    fn about(number: u64) -> Asked {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        Asked { generation: 1, filter: 0, tenant: 0, mail: Sha256(hash) }
    }

    #[test]
    fn an_answer_is_known_for_its_tenant_its_mail_its_filter_and_its_generation_of_the_engine() {
        let (mut answers, now) = (Answers::new(10).unwrap(), Instant::now());
        answers.put(&about(1), answer(Status::Infected), now);
        let known = answers.get(&about(1), now).unwrap();
        assert_eq!((known.statuses, known.micros), (StatusSet::of(Status::Infected), 0));
        assert_eq!(answers.get(&Asked { tenant: 1, ..about(1) }, now), None);
        assert_eq!(answers.get(&Asked { generation: 2, ..about(1) }, now), None);
        assert_eq!(answers.get(&Asked { filter: 1, ..about(1) }, now), None);
        assert_eq!(answers.get(&about(2), now), None);
    }

    #[test]
    fn what_is_old_does_not_count_and_counts_again_when_it_is_said_again() {
        let (mut answers, now) = (Answers::new(10).unwrap(), Instant::now());
        answers.put(&about(1), answer(Status::Clean), now);
        let later = now + KEPT;
        assert!(answers.get(&about(1), later - Duration::from_secs(1)).is_some());
        assert_eq!(answers.get(&about(1), later), None);
        answers.put(&about(1), answer(Status::Infected), later);
        assert_eq!(answers.get(&about(1), later).unwrap().statuses, StatusSet::of(Status::Infected));
        assert_eq!(answers.order.len(), 1);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_and_nothing_is_kept_where_none_may_be() {
        let (mut answers, now) = (Answers::new(3).unwrap(), Instant::now());
        for number in 0..5 {
            answers.put(&about(number), answer(Status::Clean), now);
        }
        assert_eq!((answers.known.len(), answers.order.len()), (3, 3));
        assert_eq!(answers.get(&about(1), now), None);
        assert!(answers.get(&about(2), now).is_some());
        answers.bound(0);
        assert!(answers.is_off() && answers.known.is_empty());
        answers.put(&about(9), answer(Status::Clean), now);
        assert!(answers.known.is_empty());
    }

    #[test]
    fn only_answers_for_good_can_be_kept() {
        for status in Status::ALL {
            let good =
                matches!(status, Status::Clean | Status::Infected | Status::Encrypted | Status::Malformed);
            assert_eq!(can_be_kept(&answer(status)), good, "{status:?}");
        }
        let both = StatusSet::of(Status::Infected).with(Status::Error);
        assert!(!can_be_kept(&EngineAnswer { statuses: both, ..answer(Status::Clean) }));
        assert!(!can_be_kept(&EngineAnswer { statuses: StatusSet::EMPTY, ..answer(Status::Clean) }));
        assert!(!can_be_kept(&EngineAnswer { detail: "d".repeat(257), ..answer(Status::Clean) }));
    }
}
