//! `mailward tls probe`: what a server offers, and whether the configuration would take it. It shakes hands as the service
//! would and says nothing else.
use crate::args::{Probe, StartTls};
use crate::config;
use policy::load::LoadOptions;
use policy::names::Protocol;
use policy::tls::{ServerTls, Trust, Verify, Versions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tls::{Connector, Failure, Keyholder, NoKeys, Secured, ServerFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use worker_proto::upgrade::{Step, Upgrade};

/// For a connection and for a handshake.
const PATIENCE: Duration = Duration::from_secs(15);
/// Where Linux distributions keep the authorities of the system.
const SYSTEM: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// What a handshake showed, or why there is none.
type Outcome = Result<String, String>;

pub(crate) fn probe(arguments: &Probe) -> ExitCode {
    match run(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            config::say(&format!("mailward: {why}\n"));
            ExitCode::from(1)
        }
    }
}

fn run(arguments: &Probe) -> Result<bool, String> {
    let (host, port) = arguments.server.rsplit_once(':').ok_or("write HOST:PORT")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    let address = resolve(host, port)?;
    let policy = chosen(arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut out = io::stdout();
        let target = Target { host, address, starttls: arguments.starttls };
        let _ = writeln!(out, "{host} at {address}");
        let lax = |versions| ServerTls { verify: Verify::None, versions, ..ServerTls::default() };
        let v1_3 = Versions { v1_2: false, v1_3: true };
        let v1_2 = Versions { v1_2: true, v1_3: false };
        for (name, versions) in [("TLS 1.3", v1_3), ("TLS 1.2", v1_2)] {
            let said = match target.shake_hands(&lax(versions)).await {
                Ok(shown) => shown,
                Err(why) => format!("no: {why}"),
            };
            let _ = writeln!(out, "  {name}: {said}");
        }
        let verdict = target.shake_hands(&policy).await;
        let _ = match &verdict {
            Ok(_) => writeln!(out, "  server-tls \"{}\" takes it", policy.name),
            Err(why) => writeln!(out, "  server-tls \"{}\" refuses it: {why}", policy.name),
        };
        Ok(verdict.is_ok())
    })
}

/// Whether a server's certificate is verified by the system's authorities for this name.
pub(crate) fn is_verified(host: &str, port: u16) -> bool {
    let Ok(address) = resolve(host, port) else { return false };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return false;
    };
    let [_, system] = ServerTls::built_in();
    let target = Target { host, address, starttls: None };
    runtime.block_on(target.shake_hands(&system)).is_ok()
}

fn resolve(host: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    let mut found = (host, port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    found.next().ok_or_else(|| format!("{host}: no address"))
}

/// The server-tls that is asked about: one of a configuration, or the built-in "system".
fn chosen(arguments: &Probe) -> Result<ServerTls, String> {
    let [_, system] = ServerTls::built_in();
    let Some(path) = &arguments.config else { return Ok(system) };
    let configuration = config::load(path, LoadOptions::default()).ok_or("the configuration is wrong")?;
    let all = configuration.loaded.policy.server_tls;
    let known: Vec<String> = all.iter().map(|tls| tls.name.clone()).collect();
    let named = all.into_iter().find(|tls| tls.name == arguments.server_tls);
    named.ok_or_else(|| {
        format!("there is no server-tls `{}`; there are: {}", arguments.server_tls, known.join(", "))
    })
}

struct Target<'a> {
    host: &'a str,
    address: SocketAddr,
    starttls: Option<StartTls>,
}

impl Target<'_> {
    async fn shake_hands(&self, policy: &ServerTls) -> Outcome {
        let files = ServerFiles { ca: authorities(policy)?, chain: None };
        let keyholder: Arc<dyn Keyholder> = Arc::new(NoKeys);
        let connector = Connector::new(policy, &files, &[], &keyholder).map_err(|error| error.to_string())?;
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(self.address)).await;
        let mut stream = connected.map_err(|_| "it does not answer")?.map_err(|error| error.to_string())?;
        let upgraded = tokio::time::timeout(PATIENCE, self.upgrade(&mut stream)).await;
        upgraded.map_err(|_| "it does not answer in clear text; is this port for implicit TLS?")??;
        match connector.connect(stream, self.host, PATIENCE).await {
            Ok(Secured { channel, asked, .. }) => {
                let shown = channel.certificates().join("\n      ");
                let asks = if asked { "\n      it asks for a certificate" } else { "" };
                Ok(format!("{}\n      {shown}{asks}", channel.describe()))
            }
            Err(Failure { why, .. }) => Err(why.replace("; ", "\n      ")),
        }
    }

    async fn upgrade(&self, stream: &mut TcpStream) -> Result<(), String> {
        match self.starttls {
            None => Ok(()),
            Some(StartTls::Pop3) => upgrade(Protocol::Pop3, stream).await,
            Some(StartTls::Imap) => upgrade(Protocol::Imap, stream).await,
        }
    }
}

async fn upgrade(protocol: Protocol, stream: &mut TcpStream) -> Result<(), String> {
    let (mut dialogue, mut piece) = (Upgrade::new(protocol), [0; 1024]);
    loop {
        let count = stream.read(&mut piece).await.map_err(|error| error.to_string())?;
        let came = piece.get(..count).filter(|came| !came.is_empty()).ok_or("it hangs up")?;
        dialogue = match dialogue.feed(came).map_err(|fault| fault.what.to_owned())? {
            Step::More(next) => next,
            Step::Ask(next) => {
                let question = Upgrade::question(protocol);
                stream.write_all(question).await.map_err(|error| error.to_string())?;
                next
            }
            Step::Start => return Ok(()),
            Step::Refused => return Err("it refuses TLS".to_owned()),
        };
    }
}

fn authorities(policy: &ServerTls) -> Result<Vec<Vec<u8>>, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    match &policy.trust {
        _ if policy.verify == Verify::None => Ok(Vec::new()),
        Trust::Path(path) if path.is_dir() => {
            let entries = std::fs::read_dir(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
            files.map(|path| read(&path)).collect()
        }
        Trust::Path(path) => Ok(vec![read(path)?]),
        Trust::System => {
            let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
            let usual = || SYSTEM.iter().map(PathBuf::from).find(|path| path.exists());
            let path = named.or_else(usual).ok_or("the system has no certificates of authorities")?;
            Ok(vec![read(&path)?])
        }
    }
}
