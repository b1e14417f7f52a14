//! A draft as the text of a site file.

use std::fmt::Write;

use super::super::yaml;
use super::SCHEMA_LINE;
use super::from_barman::{Draft, DraftPrimary, DraftReplica};
use super::settings::NotTaken;
use crate::barman::ids::is_unprintable;
use crate::barman::secret::without_secrets;

/// Comments are no wider.
const WIDTH: usize = 110;

/// What is the same as Barman's work, and why.
const BACKUPS: &str = "As Barman's passive node does: without a `retention_policy` every backup that the primary has \
    is copied and nothing is deleted here (`backups: all`). With one, what it finds too much is neither copied nor \
    kept (`prune.unselected`), down to `minimum_redundancy` backups (`last`, `protect.min_backups`) and all at once \
    (`max_prune`; 25% is Antipode's own default). What the primary deletes stays until the policy finds it too much.";

/// Writes the file.
pub fn write(draft: &Draft) -> String {
    let mut text = SCHEMA_LINE.to_owned();
    let intro = format!(
        "Written by `antipode init --from-barman-conf {}`: what `barman cron` does for its passive servers. \
         What barman.conf does not set has Antipode's defaults.",
        draft.config
    );
    text += &comment(0, &intro);
    text += &format!("version: 1\nsite: {}\n\ncatalog:\n", yaml::scalar(&draft.site));
    text += &format!("  path: {}\n", yaml::scalar(&draft.catalog));
    text += &comment(2, "Its lock and other directories are read from there.");
    text += &format!("  config: {}\n\nprimaries:\n", yaml::scalar(&draft.config));
    for primary in &draft.primaries {
        text += &primary_text(primary, &draft.config);
    }
    text += "\ndefaults:\n";
    text += &comment(2, "How far behind its primary a replica may be before `antipode status` ends with exit code 2.");
    text += "  objective: {rpo: 1h}\n\n";
    text += &comment(0, BACKUPS);
    for remark in &draft.common {
        text += &not_said(0, remark);
    }
    text += "replicas:\n";
    for replica in &draft.replicas {
        text += &replica_text(replica);
    }
    text += &mirrors(draft);
    if !draft.left_out.is_empty() {
        text += "\n# Left out:\n";
        for (name, why) in &draft.left_out {
            text += &comment(0, &without_secrets(&format!("- {name}: {why}")));
        }
    }
    text
}

fn primary_text(primary: &DraftPrimary, config: &str) -> String {
    let mut text = format!("  {}:\n", yaml::scalar(&primary.name));
    for (words, why) in &primary.access.left_out {
        text += &comment(4, &without_secrets(&format!("`{words}` of primary_ssh_command is left out: {why}")));
    }
    text += &format!("    {}\n", primary.access.line());
    if primary.forwards_config {
        text += &comment(4, "forward_config_path");
        text += &format!("    barman: {{config: {}}}\n", yaml::scalar(config));
    }
    if let Some(streams) = primary.streams {
        text += &comment(4, "As many as the `parallel_jobs` of one of its servers.");
        let _ = writeln!(text, "    streams: {streams}");
    }
    text
}

fn replica_text(replica: &DraftReplica) -> String {
    let mut text = format!("  {}:\n", yaml::scalar(replica.name.as_str()));
    for remark in &replica.remarks {
        text += &not_said(4, remark);
    }
    text += &format!("    primary: {}\n", yaml::scalar(&replica.primary));
    for line in &replica.lines {
        let _ = writeln!(text, "    {line}");
    }
    text
}

fn not_said(indent: usize, remark: &NotTaken) -> String {
    comment(indent, &remark.to_string())
}

/// A global `primary_ssh_command` makes passive also what is added to barman.conf later, but nothing that is not in it.
fn mirrors(draft: &Draft) -> String {
    let [primary] = &draft.primaries[..] else { return String::new() };
    if !draft.all_passive {
        return String::new();
    }
    let why = "`primary_ssh_command` is set for all servers. A mirror would also take servers that are new at the \
        primary, without a line here or in barman.conf:";
    format!("\n{}# mirrors:\n#   - primary: {}\n", comment(0, why), yaml::scalar(&primary.name))
}

/// A comment below an indent: on as many lines as it takes, and with nothing that could end it.
fn comment(indent: usize, text: &str) -> String {
    let head = format!("{}# ", " ".repeat(indent));
    let text: String = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if head.len() + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| format!("{head}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::comment;

    #[test]
    fn no_text_can_end_a_comment() {
        assert_eq!(comment(2, "one\nreplicas: {}\u{2028}x"), "  # one replicas: {} x\n");
        let long = comment(4, &"word ".repeat(50));
        assert!(long.lines().all(|line| line.starts_with("    # word") && line.len() <= 110), "{long}");
    }
}
