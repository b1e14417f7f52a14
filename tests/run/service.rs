//! As a service: what the manager is told, signals, and that it is alone.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::kept::Ground;

const WELL: &str = "main: all that may be done by itself is done";

/// A service manager that listens.
struct Manager(UnixDatagram);

impl Manager {
    fn new(ground: &Ground) -> Self {
        let socket = UnixDatagram::bind(ground.path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        Self(socket)
    }

    /// Listens until something is told; everything that was until then.
    fn until(&self, told: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let mut message = [0; 4096];
            let length = self.0.recv(&mut message).unwrap_or_else(|error| panic!("never {told}: {error}: {all:?}"));
            all.push(String::from_utf8(message[..length].to_vec()).unwrap());
            if all.last().unwrap().lines().any(|line| line == told) {
                return all;
            }
        }
    }
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_that_it_is_alive_and_that_it_ends() {
    let ground = Ground::new("");
    let manager = Manager::new(&ground);
    let socket = ground.path("notify");
    let environment = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "1000000")];
    let mut kept = ground.keep_with(&[], &environment);
    manager.until("READY=1");
    for _ in 0..3 {
        manager.until("WATCHDOG=1");
    }
    kept.signal("HUP");
    let told = manager.until("RELOADING=1").pop().unwrap();
    assert!(told.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{told}");
    manager.until("READY=1");
    kept.says("it holds from now on");
    let begin = Instant::now();
    kept.signal("TERM");
    manager.until("STOPPING=1");
    let status = kept.end();
    assert!(status.success(), "{status}: {}", kept.log());
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[test]
fn one_keeps_a_catalog_and_another_is_refused_with_its_name() {
    let ground = Ground::new("");
    let mut kept = ground.keep();
    kept.says(WELL);
    let (code, told) = ground.told(&["run"]);
    assert_eq!(code, 3, "{told}");
    assert!(told.contains(&format!("is kept already, by process {}", kept.id())), "{told}");
    kept.signal("INT");
    assert!(kept.end().success());
    let mut next = ground.keep();
    next.says(WELL);
}

#[test]
fn a_copy_that_runs_ends_with_it_and_goes_on_with_the_next_one() {
    let mut ground = Ground::large("transfer: {bandwidth: 200kB/s}");
    let id = ground.back_up(25);
    let mut kept = ground.keep();
    kept.says("copying");
    kept.signal("TERM");
    let begin = Instant::now();
    let status = kept.end();
    assert!(status.success(), "{status}: {}", kept.log());
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert!(!ground.has(&format!("main/meta/{id}-backup.info")));
    ground.declare("");
    let mut next = ground.keep();
    next.until("it is whole", || ground.has(&format!("main/meta/{id}-backup.info")));
    let (code, plan) = ground.told(&["plan", "--detailed-exitcode"]);
    assert!(code == 0 || code == 2, "{plan}");
}
