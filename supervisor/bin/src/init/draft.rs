//! The file that `init` writes.
use super::find::Found;
use super::protocol::{self, Protocol};
use policy::load::{self, LoadOptions, Severity};
use std::path::Path;

/// What differs from one first configuration to the next.
pub(super) struct Draft {
    /// `plug-to`.
    pub(super) server: Option<String>,
    /// `from`.
    pub(super) clients: Vec<String>,
    /// `address`, of both protocols, of which the port says which; empty: the usual places.
    pub(super) listen: Vec<String>,
    /// `socket`; `None`: it is found.
    pub(super) clamd: Option<String>,
    /// A certificate and its key; without one clients speak clear text.
    pub(super) certificate: Option<[String; 2]>,
    /// The server speaks TLS that is verified.
    pub(super) server_tls: bool,
    /// What was found of the engine, for a comment.
    engine: String,
    /// Ports of this machine that nobody has.
    free: Vec<u16>,
}

impl From<Found> for Draft {
    fn from(found: Found) -> Self {
        let engine = match &found.clamd {
            Some(clamd) => format!("found: {} at {}", clamd.version, clamd.place),
            None => "not found yet: apt-get install clamav-daemon; mail waits until it runs".to_owned(),
        };
        Self {
            server: found.server,
            clients: found.networks,
            listen: Vec::new(),
            certificate: found
                .certificates
                .first()
                .map(|(cert, key)| [cert, key].map(|path| path.display().to_string())),
            server_tls: false,
            clamd: None,
            engine,
            free: found.free,
        }
    }
}

impl Draft {
    /// Where clients connect. If nobody says otherwise: at the usual ports, or a thousand above where those are taken. A
    /// server that has a port speaks one protocol.
    pub(super) fn places(&self) -> Vec<String> {
        if !self.listen.is_empty() {
            return self.listen.clone();
        }
        let spoken = self.server.as_deref().and_then(protocol::with_port);
        let protocols = protocol::ALL.iter().filter(|protocol| spoken.is_none_or(|it| it == *protocol));
        let ports = protocols.map(|protocol| self.port(protocol));
        ports
            .map(|port| format!("*:{}", if self.free.contains(&port) { port } else { port + 1000 }))
            .collect()
    }

    /// The usual port of a protocol for clients.
    fn port(&self, protocol: &Protocol) -> u16 {
        if self.certificate.is_some() { protocol.tls } else { protocol.clear }
    }

    /// The protocols that clients speak, each with its places.
    pub(super) fn protocols(&self) -> Vec<(&'static Protocol, Vec<String>)> {
        let places = self.places();
        let of = |protocol| {
            let own = places.iter().filter(|place| protocol::of(place) == Some(protocol));
            (protocol, own.cloned().collect::<Vec<_>>())
        };
        protocol::ALL.iter().map(of).filter(|(_, places)| !places.is_empty()).collect()
    }

    /// The configuration, with its comments.
    pub(super) fn text(&self) -> String {
        let quoted = |items: &[String]| {
            let items: Vec<String> =
                items.iter().map(|item| toml::Value::String(item.clone()).to_string()).collect();
            items.join(", ")
        };
        let server = self.server.clone().unwrap_or_else(|| "mail.example.net".to_owned());
        let listeners = self.protocols().into_iter().map(|(protocol, places)| {
            let port = self.port(protocol);
            let usual = places == [format!("*:{port}")];
            let place = if usual { format!("port {port} of every address") } else { String::new() };
            let mut lines = vec![
                "\n[[listener]]".to_owned(),
                beside(&format!("protocol = \"{}\"", protocol.name), &place),
            ];
            if !usual {
                lines.push(format!("address = [{}]", quoted(&places)));
            }
            if self.certificate.is_none() {
                lines.push(beside("tls = \"off\"", "no certificate: passwords can be read on the way"));
            }
            lines.join("\n")
        });
        let listeners: Vec<String> = listeners.collect();
        let socket = match &self.clamd {
            Some(socket) => format!("socket = {}\n", quoted(std::slice::from_ref(socket))),
            None => String::new(),
        };
        let lines = [
            "# Mailward. After every change: mailward check && mailward reload".to_owned(),
            "# Every item with its default: man mailward.toml".to_owned(),
            "version = 1".to_owned(),
            listeners.join("\n"),
            self.certificates(&quoted),
            beside("\n[[session-acl]]", "who may connect; the first rule that matches decides"),
            format!("from = [{}]", quoted(&self.clients)),
            beside("\n[[command-acl]]", "where sessions go, and what they may do"),
            format!("plug-to = [{}]", quoted(&[server])),
            match self.server_tls {
                true => "# by TLS, verified by that name".to_owned(),
                false => beside("server-tls = \"off\"", "clear text towards the server"),
            },
            beside("\n[antivirus.clamd]", &self.engine),
        ];
        let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        format!("{}\n{socket}", lines.join("\n"))
    }

    fn certificates(&self, quoted: &dyn Fn(&[String]) -> String) -> String {
        let Some([cert, key]) = &self.certificate else { return String::new() };
        let one = |item: &String| quoted(std::slice::from_ref(item));
        format!(
            "\n{}\ncertificates = [{{ cert = {}, key = {} }}]",
            beside("[client-tls.default]", "renewed certificates are taken without a reload"),
            one(cert),
            one(key)
        )
    }

    /// Loads it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(place) = self.places().iter().find(|place| protocol::of(place).is_none()) {
            return Err(format!("{place}: {}", protocol::PORTS));
        }
        let server = self.server.as_deref().unwrap_or_default();
        if let [(first, _), (second, _)] = self.protocols().as_slice()
            && protocol::port(server).is_some()
        {
            let (first, second) = (first.told, second.told);
            return Err(format!(
                "{server}: with a port it speaks {first} or {second}, not both: leave the port out"
            ));
        }
        let outcome =
            load::load(Path::new("mailward.toml"), &self.text(), &|_| Ok(Vec::new()), LoadOptions::default());
        let problems = match outcome {
            Ok(loaded) if loaded.is_whole() => return Ok(()),
            Ok(loaded) => loaded.notes,
            Err(problems) => problems,
        };
        let first = problems.iter().find(|problem| problem.severity != Severity::Warning);
        let told = first.map(|problem| match &problem.help {
            Some(help) => format!("{}: {help}", problem.message),
            None => problem.message.clone(),
        });
        Err(told.unwrap_or_default())
    }

    /// An address that may connect, for an example.
    pub(super) fn some_client(&self) -> String {
        let network = self.clients.iter().find(|network| !network.starts_with("127.") && *network != "*");
        let network = network.map_or("127.0.0.1", String::as_str);
        let (address, _) = network.split_once('/').unwrap_or((network, ""));
        match address.strip_suffix(".0") {
            Some(front) => format!("{front}.7"),
            None => address.to_owned(),
        }
    }
}

/// A line with its comment, in the column where all are.
fn beside(line: &str, comment: &str) -> String {
    let width = 32 + line.len() - line.trim_start().len();
    if comment.is_empty() { line.to_owned() } else { format!("{line:width$}# {comment}") }
}
