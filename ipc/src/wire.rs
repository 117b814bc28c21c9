//! Encoding of messages and slices: bounded, exact, the only file that names the serializer.
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cmp::Ordering;

/// Changes whenever the meaning of a message changes without its bytes doing so.
pub const WIRE_VERSION: u32 = 1;

/// The largest message: a mail's facts are bounded at 16 KiB, changed mails travel in pieces; the rest is room.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// The largest encoded slice; a policy of 10,000 rules takes about 4 MiB.
pub const MAX_SLICE: usize = 32 * 1024 * 1024;

/// Octets that any datagram carries behind its message at most: a small mail, or its part map. A socket's buffer, where
/// nobody changed it, has room for three times as much.
pub const MAX_OCTETS: usize = 64 * 1024;

/// A message and what must come with it.
pub trait Message: Serialize + DeserializeOwned {
    /// 0: the receiver passes no control buffer at all, so nothing can be installed.
    const MAX_FDS: usize;
    /// Descriptors: must equal what arrived.
    fn fd_count(&self) -> usize;
    /// Octets behind a message in its datagram at most; no more are received. At most [`MAX_OCTETS`].
    const MAX_OCTETS: usize = 0;
    /// Must equal what arrived. The kernel copies them: nobody but the receiver can change what was received.
    fn octets(&self) -> usize {
        0
    }
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Over [`MAX_MESSAGE`] or [`MAX_SLICE`].
    TooLarge,
    /// Not an encoding of the type.
    Undecodable,
    /// An encoding followed by more octets than it promises.
    TrailingBytes,
    /// An encoding followed by fewer octets than it promises.
    MissingOctets,
    /// The message promises another number of descriptors.
    DescriptorCount {
        /// Promised.
        expected: usize,
        /// Came.
        got: usize,
    },
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => f.write_str("message over its size limit"),
            Self::Undecodable => f.write_str("message that does not decode"),
            Self::TrailingBytes => f.write_str("message with trailing bytes"),
            Self::MissingOctets => f.write_str("message without the octets that belong to it"),
            Self::DescriptorCount { expected, got } => {
                write!(f, "message with {got} descriptors where {expected} belong")
            }
        }
    }
}

impl std::error::Error for WireError {}

/// Encodes a message.
///
/// # Errors
/// [`WireError::TooLarge`] over [`MAX_MESSAGE`].
pub fn encode<M: Message>(message: &M) -> Result<Vec<u8>, WireError> {
    bincode::serde::encode_to_vec(message, bincode::config::standard().with_limit::<MAX_MESSAGE>())
        .ok()
        .filter(|bytes| bytes.len() <= MAX_MESSAGE)
        .ok_or(WireError::TooLarge)
}

/// Decodes a datagram that came with `fds` descriptors.
///
/// # Errors
/// Whatever is not exactly one message with its octets and descriptors.
pub fn decode<M: Message>(bytes: &[u8], fds: usize) -> Result<M, WireError> {
    decode_with_octets(bytes, fds).map(|(message, _)| message)
}

/// As [`decode`], with the octets that belong to the message.
///
/// # Errors
/// Likewise.
pub fn decode_with_octets<M: Message>(bytes: &[u8], fds: usize) -> Result<(M, &[u8]), WireError> {
    let (message, used): (M, usize) =
        bincode::serde::decode_from_slice(bytes, bincode::config::standard().with_limit::<MAX_MESSAGE>())
            .map_err(|_| WireError::Undecodable)?;
    let octets = bytes.get(used..).unwrap_or_default();
    match octets.len().cmp(&message.octets()) {
        Ordering::Greater => return Err(WireError::TrailingBytes),
        Ordering::Less => return Err(WireError::MissingOctets),
        Ordering::Equal => {}
    }
    let expected = message.fd_count();
    if expected != fds {
        return Err(WireError::DescriptorCount { expected, got: fds });
    }
    Ok((message, octets))
}

/// Encodes a policy slice, which travels in a sealed memfd.
///
/// # Errors
/// [`WireError::TooLarge`] over [`MAX_SLICE`].
pub fn encode_slice<S: Serialize>(slice: &S) -> Result<Vec<u8>, WireError> {
    bincode::serde::encode_to_vec(slice, bincode::config::standard().with_limit::<MAX_SLICE>())
        .map_err(|_| WireError::TooLarge)
}

/// Decodes a policy slice.
///
/// # Errors
/// Whatever is not exactly one slice.
pub fn decode_slice<S: DeserializeOwned>(bytes: &[u8]) -> Result<S, WireError> {
    let (slice, used) =
        bincode::serde::decode_from_slice(bytes, bincode::config::standard().with_limit::<MAX_SLICE>())
            .map_err(|_| WireError::Undecodable)?;
    if used == bytes.len() { Ok(slice) } else { Err(WireError::TrailingBytes) }
}
