//! A line that stalls, and one that is cut and comes back after a while.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::catalog_compare::{assert_same_told, differing_files};
use crate::crashes::{NO_REUSE, judge, undisturbed};
use crate::ground::Lab;
use crate::running::Link;
use crate::scenario;
use crate::sshd::Manners;

/// So many minutes a line is away as well: 8 are within what an apply waits.
const MINUTES: &str = "ANTIPODE_LINE_MINUTES";

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It brings what it is given.
    Whole,
    /// It takes no more, and brings nothing.
    Stalled,
    /// Nobody is at its other end.
    Cut,
}

/// A line to a port of this host.
struct Line {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Line {
    fn to(there: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(Mutex::new(State::Whole));
        let line = Self { port, state: Arc::clone(&state) };
        thread::spawn(move || {
            for here in listener.incoming().flatten() {
                // Dropped, it is closed.
                if *state.lock().expect("the state") == State::Cut {
                    continue;
                }
                let Ok(other) = TcpStream::connect((Ipv4Addr::LOCALHOST, there)) else { continue };
                for (from, to) in [(&here, &other), (&other, &here)] {
                    let (from, to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                    let state = Arc::clone(&state);
                    thread::spawn(move || carry(from, to, &state));
                }
            }
        });
        line
    }

    fn become_for(&self, state: State, pause: Duration) {
        *self.state.lock().expect("the state") = state;
        thread::sleep(pause);
        *self.state.lock().expect("the state") = State::Whole;
    }
}

/// Brings what comes, until an end closes or the line is cut.
fn carry(mut from: TcpStream, mut to: TcpStream, state: &Mutex<State>) {
    let pause = Duration::from_millis(20);
    from.set_read_timeout(Some(pause)).expect("a time-out");
    let mut buffer = [0; 16 << 10];
    loop {
        match *state.lock().expect("the state") {
            State::Whole => {}
            State::Stalled => {
                thread::sleep(pause);
                continue;
            }
            State::Cut => break,
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                if to.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    let _gone = [from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)];
}

#[test]
fn an_apply_goes_on_when_its_line_comes_back() {
    let lab = Lab::new();
    let primary = &scenario::two_timelines().primary;
    let baseline = undisturbed(primary);
    let mut link = Link::with(&lab, primary, &[], &Manners { counts: true, ..Manners::default() });
    link.replica_keys = NO_REUSE;
    link.limit(&["bandwidth: 6MiB/s", "streams: 2", "timeouts: {connect: 5s, idle: 3s, sync_info: 30s}"]);
    let line = Line::to(link.sshd.port());
    let site_file = link.site.directory.join("antipode.yaml");
    let direct = format!("-p {} ", link.sshd.port());
    let over_the_line = format!("-p {} -o HostKeyAlias=[127.0.0.1]:{} ", line.port, link.sshd.port());
    let text = std::fs::read_to_string(&site_file).expect("read the site file");
    assert!(text.contains(&direct), "{text}");
    link.site.declare(&text.replace(&direct, &over_the_line));

    let minutes = std::env::var(MINUTES).ok().map(|minutes| minutes.parse::<u64>().expect("a number of minutes"));
    let long = minutes.map(|minutes| (State::Cut, 60 * minutes));
    let outages = [(State::Stalled, 1), (State::Stalled, 6), (State::Cut, 5), (State::Cut, 60)];
    let mut apply = link.start_copying();
    for (state, seconds) in outages.into_iter().chain(long) {
        assert!(!apply.has_ended(), "{}", apply.log());
        line.become_for(state, Duration::from_secs(seconds));
        judge(&link.site.coexisting);
        // It may be away again at once.
        thread::sleep(Duration::from_secs(2));
    }
    assert!(apply.wait_for_end().success(), "{}", apply.log());
    println!("{}", apply.log());
    assert!(apply.log().contains("waiting for the line to"), "{}", apply.log());
    link.finish();
    judge(&link.site.coexisting);
    assert_same_told(&primary.barman, &link.site.barman);
    let none: [String; 0] = [];
    assert_eq!(differing_files(&primary.barman, &link.site.barman), none);
    let sent = link.sshd.sent();
    println!("sent {sent} bytes, undisturbed {baseline}");
    assert!(sent < baseline + 5 * (4 << 20), "sent {sent} bytes, undisturbed {baseline}");
}
