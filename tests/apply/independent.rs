//! Replicas of one apply that have nothing to do with each other.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use antipode::apply::{Limits, Shared};
use antipode::barman::layout::{Layout, ServerDirs};
use antipode::cycle::{Calls, Cycle, Grant, Lines};
use antipode::demo::catalog::{FIRST_BACKUP, PrimaryCatalog};
use antipode::events::{Nobody, Summary};
use antipode::observe::Purpose;
use antipode::store::locks::{Lock, LockKind};
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::ground::{Blind, Ground, TestSite, run_lock};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_server_that_is_busy_holds_up_no_other_and_one_that_is_done_is_free() {
    let ground = Ground::new().await;
    PrimaryCatalog::create(&ground.primary(), "other").unwrap().first_day().unwrap();
    let catalog = ground.path().join("site");
    let mut site = ground.site_of(&catalog, "main: {primary: frankfurt}\n  other: {primary: frankfurt}");
    std::fs::create_dir(&catalog).unwrap();
    site.lock_timeout = LONG;
    let cron = |server: &str| LockKind::Cron.path(&catalog, &server.parse().unwrap());
    let busy = Lock::try_acquire(&cron("main")).unwrap();
    let trash = catalog.join("main/.antipode/trash/20261101T030000");
    for number in 0..3000 {
        let directory = trash.join(format!("data/base/{}", number % 10));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(number.to_string()), "").unwrap();
    }
    let dirs = ServerDirs::of_catalog(&catalog, "other".parse().unwrap());
    let (published, others) = (Layout::NEWEST.backup_info(&dirs, FIRST_BACKUP.parse().unwrap()), cron("other"));
    // Barman lets go of the one server only when the other is done and free for everybody, and the deletions of the one are
    // finished.
    let barman = tokio::spawn(async move {
        while !published.exists() || trash.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(Lock::acquire(&others, LONG).await.unwrap());
        drop(run_lock(&catalog, "other", LONG).await);
        drop(busy);
    });
    let (_, summary) = site.apply_watched(&Blind).await;
    assert_eq!((summary.failed, summary.skipped), (vec![], vec![]));
    barman.await.unwrap();
    assert!(site.plan().await.is_empty());
}

