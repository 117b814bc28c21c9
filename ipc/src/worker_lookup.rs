//! What a worker tells lookup of a client: facts that the client chose. The supervisor, who reads nothing of the kind,
//! passes the encoding on as the octets that it is.
use crate::wire::Message;
use policy::conditions::Certificate;
use serde::{Deserialize, Serialize};

/// Octets of an encoded [`Learnt`]: several times a usual certificate's names. A client that shows more is refused.
pub const MAX_LEARNT: usize = 16 * 1024;

/// What a worker learnt of a client before the session's command-acl was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learnt {
    /// The certificate of the handshake, verified; `None`: the client showed none.
    pub certificate: Option<Certificate>,
    /// The name that it logs in with: at most 512 octets, lossy; `None`: it did not say one yet.
    pub user: Option<String>,
}

impl Message for Learnt {
    const MAX_FDS: usize = 0;
    fn fd_count(&self) -> usize {
        0
    }
}
