//! Real daemons besides clamd: c-icap in front of a clamd, rspamd and SpamAssassin's spamd with one rule each
//! (`X-Lab-Spam: yes` is spam) and without a network.
use crate::process::Daemon;
use crate::until;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A running daemon and its folder.
#[derive(Debug)]
pub struct Filter {
    _daemon: Daemon,
    folder: TempDir,
    address: SocketAddr,
}

impl Filter {
    /// c-icap with its antivirus service, `/avscan`, which asks the clamd at this socket.
    pub fn c_icap(clamd: &Path) -> Self {
        let (folder, address) = place("icap");
        let base = folder.path().display();
        let services =
            ["/usr/lib/x86_64-linux-gnu/c_icap", "/usr/lib/aarch64-linux-gnu/c_icap", "/usr/lib/c_icap"];
        let services = services.into_iter().find(|path| Path::new(path).exists()).unwrap();
        let text = format!(
            "PidFile {base}/pid\nCommandsSocket {base}/ctl\nPort {address}\nUser root\nGroup root\nStartServers 1\n\
             MaxServers 2\nThreadsPerChild 8\nMinSpareThreads 1\nMaxSpareThreads 8\nServerLog {base}/log\n\
             AccessLog {base}/access\nTmpDir {base}\nModulesDir {services}\nServicesDir {services}\n\
             LoadMagicFile /etc/c-icap/c-icap.magic\nacl all src 127.0.0.1/255.255.255.255\nicap_access allow all\n\
             Module common clamd_mod.so\nclamd_mod.ClamdSocket {clamd}\nService avscan virus_scan.so\n\
             virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE\nvirus_scan.MaxObjectSize 100M\n\
             virus_scan.SendPercentData 0\nvirus_scan.DefaultEngine clamd\nvirus_scan.Allow204Responces on\n",
            clamd = clamd.display()
        );
        let path = write(folder.path(), "c-icap.conf", &text);
        let mut command = Command::new("c-icap");
        command.arg("-N").arg("-f").arg(path);
        let options = format!("OPTIONS icap://{address}/avscan ICAP/1.0\r\nHost: x\r\n\r\n");
        Self::start(command, folder, address, options.as_bytes(), "ICAP/1.0 200")
    }

    /// rspamd's worker.
    pub fn rspamd() -> Self {
        let (folder, address) = place("rspamd");
        let base = folder.path().display();
        let rules = write(
            folder.path(),
            "rules.lua",
            "rspamd_config.LAB_SPAM = { score = 7.25, callback = function(task)\n\
             return task:get_header('X-Lab-Spam') ~= nil end }\n\
             rspamd_config.LAB_OUTSIDE = { score = 0.5, callback = function(task)\n\
             local ip = task:get_from_ip()\nreturn ip ~= nil and tostring(ip) == '203.0.113.9' end }\n",
        );
        let text = format!(
            "options {{ filters = \"\"; disable_hyperscan = true; dbdir = \"{base}\"; rundir = \"{base}\"; \
             dns {{ nameserver = [\"127.0.0.1:1\"]; timeout = 0.1s; retransmits = 0; }} }}\n\
             logging {{ type = \"console\"; level = \"error\"; }}\n\
             metric {{ name = \"default\"; actions {{ reject = 15; add_header = 6; }} }}\n\
             worker \"normal\" {{ bind_socket = \"{address}\"; count = 1; }}\nlua = \"{rules}\";\n",
            rules = rules.display()
        );
        let path = write(folder.path(), "rspamd.conf", &text);
        let mut command = Command::new("rspamd");
        command.args(["-f", "-i", "-u", "nobody", "-g", "nogroup", "-c"]).arg(path);
        Self::start(command, folder, address, b"GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n", "pong")
    }

    /// SpamAssassin's daemon.
    pub fn spamd() -> Self {
        let (folder, address) = place("spamd");
        let rules = folder.path().join("rules");
        fs::create_dir(&rules).unwrap();
        write(&rules, "init.pre", "loadplugin Mail::SpamAssassin::Plugin::Check\n");
        write(
            &rules,
            "lab.cf",
            "header LAB_SPAM X-Lab-Spam =~ /yes/\nscore LAB_SPAM 6.5\nuse_bayes 0\nskip_rbl_checks 1\ndns_available no\n",
        );
        let mut command = Command::new("spamd");
        command.args(["-x", "-L", "-m", "2", "-u", "nobody", "-i", "127.0.0.1", "-p"]);
        command.arg(address.port().to_string());
        let path = |option: &str, path: &Path| format!("--{option}={}", path.display());
        command.args([path("configpath", &rules), path("siteconfigpath", &rules)]);
        command.arg(path("helper-home-dir", folder.path()));
        Self::start(command, folder, address, b"PING SPAMC/1.5\r\n\r\n", "PONG")
    }

    fn start(mut command: Command, folder: TempDir, address: SocketAddr, ask: &[u8], told: &str) -> Self {
        let daemon = Daemon::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        until(&format!("{command:?} to answer"), 180, || {
            let mut stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            stream.write_all(ask).ok()?;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).contains(told).then_some(())
        });
        Self { _daemon: daemon, folder, address }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn place(name: &str) -> (TempDir, SocketAddr) {
    let folder = tempfile::Builder::new().prefix(&format!("mailward-{name}-")).tempdir().unwrap();
    // The daemons give up being root, and still read their configuration.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(folder.path(), mode).unwrap();
    (folder, TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}
