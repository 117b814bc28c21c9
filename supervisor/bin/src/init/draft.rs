//! The file that `init` writes.
use super::find::Found;
use policy::load::{self, LoadOptions, Severity};
use std::path::Path;

/// What differs from one first configuration to the next.
pub(super) struct Draft {
    /// `plug-to`.
    pub(super) server: Option<String>,
    /// `from`.
    pub(super) clients: Vec<String>,
    /// `address`.
    pub(super) listen: Vec<String>,
    /// `socket`; `None`: it is found.
    pub(super) clamd: Option<String>,
    /// A certificate and its key; without one clients speak clear text.
    pub(super) certificate: Option<[String; 2]>,
    /// The server speaks TLS that is verified.
    pub(super) server_tls: bool,
    /// What was found of the engine, for a comment.
    engine: String,
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
            listen: vec![
                match (found.certificates.is_empty(), found.tls_port_is_free, found.port_is_free) {
                    (false, true, _) => "*:995",
                    (false, false, _) => "*:1995",
                    (true, _, true) => "*:110",
                    (true, _, false) => "*:1110",
                }
                .to_owned(),
            ],
            certificate: found
                .certificates
                .first()
                .map(|(cert, key)| [cert, key].map(|path| path.display().to_string())),
            server_tls: false,
            clamd: None,
            engine,
        }
    }
}

impl Draft {
    /// The configuration, with its comments.
    pub(super) fn text(&self) -> String {
        let quoted = |items: &[String]| {
            let items: Vec<String> =
                items.iter().map(|item| toml::Value::String(item.clone()).to_string()).collect();
            items.join(", ")
        };
        let server = self.server.clone().unwrap_or_else(|| "mail.example.net".to_owned());
        let port = if self.certificate.is_some() { 995 } else { 110 };
        let usual = self.listen == [format!("*:{port}")];
        let address = if usual { String::new() } else { format!("address = [{}]\n", quoted(&self.listen)) };
        let place = if usual { format!("port {port} of every address") } else { String::new() };
        let socket = match &self.clamd {
            Some(socket) => format!("socket = {}\n", quoted(std::slice::from_ref(socket))),
            None => String::new(),
        };
        let lines = [
            "# Mailward. After every change: mailward check && mailward reload".to_owned(),
            "# Every item with its default: man mailward.toml".to_owned(),
            "version = 1\n\n[[listener]]".to_owned(),
            beside("protocol = \"pop3\"", &place),
            format!("{address}{}", self.towards_clients(&quoted)),
            beside("\n[[session-acl]]", "who may connect; the first rule that matches decides"),
            format!("from = [{}]", quoted(&self.clients)),
            beside("\n[[command-acl]]", "where sessions go, and what they may do"),
            format!("plug-to = [{}]", quoted(&[server])),
            match self.server_tls {
                true => "# by TLS on port 995, verified by that name".to_owned(),
                false => beside("server-tls = \"off\"", "clear text towards the server"),
            },
            beside("\n[antivirus.clamd]", &self.engine),
        ];
        format!("{}\n{socket}", lines.join("\n"))
    }

    fn towards_clients(&self, quoted: &dyn Fn(&[String]) -> String) -> String {
        let Some([cert, key]) = &self.certificate else {
            return beside("tls = \"off\"", "no certificate: passwords can be read on the way");
        };
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
