//! Tells systemd that the service is up (sd_notify(3)), where `NOTIFY_SOCKET` asks for it.
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Every child is at work.
pub(crate) fn ready() {
    send("READY=1");
}

/// The end has begun.
pub(crate) fn stopping() {
    send("STOPPING=1");
}

/// A failure has no one to be told to: systemd then runs into its own timeout and says so.
fn send(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}
