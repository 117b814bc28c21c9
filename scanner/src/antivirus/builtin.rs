//! The builtin engine: signatures over the raw mail, every leaf and what is inside archives. Runs inside the scanner,
//! needs no daemon.
use super::Finding;
use super::signatures::{Signatures, Verdict};
use crate::engines::{Located, Subject};
use crate::turn::Turn;
use policy::status::{Status, StatusSet};

/// Looks at some octets.
pub(crate) fn look(signatures: &Signatures, octets: &[u8]) -> Finding {
    match signatures.scan(octets) {
        Verdict::Clean => Finding::clean(),
        Verdict::Infected(viruses) => Finding::in_part(viruses),
        Verdict::Undecided => Finding::of(Status::Error, "the rules did not come to an end in time"),
    }
}

/// Looks at the mail as it came, at every leaf with what was found in its members, and at every other view. Yields between
/// them, so that engines outside are served meanwhile.
pub(crate) async fn scan(subject: &Subject<'_>) -> (Finding, Vec<Located>) {
    let Subject { views, parts, inside, signatures } = subject;
    let mut finding = look(signatures, views.raw.bytes());
    let mut located = Vec::new();
    let mut turn = Turn::default();
    for ((leaf, inside), index) in parts.leaves.iter().zip(*inside).zip(0..) {
        turn.take(leaf.octets.len()).await;
        let found = look(signatures, &leaf.octets).and(inside.looked.clone()).and(inside.finding.clone());
        let bad: StatusSet = found.statuses.iter().filter(|status| *status != Status::Clean).collect();
        if !bad.is_empty() {
            located.push(Located { leaf: index, found: Finding { statuses: bad, ..found.clone() } });
        }
        finding = finding.and(found);
    }
    for view in &views.extra {
        turn.take(view.len()).await;
        finding = finding.and(look(signatures, view));
    }
    (finding, located)
}
