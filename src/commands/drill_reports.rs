//! The reports of a drill in a directory of the site's: as JSON, JUnit and HTML, and signed where there is a key.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use ct_codecs::{Base64, Decoder};
use minisign::{SecretKey, SecretKeyBox};

use crate::barman::drill::Drill;
use crate::error::{Error, Kind};
use crate::render::drill::json::drills_json;
use crate::render::drill::{html, junit, words};
use crate::site::drills;
use crate::store::posix::durable;

/// Where in a secret key its checksum begins (minisign.h).
const CHECKSUM: usize = 126;

/// Writes them where the site file wants them. A key that cannot be used leaves reports without a signature, which is an error.
pub fn write(rules: &drills::Drill, drill: &Drill) -> Result<(), Error> {
    let Some(directory) = &rules.reports else { return Ok(()) };
    let drills = std::slice::from_ref(drill);
    let name = format!("drill-{}-{}", drill.replica, drill.began.strftime("%Y%m%dT%H%M%SZ"));
    let reports = [("json", drills_json(&drill.site, drills, &[])), ("xml", junit(drills)), ("html", html(drills))];
    for (form, text) in &reports {
        put(&directory.join(format!("{name}.{form}")), text)?;
    }
    let Some(key) = &rules.sign_with else { return Ok(()) };
    let secret = secret_key(key)?;
    for (form, text) in &reports {
        let file = format!("{name}.{form}");
        let trusted =
            format!("file:{file} replica:{} began:{} verdict:{}", drill.replica, drill.began, words(drill.verdict));
        let signature = minisign::sign(None, &secret, Cursor::new(text), Some(&trusted), Some("antipode drill"));
        let signature = signature.map_err(|error| unusable(key, &error.to_string()))?;
        put(&directory.join(format!("{file}.minisig")), &signature.into_string())?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<(), Error> {
    let written = durable::write(path, text.as_bytes());
    written.map_err(|error| Error::io(format!("{} cannot be written", path.display()), error))
}

fn secret_key(path: &Path) -> Result<SecretKey, Error> {
    let text = fs::read_to_string(path).map_err(|error| unusable(path, &error.to_string()))?;
    if let Some(key) = without_checksum(&text) {
        return Ok(key);
    }
    let key = SecretKeyBox::from_string(&text).and_then(SecretKeyBox::into_unencrypted_secret_key);
    key.map_err(|error| unusable(path, &error.to_string()))
}

/// A key without a password as minisign up to 0.11 writes it: the checksum, and the name of what a password is hashed by, are
/// zeros.
fn without_checksum(text: &str) -> Option<SecretKey> {
    let bytes = Base64::decode_to_vec(text.lines().nth(1)?.trim(), None).ok()?;
    let (hashed_by, checksum) = (bytes.get(2..4)?, bytes.get(CHECKSUM..)?);
    let is_zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    if is_zeros(hashed_by) && is_zeros(checksum) { SecretKey::from_bytes(&bytes).ok() } else { None }
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(Kind::Invalid, format!("the report is not signed: {} is no key to sign with: {why}", path.display()))
        .hint("`minisign -G -W -s FILE` makes one without a password; only the user that runs drills should read it")
}
