//! One thread does everything in a scanner: what takes long gives way in between, so that daemons get what they wait for.

/// Octets that are looked at in one turn: a millisecond or less. Giving way costs a system call.
const TURN: usize = 512 * 1024;
/// What a look costs besides its octets.
const LOOK: usize = 4 * 1024;

/// How much was looked at since others had their turn.
#[derive(Debug, Default)]
pub(crate) struct Turn(usize);

impl Turn {
    /// Gives way at once: conversations begin.
    pub(crate) async fn begin() -> Self {
        tokio::task::yield_now().await;
        Self(0)
    }

    /// So many octets are looked at next.
    pub(crate) async fn take(&mut self, octets: usize) {
        self.0 = self.0.saturating_add(octets).saturating_add(LOOK);
        if self.0 > TURN {
            self.0 = 0;
            tokio::task::yield_now().await;
        }
    }
}
