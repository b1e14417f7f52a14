//! What comes from outside, spoilt in every way: no reader panics, and what it accepts it writes so that it reads the same.
//!
//! Each input is a script of edits to a seed: files that real Barmans wrote (tests/fixtures), plans and site files of this
//! repository. Run as a test it tries some thousand scripts at random, more with `BOLERO_RANDOM_ITERATIONS`; with a fuzzer
//! that is led by coverage, for as long as one likes, under a nightly Rust:
//! `cargo bolero test --test fuzz TARGET -e libfuzzer -T 8h`.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use antipode::barman::backup_info::BackupInfo;
use antipode::barman::conf::BarmanConf;
use antipode::barman::history::HistoryFile;
use antipode::barman::identity::Identity;
use antipode::barman::keep::Keep;
use antipode::barman::python_literal::Literal;
use antipode::barman::sync_info::{Framed, SyncInfo, frame};
use antipode::barman::sync_wals::SyncWals;
use antipode::barman::version::BarmanVersion;
use antipode::barman::wal::{SegmentSize, Timeline};
use antipode::barman::xlogdb::XlogDb;
use antipode::verify::control_file::ControlFile;
use antipode::verify::manifest::Manifest;
use antipode::verify::wal_header::{Start, WalHeader};
use antipode::{gate, journal, plan_file, site};
use sha2::{Digest, Sha256};

/// Bytes that formats of text give a meaning, and those that end integers of binary ones.
const TELLING: &[u8] = b"\0\n\r\t =:,;{}[]()'\"\\/#-+.09AZaz%$\x7f\x80\xff";

/// A seed after edits. The first byte of a script says which seed, the second how many edits at most, and each four behind
/// them where, what and how much.
fn edited(seeds: &[Vec<u8>], script: &[u8]) -> Vec<u8> {
    let [which, most, edits @ ..] = script else { return seeds[0].clone() };
    let mut text = seeds[usize::from(*which) % seeds.len()].clone();
    for edit in edits.chunks_exact(4).take(1 + usize::from(*most) % 12) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) * (text.len() + 1) / (1 << 16);
        let (what, how) = (edit[2], usize::from(edit[3]));
        let end = (at + 1 + how % 16).min(text.len());
        match what % 6 {
            0 => drop(text.drain(at.min(end)..end)),
            1 => text.insert(at, TELLING[how % TELLING.len()]),
            2 if at < text.len() => text[at] = edit[3],
            3 => {
                let doubled = text[at.min(end)..end].repeat(1 + how / 16);
                text.splice(at..at, doubled);
            }
            4 => text.truncate(at),
            5 if at < text.len() => text[at] ^= 1 << (how % 8),
            _ => {}
        }
    }
    text
}

/// Tries a reader with spoilt seeds.
macro_rules! fuzz {
    ($name:ident, $seeds:expr, $reader:expr) => {
        #[test]
        fn $name() {
            let seeds: Vec<Vec<u8>> = $seeds;
            assert!(!seeds.is_empty() && seeds.iter().all(|seed| !seed.is_empty()), "there are seeds");
            let reader = $reader;
            bolero::check!().for_each(|script: &[u8]| reader(&edited(&seeds, script)));
        }
    };
}

/// Files below `tests/` whose paths hold one of these.
fn seeds(below: &str, parts: &[&str]) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(below);
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    let is_meant = |path: &str| parts.iter().any(|part| path.contains(part));
    let files = entries.filter(|entry| entry.file_type().is_file() && is_meant(&entry.path().display().to_string()));
    files.map(|entry| fs::read(entry.path()).unwrap()).filter(|content| !content.is_empty()).collect()
}

fn gunzipped(name: &str) -> Vec<u8> {
    let file =
        fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifest").join(name)).unwrap();
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    text
}

fn as_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fuzz!(sync_info, seeds("tests/fixtures", &["sync-info.json", "sync-info-after"]), |bytes: &[u8]| {
    if let Ok(Framed::Json(json)) = frame(bytes) {
        let _ = SyncInfo::parse(json);
    }
});

fuzz!(backup_info, seeds("tests/fixtures", &["backup.info"]), |bytes: &[u8]| {
    if let Ok(info) = BackupInfo::parse(bytes) {
        assert_eq!(BackupInfo::parse(&info.write()).unwrap().write(), info.write());
        let _ = info.status();
    }
});

fuzz!(
    python_literal,
    [
        "{'a': (1, None), 'b': [True, 'it\\'s', \"x\"]}",
        "[('ts', 16385, '/srv/ts'), ('x', 1, '')]",
        "datetime.timedelta(seconds=5)",
        "-12345678901234567890",
    ]
    .map(|text: &str| text.as_bytes().to_vec())
    .to_vec(),
    |bytes: &[u8]| {
        let text = as_text(bytes);
        if let Ok(literal) = text.parse::<Literal>() {
            assert_eq!(literal.to_string().parse::<Literal>().as_ref(), Ok(&literal), "{text}");
        }
    }
);

