//! The builtin engine: signatures over the raw mail, every leaf and what is inside archives. Runs inside the scanner,
//! needs no daemon.
use super::Finding;
use super::signatures::{Signatures, Verdict};
use crate::archive::Inside;
use crate::parts::Parts;
use crate::views::Views;
use policy::status::Status;

/// Looks at some octets.
pub(crate) fn look(signatures: &Signatures, octets: &[u8]) -> Finding {
    match signatures.scan(octets) {
        Verdict::Clean => Finding::clean(),
        Verdict::Infected(name) => Finding::infected(&name),
        Verdict::Undecided => Finding::of(Status::Error, "the rules did not come to an end in time"),
    }
}

/// Looks at the mail as it came, and at every leaf. Yields between leaves, so that other engines are served meanwhile.
///
/// `inside` is what was found in the members of each leaf; what is found in each leaf is added to `in_parts`, in order.
pub(crate) async fn scan(
    views: &Views,
    parts: &Parts<'_>,
    inside: &[Inside],
    signatures: &Signatures,
    in_parts: &mut Vec<Finding>,
) -> Finding {
    let mut finding = look(signatures, views.raw.bytes());
    for (leaf, inside) in parts.leaves.iter().zip(inside) {
        tokio::task::yield_now().await;
        let in_leaf = look(signatures, &leaf.octets).and(inside.looked.clone()).and(inside.finding.clone());
        finding = finding.and(in_leaf.clone());
        in_parts.push(in_leaf);
    }
    for view in &views.extra {
        tokio::task::yield_now().await;
        finding = finding.and(look(signatures, view));
    }
    finding
}
