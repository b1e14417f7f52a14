use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::verify::checksum::Hasher;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/manifest/{name}.backup_manifest.gz", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A manifest with these files and a right checksum of its own.
fn manifest(files: &str) -> Vec<u8> {
    signed(&format!("{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{files}\n],\n\"WAL-Ranges\": [],\n"))
}

fn signed(body: &str) -> Vec<u8> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(body.as_bytes());
    format!("{body}\"Manifest-Checksum\": \"{}\"}}\n", hasher.finish()).into_bytes()
}

fn file(path: &str) -> String {
    format!(
        "{{ \"Path\": \"{path}\", \"Size\": 3, \"Last-Modified\": \"2026-11-22 12:59:10 GMT\", \
         \"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"64440205\" }}"
    )
}

#[test]
fn manifests_of_postgresql_15_and_17_are_read() {
    for (name, version, system) in [("pg15", 1, None), ("pg17", 2, Some(SystemId(7_710_979_628_855_688_485)))] {
        let manifest = Manifest::parse(&fixture(name)).unwrap();
        assert_eq!((manifest.version, manifest.system), (version, system));
        assert!(manifest.files.len() > 900);
        assert_eq!(manifest.wal_ranges.len(), 1);
        let file = &manifest.files[Path::new("PG_VERSION")];
        let content = format!("{}\n", &name[2..]);
        let computed = Checksum::of(Algorithm::Crc32c, content.as_bytes()).unwrap();
        assert_eq!((file.size, file.checksum.as_ref()), (3, Some(&computed)));
    }
}

#[test]
fn damage_and_a_missing_end_are_found() {
    let bytes = fixture("pg17");
    for end in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(Manifest::parse(&bytes[..end]), Err(ManifestError::CutOff));
    }
    let mut damaged = bytes;
    damaged[5000] ^= 1;
    assert!(matches!(Manifest::parse(&damaged), Err(ManifestError::Damaged { .. })));
}

#[test]
fn manifests_that_are_held_together_take_no_more_memory_than_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup_manifest");
    std::fs::write(&path, manifest(&[file("base/1"), file("base/2")].join(",\n"))).unwrap();
    let open = || std::fs::File::open(&path).unwrap();
    let mut room = 1000;
    assert_eq!(Manifest::read_within(open(), &mut room).unwrap().files.len(), 2);
    assert!(room < 1000);
    while Manifest::read_within(open(), &mut room).is_ok() {}
    assert_eq!(Manifest::read_within(open(), &mut room), Err(ManifestError::TooLong));
    assert!(room < 300, "{room}");
    // One long path is as much as many files.
    std::fs::write(&path, manifest(&file(&"x".repeat(2000)))).unwrap();
    assert_eq!(Manifest::read_within(open(), &mut 2000), Err(ManifestError::TooLong));
    assert!(Manifest::read(open()).is_ok());
}

#[test]
fn paths_that_leave_the_backup_are_refused() {
    for path in ["", "/etc/passwd", "../x", "base/../../x", "./x", "a\\u0000b"] {
        let error = Manifest::parse(&manifest(&file(path))).unwrap_err();
        assert!(matches!(error, ManifestError::Path { .. }), "{path}: {error:?}");
    }
    let twice = Manifest::parse(&manifest(&format!("{},\n{}", file("a"), file("a"))));
    assert!(matches!(twice, Err(ManifestError::Path { why: "it is listed twice", .. })));
}

#[test]
fn any_name_that_a_file_can_have_is_read() {
    let manifest = Manifest::parse(&manifest(&file("pg_stat/a\\nb\\u001b[31m"))).unwrap();
    assert_eq!(manifest.files.keys().next().unwrap(), Path::new("pg_stat/a\nb\u{1b}[31m"));
}

#[test]
fn an_encoded_path_is_decoded() {
    let encoded = file("").replace("\"Path\": \"\"", "\"Encoded-Path\": \"636166e9\"");
    let manifest = Manifest::parse(&manifest(&encoded)).unwrap();
    let path = manifest.files.keys().next().unwrap();
    assert_eq!(path.as_os_str().as_encoded_bytes(), b"caf\xe9");
}

#[test]
fn a_file_may_have_no_checksum() {
    let plain = "{ \"Path\": \"a\", \"Size\": 3, \"Last-Modified\": \"2026-11-22 12:59:10 GMT\" }";
    let manifest = Manifest::parse(&manifest(plain)).unwrap();
    assert_eq!(manifest.files[Path::new("a")].checksum, None);
    assert_eq!(identical_files(&manifest, &manifest), Vec::<&Path>::new());
}

#[test]
fn malformed_files_are_refused() {
    for (from, to) in [
        ("64440205", "644402"),
        ("64440205", "zzzzzzzz"),
        ("CRC32C", "MD5"),
        ("2026-11-22", "22.11.2026"),
        ("\"Size\": 3", "\"Size\": -3"),
        ("\"Path\"", "\"Pfad\""),
    ] {
        let bytes = manifest(&file("a").replace(from, to));
        assert!(matches!(Manifest::parse(&bytes), Err(ManifestError::Shape(_))), "{to}");
    }
    let newer = signed("{ \"PostgreSQL-Backup-Manifest-Version\": 9,\n\"Files\": [],\n");
    assert!(Manifest::parse(&newer).unwrap_err().to_string().contains("version 9"));
}

#[test]
fn only_files_that_agree_in_everything_are_identical() {
    let a = Manifest::parse(&manifest(&[file("same"), file("size"), file("sum"), file("gone")].join(","))).unwrap();
    let size = file("size").replace("\"Size\": 3", "\"Size\": 4");
    let sum = file("sum").replace("64440205", "64440206");
    let b = Manifest::parse(&manifest(&[file("same"), size, sum].join(","))).unwrap();
    assert_eq!(identical_files(&a, &b), [Path::new("same")]);
}

#[test]
fn barman_keeps_tablespaces_beside_the_data() {
    for (path, kept) in [
        ("PG_VERSION", "data/PG_VERSION"),
        ("base/5/1259", "data/base/5/1259"),
        ("pg_tblspc/16384/PG_17_202406281/5/16389", "16384/PG_17_202406281/5/16389"),
        ("pg_tblspc/16384", "data/pg_tblspc/16384"),
        ("pg_tblspc/data/PG_VERSION", "data/pg_tblspc/data/PG_VERSION"),
    ] {
        assert_eq!(barman_path(Path::new(path)), Path::new(kept));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100), text in "\\PC{0,60}") {
        let _ = Manifest::parse(&bytes);
        let _ = Manifest::parse(&manifest(&text));
    }
}

#[test]
fn a_control_file_is_never_taken_for_another() {
    let manifest = Manifest::parse(&manifest(&format!("{},\n{}", file("global/pg_control"), file("a")))).unwrap();
    assert_eq!(identical_files(&manifest, &manifest.clone()), [Path::new("a")]);
}
