//! What the engines are shown of one mail. The mail as it came is never enough: of a mail about which readers could
//! disagree, the unambiguous copy and whatever some other reader would open are shown beside it.
use crate::content::Content;
use std::rc::Rc;

/// Every view of one mail; an engine has answered for the mail when it has answered for each of them.
#[derive(Debug)]
pub(crate) struct Views {
    /// The mail as it came.
    pub(crate) raw: Rc<Content>,
    /// The canonical copy first, if there is one, then decoded leaves of other readings. Empty for a mail that the
    /// recogniser accepts.
    pub(crate) extra: Vec<Vec<u8>>,
}
