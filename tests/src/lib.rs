//! The laboratory of the black-box tests: the real binary between real servers, engines and clients.
//!
//! Everything runs on loopback or in network namespaces that the test made, in temporary directories, and ends
//! when its value is dropped. A peer that is not installed is a failure as root; without root the test says that it
//! was skipped (`tests/run` counts those).
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a laboratory fails loudly")]

pub mod clamd;
pub mod client;
pub mod client_tls;
pub mod clients;
pub mod dovecot;
pub mod filters;
pub mod imap_client;
pub mod mails;
pub mod mailward;
pub mod netns;
pub mod pki;
pub mod process;
pub mod programs;
pub mod relay;
pub mod server;
pub mod server_tls;
pub mod sync;
pub mod wanderer;

/// Whether the test can run: as root it must. Without root, says so, in the file that `tests/run` reads too, and
/// returns false.
pub fn root_or_skip(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    let line = format!("SKIPPED without root: {test}\n");
    print!("{line}");
    if let Some(list) = std::env::var_os("MAILWARD_SKIPPED") {
        let list = std::fs::OpenOptions::new().append(true).open(list);
        list.and_then(|mut list| std::io::Write::write_all(&mut list, line.as_bytes()))
            .expect("the list of skipped tests can be written");
    }
    false
}

/// Lets a test have as many descriptors as it may.
pub fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
}

/// Calls `done` every 10 ms until it gives something; panics with `what` after `seconds`.
pub fn until<T>(what: &str, seconds: u64, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(seconds);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(std::time::Instant::now() < deadline, "waited {seconds} s for: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
