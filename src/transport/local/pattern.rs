//! The simple ones of rsync's patterns of names: `*` and `?`, and a slash at the end for directories.

use wildmatch::WildMatch;

/// What of a directory is listed.
#[derive(Debug)]
pub(in crate::transport) struct Only {
    files: Vec<WildMatch>,
    directories: Vec<WildMatch>,
}

impl Only {
    /// From rsync's include patterns; those of directories end with a slash.
    pub(in crate::transport) fn new(patterns: &[String]) -> Self {
        let files = patterns.iter().filter(|pattern| !pattern.ends_with('/')).map(|pattern| WildMatch::new(pattern));
        let directories = patterns.iter().filter_map(|pattern| pattern.strip_suffix('/')).map(WildMatch::new);
        Self { files: files.collect(), directories: directories.collect() }
    }

    /// Whether a file of this name is listed.
    pub(in crate::transport) fn lists(&self, name: &str) -> bool {
        is_one_of(&self.files, name)
    }

    /// Whether what is in a directory of this name is listed.
    pub(in crate::transport) fn descends_into(&self, name: &str) -> bool {
        is_one_of(&self.directories, name)
    }
}

/// Without patterns every name is.
fn is_one_of(patterns: &[WildMatch], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_files_or_with_a_slash_of_directories_and_of_whole_names() {
        let only = Only::new(&["*.history", "a ?", "0000000?/"].map(String::from));
        for (name, lists, descends) in [
            ("00000002.history", true, false),
            ("00000002.history.gz", false, false),
            ("a b", true, false),
            ("a ", false, false),
            ("00000001", false, true),
            ("0000000", false, false),
        ] {
            assert_eq!((only.lists(name), only.descends_into(name)), (lists, descends), "{name}");
        }
        let all = Only::new(&[]);
        assert!(all.lists("x") && all.descends_into("x"));
    }
}