fuzz!(xlogdb, seeds("tests/fixtures", &["xlog.db"]), |bytes: &[u8]| {
    let list = XlogDb::parse(bytes);
    let version: BarmanVersion = "3.19.1".parse().unwrap();
    let written = list.write(version);
    let again = XlogDb::parse(&written);
    assert_eq!(again.entries(), list.entries());
    assert!(again.problems().is_empty(), "{:?}", again.problems());
});

fuzz!(sync_wals, vec![b"000000010000000000000003\t512\n".to_vec()], |bytes: &[u8]| {
    if let Ok(pair) = SyncWals::parse(bytes) {
        assert_eq!(SyncWals::parse(&pair.write()).unwrap(), pair);
    }
});

fuzz!(identity, seeds("tests/fixtures", &["identity.json"]), |bytes: &[u8]| {
    if let Ok(identity) = Identity::parse(bytes) {
        assert_eq!(Identity::parse(&identity.write()).unwrap(), identity);
    }
});

fuzz!(keep, vec![b"standalone\n".to_vec(), b"full".to_vec()], |bytes: &[u8]| {
    let _ = Keep::parse(bytes);
});

fuzz!(wal_header, seeds("tests/fixtures", &["/wals/"]), |bytes: &[u8]| {
    let _ = WalHeader::parse(bytes);
    Start::read(bytes).expect("only a reader fails");
});

fuzz!(
    history,
    vec![b"1\t0/5000000\tno recovery target specified\n\n2\t0/9000028\tbefore 2026-11-22 03:00:00+00\n".to_vec()],
    |bytes: &[u8]| {
        let history = HistoryFile::parse(Timeline(3), bytes.len() as u64, bytes);
        let _ = history.parent(SegmentSize::default());
    }
);

fuzz!(manifest, ["pg15.backup_manifest.gz", "pg17.backup_manifest.gz"].map(gunzipped).to_vec(), |bytes: &[u8]| {
    let _ = Manifest::parse(bytes);
});

fuzz!(control_file, vec![vec![7; 8192], vec![0; 300]], |bytes: &[u8]| {
    let _ = ControlFile::parse(bytes);
});

fuzz!(
    barman_conf,
    vec![
        b"[barman]\nbarman_home = /var/lib/barman\ncompression = gzip\n\n[main]\nconninfo = host=pg\n  user=x\n; c\n"
            .to_vec(),
        b"[barman]\nconfiguration_files_directory: /etc/barman.d\n[main:model]\nmodel=true\n".to_vec(),
    ],
    |bytes: &[u8]| {
        if let Ok(conf) = BarmanConf::parse("barman.conf", &as_text(bytes)) {
            let _ = (conf.servers(), conf.barman_home(), conf.includes());
        }
    }
);

fuzz!(
    site_file,
    [seeds("tests/corpus/site", &[".yaml"]), seeds("examples", &["full.yaml"])].concat(),
    |bytes: &[u8]| {
        let _ = site::load("antipode.yaml", &as_text(bytes), Some(Path::new("/home/barman")));
    }
);

/// Golden plans, without what the tests of golden files put before them.
fn plans() -> Vec<Vec<u8>> {
    let snapshots = seeds("src/render/snapshots", &["/json.snap"]);
    let plan = |text: &Vec<u8>| as_text(text).splitn(3, "---\n").last().unwrap_or_default().as_bytes().to_vec();
    snapshots.iter().map(plan).collect()
}

/// The same with a digest that fits, so that more of it is read.
fn signed(text: &str) -> String {
    let before = text.rfind("\"digest\": \"").map_or(text, |at| &text[..at + "\"digest\": \"".len()]);
    let digest: String = Sha256::digest(before).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{before}{digest}\"\n}}\n")
}

#[test]
fn the_golden_plans_are_read() {
    let read = plans().iter().filter(|plan| plan_file::read(&signed(&as_text(plan))).is_ok()).count();
    assert!(read > 5, "{read} of {}", plans().len());
}

fuzz!(plan, plans(), |bytes: &[u8]| {
    if let Ok(saved) = plan_file::read(&signed(&as_text(bytes))) {
        let written = plan_file::write(&saved).unwrap();
        assert_eq!(plan_file::write(&plan_file::read(&written).unwrap()).unwrap(), written);
    }
});

fuzz!(
    journal_lines,
    vec![b"{\"format_version\":1,\"number\":1}\n{\"format_version\":1,\"number\":2}\n".to_vec()],
    |bytes: &[u8]| {
        let _ = journal::History::read(bytes, None);
    }
);

fuzz!(
    gate_command_line,
    [
        "barman -c /etc/barman.conf sync-info main 00000001000000000000000A 512",
        "barman list-servers --minimal",
        "rsync --server --sender -tpcRze.LsfxCIvu --compress-level=1 -B8192 --timeout=120 --files-from=- --from0 . /d\\ x/",
    ]
    .map(|text: &str| text.as_bytes().to_vec())
    .to_vec(),
    |bytes: &[u8]| {
        if let Ok(gate::Request::Send(sending)) = gate::read(std::ffi::OsStr::from_bytes(bytes)) {
            assert!(sending.options.iter().all(|option| gate::sender::is_harmless(option)), "{sending:?}");
        }
    }
);
