//! The builtin engine: signatures over the raw mail, every leaf and what is inside ZIP archives. Runs inside the
//! scanner, needs no daemon.
use super::signatures::{Signatures, Verdict};
use super::{Finding, archive};
use crate::parts::Parts;
use crate::views::Views;
use policy::model::MailFilter;
use policy::status::Status;

/// Looks at the mail as it came, and at every leaf. Yields between leaves, so that other engines are served meanwhile.
///
/// What is found in each leaf is added to `in_parts`, in order.
pub(crate) async fn scan(
    views: &Views,
    parts: &Parts<'_>,
    signatures: &Signatures,
    filter: &MailFilter,
    in_parts: &mut Vec<Finding>,
) -> Finding {
    let look = |octets: &[u8]| match signatures.scan(octets) {
        Verdict::Clean => Finding::clean(),
        Verdict::Infected(name) => Finding::infected(&name),
        Verdict::Undecided => Finding::of(Status::Error, "the rules did not come to an end in time"),
    };
    let mut finding = look(views.raw.bytes());
    let mut budget = filter.max_decoded;
    for leaf in &parts.leaves {
        tokio::task::yield_now().await;
        let mut in_leaf = look(&leaf.octets);
        if archive::is_zip(&leaf.octets) {
            in_leaf =
                in_leaf.and(archive::open(&leaf.octets, 1, filter, &mut budget, &mut |member| look(member)));
        }
        finding = finding.and(in_leaf.clone());
        in_parts.push(in_leaf);
    }
    for view in &views.extra {
        tokio::task::yield_now().await;
        finding = finding.and(look(view));
    }
    finding
}
