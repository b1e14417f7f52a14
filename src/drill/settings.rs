//! What the server of a drill is told: to talk to nobody, to take little, and where its files are. The configuration of the
//! cluster that was backed up is not read, wherever it lies.

use std::collections::BTreeMap;
use std::path::Path;

use crate::restore::settings::value;
use crate::site::drills::{ALWAYS, is_always};

/// From this release on a trigger may run at each login, and a transaction may have a limit of its own.
const FIRST_WITH_LOGIN_TRIGGERS: u32 = 17;

/// What holds unless `drill.settings` says otherwise.
const USUAL: [(&str, &str); 14] = [
    ("shared_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("local_preload_libraries", ""),
    ("max_connections", "20"),
    ("max_prepared_transactions", "1000"),
    ("max_locks_per_transaction", "256"),
    ("max_replication_slots", "100"),
    ("wal_level", "replica"),
    ("shared_buffers", "128MB"),
    ("maintenance_work_mem", "128MB"),
    ("huge_pages", "off"),
    ("max_parallel_workers", "2"),
    ("autovacuum", "off"),
    ("jit", "off"),
];

/// What holds in each session, whatever is said of its database or its role.
const SESSION: [(&str, &str); 6] = [
    ("local_preload_libraries", ""),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("default_transaction_read_only", "off"),
    ("lc_messages", "C"),
];

/// The file of settings.
pub fn file(own: &BTreeMap<String, String>) -> String {
    let usual = USUAL.iter().filter(|(name, _)| !own.contains_key(*name));
    let usual = usual.map(|(name, value)| line(name, value));
    let own = own.iter().filter(|(name, _)| !is_always(name)).map(|(name, value)| line(name, value));
    usual.chain(own).collect()
}

/// Who may connect: whoever may enter the directory of the socket.
pub const HBA: &str = "local all all trust\n";

/// The arguments of the server.
pub fn arguments(data: &Path, files: &Path) -> Vec<String> {
    let mut arguments = vec!["-D".to_owned(), data.display().to_string()];
    let own = [("config_file", "postgresql.conf"), ("hba_file", "pg_hba.conf"), ("ident_file", "pg_ident.conf")];
    let own = own.map(|(name, file)| (name, files.join(file).display().to_string()));
    let always = ALWAYS.iter().map(|(name, value)| (*name, (*value).to_owned()));
    for (name, value) in own.into_iter().chain(always) {
        arguments.extend(["-c".to_owned(), format!("{name}={value}")]);
    }
    arguments
}

/// What each session is told, which wins over what `alter database` and `alter role` say.
pub fn session(release: &str, own: &BTreeMap<String, String>) -> String {
    let mut options: Vec<String> = SESSION.iter().map(|(name, value)| format!("-c {name}={value}")).collect();
    if !own.contains_key("session_preload_libraries") {
        options.push("-c session_preload_libraries=".to_owned());
    }
    if release.parse().is_ok_and(|release: u32| release >= FIRST_WITH_LOGIN_TRIGGERS) {
        options.extend(["-c event_triggers=off".to_owned(), "-c transaction_timeout=0".to_owned()]);
    }
    options.join(" ")
}

fn line(name: &str, text: &str) -> String {
    format!("{name} = {}\n", value(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_settings_win_over_what_is_usual_and_over_nothing_that_keeps_it_apart() {
        let own = [("shared_preload_libraries", "timescaledb"), ("work_mem", "it's"), ("listen_addresses", "*")];
        let own: BTreeMap<String, String> =
            own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let file = file(&own);
        assert!(file.contains("shared_preload_libraries = 'timescaledb'\n") && file.contains("work_mem = 'it''s'\n"));
        assert!(!file.contains("shared_preload_libraries = ''") && !file.contains("listen_addresses"), "{file}");
        let arguments = arguments(Path::new("/d/data"), Path::new("/d"));
        assert!(arguments.contains(&"listen_addresses=".to_owned()), "{arguments:?}");
        assert!(arguments.contains(&"config_file=/d/postgresql.conf".to_owned()), "{arguments:?}");
        assert!(is_always("Recovery_Target_Time") && is_always("ARCHIVE_COMMAND") && !is_always("work_mem"));
    }

    #[test]
    fn no_session_begins_with_somebody_elses_code() {
        let own = BTreeMap::new();
        let older = session("15", &own);
        assert!(older.contains("-c local_preload_libraries= -c statement_timeout=0"), "{older}");
        assert!(older.ends_with("-c session_preload_libraries=") && !older.contains("event_triggers"), "{older}");
        assert!(session("17", &own).contains("-c event_triggers=off -c transaction_timeout=0"));
    }
}
