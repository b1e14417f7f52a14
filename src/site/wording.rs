//! How the site file's own words are shown in a plan.

use std::fmt;

use super::model::{Rule, Selection};

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("`all`"),
            Self::Union(rules) => {
                let rules: Vec<String> = rules.iter().map(|rule| format!("`{rule}`")).collect();
                f.write_str(&rules.join(", "))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(count) => write!(f, "last: {count}"),
            Self::Within(length) => match length.as_secs() {
                seconds if seconds % 86400 == 0 => write!(f, "within: {}d", seconds / 86400),
                seconds if seconds % 3600 == 0 => write!(f, "within: {}h", seconds / 3600),
                seconds => write!(f, "within: {seconds}s"),
            },
            Self::Redundancy(count) => write!(f, "REDUNDANCY {count}"),
            Self::RecoveryWindow { days } => write!(f, "RECOVERY WINDOW OF {days} DAYS"),
        }
    }
}
