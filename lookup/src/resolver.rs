//! Names to addresses: the static host table, then DNS. The only file that names the resolver's crate. Answers of name
//! servers are hostile input, parsed by that crate behind this role's walls.
use crate::hosts::Hosts;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::system_conf::parse_resolv_conf;
use policy::model::Resolver as Settings;
use std::net::IpAddr;

/// Names of one address that are looked at, and octets of one (RFC 1035 section 2.3.4, as text).
const MAX_POINTERS: usize = 4;
const MAX_NAME: usize = 253;

/// Resolves names.
pub(crate) struct Resolver {
    hosts: Hosts,
    dns: Option<TokioResolver>,
}

impl Resolver {
    /// Uses the configured servers, or those of `resolv.conf`; without either only the host table answers.
    ///
    /// # Errors
    /// A sentence for the log.
    pub(crate) fn new(settings: &Settings, resolv_conf: &[u8], hosts: Hosts) -> Result<Self, String> {
        let (config, mut options) = if settings.servers.is_empty() {
            match parse_resolv_conf(resolv_conf) {
                Ok(parsed) => parsed,
                Err(error) => return Err(format!("resolv.conf: {error}")),
            }
        } else {
            let servers = settings.servers.iter().map(|server| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            (config, ResolverOpts::default())
        };
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // It would open the file, which the filter forbids; the table came as a descriptor.
        options.use_hosts_file = ResolveHosts::Never;
        // Two tries fit into what the supervisor waits.
        options.timeout = options.timeout.min(settings.timeout / 2);
        options.attempts = options.attempts.min(2);
        let dns = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { hosts, dns: Some(dns) })
    }

    /// Answers from the host table alone.
    pub(crate) const fn without_dns(hosts: Hosts) -> Self {
        Self { hosts, dns: None }
    }

    /// The name of an address, if one of its names has this address; lower case.
    pub(crate) async fn confirmed(&self, address: IpAddr) -> Option<String> {
        if let Some(name) = self.hosts.name_of(address) {
            return Some(name.to_owned());
        }
        let pointers = self.dns.as_ref()?.reverse_lookup(address).await.ok()?;
        let names = pointers.answers().iter().filter_map(|record| {
            if let RData::PTR(name) = &record.data { Some(name.to_string()) } else { None }
        });
        for name in names.take(MAX_POINTERS) {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            if name.len() <= MAX_NAME && self.resolve(&name).await.is_ok_and(|found| found.contains(&address))
            {
                return Some(name);
            }
        }
        None
    }

    /// The addresses of a name, or why there are none.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        if let Some(known) = self.hosts.get(name) {
            return Ok(known.to_vec());
        }
        let Some(dns) = &self.dns else { return Err("no name server is configured".to_owned()) };
        let found = dns.lookup_ip(name).await.map_err(|error| error.to_string())?;
        Ok(found.iter().collect())
    }
}
