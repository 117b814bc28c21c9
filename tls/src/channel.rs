//! The records of one connection after its handshake: octets in, octets out, no I/O.
use crate::chain::describe;
use rustls::Connection;
use std::fmt;
use std::io::{self, Read, Write};

/// Turns what is said into records and back.
pub struct Channel {
    connection: Connection,
    closed: bool,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channel(..)")
    }
}

impl Channel {
    pub(crate) fn new(mut connection: Connection) -> Self {
        // Who writes bounds what waits: the driver stops reading the other peer.
        connection.set_buffer_limit(None);
        Self { connection, closed: false }
    }

    /// Makes records of what is to be said; [`Channel::flush`] gives them.
    pub fn say(&mut self, plain: &[u8]) {
        // Without a limit the library takes all of it.
        let _ = self.connection.writer().write_all(plain);
    }

    /// Says that nothing follows (RFC 8446 section 6.1).
    pub fn say_goodbye(&mut self) {
        self.connection.send_close_notify();
    }

    /// Whether there are records to send.
    pub fn has_records(&self) -> bool {
        self.connection.wants_write()
    }

    /// Writes records as far as `to` takes them.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn flush(&mut self, to: &mut dyn Write) -> io::Result<()> {
        while self.connection.wants_write() {
            if self.connection.write_tls(to)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    /// Takes what came and appends what was said to `plain`, from `filled` on. `plain` must have room for as much.
    ///
    /// # Errors
    /// When it is no record, or one that was forged or is out of place: the connection is over.
    pub fn hear(
        &mut self,
        mut came: &[u8],
        plain: &mut [u8],
        filled: &mut usize,
    ) -> Result<(), &'static str> {
        while !came.is_empty() {
            if self.connection.read_tls(&mut came).map_err(|_| "more than was taken")? == 0 {
                return Ok(());
            }
            let state = self.connection.process_new_packets();
            let state = state.map_err(|_| "a record that is no record of this connection")?;
            self.closed |= state.peer_has_closed();
            self.pending(plain, filled);
        }
        Ok(())
    }

    /// What was said and not yet taken, after the handshake or for want of room.
    pub fn pending(&mut self, plain: &mut [u8], filled: &mut usize) {
        while let Some(room) = plain.get_mut(*filled..).filter(|room| !room.is_empty()) {
            match self.connection.reader().read(room) {
                Ok(count @ 1..) => *filled += count,
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Whether the peer said that nothing follows.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// What is to be known of the peer's certificates, a line each.
    pub fn certificates(&self) -> Vec<String> {
        self.connection.peer_certificates().into_iter().flatten().map(|der| describe(der)).collect()
    }

    /// The peer's certificates, its own first.
    pub fn chain(&self) -> Vec<Vec<u8>> {
        self.connection.peer_certificates().into_iter().flatten().map(|der| der.to_vec()).collect()
    }

    /// `TLSv1.3 TLS13_AES_256_GCM_SHA384`, for the log.
    pub fn describe(&self) -> String {
        let version = self
            .connection
            .protocol_version()
            .and_then(|version| version.as_str())
            .unwrap_or("")
            .replace('_', ".");
        let suite = self.connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        // The library's own names of TLS 1.3 suites are not IANA's.
        let suite = suite.unwrap_or("").replace("TLS13_", "TLS_");
        let resumed = self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        format!("{version} {suite}{}", if resumed { " resumed" } else { "" })
    }
}
