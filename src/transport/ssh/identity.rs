//! The key that a site file names is the only one that is tried: without it ssh would go on with others.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Kind};

use super::diagnosis::Destination;

/// Refuses to call where the only key that may be tried cannot be read.
pub(super) fn check(destination: Destination<'_>) -> Result<(), Error> {
    for key in only_keys(destination.words) {
        // A key that an agent holds is named by its public half.
        let public = format!("{key}.pub");
        if let Err(source) = File::open(key)
            && !Path::new(&public).is_file()
        {
            let what = format!("the private key file {key} cannot be read here: {source}");
            return Err(destination
                .error(Kind::Authentication, &what, &[])
                .hint("correct `identity_file` of the primary, or give this user that key: no other key is tried"));
        }
    }
    Ok(())
}

/// The files of `-i`, where no key besides them may be tried. What ssh puts something in the place of is left to it.
fn only_keys(words: &[String]) -> impl Iterator<Item = &str> {
    let is_only = words.windows(2).any(|pair| {
        pair.first().is_some_and(|flag| flag == "-o")
            && pair.get(1).is_some_and(|option| option.eq_ignore_ascii_case("IdentitiesOnly=yes"))
    });
    let files = words.windows(2).filter_map(move |pair| match pair {
        [flag, file] if is_only && flag == "-i" => Some(file.as_str()),
        _ => None,
    });
    files.filter(|file| !file.contains(['%', '$']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_beside_which_none_is_tried_has_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(path("id"), "").unwrap();
        std::fs::write(path("agent.pub"), "").unwrap();
        for (key, option, refused) in [
            (path("id"), "IdentitiesOnly=yes", false),
            (path("none"), "IdentitiesOnly=yes", true),
            (path("none"), "identitiesonly=Yes", true),
            (path("none"), "IdentitiesOnly=no", false),
            (path("agent"), "IdentitiesOnly=yes", false),
            ("%d/none".to_owned(), "IdentitiesOnly=yes", false),
        ] {
            let words = ["ssh", "-i", &key, "-o", option, "barman@fra"].map(str::to_owned);
            let checked = check(Destination { primary: "frankfurt", words: &words });
            assert_eq!(checked.is_err(), refused, "{key} {option}");
            if let Err(error) = checked {
                assert!(error.message.contains(&key) && error.hint.unwrap().contains("identity_file"));
            }
        }
    }
}
