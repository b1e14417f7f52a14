//! What a running antipode answers over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::kept::{Ground, Kept};

const WELL: &str = "main: all that may be done by itself is done";

/// Begins to keep a site, and where it listens.
fn listening(ground: &Ground) -> (Kept, String) {
    let mut kept = ground.keep_with(&["--listen", "127.0.0.1:0"], &[]);
    kept.says("listens on http://");
    let log = kept.log();
    let address = log.split_once("listens on http://").unwrap().1.split_once('/').unwrap().0.to_owned();
    (kept, address)
}

/// The head and the body of an answer.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn the_page_and_the_metrics_tell_what_is_done_and_forget_what_is_kept_no_longer() {
    let mut ground = Ground::new("objective: {rpo: 1h}");
    let (mut kept, address) = listening(&ground);
    kept.says(WELL);
    kept.until("it is ready", || get(&address, "/readyz").0.starts_with("http/1.1 200"));
    assert_eq!(get(&address, "/healthz").1, "alive\n");
    let id = ground.back_up(25);
    kept.until("the new backup is here", || ground.has(&format!("main/meta/{id}-backup.info")));
    kept.until("the page has it", || get(&address, "/").1.contains("1 backup and 2 WAL segments added"));
    let (head, page) = get(&address, "/");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(page.contains("<h2 id=\"h-main\">") && page.contains("<svg"), "{page}");
    let main = "site=\"lisbon\",replica=\"main\",primary=\"frankfurt\"";
    let here = format!("antipode_replica_backups{{{main},state=\"here\"}} 2");
    kept.until("it is looked at again", || get(&address, "/metrics").1.lines().any(|line| line == here));
    let (head, metrics) = get(&address, "/metrics");
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for sample in [
        format!("antipode_replica_suspended{{{main}}} 0"),
        format!("antipode_replica_waiting{{{main},reason=\"approval\"}} 0"),
    ] {
        assert!(metrics.lines().any(|line| line == sample), "{sample} in {metrics}");
    }
    std::fs::write(ground.path("antipode.yaml"), ground.site("").replace("  main: {", "  twin: {server: main, "))
        .unwrap();
    kept.until("it is forgotten", || {
        let metrics = get(&address, "/metrics").1;
        let verdict =
            |name: &str| metrics.contains(&format!("antipode_replica_verdict{{site=\"lisbon\",replica=\"{name}\""));
        verdict("twin") && !verdict("main")
    });
    kept.until("what is here of it is told", || get(&address, "/").1.contains("main is copied no longer"));
    let (code, told) = ground.told(&["detach", "main"]);
    assert_eq!(code, 0, "{told}");
    kept.until("nobody is warned of it", || !get(&address, "/").1.contains("main is copied no longer"));
}

#[test]
fn what_fails_is_on_the_page_and_nothing_else_is_answered() {
    let ground = Ground::new("");
    std::fs::rename(ground.path("frankfurt"), ground.path("away")).unwrap();
    let (mut kept, address) = listening(&ground);
    kept.says("Error: main: ");
    kept.until("it is ready", || get(&address, "/readyz").0.starts_with("http/1.1 200"));
    let page = get(&address, "/").1;
    assert!(page.contains("1 time in a row"), "{page}");
    assert!(get(&address, "/etc/passwd").0.starts_with("http/1.1 404"));
    let taken = ground.told(&["run", "--listen", &address]);
    assert_eq!(taken.0, 3, "the catalog is kept already: {}", taken.1);
    ground.declare("bakups: all");
    kept.until("the mistake in its file is told", || get(&address, "/").1.contains("antipode.yaml has 1 mistake"));
}

#[test]
fn who_asks_nothing_keeps_nobody_from_an_answer() {
    let ground = Ground::new("");
    let (mut kept, address) = listening(&ground);
    kept.says(WELL);
    // More than are served at the same time, some in the middle of a question.
    let silent: Vec<TcpStream> = (0..80)
        .map(|number| {
            let mut stream = TcpStream::connect(&address).unwrap();
            if number % 2 == 0 {
                write!(stream, "GET / HTTP/1.1\r\nHost: ").unwrap();
            }
            stream
        })
        .collect();
    assert_eq!(get(&address, "/healthz").1, "alive\n");
    drop(silent);
    kept.signal("TERM");
    assert_eq!(kept.end().code(), Some(0), "{}", kept.log());
}
