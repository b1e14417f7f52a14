//! Saved plans: written, read back, and refused when they are not what was written.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind};
use crate::observe::inventory::Observed;
use crate::plan::saved::desired::hex;
use crate::plan::saved::{SavedPlan, SiteFile};
use crate::plan_file::{self, FileError};
use crate::render::tests::situations;

use crate::plan::tests::case::{Case, case, site};
use crate::plan::tests::generate::any_case;

static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema: serde_json::Value = serde_json::from_str(&crate::schemas::Name::Plan.text()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

const THERE: &str = "@20 1/06 files=abc  @21<20 1/08..09 files=abd k | 1/06..0C h2<1/0A 1/09.backup";

fn sample() -> Case {
    case(THERE, "@20 1/06 files=abc | 1/06..08 1/07=5")
}

/// The text with something replaced, under a digest that fits.
fn forged(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in {text}");
    let replaced = text.replacen(from, to, 1);
    let body = &replaced[..replaced.len() - 68];
    format!("{body}{}\"\n}}\n", hex(&Sha256::digest(body)))
}

fn refusal(text: &str) -> String {
    plan_file::read(text).expect_err("it is refused").to_string()
}

proptest! {
    #[test]
    fn a_plan_is_read_as_it_was_written(case in any_case()) {
        let saved = case.saved();
        let text = plan_file::write(&saved).unwrap();
        let read = plan_file::read(&text).unwrap();
        prop_assert_eq!(&read, &saved);
        prop_assert_eq!(plan_file::write(&read).unwrap(), text);
    }

    #[test]
    fn the_schema_accepts_every_plan(case in any_case()) {
        let validator = &*VALIDATOR;
        let document: serde_json::Value = serde_json::from_str(&plan_file::write(&case.saved()).unwrap()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| format!("{error} at {}", error.instance_path())).collect();
        prop_assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn any_edit_of_one_character_is_refused(at in any::<Index>(), other in any::<char>(), how in 0..3_u8) {
        let text = plan_file::write(&sample().saved()).unwrap();
        let chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let mut edited = chars.clone();
        match how {
            0 => edited[at] = other,
            1 => edited.insert(at, other),
            _ => drop(edited.remove(at)),
        }
        prop_assume!(edited != chars);
        let edited: String = edited.into_iter().collect();
        prop_assert!(plan_file::read(&edited).is_err());
    }

    #[test]
    fn a_plan_that_is_cut_off_anywhere_is_refused(at in any::<Index>()) {
        let text = plan_file::write(&sample().saved()).unwrap();
        let end = text.char_indices().map(|(i, _)| i).nth(at.index(text.chars().count())).unwrap();
        let error = plan_file::read(&text[..end]).unwrap_err();
        let is_whole_but_for_its_last_line_break = end == text.len() - 1;
        prop_assert_eq!(error, if is_whole_but_for_its_last_line_break { FileError::Edited } else { FileError::CutOff });
    }
}

#[test]
fn plans_that_could_not_be_made_are_saved_all_the_same() {
    let mut saved = sample().saved();
    for primary in [
        Observed::Inactive("Skipping inactive server".to_owned()),
        Observed::Failed(Error::new(Kind::Unreachable, "no route to host").hint("look")),
    ] {
        let case = sample();
        let mut observation = case.observation();
        observation.replicas.values_mut().for_each(|ends| ends.primary = primary.clone());
        saved.plan = crate::plan::plan(&site(), std::slice::from_ref(&case.replica), &observation, case.now);
        saved.preconditions = crate::plan::saved::Preconditions::default();
        let text = plan_file::write(&saved).unwrap();
        assert_eq!(plan_file::read(&text).unwrap(), saved);
    }
}

#[test]
fn the_schema_refuses_what_is_not_in_it() {
    let validator = &*VALIDATOR;
    let document: serde_json::Value = serde_json::from_str(&plan_file::write(&sample().saved()).unwrap()).unwrap();
    assert!(validator.is_valid(&document));
    let places = [
        "",
        "/site_file",
        "/desired",
        "/replicas/0",
        "/replicas/0/target",
        "/replicas/0/target/here",
        "/replicas/0/before",
        "/replicas/0/actions/0",
        "/replicas/0/actions/0/change",
        "/replicas/0/actions/0/reason",
        "/replicas/0/actions/0/estimate",
        "/replicas/0/actions/0/preconditions/0",
        "/totals",
        "/totals/add",
    ];
    for place in places {
        let mut other = document.clone();
        other.pointer_mut(place).unwrap().as_object_mut().unwrap().insert("surprise".to_owned(), 1.into());
        assert!(!validator.is_valid(&other), "a surprise in {place:?}");
        for key in document.pointer(place).unwrap().as_object().unwrap().keys() {
            let mut other = document.clone();
            other.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(key);
            assert!(!validator.is_valid(&other), "{place:?} without {key}");
        }
    }
}

#[test]
fn a_file_that_is_no_plan_of_this_program_says_what_it_is() {
    let text = plan_file::write(&sample().saved()).unwrap();
    for (other, expected) in [
        ("", "it is cut off"),
        ("version: 1\nsite: lisbon\n", "it is a site file, not a plan"),
        (r#"{"version": 1, "site": "lisbon", "primaries": {}, "replicas": {}}"#, "it is a site file, not a plan"),
        ("terraform", "it is not JSON (line 1, column 2)"),
        ("[1, 2]", "it is JSON, but not a plan"),
        (r#"{"resources": []}"#, "it is JSON, but not a plan"),
        (
            &text.replacen("\"format_version\": 1", "\"format_version\": 2", 1),
            "its format_version is 2, and this antipode reads 1",
        ),
        (
            &text.replacen("\"preconditions_version\": 1", "\"preconditions_version\": 2", 1),
            "its preconditions_version is 2, and this antipode finds preconditions of version 1",
        ),
        (
            &text.replacen("\"preconditions_version\": 1", "\"preconditions_version\": \"\\u001b[2J\"", 1),
            "its preconditions_version is \"\\u001b[2J\", and this antipode finds preconditions of version 1",
        ),
        (
            &text.replacen("lisbon", "porto", 1),
            "it was changed after it was saved: its content does not fit its digest",
        ),
        (&format!("{text}\n"), "it was changed after it was saved: its content does not fit its digest"),
    ] {
        assert_eq!(refusal(other), expected);
        assert!(!plan_file::read(other).unwrap_err().hint().is_empty());
    }
}

#[test]
fn a_hand_made_plan_with_a_right_digest_gets_no_name_or_path_past_the_checks() {
    let text = plan_file::write(&sample().saved()).unwrap();
    assert_eq!(
        plan_file::read(&forged(&text, "\"lisbon\"", "\"porto\"")).map(|saved| saved.plan.site),
        Ok("porto".to_owned())
    );
    for (from, to) in [
        ("\"name\": \"main\"", "\"name\": \"../main\""),
        ("\"server\": \"main\",\n          \"backup", "\"server\": \"a/../../b\",\n          \"backup"),
        ("\"id\": \"20261121T000000\"", "\"id\": \"../../../../etc\""),
        ("\"data/", "\"../data/"),
        ("\"data/", "\"/data/"),
        ("\"segment_size\": 16777216", "\"segment_size\": 0"),
        ("\"first\": 10", "\"first\": 4096"),
        ("\"last\": 12", "\"last\": 18446744073709551615"),
        ("00000001000000000000000A\\t", "../../etc/passwd\\t"),
        ("00000001000000000000000A\\t16777216", "00000001000000000000000A\\t-1"),
        ("000000010000000000000007 5", "000000010000000000000007/../x 5"),
        ("\"address\": \"main/history", "\"address\": \"other/history"),
        ("\"address\": \"main/history", "\"address\": \"main\\u001b[2J/history"),
        ("\"address\": \"main/history/00000002\"", "\"address\": \"main/backup/20261121T000000\""),
        ("\"mode\": \"passive\"", "\"mode\": \"passive\\nstatus=FAILED\""),
        ("\"mode\": ", "\"mo=de\": "),
        ("\"barman\": \"3.19.1\"", "\"barman\": \"newest\""),
        ("\"code\": \"planned\"", "\"code\": \"inactive\",\n        \"of\": \"\""),
        ("\"do\": \"ship-history\"", "\"do\": \"run-command\""),
    ] {
        let error = plan_file::read(&forged(&text, from, to)).expect_err(to);
        assert!(matches!(error, FileError::Invalid(_)), "{to}: {error}");
    }
}

#[test]
fn a_hand_made_plan_is_held_against_what_is_there() {
    let case = sample();
    let text = plan_file::write(&case.saved()).unwrap();
    assert_eq!(case.refuses(&plan_file::read(&text).unwrap()), None);
    for (from, to, expected) in [
        ("\"backup_directory\": \"/site/main\"", "\"backup_directory\": \"/etc\"", "main: its directories, here"),
        (
            "\"wals_directory\": \"/primary/main/wals\"",
            "\"wals_directory\": \"/etc\"",
            "main: its directories, at the primary",
        ),
        ("\"hba_file\": \"None\"", "\"hba_file\": \"/etc/passwd\"", "its metadata, at the primary"),
        ("00000001000000000000000A\\t16777216", "00000001000000000000000A\\t16777215", "the files, at the primary"),
        ("\"present\": 0", "\"present\": 1", "planned: 1 of 2 files, 0 bytes; now: none of 2 files"),
    ] {
        let refusal = case.refuses(&plan_file::read(&forged(&text, from, to)).unwrap()).expect(to);
        let said = crate::render::refusal(&refusal);
        assert!(said.contains(expected), "{to}: {said}");
    }
}

#[test]
fn a_hand_made_removal_is_refused_however_its_facts_are_told() {
    let four = "@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0A";
    let pruning = case(four, four).last(2).prune_unselected();
    let saved = pruning.saved();
    // The site file is the same, and still the newest is to be deleted.
    let now = pruning.clone();
    let mut forged = saved.clone();
    let change = &mut forged.plan.replicas[0].actions[0].change;
    let crate::plan::action::Change::RemoveBackup { id, .. } = change else { panic!("{change:?}") };
    *id = crate::plan::tests::notation::id("21");
    let said = crate::render::refusal(&now.refuses(&forged).expect("it is refused"));
    assert!(said.contains("the selection, by the site file: planned: left out; now: selected"), "{said}");
}

#[test]
fn the_words_of_an_ssh_command_are_in_no_plan() {
    let text = "version: 1\nsite: lisbon\ncatalog: {path: /site}\nreplicas: {main: {primary: frankfurt}}\nprimaries:\n  frankfurt:\n    \
                ssh: {destination: barman@pg, options: {ProxyCommand: 'nc --proxy-auth u:s3cret %h %p'}}\n    \
                barman: {command: 'env TOKEN=s3cret barman'}\n";
    let case = sample();
    let site_with_secret = crate::site::load("x", text, None).unwrap().site;
    let replicas = [case.replica.clone()];
    let file = SiteFile::new("x", text.as_bytes());
    let plan = crate::plan::tests::case::whole(case.plan());
    let saved = SavedPlan::new(plan, file, &site_with_secret, &replicas, &case.observation(), case.now);
    let text = plan_file::write(&saved).unwrap();
    assert!(
        text.contains("\"ssh\": \"sha256 ") && !text.contains("s3cret") && !text.contains("ProxyCommand"),
        "{text}"
    );
    assert_ne!(saved.desired, crate::plan::saved::desired::Desired::of(&site(), &replicas));
}

#[test]
fn actions_name_what_they_need_and_come_to() {
    let document: serde_json::Value = serde_json::from_str(&plan_file::write(&sample().saved()).unwrap()).unwrap();
    let actions = document["replicas"][0]["actions"].as_array().unwrap();
    let action = |address: &str| {
        actions.iter().find(|action| action["address"] == address).unwrap_or_else(|| panic!("{address}: {document}"))
    };
    let backup = action("main/backup/20261121T000000");
    assert_eq!((&backup["verb"], &backup["kind"]), (&"add".into(), &"backup".into()));
    let estimate = serde_json::json!({
        "bytes_to_copy": 800, "bytes_reused": 200, "bytes_freed": 0, "seconds": null, "basis": null
    });
    assert_eq!(backup["estimate"], estimate);
    assert_eq!(backup["needs"], serde_json::json!(["main/wal/000000010000000000000009"]));
    let repair = action("main/wal/000000010000000000000007");
    assert_eq!((&repair["verb"], &repair["reason"]["code"]), (&"repair".into(), &"size-differs".into()));
    assert_eq!(repair["why"], "here 5 bytes, 16 777 216 at the primary");
    assert_eq!(document["totals"]["add"]["backups"], 1);
}

#[test]
fn a_hundred_thousand_missing_segments_stay_a_file_that_can_be_sent_around() {
    let case = case("@21 1/08 | 1/08..186A7", "@21 1/08 | 1/08");
    let saved = case.saved();
    let (text, writing) = timed(|| plan_file::write(&saved).unwrap());
    let (read, reading) = timed(|| plan_file::read(&text).unwrap());
    let (refusal, checking) = timed(|| case.refuses(&read));
    assert_eq!(refusal, None);
    println!("{} bytes, written in {writing:?}, read in {reading:?}, checked in {checking:?}", text.len());
    assert!(text.len() < 10_000_000, "{} bytes", text.len());
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let done = work();
    (done, begin.elapsed())
}

#[test]
fn every_situation_has_its_document() {
    situations::golden("json", |situation| {
        let file = SiteFile::new("lisbon.yaml", situation.file.as_bytes());
        let (site, plan) = (&situation.declared.site, situation.plan.clone());
        let saved = SavedPlan::new(plan, file, site, &situation.replicas, &situation.observation, situation.now);
        plan_file::write(&saved).unwrap().lines().map(abridged).collect::<Vec<_>>().join("\n")
    });
}

/// A hundred thousand WAL files on one line are nothing to read.
fn abridged(line: &str) -> String {
    let begin: String = line.chars().take(400).collect();
    let rest = line.chars().count() - begin.chars().count();
    if rest > 0 { format!("{begin}… {rest} more characters") } else { begin }
}

#[test]
fn whatever_kept_a_primary_from_being_looked_at_keeps_its_kind_in_the_plan_and_the_status() {
    let case = sample();
    let replicas = std::slice::from_ref(&case.replica);
    for kind in crate::error::all_kinds() {
        let mut observation = case.observation();
        let error = Error::new(kind, "no answer");
        observation.replicas.values_mut().for_each(|ends| ends.primary = Observed::Failed(error.clone()));
        let mut saved = case.saved();
        saved.plan = crate::plan::plan(&site(), replicas, &observation, case.now);
        saved.preconditions = crate::plan::saved::Preconditions::default();
        let document: serde_json::Value = serde_json::from_str(&plan_file::write(&saved).unwrap()).unwrap();
        assert_eq!(document["replicas"][0]["outcome"]["of"]["kind"], kind.label());
        let status = crate::plan::status::status(&saved.plan, replicas, &observation, case.now);
        let told = crate::render::status::Told { status: &status, plan: &saved.plan, now: case.now, quiet: false };
        let text = crate::render::status_json::status_json(told, &[error]);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["replicas"][0]["unobserved"], kind.label());
        assert_eq!(document["errors"][0]["kind"], kind.label());
    }
}
