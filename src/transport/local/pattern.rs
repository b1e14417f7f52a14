//! The simple ones of rsync's patterns: names, `*`, `?`, and a leading slash for the root of the tree.

use std::path::Path;

/// Whether a name matches; `*` and `?` stop at a slash.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Where the last star was, and how much of the name it has taken.
    let (mut at, mut here, mut star) = (0, 0, None);
    while here < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(c) if (*c == '?' && name[here] != '/') || *c == name[here] => {
                at += 1;
                here += 1;
            }
            _ => match star {
                Some((back, taken)) if name[taken] != '/' => {
                    star = Some((back, taken + 1));
                    (at, here) = (back + 1, taken + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// What of a directory is listed.
#[derive(Debug)]
pub(in crate::transport) struct Only<'a> {
    files: Vec<&'a str>,
    directories: Vec<&'a str>,
}

impl<'a> Only<'a> {
    /// From rsync's include patterns; those of directories end with a slash.
    pub(in crate::transport) fn new(patterns: &'a [String]) -> Self {
        let files = patterns.iter().filter(|pattern| !pattern.ends_with('/')).map(String::as_str);
        let directories = patterns.iter().filter_map(|pattern| pattern.strip_suffix('/'));
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
fn is_one_of(patterns: &[&str], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
}

/// What a tree is copied without.
#[derive(Debug)]
pub(in crate::transport) struct Excludes<'a>(&'a [String]);

impl<'a> Excludes<'a> {
    /// From rsync's exclude patterns.
    pub(in crate::transport) fn new(patterns: &'a [String]) -> Self {
        Self(patterns)
    }

    /// Whether a path below the root is left out. What lies below a directory that is left out is not asked for.
    pub(in crate::transport) fn excludes(&self, path: &Path, is_dir: bool) -> bool {
        let Some(path) = path.to_str() else { return false };
        self.0.iter().any(|pattern| {
            let (pattern, dirs_only) = pattern.strip_suffix('/').map_or((pattern.as_str(), false), |rest| (rest, true));
            if dirs_only && !is_dir {
                return false;
            }
            if let Some(anchored) = pattern.strip_prefix('/') {
                return matches(anchored, path);
            }
            // Without an anchor a pattern is compared with the end of the path, component by component.
            let depth = pattern.matches('/').count() + 1;
            let start = path.rmatch_indices('/').nth(depth - 1).map_or(0, |(at, _)| at + 1);
            matches(pattern, &path[start..])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stop_at_a_slash() {
        for (pattern, name, expected) in [
            ("*.history", "00000002.history", true),
            ("*.history", "a/00000002.history", false),
            ("0000000?", "00000001", true),
            ("0000000?", "0000000", false),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyyb", false),
            ("*", "", true),
            ("", "a", false),
            ("a/*", "a/b", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_leading_slash_is_the_root_of_the_tree() {
        let patterns = ["/backup.info", "pg_replslot/x", "*.tmp", "/data/pg_tblspc/*", "logs/"].map(String::from);
        let excludes = Excludes::new(&patterns);
        for (path, is_dir, expected) in [
            ("backup.info", false, true),
            ("data/backup.info", false, false),
            ("data/pg_replslot/x", false, true),
            ("data/a.tmp", false, true),
            ("data/pg_tblspc/16385", true, true),
            ("data/logs", true, true),
            ("data/logs", false, false),
        ] {
            assert_eq!(excludes.excludes(Path::new(path), is_dir), expected, "{path}");
        }
    }
}
