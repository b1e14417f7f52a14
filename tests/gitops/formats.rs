//! Each example is what the program that reads it expects.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::tools::{antipode, checker, example, fail, program, root, succeed, yaml};

/// Checks a file against one of the schemas that check-jsonschema carries.
fn check(schema: &str, path: &str) {
    let mut command = checker("check-jsonschema");
    succeed(command.args(["--builtin-schema", schema]).arg(root("examples/gitops").join(path)));
}

#[test]
fn github_takes_the_workflow() {
    check("vendor.github-workflows", "github/antipode.yml");
}

#[test]
fn gitlab_takes_the_pipeline() {
    check("vendor.gitlab-ci", "gitlab/.gitlab-ci.yml");
}

#[test]
fn actions_are_pinned_by_commit_with_their_version_beside_it() {
    let text = example("github/antipode.yml");
    let uses: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("- uses: ")).collect();
    assert!(!uses.is_empty());
    for line in uses {
        let (commit, version) = line.split_once('@').unwrap().1.split_once(" # v").unwrap();
        assert!(commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{line}");
        assert_eq!(version.split('.').count(), 3, "{line}");
    }
}

#[test]
fn no_job_of_the_workflow_may_more_than_it_says_and_none_runs_for_a_fork() {
    let workflow = yaml("github/antipode.yml");
    assert_eq!(workflow["permissions"], serde_json::json!({"contents": "read"}));
    let plan = &workflow["jobs"]["plan"];
    assert!(plan["if"].as_str().unwrap().contains("head.repo.full_name == github.repository"));
    assert_eq!(plan["permissions"], serde_json::json!({"contents": "read", "pull-requests": "write"}));
    let apply = &workflow["jobs"]["apply"];
    assert!(!apply["permissions"].as_object().unwrap().values().any(|value| value == "write"));
    assert_eq!(apply["concurrency"]["cancel-in-progress"], false);
    assert!(!example("github/antipode.yml").contains("secrets."));
}

const MANIFESTS: [&str; 4] = ["configmap.yaml", "cronjob.yaml", "secret.yaml", "volume.yaml"];

#[test]
fn kubernetes_takes_the_manifests() {
    let files = MANIFESTS.map(|name| root("examples/gitops/kubernetes").join(name));
    succeed(checker("kubernetes-validate").arg("--strict").args(&files));
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("cronjob.yaml");
    fs::write(&wrong, example("kubernetes/cronjob.yaml").replace("concurrencyPolicy", "concurencyPolicy")).unwrap();
    let said = fail(checker("kubernetes-validate").arg("--strict").arg(wrong));
    assert!(said.contains("concurencyPolicy"), "{said}");
}

#[test]
fn the_cron_job_mounts_what_the_other_manifests_make() {
    let pod = yaml("kubernetes/cronjob.yaml")["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone();
    let name = |file: &str| yaml(&format!("kubernetes/{file}"))["metadata"]["name"].clone();
    let volume = |name: &str| pod["volumes"].as_array().unwrap().iter().find(|v| v["name"] == name).unwrap().clone();
    assert_eq!(volume("catalog")["persistentVolumeClaim"]["claimName"], name("volume.yaml"));
    assert_eq!(volume("site")["configMap"]["name"], name("configmap.yaml"));
    assert_eq!(volume("ssh")["secret"]["secretName"], name("secret.yaml"));
    let container = &pod["containers"][0];
    let names = |list: &Value| list.as_array().unwrap().iter().map(|v| v["name"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
    // The user of the image is the user of the pod.
    let dockerfile = example("kubernetes/Dockerfile");
    assert!(dockerfile.contains(&format!("useradd --uid {} ", pod["securityContext"]["runAsUser"])));
    assert_eq!(dockerfile.lines().last(), Some("ENTRYPOINT [\"antipode\"]"));
}

#[test]
fn the_site_file_of_the_config_map_is_valid_and_names_files_of_the_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("antipode.yaml");
    let map = yaml("kubernetes/configmap.yaml");
    let text = map["data"]["antipode.yaml"].as_str().unwrap();
    fs::write(&file, text).unwrap();
    succeed(std::process::Command::new(antipode()).arg("validate").arg("-f").arg(&file));
    for key in yaml("kubernetes/secret.yaml")["stringData"].as_object().unwrap().keys() {
        assert!(text.contains(&format!("/etc/antipode/ssh/{key}")), "{key}");
    }
}

/// The units in a directory of their own, with the antipode of this build where the installed one would be.
fn units() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for unit in [
        "antipode@.service",
        "antipode@.timer",
        "antipode-drill@.service",
        "antipode-drill@.timer",
        "antipode-run@.service",
    ] {
        let text = example(&format!("systemd/{unit}"));
        let text = text.replace("/usr/local/bin/antipode", antipode().to_str().unwrap());
        fs::write(directory.path().join(unit), text).unwrap();
    }
    directory
}

#[test]
fn systemd_takes_the_units_without_a_word() {
    let directory = units();
    let verify = |unit: &str| {
        let path = directory.path().join(unit);
        succeed(program("systemd-analyze").args(["verify", "--man=no"]).arg(path))
    };
    assert_eq!(verify("antipode@.service"), "");
    assert_eq!(verify("antipode@.timer"), "");
    assert_eq!(verify("antipode-run@.service"), "");
    assert_eq!(verify("antipode-drill@.service"), "");
    assert_eq!(verify("antipode-drill@.timer"), "");
    // It is a judge: a key that it does not know is said.
    let service = directory.path().join("antipode@.service");
    let text = fs::read_to_string(&service).unwrap().replace("SuccessExitStatus", "SucessExitStatus");
    fs::write(&service, text).unwrap();
    assert!(verify("antipode@.service").contains("SucessExitStatus"));
}

#[test]
fn the_service_is_exposed_to_little() {
    let directory = units();
    // Of 100: systemd calls less than 20 safe.
    let arguments = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    for service in ["antipode@.service", "antipode-drill@.service", "antipode-run@.service"] {
        succeed(program("systemd-analyze").args(arguments).arg(directory.path().join(service)));
    }
}

#[test]
fn every_shell_script_passes_shellcheck() {
    let monitoring = root("examples/gitops/monitoring");
    let scripts: Vec<_> = fs::read_dir(monitoring).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!scripts.is_empty());
    succeed(program("shellcheck").args(scripts));
    let packaging = ["packaging/deb", "packaging/debian/postinst", "packaging/debian/prerm", "packaging/debian/postrm"];
    succeed(program("shellcheck").args(packaging.map(root)).arg(root("tests/package")));
    let directory = tempfile::tempdir().unwrap();
    for (name, body) in crate::pipelines::bodies() {
        let path = directory.path().join(name);
        fs::write(&path, format!("#!/usr/bin/env bash\nset -eo pipefail\n{body}")).unwrap();
        succeed(program("shellcheck").arg(path));
    }
}

#[test]
fn the_site_file_of_the_examples_is_valid_and_names_its_schema() {
    let text = example("lisbon.yaml");
    let comment = text.lines().next().unwrap();
    let schema = comment.strip_prefix("# yaml-language-server: $schema=").unwrap();
    assert!(root("examples/gitops").join(schema).exists(), "{comment}");
    let file = root("examples/gitops/lisbon.yaml");
    succeed(std::process::Command::new(antipode()).arg("validate").arg("-f").arg(file));
}
