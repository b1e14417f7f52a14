//! Servers that are copied no longer, in words.

use crate::observe::inventory::Holds;
use crate::plan::status::vanished::{Cause, Vanished};

use super::remarks::Remark;
use super::units::{duration, timestamp};
use crate::english::count;

/// A warning for each of them.
pub fn warnings(vanished: &[Vanished]) -> Vec<Remark> {
    vanished.iter().map(|one| Remark { label: "warning", sentence: sentence(one) }.of(&one.name)).collect()
}

fn sentence(vanished: &Vanished) -> String {
    let Vanished { name, primary, cause, rpo_seconds, holds } = vanished;
    let primary = primary.as_deref();
    let why = match (cause, primary) {
        (Cause::GoneAtPrimary, Some(primary)) => {
            format!("primary {primary} lists this server no longer, so the mirror copies it no longer")
        }
        (Cause::GoneAtPrimary, None) => "its primary lists this server no longer".to_owned(),
        (Cause::NotDeclared, Some(primary)) => {
            format!("the site file does not ask for this copy of a server of {primary}")
        }
        (Cause::NotDeclared, None) => "the site file does not ask for this copy".to_owned(),
        (Cause::Nobodys, _) => "neither the site file nor barman.conf names this server".to_owned(),
    };
    let missed =
        rpo_seconds.map(|rpo| format!(", and nothing shows that `objective.rpo` of {} is kept", duration(rpo)));
    format!(
        "{why}{}; {}. Settle why; then add `{name}` to `retired` or run `antipode detach {name}` to \
         keep it as it is, or remove the directory",
        missed.unwrap_or_default(),
        stays(holds),
    )
}

/// What is to be said of one at the least.
pub fn in_short(vanished: &Vanished) -> &'static str {
    match vanished.cause {
        Cause::GoneAtPrimary | Cause::NotDeclared => " is copied no longer",
        Cause::Nobodys => " is named by neither the site file nor barman.conf",
    }
}

/// `3 backups, the newest of …, stay in DIRECTORY`
pub fn stays(holds: &Holds) -> String {
    let newest = holds.newest.map(|newest| format!(", the newest of {},", timestamp(newest))).unwrap_or_default();
    let stays = match holds.backups {
        None => "something that cannot be read stays".to_owned(),
        Some(0) => "no backup stays".to_owned(),
        Some(1) => format!("1 backup{newest} stays"),
        Some(backups) => format!("{}{newest} stay", count(backups as u64, "backup")),
    };
    format!("{stays} in {}", holds.directory.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_says_why_what_stays_and_what_to_do() {
        let holds = |backups, newest: Option<&str>| Holds {
            directory: "/b/web".into(),
            backups,
            newest: newest.map(|time| time.parse().unwrap()),
        };
        let of = |cause, primary: Option<&str>, rpo_seconds, holds| {
            let primary = primary.map(str::to_owned);
            let [remark] =
                &warnings(&[Vanished { name: "web".parse().unwrap(), primary, cause, rpo_seconds, holds }])[..]
            else {
                panic!("one each")
            };
            format!("{}: {}", remark.label, remark.sentence)
        };
        let newest = Some("2026-11-22T03:04:11Z");
        insta::assert_snapshot!(of(Cause::GoneAtPrimary, Some("fra"), Some(900), holds(Some(3), newest)), @"warning: web: primary fra lists this server no longer, so the mirror copies it no longer, and nothing shows that `objective.rpo` of 15 min is kept; 3 backups, the newest of 2026-11-22 03:04:11Z, stay in /b/web. Settle why; then add `web` to `retired` or run `antipode detach web` to keep it as it is, or remove the directory");
        insta::assert_snapshot!(of(Cause::NotDeclared, Some("fra"), None, holds(Some(1), newest)), @"warning: web: the site file does not ask for this copy of a server of fra; 1 backup, the newest of 2026-11-22 03:04:11Z, stays in /b/web. Settle why; then add `web` to `retired` or run `antipode detach web` to keep it as it is, or remove the directory");
        insta::assert_snapshot!(of(Cause::Nobodys, None, None, holds(Some(1), newest)), @"warning: web: neither the site file nor barman.conf names this server; 1 backup, the newest of 2026-11-22 03:04:11Z, stays in /b/web. Settle why; then add `web` to `retired` or run `antipode detach web` to keep it as it is, or remove the directory");
        insta::assert_snapshot!(of(Cause::NotDeclared, None, None, holds(Some(0), None)), @"warning: web: the site file does not ask for this copy; no backup stays in /b/web. Settle why; then add `web` to `retired` or run `antipode detach web` to keep it as it is, or remove the directory");
    }
}
