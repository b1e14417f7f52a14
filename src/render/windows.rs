//! What the windows of primaries mean for a plan. It is no part of the plan, as it changes with the time of day.

use jiff::Timestamp;

use crate::plan::Plan;
use crate::plan::cost::estimate;
use crate::schedule::{Load, Outlook};
use crate::site::Site;
use crate::site::model::Primary;

/// A sentence for each primary that has windows, and from which something is to come: until when no backup does, and when all
/// would be here if they are kept. A plan that a person applies is bound by none of them.
pub fn windows(site: &Site, plan: &Plan, now: Timestamp) -> Vec<String> {
    let with_windows = site.primaries.values().filter(|primary| !primary.windows.is_empty());
    with_windows.filter_map(|primary| of_primary(primary, plan, now)).collect()
}

fn of_primary(primary: &Primary, plan: &Plan, now: Timestamp) -> Option<String> {
    let replicas = || plan.replicas.iter().filter(|replica| replica.primary == primary.name);
    let mut load = Load::default();
    for action in replicas().flat_map(|replica| &replica.actions) {
        let bytes = action.bytes_to_copy();
        let is_backup = action.change.effect().brings_a_base();
        if is_backup { load.backups.push(bytes) } else { load.wals = load.wals.saturating_add(bytes) }
    }
    if load == Load::default() {
        return None;
    }
    let outlook = Outlook { windows: &primary.windows, bandwidth: primary.bandwidth };
    let rate = estimate::of_replicas(replicas()).map(|estimate| estimate.rate);
    let closed = match outlook.opens(now) {
        _ if load.backups.is_empty() => None,
        Some(opens) if opens <= now => None,
        Some(opens) => Some(format!("no backup comes until {}", minute(opens))),
        None => Some("no backup comes for a long time".to_owned()),
    };
    let done = outlook.done(&load, rate, now).map(|done| format!("all of this is here about {}", minute(done)));
    let told: Vec<String> = closed.into_iter().chain(done).collect();
    (!told.is_empty())
        .then(|| format!("by the windows of {}, {}; an apply is bound by none", primary.name, told.join(", and ")))
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%MZ").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::plan::cost::estimate::Pace;
    use crate::plan::tests::build::{MIB, add, copy, range, replica, site, wals};
    use crate::plan::tests::case;
    use crate::schedule::{CronLine, Overrun, Permission, Window};

    fn nights() -> Window {
        let opens = CronLine::new("0 20 * * *", TimeZone::UTC).unwrap();
        Window { permission: Permission::Allow, opens, duration: Duration::from_secs(36_000), overrun: Overrun::Finish }
    }

    #[test]
    fn it_is_told_when_backups_may_come_and_when_all_is_here() {
        let mut declared = case::site();
        let mut planned = replica("main").of([add(copy("1122", 3600 * MIB)), wals(range(1, 0, 3), None)]);
        planned.target.as_mut().unwrap().pace = Pace { measured: Some(MIB), ..Pace::default() };
        let wals_alone = replica("main").of([wals(range(1, 0, 3), None)]);
        let told = |declared: &Site, planned: &crate::plan::ReplicaPlan, now: &str| {
            windows(declared, &site(vec![planned.clone()]), now.parse().unwrap())
        };
        assert_eq!(told(&declared, &planned, "2026-11-22T12:00:00Z"), Vec::<String>::new());
        let frankfurt = declared.primaries.values_mut().next().unwrap();
        frankfurt.windows.push(nights());
        let expected = "by the windows of frankfurt, no backup comes until 2026-11-22 20:00Z, and all of this is here about \
                        2026-11-22 21:00Z; an apply is bound by none";
        assert_eq!(told(&declared, &planned, "2026-11-22T12:00:00Z"), [expected]);
        let open =
            "by the windows of frankfurt, all of this is here about 2026-11-22 22:01Z; an apply is bound by none";
        assert_eq!(told(&declared, &planned, "2026-11-22T21:00:00Z"), [open]);
        planned.target.as_mut().unwrap().pace = Pace::default();
        let unknown = "by the windows of frankfurt, no backup comes until 2026-11-22 20:00Z; an apply is bound by none";
        assert_eq!(told(&declared, &planned, "2026-11-22T12:00:00Z"), [unknown]);
        assert_eq!(told(&declared, &wals_alone, "2026-11-22T12:00:00Z"), Vec::<String>::new());
    }
}
