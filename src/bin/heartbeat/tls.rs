//! TLS by rustls: the server's identity, and whom a client trusts.

use alloc::sync::Arc;
use std::io::{self, ErrorKind};
use std::path::Path;

use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

use crate::usage::Usage;

/// Not whatever the build happens to bring.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Usage> {
    let refused = |error: &dyn core::fmt::Display| {
        Usage::of(flag, format_args!("certificates of {}: {error}", path.display()))
    };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(refused(&"there are none")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(refused(&error)),
    }
}

/// Who we are, from two PEM files.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Usage> {
    const FLAG: &str = "--tls";
    let chain = certificates(FLAG, certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| Usage::of(FLAG, format_args!("key of {}: {error}", key.display())))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Usage::of(FLAG, error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| Usage::of(FLAG, error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// How to know the peer.
#[derive(Clone)]
pub(crate) struct Trust {
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl Trust {
    /// Those whom `ca` (else the system) vouches for. Called by `name`, else by the host they are
    /// connected at.
    pub(crate) fn new(ca: Option<&Path>, name: Option<&str>) -> Result<Self, Usage> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = ca {
            for root in certificates("--ca", path)? {
                roots.add(root).map_err(|error| Usage::of("--ca", error))?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(Usage::of("--tls", "this system trusts nobody: give --ca"));
            }
        }
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Usage::of("--tls", error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = name.map(|name| ServerName::try_from(name.to_owned())).transpose();
        let name = name.map_err(|error| Usage::of("--server-name", error))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// The name by which the peer at `host:port` must prove itself.
    pub(crate) fn name(&self, address: &str) -> io::Result<ServerName<'static>> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_matches(['[', ']']).to_owned();
        ServerName::try_from(host).map_err(|error| io::Error::new(ErrorKind::Unsupported, error))
    }

    pub(crate) async fn shake(
        &self,
        address: &str,
        socket: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let shaken = self.connector.connect(self.name(address)?, socket).await;
        shaken.map_err(|error| {
            // A certificate gets no better by being looked at again.
            match error.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(rustls::Error::InvalidCertificate(why)) => {
                    let text = format!("TLS: the peer's certificate is not accepted: {why}");
                    io::Error::new(ErrorKind::PermissionDenied, text)
                }
                _ => io::Error::new(error.kind(), format!("TLS: {error}")),
            }
        })
    }
}
