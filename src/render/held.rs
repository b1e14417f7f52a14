//! What waits for a person, with both values, and what lets it go on.

use crate::plan::ReplicaPlan;
use crate::plan::held::{Difference, Held, HeldFile, HeldKey};

use super::table::{Branch, Detail, Mark, Row};
use super::tree::segment_size;
use super::units::bytes;
use crate::english::{count, exact, list};

/// So many keys or addresses are named in a sentence.
const NAMED: usize = 3;
/// A value that is longer is cut in a sentence.
const VALUE: usize = 60;

/// The rows of a replica's held things.
pub fn rows(replica: &ReplicaPlan) -> Vec<Row> {
    let row = |held: &Held| Row {
        branch: Branch::Trunk,
        mark: Mark::Hold,
        noun: noun(replica, held),
        size: size(held),
        reason: phrase(held),
        details: details(held),
        has_twigs: false,
    };
    replica.held.iter().map(row).collect()
}

/// How it differs, in a phrase.
pub fn phrase(held: &Held) -> String {
    match &held.what {
        Difference::Wals { files, .. } => match files.as_slice() {
            [file] => sizes(*file),
            [first, ..] => format!("held; the first has {}", sizes(*first)),
            [] => String::new(),
        },
        Difference::History { here, there, .. } => {
            format!("here {} and readable, {} at the primary", count(*here, "byte"), exact(*there))
        }
        Difference::Info { keys, .. } => keys_differ(keys),
    }
}

/// A sentence about one held thing: how it differs, and what lets the primary's replace it.
pub fn sentence(held: &Held) -> String {
    let address = &held.address;
    format!("{address} is held: {}; `--accept {address}` lets the primary's replace what is here", values(held))
}

/// One sentence about all that a replica holds.
pub fn summary(replica: &ReplicaPlan) -> Option<String> {
    let addresses: Vec<&str> = replica.held.iter().map(|held| held.address.as_str()).collect();
    let first = addresses.first()?;
    let (verb, it) = if addresses.len() == 1 { ("is", "it") } else { ("are", "them") };
    let mut named: Vec<String> = addresses.iter().take(NAMED).map(|address| (*address).to_owned()).collect();
    if addresses.len() > NAMED {
        named.push(format!("{} more", addresses.len() - NAMED));
    }
    Some(format!(
        "{} {verb} good here and {} at the primary, and nothing replaces {it} before a person says so: {}; find out \
         which end is right, and let the primary's in with `--accept {first}` or `accept` in the site file",
        count(addresses.len() as u64, "thing"),
        if addresses.len() == 1 { "differs" } else { "differ" },
        list(&named),
    ))
}

/// Whole segments, with their bytes here and at the primary.
fn sizes(file: HeldFile) -> String {
    if file.here == file.there {
        return format!("here {}, archived at another time than the primary's", count(file.here, "byte"));
    }
    format!("here {}, whole; {} at the primary", count(file.here, "byte"), exact(file.there))
}

fn values(held: &Held) -> String {
    let Difference::Info { keys, .. } = &held.what else { return phrase(held) };
    let mut told: Vec<String> = keys.iter().take(NAMED).map(both).collect();
    if keys.len() > NAMED {
        told.push(format!("{} more keys", keys.len() - NAMED));
    }
    told.join("; ")
}

fn both(key: &HeldKey) -> String {
    let there = key.there.as_deref().unwrap_or("nothing");
    format!("`{}` is {} here and {} at the primary", key.key, cut(&key.here), cut(there))
}

/// The beginning of a long value.
fn cut(value: &str) -> String {
    if value.chars().count() <= VALUE {
        return value.to_owned();
    }
    value.chars().take(VALUE).chain(['…']).collect()
}

fn keys_differ(keys: &[HeldKey]) -> String {
    let mut names: Vec<String> = keys.iter().take(NAMED).map(|key| format!("`{}`", key.key)).collect();
    if keys.len() > NAMED {
        names.push(format!("{} more", keys.len() - NAMED));
    }
    let verb = if keys.len() == 1 { "differs" } else { "differ" };
    format!(
        "{} {verb} from the primary's, and a restore rests on {}",
        list(&names),
        if keys.len() == 1 { "it" } else { "them" }
    )
}

fn details(held: &Held) -> Vec<Detail> {
    let Difference::Info { keys, .. } = &held.what else { return Vec::new() };
    let line = |mark, key: &str, value: &str| Detail { mark, text: format!("{key}={value}") };
    keys.iter()
        .flat_map(|key| {
            let there = key.there.as_deref().unwrap_or("None");
            [
                line(None, &format!("here {}", key.key), &key.here),
                line(None, &format!("at the primary {}", key.key), there),
            ]
        })
        .collect()
}

fn noun(replica: &ReplicaPlan, held: &Held) -> String {
    match &held.what {
        Difference::Wals { range: Some(range), .. } => format!("wal {}", range.display(segment_size(replica))),
        _ => held.address.as_str().split('/').skip(1).collect::<Vec<_>>().join(" "),
    }
}

fn size(held: &Held) -> String {
    match &held.what {
        Difference::Wals { files, .. } => {
            let total = bytes(files.iter().map(|file| file.here).sum());
            match files.len() {
                0 | 1 => total,
                n => format!("{}, {total}", count(n as u64, "file")),
            }
        }
        Difference::History { here, .. } => bytes(*here),
        Difference::Info { .. } => String::new(),
    }
}
