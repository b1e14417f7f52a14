//! An address on the web to which an event is posted, again where that may help.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::error::{Error, Kind};
use crate::site::hooks::Address;
use crate::transport::blocking;

/// How long is waited before each attempt after the first one.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// More than an address has.
const LONGEST_ADDRESS: u64 = 16 << 10;

/// Why it could not be posted, and whether that may pass.
struct Refusal {
    message: String,
    may_pass: bool,
}

/// Posts an event. Where nobody answers, or who answers is in trouble, it is tried again.
pub async fn tell(address: &Address, event: &[u8], limit: Duration) -> Result<(), Error> {
    let mut pauses = PAUSES.iter();
    loop {
        let (to, body) = (address.clone(), event.to_vec());
        let Some(refusal) = blocking(move || Ok(post(&to, &body, limit).err())).await? else { return Ok(()) };
        match pauses.next().filter(|_| refusal.may_pass) {
            Some(pause) => sleep(*pause).await,
            None => return Err(Error::new(Kind::CommandFailed, address.masked_in(&refusal.message))),
        }
    }
}

fn post(address: &Address, event: &[u8], limit: Duration) -> Result<(), Refusal> {
    // Of whom this machine trusts, as an address within a house is often known to nobody else.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .timeout_global(Some(limit))
        .max_redirects(0)
        .http_status_as_error(false)
        .user_agent(concat!("antipode/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
        .build();
    let agent = Agent::new_with_config(config);
    let answer = agent.post(address.secret()).header("content-type", "application/json").send(event);
    let answer = answer.map_err(|error| Refusal { may_pass: !is_untrusted(&error), message: error.to_string() })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let may_pass = status.is_server_error() || matches!(status.as_u16(), 408 | 429);
    Err(Refusal { message: format!("it answered {status}"), may_pass })
}

/// Whether it is no one whom this machine trusts. That ends when somebody does something about it.
fn is_untrusted(error: &ureq::Error) -> bool {
    // What the handshake finds comes as an error of reading.
    let is_found_reading = matches!(error, ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData);
    is_found_reading || matches!(error, ureq::Error::Rustls(_) | ureq::Error::Tls(_))
}

/// The address that a file has.
pub async fn address_in(path: &Path) -> Result<Address, Error> {
    let path = path.to_owned();
    blocking(move || {
        let text = read(&path).map_err(|error| Error::io(format_args!("cannot read {}", path.display()), error))?;
        let address = Address::new(text.trim());
        address.ok_or_else(|| {
            let message = format!("{} does not have an address that begins with https:// or http://", path.display());
            Error::new(Kind::Invalid, message)
        })
    })
    .await
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(LONGEST_ADDRESS).read_to_string(&mut text)?;
    Ok(text)
}
