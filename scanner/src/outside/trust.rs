//! TLS towards daemons: the files of authorities that came before the first lease, and the handshake. A scanner has no
//! key to show, so it can only be the client, and only of whom the configuration names.
use super::Connection;
use policy::engine::DaemonTls;
use policy::tls::ServerTls;
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tls::{ClientStream, Connector, NoKeys, ServerFiles};

/// Whom to trust, by the policy's index of the server-tls.
#[derive(Debug, Default)]
pub(crate) struct Authorities {
    files: HashMap<u16, Vec<Vec<u8>>>,
    /// Made at the first use: the authorities of a system are many.
    connectors: RefCell<HashMap<(u16, String), Rc<Connector>>>,
}

impl Authorities {
    /// A file of authorities for this server-tls; there may be several.
    pub(crate) fn add(&mut self, server_tls: u16, file: Vec<u8>) {
        self.files.entry(server_tls).or_default().push(file);
    }

    /// Takes a connection, and shakes hands where TLS is spoken. Bounded by the caller's deadline.
    pub(crate) async fn secure(
        &self,
        socket: OwnedFd,
        tls: Option<&DaemonTls>,
        settings: &[Option<ServerTls>],
    ) -> Result<Connection, String> {
        let connection = Connection::new(socket).map_err(|error| error.to_string())?;
        let Some(tls) = tls else { return Ok(connection) };
        let Connection::Tcp(stream) = connection else { return Err("TLS needs a TCP connection".to_owned()) };
        let settings = settings.get(usize::from(tls.server_tls)).and_then(Option::as_ref);
        let connector = self.connector(tls.server_tls, settings.ok_or("no such server-tls")?)?;
        let secured = connector.connect_stream(stream, &tls.name, Duration::MAX).await;
        let stream: ClientStream = secured.map_err(|failure| format!("TLS: {}", failure.why))?;
        Ok(Connection::Tls(Box::new(stream)))
    }

    fn connector(&self, index: u16, settings: &ServerTls) -> Result<Rc<Connector>, String> {
        // The same index can mean other settings in another policy: the settings are part of the key.
        let key = (index, format!("{settings:?}"));
        if let Some(known) = self.connectors.borrow().get(&key) {
            return Ok(Rc::clone(known));
        }
        let ca = self.files.get(&index).cloned().unwrap_or_default();
        let files = ServerFiles { ca, chain: None };
        let connector = Connector::new(settings, &files, &[], &(Arc::new(NoKeys) as _));
        let connector = Rc::new(connector.map_err(|error| format!("TLS: {error}"))?);
        self.connectors.borrow_mut().insert(key, Rc::clone(&connector));
        Ok(connector)
    }
}
