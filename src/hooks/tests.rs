//! Hooks that are told, with real programs and a server that listens.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use super::*;
use crate::journal::tests::run;
use crate::site::hooks::Address;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn event(text: &str) -> Event {
    let missed = Missed { rpo_seconds: Some(1), loss_seconds: None, max_silence_seconds: None, silence_seconds: None };
    Event::missed(text, missed, &run(Vec::new()).by, "2026-11-22T09:26:56Z".parse().unwrap())
}

fn shell(script: &str) -> Way {
    Way::Command(["sh", "-c", script].map(str::to_owned).to_vec())
}

/// The hooks of `objective_missed`, and what they complain of.
fn hooks(ways: Vec<Way>, timeout: Duration) -> (Hooks, mpsc::Receiver<String>) {
    let (complaint, complaints) = mpsc::channel();
    let complain: Complain = Arc::new(move |error| drop(complaint.send(error.message.clone())));
    let declared = ways.into_iter().map(|way| Hook { way, timeout }).collect();
    (Hooks::new(&BTreeMap::from([(Occasion::ObjectiveMissed, declared)]), complain), complaints)
}

fn all(complaints: &mpsc::Receiver<String>) -> Vec<String> {
    complaints.try_iter().collect()
}

#[tokio::test]
async fn a_program_reads_each_event_in_their_order_and_nobody_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let heard = directory.path().join("heard");
    let (hooks, complaints) = hooks(vec![shell(&format!("sleep 0.2; cat >> {}", heard.display()))], LONG);
    let begin = Instant::now();
    for name in ["one", "two", "three"] {
        hooks.tell(&event(name));
    }
    assert!(begin.elapsed() < Duration::from_millis(150), "{:?}", begin.elapsed());
    hooks.finish(LONG).await;
    let text = fs::read_to_string(&heard).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert_eq!(lines.map(|line| line["replica"].clone()).collect::<Vec<_>>(), ["one", "two", "three"]);
    assert_eq!(all(&complaints), Vec::<String>::new());
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_with_what_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let child = directory.path().join("child");
    let script = format!("sleep 300 & echo $! > {}; wait", child.display());
    let (hooks, complaints) = hooks(vec![shell(&script)], Duration::from_secs(1));
    hooks.tell(&event("main"));
    hooks.finish(LONG).await;
    assert_eq!(all(&complaints), ["sh could not be told: it took longer than 1 s and was killed"]);
    let child = fs::read_to_string(child).unwrap();
    let is_gone = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        // Where nobody reaps what has no parent any more, it stays as a zombie.
        stat.map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
    };
    let begin = Instant::now();
    while !is_gone() {
        assert!(begin.elapsed() < LONG, "it still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_program_that_fails_or_is_not_there_is_told_of_and_keeps_nobody_from_being_told() {
    let directory = tempfile::tempdir().unwrap();
    let heard = directory.path().join("heard");
    let ways = vec![
        shell("exit 3"),
        Way::Command(vec!["/nowhere/hook".to_owned()]),
        shell("exec 0<&-"),
        shell(&format!("cat > {}", heard.display())),
    ];
    let (hooks, complaints) = hooks(ways, LONG);
    hooks.tell(&event("main"));
    hooks.finish(LONG).await;
    let mut complaints = all(&complaints);
    complaints.sort();
    assert_eq!(complaints.len(), 2, "{complaints:?}");
    assert!(complaints[0].starts_with("/nowhere/hook could not be told: it cannot be started: "), "{complaints:?}");
    assert_eq!(complaints[1], "sh could not be told: it ended with exit status: 3");
    assert!(heard.exists());
}

#[tokio::test]
async fn events_wait_in_a_bounded_queue_and_an_end_waits_for_them_so_long() {
    let (hooks, complaints) = hooks(vec![shell("sleep 300")], LONG);
    for _ in 0..QUEUE * 2 {
        hooks.tell(&event("main"));
    }
    assert_eq!(all(&complaints), ["sh is told of events too slowly: some are left out"], "it is said once");
    let begin = Instant::now();
    hooks.finish(Duration::from_millis(200)).await;
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(all(&complaints), ["sh was not told of every event: this run ended before"]);
}

/// Answers requests with these lines, one after the other; what was asked, and the body of each.
fn serve(answers: Vec<&'static str>) -> (u16, std::thread::JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let answer = |answer: &str| {
            let (stream, _) = listener.accept().unwrap();
            answered(stream, answer)
        };
        answers.into_iter().map(answer).collect()
    });
    (port, serving)
}

fn answered(mut stream: TcpStream, answer: &str) -> (String, String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn address(port: u16) -> Address {
    Address::new(&format!("http://127.0.0.1:{port}/services/s3cret?x=1")).unwrap()
}

#[tokio::test]
async fn an_event_is_posted_and_again_where_who_answers_is_in_trouble() {
    let (port, serving) = serve(vec!["503 Service Unavailable", "200 OK"]);
    let (hooks, complaints) = hooks(vec![Way::Webhook(address(port))], LONG);
    hooks.tell(&event("main"));
    hooks.finish(LONG).await;
    let asked = serving.join().unwrap();
    assert_eq!(all(&complaints), Vec::<String>::new());
    assert_eq!(asked.len(), 2);
    let (head, body) = &asked[1];
    assert!(head.starts_with("POST /services/s3cret?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
    assert_eq!(body.as_bytes(), event("main").text_form());
}

#[tokio::test]
async fn what_is_refused_is_not_posted_again_and_no_secret_is_told() {
    let (port, serving) = serve(vec!["404 Not Found"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{}\n", address(port).secret())).unwrap();
    let (hooks, complaints) = hooks(vec![Way::WebhookFile(file.path().to_owned())], LONG);
    hooks.tell(&event("main"));
    hooks.finish(LONG).await;
    assert_eq!(serving.join().unwrap().len(), 1);
    let told = format!("the address in {} could not be told: it answered 404 Not Found", file.path().display());
    assert_eq!(all(&complaints), [told]);
}

#[tokio::test]
async fn a_file_without_an_address_and_one_that_is_not_there_are_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let (empty, absent) = (directory.path().join("empty"), directory.path().join("absent"));
    fs::write(&empty, "s3cret\n").unwrap();
    for (path, what) in [(&empty, "does not have an address"), (&absent, "No such file")] {
        let error = webhook::address_in(Path::new(path)).await.unwrap_err();
        assert!(error.message.contains(what) && !error.message.contains("s3cret"), "{error}");
    }
}
