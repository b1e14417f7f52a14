//! The shape of `on`: who is told of what happens.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::hooks::{Hook, Hooks, Occasion, Way};
use super::raw::one_of;
use super::scalars::{AbsolutePath, Command, Length, Webhook};

/// Who is told of what happens. Each hook gets the event as JSON, by schemas/hook.schema.json.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawOn {
    /// A replica or a run failed that did not fail before.
    pub failed: Vec<RawHook>,
    /// What failed before did not fail this time.
    pub recovered: Vec<RawHook>,
    /// Something was changed at the site; with `antipode run` that is each time that WAL comes.
    pub applied: Vec<RawHook>,
    /// A replica missed its objective that kept it before, as `antipode run` sees it.
    pub objective_missed: Vec<RawHook>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RawHook {
    /// The words of a program that reads the event on its standard input.
    Command(Command),
    /// The same, or an address on the web.
    Told(RawTold),
}

/// Exactly one of `command`, `webhook` and `webhook_file` says how somebody is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = one_of(&["command", "webhook", "webhook_file"])))]
pub(super) struct RawTold {
    /// The words of a program that reads the event on its standard input.
    pub command: Option<Command>,
    /// The event is posted there. Whoever can read this file can post there too: an address that is a secret stands better
    /// in a `webhook_file`.
    pub webhook: Option<Webhook>,
    /// The same, to the address that is in this file at that time.
    pub webhook_file: Option<AbsolutePath>,
    /// How long a program may take, or an attempt to post. Default `10s`.
    #[serde(default = "ten_seconds")]
    pub timeout: Length,
}

fn ten_seconds() -> Length {
    Length(Duration::from_secs(10))
}

impl RawHook {
    fn hook(self) -> Option<Hook> {
        let told = match self {
            Self::Command(words) => return Some(Hook { way: Way::Command(words.0), timeout: ten_seconds().0 }),
            Self::Told(told) => told,
        };
        let command = told.command.map(|words| Way::Command(words.0));
        let webhook = told.webhook.map(|webhook| Way::Webhook(webhook.0));
        let file = told.webhook_file.map(|path| Way::WebhookFile(path.0));
        // The reader has seen to it that there is exactly one.
        Some(Hook { way: command.or(webhook).or(file)?, timeout: told.timeout.0 })
    }
}

impl RawOn {
    /// Who is told of what.
    pub fn hooks(self) -> Hooks {
        let all = [
            (Occasion::Failed, self.failed),
            (Occasion::Recovered, self.recovered),
            (Occasion::Applied, self.applied),
            (Occasion::ObjectiveMissed, self.objective_missed),
        ];
        let hooks = all.into_iter().map(|(occasion, raw)| (occasion, raw.into_iter().filter_map(RawHook::hook)));
        hooks.map(|(occasion, hooks)| (occasion, hooks.collect::<Vec<_>>())).filter(|(_, h)| !h.is_empty()).collect()
    }
}
