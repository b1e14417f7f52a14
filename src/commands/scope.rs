//! Which part of a plan is asked for: by addresses on the command line, and in files.

use std::fs;
use std::path::Path;

use crate::cli::ScopeFlags;
use crate::error::{Error, Kind};
use crate::plan::scope::{Pattern, Scope};

/// What the command line and the files that it names ask for together.
pub fn asked_for(flags: &ScopeFlags) -> Result<Scope, Error> {
    let mut scope = Scope { targets: flags.targets.clone(), excluded: flags.excluded.clone() };
    for file in &flags.target_files {
        scope.targets.extend(addresses_in(file)?);
    }
    for file in &flags.excluded_files {
        scope.excluded.extend(addresses_in(file)?);
    }
    Ok(scope)
}

fn addresses_in(file: &Path) -> Result<Vec<Pattern>, Error> {
    let text = fs::read_to_string(file)
        .map_err(|error| Error::io(format_args!("cannot read the addresses in {}", file.display()), error))?;
    addresses(&text).map_err(|mistake| {
        Error::new(Kind::Invalid, format!("{}{mistake}", file.display())).hint(
            "write one address a line, such as main/backup/20261122T030000, or its first parts; `#` begins a comment",
        )
    })
}

/// The addresses of a text, or its first mistake, to be put behind the file's name. A text without any is one: with no
/// target everything would be meant.
fn addresses(text: &str) -> Result<Vec<Pattern>, String> {
    let line = |(number, line): (usize, &str)| {
        let address = line.split('#').next().unwrap_or_default().trim();
        let pattern = || address.parse().map_err(|why| format!(":{}: {:?}: {why}", number + 1, address));
        (!address.is_empty()).then(pattern)
    };
    let addresses: Vec<Pattern> = text.lines().enumerate().filter_map(line).collect::<Result<_, _>>()?;
    if addresses.is_empty() { Err(" names no address".to_owned()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_an_address_a_line_with_comments() {
        let text = "# of the night\n\nmain/backup/20261122T030000   # the newest\r\n  archive\n";
        let found: Vec<String> = addresses(text).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["main/backup/20261122T030000", "archive"]);
    }

    #[test]
    fn what_is_no_address_is_named_with_its_line_and_a_file_without_any_is_refused() {
        assert!(addresses("main\n\na/b/c/d\n").unwrap_err().starts_with(":3: \"a/b/c/d\": expected an address"));
        for text in ["", "\n", "# nothing\n"] {
            assert_eq!(addresses(text).unwrap_err(), " names no address", "{text:?}");
        }
    }
}
