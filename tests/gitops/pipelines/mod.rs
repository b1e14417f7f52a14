//! The shell of the pipelines, run as their runners run it: against the demo's catalogs, beside a `gh` and a `curl` that
//! only remember what they are told.

mod github;
mod gitlab;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::executable::write_program;
use crate::tools::{antipode, program, succeed, yaml};

/// The shell of every step that has some, by a name for a file.
pub fn bodies() -> BTreeMap<String, String> {
    let workflow = yaml("github/antipode.yml");
    let jobs = workflow["jobs"].as_object().unwrap();
    let steps = jobs.values().flat_map(|job| job["steps"].as_array().unwrap());
    let github = steps.filter_map(|step| Some((step["name"].as_str()?, step["run"].as_str()?)));
    let pipeline = yaml("gitlab/.gitlab-ci.yml");
    let gitlab = ["plan", "apply"].map(|job| (job, script(&pipeline, job)));
    let github = github.map(|(name, body)| (format!("github-{}.bash", name.replace(' ', "-")), body.to_owned()));
    github.chain(gitlab.map(|(name, body)| (format!("gitlab-{name}.bash"), body))).collect()
}

/// What GitLab's runner makes one script of: `before_script` of what the job extends, then its own `script`.
fn script(pipeline: &Value, job: &str) -> String {
    let job = &pipeline[job];
    let base = &pipeline[job["extends"].as_str().unwrap()];
    let lines = [&base["before_script"], &job["script"]].map(|list| list.as_array().unwrap().clone()).concat();
    lines.iter().map(|line| format!("{}\n", line.as_str().unwrap())).collect()
}

/// A runner at the site: a checkout with the demo's site file, and programs that remember.
struct Runner {
    directory: tempfile::TempDir,
}

impl Runner {
    /// A site that has nothing yet.
    fn new() -> Self {
        program("jq");
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        succeed(Command::new(antipode()).args(["demo", "--keep"]).arg(path("demo")));
        fs::remove_dir_all(path("demo/lisbon")).unwrap();
        for made in ["checkout", "bin", "state"] {
            fs::create_dir(path(made)).unwrap();
        }
        fs::copy(path("demo/antipode.yaml"), path("checkout/lisbon.yaml")).unwrap();
        std::os::unix::fs::symlink(antipode(), path("bin/antipode")).unwrap();
        write_program(&path("bin/gh"), include_str!("gh"));
        write_program(&path("bin/curl"), include_str!("curl"));
        fs::write(path("state/comments.json"), "[]").unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a script in the checkout as the runners of both systems do.
    fn run(&self, script: &str, environment: &[(&str, &str)]) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let file = self.path("step.bash");
        fs::write(&file, script).unwrap();
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(file).current_dir(self.path("checkout"));
        bash.env("PATH", path).env("STATE", self.path("state")).env("SITE_FILE", "lisbon.yaml").env("NO_COLOR", "1");
        bash.env_remove("ANTIPODE_FILE").envs(environment.iter().copied()).output().unwrap()
    }

    /// The comments or notes that are there.
    fn comments(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("state/comments.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn write_comments(&self, comments: &Value) {
        fs::write(self.path("state/comments.json"), comments.to_string()).unwrap();
    }

    /// Keeps plan.json as the artifact of a run or job.
    fn keep_artifact(&self, id: &str) {
        fs::copy(self.path("checkout/plan.json"), self.path("state").join(format!("{id}.json"))).unwrap();
    }

    /// What `antipode plan` says of the site now.
    fn plan(&self) -> String {
        succeed(Command::new(antipode()).arg("plan").arg("-f").arg(self.path("checkout/lisbon.yaml")))
    }

    /// Brings the site up to date behind the pipeline's back.
    fn apply_by_hand(&self) {
        let file = self.path("checkout/lisbon.yaml");
        succeed(Command::new(antipode()).args(["apply", "--auto-approve", "-f"]).arg(file));
    }

    fn write_site_file(&self, change: impl Fn(&str) -> String) {
        let file: &Path = &self.path("checkout/lisbon.yaml");
        fs::write(file, change(&fs::read_to_string(file).unwrap())).unwrap();
    }
}

const MARKER: &str = "<!-- antipode: site lisbon -->";
const IN_SYNC: &str = "No changes.";
