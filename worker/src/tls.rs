//! TLS of a policy generation: what shakes hands with clients and with servers, made from the files at the first use.
//! The same objects serve implicit TLS and STARTTLS, so no path has another policy than the other.
use crate::keyholder::Remote;
use ipc::supervisor_worker::TlsFile;
use nix::sys::uio::pread;
use policy::intercept::Intercept;
use policy::names::Protocol;
use policy::slice::WorkerSlice;
use policy::tls::{ClientTls, Required, ServerMode, ServerTls};
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use tls::{Acceptor, Chain, ClientFiles, Connector, Keyholder, ServerFiles};

/// A bundle of authorities has some 200 KiB.
const MAX_FILE: usize = 16 << 20;

/// What was made, or why it cannot be.
type Made<K, T> = RefCell<HashMap<K, Result<Rc<T>, String>>>;

/// What a generation says of TLS.
pub(crate) struct Tls {
    client_tls: Vec<Option<ClientTls>>,
    server_tls: Vec<Option<ServerTls>>,
    /// `require-client-certificate` by session-acl.
    required: Vec<Required>,
    files: Vec<(TlsFile, OwnedFd)>,
    keyholder: Arc<Remote>,
    /// By client-tls and session-acl.
    acceptors: Made<(u16, u16), Acceptor>,
    /// By command-acl.
    connectors: Made<u16, Connector>,
}

impl Tls {
    /// Of a slice and the files that came before it.
    pub(crate) fn new(
        slice: &mut WorkerSlice,
        files: Vec<(TlsFile, OwnedFd)>,
        keyholder: &Arc<Remote>,
    ) -> Self {
        Self {
            client_tls: std::mem::take(&mut slice.client_tls),
            server_tls: std::mem::take(&mut slice.server_tls),
            required: std::mem::take(&mut slice.required),
            files,
            keyholder: Arc::clone(keyholder),
            acceptors: RefCell::default(),
            connectors: RefCell::default(),
        }
    }

    /// What shakes hands with a client under this client-tls and this session-acl.
    ///
    /// # Errors
    /// Why nobody can.
    pub(crate) fn acceptor(&self, tls: u16, rule: u16, protocol: Protocol) -> Result<Rc<Acceptor>, String> {
        let mut made = self.acceptors.borrow_mut();
        made.entry((tls, rule)).or_insert_with(|| self.make_acceptor(tls, rule, protocol)).clone()
    }

    fn make_acceptor(&self, tls: u16, rule: u16, protocol: Protocol) -> Result<Rc<Acceptor>, String> {
        let settings = self.client_tls.get(usize::from(tls)).and_then(Option::as_ref);
        let settings = settings.ok_or("the session names an unknown client-tls")?;
        let required = self.required.get(usize::from(rule)).map_or(&[][..], Vec::as_slice);
        let mut files = ClientFiles::default();
        for index in 0..u16::try_from(settings.certificates.len()).unwrap_or(u16::MAX) {
            let chain = self
                .only(TlsFile::ClientChain { tls, certificate: index })?
                .ok_or("a certificate is missing")?;
            let chain = Chain::from_pem(&chain).map_err(|error| error.to_string())?;
            files.chains.push((chain, self.only(TlsFile::Staple { tls, certificate: index })?));
        }
        files.client_ca = self.only(TlsFile::ClientCa { tls })?;
        files.crl = self.all(TlsFile::Crl { tls })?;
        let keyholder: Arc<dyn Keyholder> = Arc::clone(&self.keyholder) as _;
        let acceptor = Acceptor::new(settings, &files, required, protocol, &keyholder);
        acceptor.map(Rc::new).map_err(|error| format!("client-tls {}: {error}", settings.name))
    }

    /// How sessions under this client-tls are intercepted.
    pub(crate) fn intercept(&self, tls: u16) -> Option<&Intercept> {
        self.client_tls.get(usize::from(tls))?.as_ref()?.intercept.as_ref()
    }

    /// `acceptor`, showing a certificate that was minted for the session.
    ///
    /// # Errors
    /// Why it cannot be shown.
    pub(crate) fn showing(&self, acceptor: &Acceptor, minted: &[Vec<u8>]) -> Result<Acceptor, String> {
        let keyholder: Arc<dyn Keyholder> = Arc::clone(&self.keyholder) as _;
        acceptor.showing(minted, &keyholder).map_err(|error| error.to_string())
    }

    /// How servers are spoken to by this server-tls.
    pub(crate) fn server_mode(&self, tls: u16) -> Option<ServerMode> {
        Some(self.server_tls.get(usize::from(tls))?.as_ref()?.mode)
    }

    /// What shakes hands with a server under this command-acl.
    ///
    /// # Errors
    /// Why nobody can.
    pub(crate) fn connector(
        &self,
        rule: u16,
        tls: u16,
        required: &Required,
    ) -> Result<Rc<Connector>, String> {
        let mut made = self.connectors.borrow_mut();
        made.entry(rule).or_insert_with(|| self.make_connector(tls, required)).clone()
    }

    fn make_connector(&self, tls: u16, required: &Required) -> Result<Rc<Connector>, String> {
        let settings = self.server_tls.get(usize::from(tls)).and_then(Option::as_ref);
        let settings = settings.ok_or("the rule names an unknown server-tls")?;
        let chain = self.only(TlsFile::ServerChain { tls })?;
        let chain = chain.map(|pem| Chain::from_pem(&pem)).transpose().map_err(|error| error.to_string())?;
        let files = ServerFiles { ca: self.all(TlsFile::ServerCa { tls })?, chain };
        let keyholder: Arc<dyn Keyholder> = Arc::clone(&self.keyholder) as _;
        let connector = Connector::new(settings, &files, required, &keyholder);
        connector.map(Rc::new).map_err(|error| format!("server-tls {}: {error}", settings.name))
    }

    fn only(&self, what: TlsFile) -> Result<Option<Vec<u8>>, String> {
        Ok(self.all(what)?.into_iter().next())
    }

    fn all(&self, what: TlsFile) -> Result<Vec<Vec<u8>>, String> {
        let files = self.files.iter().filter(|(file, _)| *file == what);
        files.map(|(_, file)| read(file).ok_or_else(|| "a file of TLS cannot be read".to_owned())).collect()
    }
}

fn read(file: &OwnedFd) -> Option<Vec<u8>> {
    let (mut octets, mut piece) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let count = pread(file, &mut piece, i64::try_from(octets.len()).ok()?).ok()?;
        if count == 0 || octets.len() > MAX_FILE {
            return (count == 0).then_some(octets);
        }
        octets.extend_from_slice(piece.get(..count)?);
    }
}
