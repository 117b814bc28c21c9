//! A question, as it is written on the command line or in a file of expectations, and what it means to a policy.
use policy::conditions::Certificate;
use policy::model::Policy;
use policy::names::Direction;
use policy::status::{Status, StatusSet};
use policy::time::Moment;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Who does what, when. What is left out is not known yet, or does not matter.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Question {
    /// The client's address, with a port if that matters.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// The client's name, for patterns of names: as lookup would confirm it, in lower case.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where the client wanted to go; by default the listener's address.
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: Option<String>,
    /// The listener's name; may be left out where there is only one.
    #[arg(long)]
    listener: Option<String>,
    /// NAT brought the connection.
    #[arg(long)]
    transparent: bool,
    /// The name that the client logs in with.
    #[arg(long)]
    user: Option<String>,
    /// A group of the user; may be given several times.
    #[arg(long)]
    group: Vec<String>,
    /// A file with the certificate that the client shows, PEM.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate_subject", "certificate_issuer", "certificate_san", "certificate_fingerprint"])]
    client_certificate: Option<PathBuf>,
    /// Instead of a file: the certificate's subject, as RFC 4514 writes it, most specific first.
    #[arg(long, value_name = "DN")]
    certificate_subject: Option<String>,
    /// Its issuer, likewise.
    #[arg(long, value_name = "DN")]
    certificate_issuer: Option<String>,
    /// A name in it: DNS name, mail address or IP address; may be given several times.
    #[arg(long, value_name = "NAME")]
    certificate_san: Vec<String>,
    /// Its SHA-256, 64 hexadecimal digits in lower case.
    #[arg(long, value_name = "SHA256")]
    certificate_fingerprint: Option<String>,
    /// "mon 09:30", "2026-05-08 09:30", "09:30"; by default now.
    #[arg(long)]
    time: Option<String>,
    /// download or upload.
    #[arg(long)]
    direction: Option<String>,
    /// A mail, which a real scanner judges in its sandbox.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["virus", "virus_name", "size", "sender", "header"])]
    pub(crate) mail: Option<PathBuf>,
    /// A status that a mail has: instead of --mail; may be given several times.
    #[arg(long, value_name = "STATUS")]
    pub(crate) virus: Vec<String>,
    /// The name of a virus in it.
    #[arg(long, value_name = "NAME")]
    pub(crate) virus_name: Vec<String>,
    /// Its octets.
    #[arg(long)]
    pub(crate) size: Option<u64>,
    /// The address in its From.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) sender: Vec<String>,
    /// A field of its header, "Name: value".
    #[arg(long, value_name = "FIELD")]
    pub(crate) header: Vec<String>,
    /// A part of it has this type.
    #[arg(long, value_name = "TYPE")]
    pub(crate) mime_type: Vec<String>,
    /// A part of it bears this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) filename: Vec<String>,
}

/// The facts of a question.
pub(crate) struct Asked {
    pub(crate) listener: u16,
    pub(crate) client: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) transparent: bool,
    pub(crate) moment: Moment,
    pub(crate) user: Option<String>,
    pub(crate) groups: Option<Vec<String>>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) direction: Direction,
    pub(crate) statuses: StatusSet,
    /// The mail, as a server would send it. It is read whatever the rules decide.
    pub(crate) mail: Option<Vec<u8>>,
}

impl Question {
    /// What the question means to this policy.
    ///
    /// # Errors
    /// A sentence: what cannot be understood, and what could be.
    pub(crate) fn asked(&self, policy: &Policy) -> Result<Asked, String> {
        let from = self.from.as_deref().ok_or("--from is missing: the client's address")?;
        let client = address(from, 0).ok_or_else(|| format!("--from {from} is no address"))?;
        let listener = self.listener(policy)?;
        let settings = policy.listeners.get(usize::from(listener));
        let first = settings.and_then(|listener| listener.addresses.first().copied());
        let first = first.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
        let destination = match self.to.as_deref() {
            Some(to) => address(to, first.port()).ok_or_else(|| format!("--to {to} is no address"))?,
            None => first,
        };
        let clock = policy.service.zone.clone().unwrap_or_else(supervisor::clock::system_zone).clock();
        let now = supervisor::clock::now(&clock);
        let moment = match self.time.as_deref() {
            Some(time) => Moment::parse(time, &now).ok_or_else(|| {
                format!("--time {time} is no time: write \"mon 09:30\" or \"2026-05-08 09:30\"")
            })?,
            None => now,
        };
        let direction = match self.direction.as_deref() {
            None | Some("download") => Direction::Download,
            Some("upload") => Direction::Upload,
            Some(other) => return Err(format!("--direction {other} is neither download nor upload")),
        };
        Ok(Asked {
            listener,
            client,
            destination,
            transparent: self.transparent,
            moment,
            user: self.user.clone(),
            groups: (!self.group.is_empty()).then(|| self.group.clone()),
            certificate: self.certificate()?,
            direction,
            statuses: self.statuses()?,
            mail: self.mail.as_deref().map(mail).transpose()?,
        })
    }

    fn listener(&self, policy: &Policy) -> Result<u16, String> {
        let names: Vec<&str> = policy.listeners.iter().map(|listener| listener.name.as_str()).collect();
        let index = match (&self.listener, names.as_slice()) {
            (Some(wanted), names) => names.iter().position(|name| name == wanted),
            (None, [_]) => Some(0),
            (None, _) => None,
        };
        let index = index.and_then(|index| u16::try_from(index).ok());
        index.ok_or_else(|| {
            let wrong =
                self.listener.as_ref().map_or_else(String::new, |wanted| format!(" not {wanted}, but"));
            format!("--listener must be{wrong} one of: {}", names.join(", "))
        })
    }

    /// The certificate that the client shows, if any.
    fn certificate(&self) -> Result<Option<Certificate>, String> {
        if let Some(path) = &self.client_certificate {
            return certificate(path).map(Some);
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let told = Certificate {
            subject: text(&self.certificate_subject),
            issuer: text(&self.certificate_issuer),
            names: self.certificate_san.clone(),
            fingerprint: text(&self.certificate_fingerprint),
        };
        Ok((told != Certificate::default()).then_some(told))
    }

    fn statuses(&self) -> Result<StatusSet, String> {
        let one = |word: &String| {
            let known = || Status::ALL.map(Status::name).join(", ");
            Status::ALL
                .into_iter()
                .find(|status| status.name() == word)
                .ok_or_else(|| format!("--virus {word} is no status: there are {}", known()))
        };
        self.virus.iter().map(one).collect()
    }
}

fn address(text: &str, port: u16) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, port)))
}

/// What rules can ask of the certificate in a PEM file, read as the service reads it.
fn certificate(path: &Path) -> Result<Certificate, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
    Ok(tls::Chain::from_pem(&pem).map_err(|error| wrong(&error))?.facts().certificate.clone())
}

fn mail(path: &Path) -> Result<Vec<u8>, String> {
    let octets = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(as_sent(octets))
}

/// Files have the line ends of their system, mails have CRLF: a file without any CRLF gets them, as a server does it.
fn as_sent(octets: Vec<u8>) -> Vec<u8> {
    if octets.windows(2).any(|pair| pair == b"\r\n") {
        return octets;
    }
    let mut sent = Vec::with_capacity(octets.len() + octets.len() / 32);
    for octet in octets {
        if octet == b'\n' {
            sent.push(b'\r');
        }
        sent.push(octet);
    }
    sent
}
