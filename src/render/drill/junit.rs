//! What drills came to, as JUnit's XML: a suite for each drill, a case for each step.

use maud::{Markup, PreEscaped, html};

use crate::barman::drill::{Drill, Step, Verdict};

/// All drills in one document. What could not be run is an error there, and what there was nothing to try of is skipped.
pub fn junit(drills: &[Drill]) -> String {
    let suites = html! {
        testsuites name="antipode drill" {
            @for drill in drills { (suite(drill)) }
        }
    };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", suites.into_string())
}

fn suite(drill: &Drill) -> Markup {
    let of = |verdict| drill.steps.iter().filter(|step| step.verdict == verdict).count();
    html! {
        testsuite
            name={ (drill.site) "/" (drill.replica) } timestamp=(drill.began) hostname=(drill.host)
            tests=(drill.steps.len()) failures=(of(Some(Verdict::Disproved))) errors=(of(Some(Verdict::NotRun)))
            skipped=(of(None)) time=(seconds(drill.milliseconds)) {
            @for step in &drill.steps { (case(drill, step)) }
        }
    }
}

fn case(drill: &Drill, step: &Step) -> Markup {
    let name = format!("antipode.drill.{}", drill.replica);
    html! {
        testcase classname=(name) name=(step.what.words()) time=(seconds(step.milliseconds)) {
            @match step.verdict {
                Some(Verdict::Proved) => system-out { (step.told) },
                Some(Verdict::Disproved) => failure message=(step.told) {},
                Some(Verdict::NotRun) => error message=(step.told) {},
                None => skipped message=(step.told) {},
            }
        }
    }
}

fn seconds(milliseconds: u64) -> PreEscaped<String> {
    PreEscaped(format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000))
}
