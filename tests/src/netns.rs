//! Network namespaces: a client, a gateway and a server, as a firewall stands between them.
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Three namespaces in a row: client (10.77.1.2, fd77:1::2) — gateway (.1 on either side) — server (10.77.2.2, fd77:2::2).
#[derive(Debug)]
pub struct Firewall {
    /// Name of the client's namespace.
    pub client: String,
    /// Name of the gateway's namespace.
    pub gateway: String,
    /// Name of the server's namespace.
    pub server: String,
}

impl Firewall {
    /// Makes the namespaces, with forwarding on in the gateway. Interfaces of the gateway: `lan0`, `wan0`.
    pub fn new() -> Self {
        let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let firewall =
            Self { client: format!("mwc{id}"), gateway: format!("mwg{id}"), server: format!("mws{id}") };
        let (client, gateway, server) = (&firewall.client, &firewall.gateway, &firewall.server);
        for name in [client, gateway, server] {
            sh(&format!("ip netns add {name} && ip -n {name} link set lo up"));
        }
        sh(&format!(
            "ip link add lan0 netns {gateway} type veth peer name eth0 netns {client} && \
             ip link add wan0 netns {gateway} type veth peer name eth0 netns {server} && \
             ip -n {client} addr add 10.77.1.2/24 dev eth0 && ip -n {client} addr add fd77:1::2/64 dev eth0 nodad && \
             ip -n {gateway} addr add 10.77.1.1/24 dev lan0 && ip -n {gateway} addr add fd77:1::1/64 dev lan0 nodad && \
             ip -n {gateway} addr add 10.77.2.1/24 dev wan0 && ip -n {gateway} addr add fd77:2::1/64 dev wan0 nodad && \
             ip -n {server} addr add 10.77.2.2/24 dev eth0 && ip -n {server} addr add fd77:2::2/64 dev eth0 nodad && \
             for pair in '{client} eth0' '{gateway} lan0' '{gateway} wan0' '{server} eth0'; do \
               set -- $pair; ip -n $1 link set $2 up; done && \
             ip -n {client} route add default via 10.77.1.1 && ip -n {client} -6 route add default via fd77:1::1 && \
             ip -n {server} route add default via 10.77.2.1 && ip -n {server} -6 route add default via fd77:2::1 && \
             ip netns exec {gateway} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
        ));
        firewall
    }

    /// The whole ruleset of the gateway.
    pub fn ruleset(&self) -> String {
        text(&run(&self.gateway, &["nft", "list", "ruleset"]))
    }
}

impl Default for Firewall {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        for name in [&self.client, &self.gateway, &self.server] {
            let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}

/// A command in a namespace, not yet started.
pub fn command(namespace: &str, words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(words);
    command
}

/// Runs a command in a namespace to its end.
pub fn run(namespace: &str, words: &[&str]) -> Output {
    command(namespace, words).stdin(Stdio::null()).output().unwrap()
}

/// Standard output as text.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn sh(script: &str) {
    let output = Command::new("sh").arg("-ec").arg(script).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}
