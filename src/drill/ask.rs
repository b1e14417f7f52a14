//! What a recovered server is asked, and what its files are looked at for when it has ended.

use serde::Deserialize;

use crate::barman::drill::{Database, Verdict};
use crate::error::Error;
use crate::site::drills::Check;

use super::judge::environment;
use super::server::{Bounds, Said, Server, Start};

/// Where statements go that name no other database: it is there in every cluster, unless somebody removed it.
const USUAL: &str = "template1";

const DATABASES: &str = "select coalesce(json_agg(json_build_object('name', datname, 'bytes', coalesce(pg_database_size(oid), 0)) \
                         order by datname), '[]') from pg_catalog.pg_database";

/// What came of something: nothing where there was nothing to try.
pub type Answer = (Option<Verdict>, String);

#[derive(Deserialize)]
struct Row {
    name: String,
    bytes: u64,
}

/// The databases and their sizes.
pub fn databases(server: &Server<'_>, bounds: Bounds<'_>) -> Result<(Answer, Vec<Database>), Error> {
    let said = statement(server, DATABASES, USUAL, bounds)?;
    if !said.is_good() {
        return Ok((failed(server, &said), Vec::new()));
    }
    let rows: Vec<Row> = match serde_json::from_str(said.stdout.trim()) {
        Ok(rows) => rows,
        Err(_) => return Ok(((Some(Verdict::Disproved), "the list of databases is none".to_owned()), Vec::new())),
    };
    let clean = |name: &str| name.escape_debug().to_string();
    let all: Vec<Database> =
        rows.into_iter().map(|row| Database { name: clean(&row.name), bytes: row.bytes }).collect();
    let names: Vec<&str> = all.iter().map(|database| database.name.as_str()).collect();
    let verdict = if all.is_empty() { Verdict::Disproved } else { Verdict::Proved };
    Ok(((Some(verdict), names.join(", ")), all))
}

/// Tables and indexes, each index against its table.
pub fn relations(server: &Server<'_>, bounds: Bounds<'_>) -> Result<Answer, Error> {
    if !server.has("pg_amcheck") {
        return Ok((None, "pg_amcheck is not installed".to_owned()));
    }
    let arguments = ["--all", "--heapallindexed", "--install-missing", "--jobs=2"];
    let said = server.ask("pg_amcheck", &arguments, USUAL, bounds)?;
    if said.is_good() {
        return Ok((Some(Verdict::Proved), "pg_amcheck found every row and every index entry".to_owned()));
    }
    let lacks = |words: &str| said.stderr.contains(words) && said.stderr.contains("amcheck");
    if lacks("is not available") || lacks("extension control file") {
        return Ok((None, "the extension amcheck is not installed".to_owned()));
    }
    Ok(failed(server, &said))
}

/// A statement of the site file, whose answer is to be what is expected.
pub fn check(server: &Server<'_>, check: &Check, bounds: Bounds<'_>) -> Result<Answer, Error> {
    let database = check.database.as_deref().unwrap_or("postgres");
    let said = statement(server, &check.sql, database, bounds)?;
    let sql = check.sql.escape_debug();
    if !said.is_good() {
        if said.stderr.contains("FATAL:  database \"") && said.stderr.contains("does not exist") {
            return Ok((Some(Verdict::NotRun), format!("{sql}: there is no database {}", database.escape_debug())));
        }
        let (verdict, why) = failed(server, &said);
        return Ok((verdict, format!("{sql}: {why}")));
    }
    let answer = said.stdout.trim();
    if answer == check.expect.trim() {
        return Ok((Some(Verdict::Proved), format!("{sql}: {}", shortened(answer))));
    }
    let told = format!("{sql}: expected {}, got {}", shortened(check.expect.trim()), shortened(answer));
    Ok((Some(Verdict::Disproved), told))
}

/// The checksums of all pages of a server that has ended.
pub fn pages(start: &Start<'_>, ended_well: bool, bounds: Bounds<'_>) -> Result<Answer, Error> {
    if !ended_well {
        return Ok((Some(Verdict::NotRun), "the server did not end well when it was asked to".to_owned()));
    }
    let control = Server::look(start, "pg_controldata", &[], bounds)?;
    let version = control.stdout.lines().find_map(|line| line.strip_prefix("Data page checksum version:"));
    match version.map(str::trim) {
        None => return Ok(meaning(&control)),
        Some("0") => return Ok((None, "the cluster has none".to_owned())),
        Some(_) => {}
    }
    let said = Server::look(start, "pg_checksums", &["--check"], bounds)?;
    if !said.is_good() {
        return Ok(meaning(&said));
    }
    let blocks = said.stdout.lines().find_map(|line| line.strip_prefix("Blocks scanned:")).map(str::trim);
    Ok(match blocks.filter(|blocks| !blocks.is_empty()) {
        Some(blocks) => (Some(Verdict::Proved), format!("{} pages", blocks.escape_debug())),
        None => (Some(Verdict::NotRun), "pg_checksums does not say how many pages it read".to_owned()),
    })
}

fn statement(server: &Server<'_>, sql: &str, database: &str, bounds: Bounds<'_>) -> Result<Said, Error> {
    server.ask("psql", &["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql], database, bounds)
}

/// What a failure of a program that asks a server means.
fn failed(server: &Server<'_>, said: &Said) -> Answer {
    if said.stderr.contains("server closed the connection unexpectedly") && server.was_killed() {
        let why = "something killed the server, perhaps as there was not enough memory";
        return (Some(Verdict::NotRun), format!("{why}: {}", said.first_lines()));
    }
    meaning(said)
}

/// What a failure of a program of PostgreSQL means. It is this host's only where each of its complaints is.
fn meaning(said: &Said) -> Answer {
    let told = said.first_lines();
    if said.stderr.contains("FATAL:  role \"") && said.stderr.contains("does not exist") {
        let why = "no such role: `drill.user` of the site file names the cluster's first superuser";
        return (Some(Verdict::NotRun), format!("{why}: {told}"));
    }
    let is_complaint = |line: &&str| ["ERROR:", "FATAL:", "error:"].iter().any(|word| line.contains(word));
    // What pg_amcheck finds in a table stands below its name.
    let found = said.stdout.lines().filter(|line| line.starts_with("    "));
    let complaints: Vec<&str> =
        said.stderr.lines().chain(said.stdout.lines()).filter(is_complaint).chain(found).collect();
    let causes: Option<Vec<&str>> = complaints.iter().map(|line| environment(line)).collect();
    match causes.as_deref() {
        Some([why, ..]) => (Some(Verdict::NotRun), format!("{why}: {told}")),
        _ => (Some(Verdict::Disproved), told),
    }
}

fn shortened(text: &str) -> String {
    let text: String = text.escape_debug().take(120).collect();
    if text.is_empty() { "nothing".to_owned() } else { text }
}
