//! Puts `defaults` under every replica and mirror, before they are given their types.

use serde_json::{Map, Value};

/// Merges the map `defaults` of a file into its replicas and mirrors.
pub(super) fn merge(file: &mut Value) {
    let Some(Value::Object(defaults)) = file.get("defaults").cloned() else { return };
    let replicas = file.get_mut("replicas").and_then(Value::as_object_mut).into_iter().flat_map(|map| map.values_mut());
    for replica in replicas.filter_map(Value::as_object_mut) {
        underlay(replica, &defaults);
    }
    let mirrors = file.get_mut("mirrors").and_then(Value::as_array_mut).into_iter().flatten();
    for mirror in mirrors.filter_map(Value::as_object_mut) {
        underlay(mirror, &defaults);
    }
}

/// Keys of a map of which each takes the place of the other.
const EITHER: [&str; 2] = ["every", "cron"];

/// Adds what a map does not say itself. Maps are merged key by key; lists and single values are its own or inherited whole.
fn underlay(own: &mut Map<String, Value>, inherited: &Map<String, Value>) {
    let chooses = EITHER.iter().any(|key| own.contains_key(*key));
    for (key, value) in inherited.iter().filter(|(key, _)| !(chooses && EITHER.contains(&key.as_str()))) {
        match (own.get_mut(key), value) {
            (None, _) => drop(own.insert(key.clone(), value.clone())),
            (Some(Value::Object(own)), Value::Object(value)) => underlay(own, value),
            (Some(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn maps_are_merged_key_by_key_and_lists_are_replaced() {
        let mut file = json!({
            "defaults": {"backups": [{"last": 7}, {"within": "30d"}], "prune": {"unselected": true, "gone_at_primary": true}},
            "replicas": {"main": {"backups": [{"last": 1}], "prune": {"unselected": false}}, "other": {}},
            "mirrors": [{"backups": "all"}],
        });
        merge(&mut file);
        assert_eq!(
            file["replicas"]["main"],
            json!({"backups": [{"last": 1}], "prune": {"unselected": false, "gone_at_primary": true}})
        );
        assert_eq!(file["replicas"]["other"], file["defaults"]);
        assert_eq!(file["mirrors"][0]["backups"], "all");
        assert_eq!(file["mirrors"][0]["prune"]["unselected"], true);
    }

    #[test]
    fn a_schedule_of_its_own_takes_the_place_of_an_inherited_one() {
        let mut file = json!({
            "defaults": {"schedule": {"every": "5m", "jitter": "1m"}},
            "replicas": {"main": {"schedule": {"cron": "0 * * * *"}}, "other": {"schedule": {"jitter": "2m"}}},
        });
        merge(&mut file);
        assert_eq!(file["replicas"]["main"]["schedule"], json!({"cron": "0 * * * *", "jitter": "1m"}));
        assert_eq!(file["replicas"]["other"]["schedule"], json!({"every": "5m", "jitter": "2m"}));
    }
}
