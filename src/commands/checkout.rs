//! The commit of a Git checkout that a file lies in, read off the files of its repository: no git is needed.
//!
//! `.git` is the repository itself, or a file that names it (`gitdir: PATH`, in a linked worktree or a submodule). Its HEAD
//! is a commit, or names a reference (`ref: refs/heads/main`); that is a file of the repository, of the one that it shares
//! with others (`commondir`), or a line of `packed-refs`. Git's gitrepository-layout(5).

use std::path::{Component, Path, PathBuf};

use crate::store::posix::files;

/// More than a file has that names a commit, a reference or a directory.
const MAX_NAME: u64 = 8 << 10;
/// More than the references of most repositories have; what is behind it is not found.
const MAX_PACKED: u64 = 16 << 20;

/// The commit that HEAD of the checkout names that a file lies in; `None` where it lies in none, or nothing tells.
pub fn head(file: &Path) -> Option<String> {
    let repository = file.ancestors().skip(1).find_map(repository)?;
    let head = read(&repository.join("HEAD"), MAX_NAME)?;
    match head.trim_end().strip_prefix("ref:") {
        None => commit(&head),
        Some(reference) => resolve(&repository, reference.trim()),
    }
}

/// The repository that a directory is a checkout of.
fn repository(directory: &Path) -> Option<PathBuf> {
    let git = directory.join(".git");
    if files::is_directory(&git).ok()? {
        return Some(git);
    }
    let text = read(&git, MAX_NAME)?;
    Some(directory.join(text.strip_prefix("gitdir:")?.trim()))
}

fn resolve(repository: &Path, reference: &str) -> Option<String> {
    let is_plain = |component| matches!(component, Component::Normal(_));
    if !reference.starts_with("refs/") || !Path::new(reference).components().all(is_plain) {
        return None;
    }
    let common = read(&repository.join("commondir"), MAX_NAME);
    let common = common.map_or_else(|| repository.to_owned(), |common| repository.join(common.trim()));
    let loose = [repository, &common].into_iter().find_map(|of| read(&of.join(reference), MAX_NAME));
    if let Some(loose) = loose {
        return commit(&loose);
    }
    let packed = read(&common.join("packed-refs"), MAX_PACKED)?;
    let mut named = packed.lines().filter_map(|line| line.split_once(' '));
    named.find(|(_, name)| *name == reference).and_then(|(id, _)| commit(id))
}

/// The id of a commit, in SHA-1 or SHA-256.
fn commit(text: &str) -> Option<String> {
    let id = text.trim_end();
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

fn read(path: &Path, limit: u64) -> Option<String> {
    String::from_utf8(files::read(path, limit).ok()??).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const ID: &str = "5d41402abc4b2a76b9719d911017c5925d41402a";
    const OTHER: &str = "0000402abc4b2a76b9719d911017c5925d41402a";

    /// Files with their contents, and what is read as the commit of `site/lisbon.yaml`.
    fn of(files: &[(&str, &str)]) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("site")).unwrap();
        for (path, content) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        head(&directory.path().join("site/lisbon.yaml"))
    }

    #[test]
    fn the_commit_is_found_wherever_git_keeps_it() {
        let line = |id: &str| format!("{id}\n");
        let packed = format!("# pack-refs with: peeled\n{OTHER} refs/heads/main2\n{ID} refs/heads/main\n^{OTHER}\n");
        for (what, files) in [
            ("a detached HEAD", vec![(".git/HEAD", line(ID))]),
            ("a branch", vec![(".git/HEAD", line("ref: refs/heads/main")), (".git/refs/heads/main", line(ID))]),
            (
                "a packed branch",
                vec![(".git/HEAD", line("ref: refs/heads/main")), (".git/packed-refs", packed.clone())],
            ),
            (
                "a branch that is newer than it was packed",
                vec![
                    (".git/HEAD", line("ref: refs/heads/a/b")),
                    (".git/refs/heads/a/b", line(ID)),
                    (".git/packed-refs", format!("{OTHER} refs/heads/a/b\n")),
                ],
            ),
            (
                "a linked worktree",
                vec![
                    ("site/.git", line("gitdir: ../bare/worktrees/site")),
                    ("bare/worktrees/site/HEAD", line("ref: refs/heads/main")),
                    ("bare/worktrees/site/commondir", line("../..")),
                    ("bare/packed-refs", packed),
                ],
            ),
            ("the nearest", vec![(".git/HEAD", line(OTHER)), ("site/.git/HEAD", line(ID))]),
            ("SHA-256", vec![(".git/HEAD", line(&format!("{ID}{}", &ID[..24])))]),
        ] {
            let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (*path, content.as_str())).collect();
            let found = of(&files).unwrap_or_else(|| panic!("{what}: nothing"));
            assert!(found.starts_with(ID), "{what}: {found}");
        }
    }

    #[test]
    fn what_is_no_commit_is_none() {
        for (what, files) in [
            ("no checkout", vec![]),
            ("a branch without a commit", vec![(".git/HEAD", "ref: refs/heads/main\n")]),
            ("other tables of references", vec![(".git/HEAD", "ref: refs/heads/.invalid\n")]),
            ("a way out", vec![(".git/HEAD", "ref: refs/../../secret\n"), ("secret", ID)]),
            ("a reference elsewhere", vec![(".git/HEAD", "ref: /secret\n")]),
            ("something else", vec![(".git/HEAD", "password: x\n")]),
            ("a repository that is gone", vec![(".git", "gitdir: nowhere\n")]),
        ] {
            assert_eq!(of(&files), None, "{what}");
        }
    }

    #[test]
    fn what_git_itself_makes_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let git = |words: &str| {
            let mut git = std::process::Command::new("git");
            git.args(["-c", "user.name=x", "-c", "user.email=x@example.com"]).args(words.split(' '));
            let output = git.current_dir(directory.path()).output().expect("git is among what the tests need");
            assert!(output.status.success(), "{words}: {output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git("init -q one");
        git("-C one commit -q --allow-empty -m x");
        git("-C one worktree add -q -b other ../two");
        git("-C two commit -q --allow-empty -m y");
        git("-C one pack-refs --all");
        for name in ["one", "two"] {
            let found = head(&directory.path().join(name).join("site.yaml"));
            assert_eq!(found, Some(git(&format!("-C {name} rev-parse HEAD"))), "{name}");
        }
    }
}
