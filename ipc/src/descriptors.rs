//! Descriptors in and out of a datagram. The unsafe file of this crate.
