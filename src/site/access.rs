//! How a primary is reached: three ways to write it, one list of words.

use std::path::PathBuf;

use super::model::Access;
use super::path::KeyPath;
use super::raw::RawSsh;
use super::scalars::{AbsolutePath, SshCommand, check_option};
use super::validate::Context;
use crate::diag::Diagnostic;

/// The access that one of the three keys describes; `None` when it is wrong, which is then reported.
pub(super) fn access(
    ssh: Option<RawSsh>,
    command: Option<SshCommand>,
    catalog: Option<AbsolutePath>,
    path: &KeyPath,
    context: &mut Context<'_>,
) -> Option<Access> {
    if let Some(ssh) = ssh {
        return from_keys(ssh, &path.key("ssh"), context);
    }
    if let Some(command) = command {
        return from_command(command, &path.key("ssh_command"), context);
    }
    catalog.map(|catalog| Access::Path(catalog.0))
}

fn from_keys(ssh: RawSsh, path: &KeyPath, context: &mut Context<'_>) -> Option<Access> {
    let mut words = vec!["ssh".to_owned()];
    let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    if let Some(port) = ssh.port {
        add("-p", port.to_string());
    }
    if let Some(file) = ssh.identity_file {
        add("-i", expand_home(file.0, &path.key("identity_file"), context)?);
        // Without it ssh tries the agent's keys first, and a server gives up after six.
        add("-o", "IdentitiesOnly=yes".to_owned());
    }
    if let Some(jump) = ssh.jump {
        add("-J", jump.0);
    }
    let mut good = true;
    for (name, value) in ssh.options {
        if let Err(mistake) = check_option(&name, &value.0) {
            let diagnostic = Diagnostic::error("bad-value", mistake.message).help(mistake.help);
            context.value(&path.key("options").key(&name), diagnostic);
            good = false;
        }
        add("-o", format!("{name}={}", value.0));
    }
    words.push(ssh.destination.0);
    good.then_some(Access::Ssh { words })
}

fn from_command(command: SshCommand, path: &KeyPath, context: &mut Context<'_>) -> Option<Access> {
    let mut words = vec![command.program];
    for word in command.options {
        words.push(expand_home(word, path, context)?);
    }
    words.push(command.destination);
    Some(Access::Ssh { words })
}

/// Puts the home directory in the place of a leading `~/`, as a shell would have done.
fn expand_home(word: String, path: &KeyPath, context: &mut Context<'_>) -> Option<String> {
    let Some(below) = word.strip_prefix("~/") else { return Some(word) };
    let expanded = context.home.map(|home| PathBuf::from(home).join(below).into_os_string().into_string());
    if let Some(Ok(expanded)) = expanded {
        return Some(expanded);
    }
    let message = format!("`{word}` needs a home directory, and none is known");
    context.value(path, Diagnostic::error("no-home", message).help("write the path from `/` on"));
    None
}
