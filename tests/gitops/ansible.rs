//! The playbook, checked by Ansible and run against a directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::executable::write_program;
use crate::tools::{antipode, checker, example, fail, root, succeed};

fn playbook() -> Command {
    let mut command = checker("ansible-playbook");
    command.env("ANSIBLE_LOCALHOST_WARNING", "0").env("ANSIBLE_NOCOLOR", "1").env("LC_ALL", "C.UTF-8");
    command
}

/// A copy of the examples whose playbook installs below a directory, with a systemctl that only says what it was asked.
fn installing(directory: &Path, tags: &str) -> Command {
    for part in ["ansible", "systemd", "etc", "units", "bin"] {
        fs::create_dir_all(directory.join(part)).unwrap();
    }
    for file in ["lisbon.yaml", "ansible/antipode.yml", "systemd/antipode@.service", "systemd/antipode@.timer"] {
        if !directory.join(file).exists() {
            fs::copy(root("examples/gitops").join(file), directory.join(file)).unwrap();
        }
    }
    let log = directory.join("systemctl.log");
    let says = "printf 'LoadState=loaded\\nActiveState=inactive\\n'";
    let systemctl = format!("#!/bin/sh\necho \"$*\" >> {}\n{says}\n[ \"$1\" != is-enabled ]\n", log.display());
    write_program(&directory.join("bin/systemctl"), &systemctl);
    let user = succeed(Command::new("id").arg("-un")).trim().to_owned();
    let variables = serde_json::json!({
        "ansible_become": false,
        "ansible_connection": "local",
        "ansible_python_interpreter": "/usr/bin/python3",
        "antipode_owner": user,
        "antipode_user": user,
        "antipode_program": antipode(),
        "antipode_etc": directory.join("etc"),
        "antipode_units": directory.join("units"),
    });
    let path = format!("{}:{}", directory.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = playbook();
    command.current_dir(directory.join("ansible")).env("PATH", path).env("ANSIBLE_HOME", directory.join("home"));
    let inventory = directory.join("inventory");
    fs::write(&inventory, "[dr_sites]\nlocalhost\n").unwrap();
    command.arg("-i").arg(inventory).arg("antipode.yml").args(["--skip-tags", tags]);
    command.arg("-e").arg(variables.to_string());
    command
}

#[test]
fn ansible_takes_the_playbook() {
    succeed(playbook().args(["-i", "dr_sites,", "--syntax-check"]).arg(root("examples/gitops/ansible/antipode.yml")));
}

#[test]
fn it_installs_a_valid_site_file_and_leaves_it_when_the_next_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    succeed(&mut installing(directory, "plan"));
    let installed = directory.join("etc/lisbon.yaml");
    assert_eq!(fs::read_to_string(&installed).unwrap(), example("lisbon.yaml"));
    assert_eq!(fs::metadata(&installed).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(directory.join("units/antipode@.service").exists());
    let asked = fs::read_to_string(directory.join("systemctl.log")).unwrap();
    let reload = asked.find("daemon-reload").unwrap_or_else(|| panic!("{asked}"));
    assert!(asked.find("enable antipode@lisbon.timer").is_some_and(|enable| reload < enable), "{asked}");

    fs::write(directory.join("lisbon.yaml"), example("lisbon.yaml").replace("primary: ", "primry: ")).unwrap();
    let said = fail(&mut installing(directory, "plan,systemd"));
    assert!(said.contains("unknown key `primry`") || said.contains("failed to validate"), "{said}");
    assert_eq!(fs::read_to_string(&installed).unwrap(), example("lisbon.yaml"));
}
