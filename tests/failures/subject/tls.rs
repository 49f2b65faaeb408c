//! `adapter::tokio` on a TLS stream: rustls, with a certificate made for the run.

use core::time::Duration;
use std::env;
use std::io::{self, ErrorKind};
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::tokio::{tuned, wrap};
use super::{Kind, Side, Socket, Subject};

pub(super) const TCP: Subject = Subject {
    name: "tokio TLS",
    kind: Kind::Stream,
    wrap: |socket, side, setup| match side {
        Side::Client => wrap(socket, setup, client),
        Side::Server => wrap(socket, setup, server),
    },
};

/// How this program's children get the certificate that their peer trusts.
pub(crate) const IDENTITY: &str = "HEARTBEAT_FAILURES_IDENTITY";

/// The certificate and its key, in hexadecimal.
pub(crate) fn identity() -> &'static str {
    static MADE: OnceLock<String> = OnceLock::new();
    MADE.get_or_init(|| {
        env::var(IDENTITY).unwrap_or_else(|_| {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            [&**made.cert.der(), &made.signing_key.serialize_der()].map(hex).join(" ")
        })
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).expect("hexadecimal") as u8;
    hex.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

fn parts() -> (CertificateDer<'static>, PrivatePkcs8KeyDer<'static>) {
    let (certificate, key) = identity().split_once(' ').unwrap();
    (bytes(certificate).into(), bytes(key).into())
}

/// No handshake takes longer, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn client(runtime: &Runtime, socket: Socket) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(parts().0).map_err(io::Error::other)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    runtime.block_on(async {
        let socket = tuned(socket)?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let shaken = timeout(PATIENCE, connector.connect(name, socket)).await;
        Ok(shaken.map_err(|_| ErrorKind::TimedOut)??.into())
    })
}

fn server(runtime: &Runtime, socket: Socket) -> io::Result<TlsStream<TcpStream>> {
    let (certificate, key) = parts();
    let config = ServerConfig::builder().with_no_client_auth();
    let config =
        config.with_single_cert(vec![certificate], key.into()).map_err(io::Error::other)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    runtime.block_on(async {
        let socket = tuned(socket)?;
        let shaken = timeout(PATIENCE, acceptor.accept(socket)).await;
        Ok(shaken.map_err(|_| ErrorKind::TimedOut)??.into())
    })
}
