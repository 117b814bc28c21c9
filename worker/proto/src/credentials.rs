//! What a client logs in with, where Mailward takes the login itself: kept until its server is there, and wiped then.
use std::fmt;
use zeroize::Zeroizing;

/// Octets that never print, and that are overwritten when they are let go.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes them.
    pub fn new(octets: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(octets.into()))
    }

    /// To be sent.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// A login, in the form in which it goes to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password, for USER and PASS or LOGIN.
    Plain {
        /// The name.
        user: Vec<u8>,
        /// Of that user.
        password: Password,
    },
    /// The message of SASL's PLAIN, decoded.
    Sasl {
        /// The name in it.
        user: Vec<u8>,
        /// Authorization identity, name and password with NUL between them.
        message: Password,
    },
}

impl Credentials {
    /// The message of SASL's PLAIN (RFC 4616 section 2). `None`: it is none, or names nobody.
    pub fn of_plain(message: &[u8]) -> Option<Self> {
        let mut fields = message.split(|octet| *octet == 0);
        let (_, user, password) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() || user.is_empty() || password.is_empty() {
            return None;
        }
        Some(Self::Sasl { user: user.to_vec(), message: Password::new(message) })
    }

    /// What was said in the two steps of SASL's LOGIN.
    pub fn of_login(user: &[u8], password: &[u8]) -> Option<Self> {
        let message = Zeroizing::new([&b"\0"[..], user, b"\0", password].concat());
        Self::of_plain(&message)
    }

    /// Who logs in.
    pub fn user(&self) -> &[u8] {
        match self {
            Self::Plain { user, .. } | Self::Sasl { user, .. } => user,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let login = Credentials::of_plain(b"\0joe\0secret").unwrap();
        assert!(
            !format!("{login:?}").contains("secret") && !format!("{login:?}").contains("115"),
            "{login:?}"
        );
        let login = Credentials::Plain { user: b"joe".to_vec(), password: Password::new(*b"secret") };
        assert!(format!("{login:?}").contains("Password(***)"));
    }

    #[test]
    fn a_message_of_plain_names_somebody_who_has_a_password() {
        assert_eq!(Credentials::of_plain(b"\0joe\0secret").unwrap().user(), b"joe");
        assert_eq!(Credentials::of_plain(b"other\0joe\0secret").unwrap().user(), b"joe");
        for wrong in [&b""[..], b"joe", b"\0joe", b"\0\0secret", b"\0joe\0", b"\0joe\0sec\0ret", b"a\0b\0c\0"]
        {
            assert_eq!(Credentials::of_plain(wrong), None, "{wrong:?}");
        }
        assert_eq!(Credentials::of_login(b"joe", b"secret"), Credentials::of_plain(b"\0joe\0secret"));
        assert_eq!(Credentials::of_login(b"jo\0e", b"secret"), None);
    }
}
