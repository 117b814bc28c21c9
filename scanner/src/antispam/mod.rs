//! Spam filters. Each gives a mail points, or none: then the score is unknown. They never block a mail by themselves; the
//! rules ask for the score.
pub mod builtin;
pub mod envelope;
pub mod rspamd;
pub mod spamd;

use crate::content::Content;
use crate::outside::trust::Authorities;
use crate::rules::Header;
use envelope::Envelope;
use ipc::ids::SpamAnswer;
use ipc::log::printable;
use ipc::supervisor_scanner::{EngineGrant, EngineState};
use nix::errno::Errno;
use policy::engine::{SpamFilter, SpamKind};
use policy::slice::ScannerSlice;
use std::fmt::Display;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, timeout_at};

/// Octets of symbols on the wire and in the log.
const MAX_SYMBOLS: usize = 256;
/// Octets of a filter's whole answer.
const MAX_ANSWER: usize = 1 << 20;
/// No filter means more points than this, either way.
const MOST_POINTS: f64 = 1e9;

/// Points, and what they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Score {
    /// Thousandths of a point.
    pub score: i64,
    /// Names of what was found, comma-separated.
    pub symbols: String,
}

/// A filter that was asked, or will be.
pub(crate) struct Asked {
    filter: String,
    begun: Instant,
    how: How,
}

enum How {
    Known(Result<Score, String>),
    Outside(JoinHandle<(Result<Score, String>, Duration)>),
}

/// What a filter may know besides the mail.
pub(crate) struct About {
    pub(crate) mail: Rc<Content>,
    /// The mail's own header.
    pub(crate) header: Header,
    /// The login name.
    pub(crate) user: String,
}

/// Asks a filter; one outside works while this process goes on.
pub(crate) fn ask(
    slice: &ScannerSlice,
    index: u16,
    grant: &EngineGrant,
    connection: Option<OwnedFd>,
    about: &Rc<About>,
    authorities: &Rc<Authorities>,
) -> Asked {
    let begun = Instant::now();
    let Some(filter) = slice.spam_filters.get(usize::from(index)) else {
        let how = How::Known(Err("a spam filter that the policy does not have".to_owned()));
        return Asked { filter: String::new(), begun, how };
    };
    let over = about.mail.bytes().len() as u64 > filter.max_size;
    let how = match (grant.state, connection, &filter.kind) {
        _ if over => How::Known(Err("larger than max-size".to_owned())),
        (EngineState::Inside, _, SpamKind::Builtin { rules }) => {
            How::Known(Ok(builtin::score(about.mail.bytes(), &about.header.fields(), rules)))
        }
        (EngineState::Up, Some(connection), SpamKind::Rspamd { .. } | SpamKind::Spamd { .. }) => {
            let server_tls = slice.server_tls.clone();
            let (filter, about, authorities) = (filter.clone(), Rc::clone(about), Rc::clone(authorities));
            How::Outside(spawn_local(async move {
                let begun = Instant::now();
                let deadline = begun.checked_add(filter.timeout).unwrap_or(begun);
                let asked = converse(&filter, connection, &about, &authorities, &server_tls);
                let answer = timeout_at(deadline, asked).await;
                (answer.unwrap_or_else(|_| Err("no answer in time".to_owned())), begun.elapsed())
            }))
        }
        (EngineState::Down { errno }, ..) => {
            How::Known(Err(format!("cannot be reached: {}", Errno::from_raw(errno).desc())))
        }
        (EngineState::Unproven, ..) => How::Known(Err("gave no score when it was last asked".to_owned())),
        (EngineState::Inside | EngineState::Up | EngineState::Known, ..) => {
            How::Known(Err("no connection was given".to_owned()))
        }
    };
    Asked { filter: filter.name.clone(), begun, how }
}

async fn converse(
    filter: &SpamFilter,
    connection: OwnedFd,
    about: &About,
    authorities: &Authorities,
    server_tls: &[Option<policy::tls::ServerTls>],
) -> Result<Score, String> {
    let tls = filter.kind.daemon().and_then(|daemon| daemon.tls.as_ref());
    let connection = authorities.secure(connection, tls, server_tls).await?;
    let mail = about.mail.bytes();
    match &filter.kind {
        SpamKind::Rspamd { host, .. } => {
            let envelope = Envelope::read(&about.header.fields());
            rspamd::ask(connection, host, mail, &envelope, &about.user).await
        }
        SpamKind::Spamd { .. } => spamd::ask(connection, mail).await,
        SpamKind::Builtin { .. } => Err("runs inside the scanner".to_owned()),
    }
}

impl Asked {
    /// What it said.
    pub(crate) async fn finish(self) -> SpamAnswer {
        let (said, took) = match self.how {
            How::Known(said) => (said, self.begun.elapsed()),
            How::Outside(task) => match task.await {
                Ok(answer) => answer,
                Err(_) => (Err("the conversation was cut off".to_owned()), self.begun.elapsed()),
            },
        };
        let (score, symbols, detail) = match said {
            Ok(Score { score, symbols }) => (Some(score), printable(&symbols, MAX_SYMBOLS), String::new()),
            Err(why) => (None, String::new(), printable(&format!("{}: {why}", self.filter), 200)),
        };
        SpamAnswer { filter: self.filter, score, symbols, detail, micros: crate::job::micros(took) }
    }
}

/// Points as a daemon writes them, in thousandths; what is no number of points is none.
fn points(text: &str) -> Option<i64> {
    thousandths(text.trim().parse().ok()?)
}

#[allow(clippy::cast_possible_truncation, reason = "finite and within bounds that an i64 holds exactly")]
fn thousandths(points: f64) -> Option<i64> {
    (points.is_finite() && points.abs() <= MOST_POINTS).then(|| (points * 1000.0).round() as i64)
}

fn said(what: &str, error: impl Display) -> String {
    format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_numbers_and_nothing_else() {
        for (text, thousandths) in [
            ("5", Some(5_000)),
            (" -1.25 ", Some(-1_250)),
            ("0.0004", Some(0)),
            ("15.0006", Some(15_001)),
            ("nan", None),
            ("inf", None),
            ("-inf", None),
            ("1e300", None),
            ("", None),
            ("5 points", None),
        ] {
            assert_eq!(points(text), thousandths, "{text}");
        }
    }
}
