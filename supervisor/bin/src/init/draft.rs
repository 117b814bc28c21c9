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
            listen: vec![if found.port_is_free { "*:110" } else { "*:1110" }.to_owned()],
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
        let usual = self.listen == ["*:110"];
        let address = if usual { String::new() } else { format!("address = [{}]\n", quoted(&self.listen)) };
        let port = if usual { "port 110 of every address" } else { "" };
        let socket = match &self.clamd {
            Some(socket) => format!("socket = {}\n", quoted(std::slice::from_ref(socket))),
            None => String::new(),
        };
        let lines = [
            "# Mailward. After every change: mailward check && mailward reload".to_owned(),
            "# Every item with its default: man mailward.toml".to_owned(),
            "version = 1\n\n[[listener]]".to_owned(),
            beside("protocol = \"pop3\"", port),
            format!(
                "{address}{}",
                beside("tls = \"off\"", "this version speaks clear text only: it has to be written")
            ),
            beside("\n[[session-acl]]", "who may connect; the first rule that matches decides"),
            format!("from = [{}]", quoted(&self.clients)),
            beside("\n[[command-acl]]", "where sessions go, and what they may do"),
            format!("plug-to = [{}]", quoted(&[server])),
            beside("server-tls = \"off\"", "clear text towards the server too"),
            beside("\n[antivirus.clamd]", &self.engine),
        ];
        format!("{}\n{socket}", lines.join("\n"))
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