fn antipode(site: &TestSite, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
    command.args(arguments).arg("-f").arg(&site.file).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_server_that_another_run_is_at_work_on_is_passed_over_by_name_and_holds_up_no_other() {
    let ground = Ground::new().await;
    PrimaryCatalog::create(&ground.primary(), "other").unwrap().first_day().unwrap();
    let catalog = ground.path().join("site");
    let site = ground.site_of(&catalog, "main: {primary: frankfurt}\n  other: {primary: frankfurt}");
    let held = site.run_lock("main", Duration::ZERO).await;
    let apply = ["apply", "--auto-approve", "--lock-timeout", "0s"];

    let targeted = antipode(&site, &[&apply[..], &["--target", "other"]].concat());
    assert_eq!((targeted.status.code(), text(&targeted.stderr).contains("main")), (Some(0), false), "{targeted:?}");
    let applied = antipode(&site, &apply);
    assert_eq!(applied.status.code(), Some(3), "{applied:?}");
    let named = format!("another antipode works on main: {}", catalog.join(".antipode/main.lock").display());
    assert!(text(&applied.stderr).contains(&named), "{applied:?}");
    let none = antipode(&site, &[&apply[..], &["--target", "main"]].concat());
    assert_eq!((none.status.code(), text(&none.stdout)), (Some(3), String::new()), "{none:?}");
    assert!(!catalog.join("main").exists(), "nothing was done for it");

    let status = antipode(&site, &["status"]);
    let at_work = format!("note: main: process {} (", std::process::id());
    assert!(text(&status.stdout).contains(&at_work), "{status:?}");
    let pass = antipode(&site, &["cron"]);
    let skipped = "Another antipode is already running, skipping main: process ";
    assert_eq!((pass.status.code(), text(&pass.stdout).starts_with(skipped)), (Some(0), true), "{pass:?}");
    drop(held);
    let plan = site.plan().await;
    let left = |index: usize| plan.replicas[index].actions.len();
    assert!(left(0) > 0 && left(1) == 0, "{plan:?}");
}

#[tokio::test]
async fn a_server_that_another_run_is_at_work_on_is_applied_when_that_ends_and_holds_up_no_other() {
    let ground = Ground::new().await;
    PrimaryCatalog::create(&ground.primary(), "other").unwrap().first_day().unwrap();
    let catalog = ground.path().join("site");
    let site = ground.site_of(&catalog, "main: {primary: frankfurt}\n  other: {primary: frankfurt}");
    let dirs = ServerDirs::of_catalog(&catalog, "other".parse().unwrap());
    let held = site.run_lock("main", Duration::ZERO).await;
    let mut apply = Command::new(env!("CARGO_BIN_EXE_antipode"));
    apply.args(["apply", "--auto-approve", "--json", "--lock-timeout", "2m", "-f"]).arg(&site.file);
    let apply = apply.stdout(Stdio::piped()).spawn().unwrap();
    // The run on the one server ends only when the other one is done and free for everybody.
    let published = Layout::NEWEST.backup_info(&dirs, FIRST_BACKUP.parse().unwrap());
    while !published.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(site.run_lock("other", LONG).await);
    assert!(!catalog.join("main").exists(), "another run is at work on it");
    drop(held);
    let applied = apply.wait_with_output().unwrap();
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    let events: Vec<Value> = text(&applied.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let plans: Vec<&Value> = events.iter().filter(|event| event["type"] == "plan").collect();
    let planned = |of: &Value| of["actions"].as_array().unwrap().len() as u64;
    let servers = |of: &Value| of["actions"][0]["address"].as_str().unwrap().split('/').next().unwrap().to_owned();
    assert_eq!(plans.iter().map(|plan| servers(plan)).collect::<Vec<_>>(), ["other", "main"]);
    let summary = events.last().unwrap();
    assert_eq!(summary["done"], plans.iter().map(|plan| planned(plan)).sum::<u64>(), "{summary}");
    assert!(site.plan().await.is_empty());
}

/// One round of a replica's cycle, from its run's own lock to the end of its apply; what the apply came to.
async fn go_round(site: &TestSite, name: &str, lines: &Arc<Lines>, shared: &Shared) -> Summary {
    let cycle = Cycle {
        site: Arc::new(site.site.clone()),
        replica: site.site.replicas[&name.parse().unwrap()].clone(),
        calls: Arc::new(Calls::over(Arc::clone(lines))),
        turns: Arc::default(),
        cancel: CancellationToken::new(),
    };
    let run_lock = site.run_lock(name, LONG).await;
    let now = Timestamp::now();
    let observation = cycle.observe(Purpose::Plan { refresh: false }, now).await.unwrap();
    let plan = cycle.plan(&observation, now).replicas.remove(0);
    let share = shared.admit([(&plan, &cycle.replica, cycle.primary().unwrap())]).remove(0);
    let grant = Grant { run_lock, share, lock_timeout: LONG, companion: None };
    cycle.apply(&plan, grant, &Nobody).await
}

#[tokio::test]
async fn replicas_go_round_each_by_itself_and_share_lines_and_bytes_whenever_they_do() {
    let ground = Ground::new().await;
    PrimaryCatalog::create(&ground.primary(), "other").unwrap().first_day().unwrap();
    let catalog = ground.path().join("site");
    let site = ground.site_of(&catalog, "main: {primary: frankfurt}\n  other: {primary: frankfurt}");
    let lines = Arc::new(Lines::new(&CancellationToken::new(), Arc::new(|_, _, _| ()), |_| ()));
    let limit = 3 << 20;
    let few = Shared::new(Limits { max_bytes: Some(limit), ..Limits::default() }, Arc::default());
    let (main, other) = tokio::join!(go_round(&site, "main", &lines, &few), go_round(&site, "other", &lines, &few));
    let later = go_round(&site, "main", &lines, &few).await;
    let all = [main, other, later];
    let brought: u64 = all.iter().map(|summary| summary.transferred).sum();
    assert!(brought > 0 && brought <= limit, "{brought}: {all:?}");
    assert!(all.iter().all(|summary| summary.failed.is_empty()), "{all:?}");
    assert_eq!(all[2].stopped_at, Some(limit), "the earlier ones have left too little");

    let enough = Shared::new(Limits::default(), Arc::default());
    let twice = async {
        let first = go_round(&site, "other", &lines, &enough).await;
        (first, go_round(&site, "other", &lines, &enough).await)
    };
    let (main, (other, again)) = tokio::join!(go_round(&site, "main", &lines, &enough), twice);
    for summary in [&main, &other, &again] {
        assert_eq!((&summary.failed, &summary.skipped), (&vec![], &vec![]));
    }
    assert!(!main.done.is_empty() && !other.done.is_empty() && again.done.is_empty());
    lines.close().await;
    assert!(site.plan().await.is_empty());
}
