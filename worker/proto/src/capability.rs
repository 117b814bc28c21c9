//! Which capabilities may be announced to a client: those we know, and of these the ones that the rules permit.
//! What is not known is not announced, because nobody knows what it would carry round the scanner.
use policy::list::{NameList, matches};

/// A capability of POP3 (RFC 2449, 3206, 5034, 6856). STLS is not among them: `tls` of the listener decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// RFC 2449 section 6.1.
    Top,
    /// RFC 2449 section 6.2.
    User,
    /// RFC 2449 section 6.8.
    Uidl,
    /// RFC 2449 section 6.6.
    Pipelining,
    /// RFC 2449 section 6.4.
    RespCodes,
    /// RFC 3206 section 6.
    AuthRespCode,
    /// RFC 2449 section 6.7.
    Expire,
    /// RFC 2449 section 6.5.
    LoginDelay,
    /// RFC 2449 section 6.9.
    Implementation,
    /// RFC 6856 section 2.
    Utf8,
    /// RFC 6856 section 3.
    Lang,
    /// RFC 5034 section 3.
    Sasl,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Top,
        Self::User,
        Self::Uidl,
        Self::Pipelining,
        Self::RespCodes,
        Self::AuthRespCode,
        Self::Expire,
        Self::LoginDelay,
        Self::Implementation,
        Self::Utf8,
        Self::Lang,
        Self::Sasl,
    ];

    /// As in CAPA's answer and in `capabilities = […]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Top => "TOP",
            Self::User => "USER",
            Self::Uidl => "UIDL",
            Self::Pipelining => "PIPELINING",
            Self::RespCodes => "RESP-CODES",
            Self::AuthRespCode => "AUTH-RESP-CODE",
            Self::Expire => "EXPIRE",
            Self::LoginDelay => "LOGIN-DELAY",
            Self::Implementation => "IMPLEMENTATION",
            Self::Utf8 => "UTF8",
            Self::Lang => "LANG",
            Self::Sasl => "SASL",
        }
    }

    /// The capability of this name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name().as_bytes().eq_ignore_ascii_case(name))
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySet(u16);

impl CapabilitySet {
    /// Those that a list of the rules permits.
    pub fn permitted(list: &NameList) -> Self {
        let mut set = Self::default();
        for capability in Capability::ALL {
            if list.allows(capability.name()) {
                set.insert(capability);
            }
        }
        set
    }

    /// Adds one.
    pub fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bit();
    }

    /// Takes one out.
    pub fn remove(&mut self, capability: Capability) {
        self.0 &= !capability.bit();
    }

    /// Whether it is in the set.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }
}

/// A SASL mechanism that can be relayed: no channel binding (`-PLUS` cannot survive a proxy), no security layer
/// (DIGEST-MD5, GSSAPI and NTLM could turn the rest of the session opaque), and not EXTERNAL: it stands for a certificate of the
/// client's, which ends here. A server sees ours, or none, and has no way to be told whose session it is (`docs/session.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login.
    Login,
    /// RFC 2195.
    CramMd5,
    /// RFC 5802.
    ScramSha1,
    /// RFC 7677.
    ScramSha256,
    /// draft-melnikov-scram-sha-512.
    ScramSha512,
    /// RFC 7628.
    OauthBearer,
    /// Google's and Microsoft's predecessor of it.
    Xoauth2,
}

impl Mechanism {
    const ALL: [Self; 8] = [
        Self::Plain,
        Self::Login,
        Self::CramMd5,
        Self::ScramSha1,
        Self::ScramSha256,
        Self::ScramSha512,
        Self::OauthBearer,
        Self::Xoauth2,
    ];

    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
        }
    }

    /// The mechanism of this name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The mechanisms of logins that are taken before their server is known: PLAIN and LOGIN, which every server of ours is asked for
    /// as PLAIN, and those whose first message names the client and goes to the server as it is, where the listener's `capabilities`
    /// name them (`AUTH=XOAUTH2`): only the operator knows that the servers have them. With CRAM-MD5 the server speaks first.
    pub fn before_server(welcome: Option<&NameList>) -> impl Iterator<Item = Self> {
        let named = move |mechanism: &Self| {
            let word = format!("AUTH={}", mechanism.name());
            welcome.is_some_and(|list| {
                let mut values = list.positive.iter().filter(|pattern| pattern.starts_with("AUTH="));
                values.any(|pattern| matches(pattern, &word))
                    && !list.negative.iter().any(|pattern| matches(pattern, &word))
            })
        };
        Self::ALL.into_iter().filter(move |mechanism| match mechanism {
            Self::Plain | Self::Login => true,
            Self::CramMd5 => false,
            Self::ScramSha1 | Self::ScramSha256 | Self::ScramSha512 | Self::OauthBearer | Self::Xoauth2 => {
                named(mechanism)
            }
        })
    }
}
