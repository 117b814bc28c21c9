//! What a client logs in with, where Mailward takes the login itself: kept until its server is there, and wiped then.
use crate::capability::Mechanism;
use crate::pop3::sasl;
use std::fmt;
use zeroize::Zeroizing;

/// Octets of a name; longer ones are nobody's.
pub(crate) const MAX_USER: usize = 512;

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
    /// The first message of a SASL exchange.
    Sasl {
        /// The name in it.
        user: Vec<u8>,
        /// Whose message it is: PLAIN's ends the exchange, behind others client and server go on.
        mechanism: Mechanism,
        /// Decoded.
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
        let message = Password::new(message);
        Some(Self::Sasl { user: user.to_vec(), mechanism: Mechanism::Plain, message })
    }

    /// The first message of a mechanism in which the client speaks first. `None`: it is none, or names nobody.
    pub fn of_message(mechanism: Mechanism, message: &[u8]) -> Option<Self> {
        if mechanism == Mechanism::Plain {
            return Self::of_plain(message);
        }
        let user = sasl::name(mechanism, true, message).filter(|user| !user.is_empty())?;
        Some(Self::Sasl { user, mechanism, message: Password::new(message) })
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

    #[test]
    fn the_first_message_of_a_mechanism_names_somebody() {
        use Mechanism::{CramMd5, OauthBearer, ScramSha256, Xoauth2};
        for (mechanism, message, user) in [
            (ScramSha256, &b"n,,n=joe,r=abc"[..], Some(&b"joe"[..])),
            (ScramSha256, b"n,,n=,r=abc", None),
            (ScramSha256, b"n,,r=abc", None),
            (OauthBearer, b"n,a=joe@example.net,\x01auth=Bearer x\x01\x01", Some(b"joe@example.net")),
            (OauthBearer, b"n,,\x01auth=Bearer x\x01\x01", None),
            (Xoauth2, b"user=joe\x01auth=Bearer x\x01\x01", Some(b"joe")),
            (Xoauth2, b"auth=Bearer x\x01\x01", None),
            (CramMd5, b"", None),
        ] {
            let login = Credentials::of_message(mechanism, message);
            assert_eq!(login.as_ref().map(Credentials::user), user, "{mechanism:?}");
        }
    }
}
