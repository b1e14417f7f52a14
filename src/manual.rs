//! The manual pages, made from the command line's own types: one for the program, one for each command.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::Cli;

/// What the exit codes say, for every command.
const EXIT_CODES: [(&str, &str); 6] = [
    ("0", "Done, or nothing to do."),
    ("1", "An error, also one of usage. With several primaries, what could be planned or applied was."),
    ("2", "plan --detailed-exitcode, and there are changes; or status, and an objective is missed."),
    ("3", "The catalog or a server is locked by another process, which is named."),
    ("4", "An apply finished with part of the work failed."),
    ("130, 143", "Interrupted by Ctrl-C, or by SIGTERM."),
];

/// The day of the last change of substance to the pages; a page without one would not be the same bytes each time.
const DATE: &str = "2026-11-22";

/// The first line of each page, by which a page is known that may be replaced.
pub const MARK: &str = ".\\\" Made by `antipode man`; it writes over changes.\n";

/// How roff is told what an apostrophe is. clap_mangen says it before every section.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// A manual page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The name of its file, for example `antipode-plan.1`.
    pub file: String,
    /// The page in roff.
    pub text: String,
}

/// Every page, the program's own first.
pub fn pages() -> Vec<Page> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands = program.get_subcommands().filter(|command| !command.is_hide_set());
    std::iter::once(&program).chain(commands).map(page).collect()
}

fn page(command: &Command) -> Page {
    let man = Man::new(command.clone())
        .source(concat!("antipode ", env!("CARGO_PKG_VERSION")))
        .manual("Antipode")
        .date(DATE)
        .title(name(command).to_uppercase());
    let mut text = Vec::new();
    // Writing to a Vec cannot fail.
    let _ = man
        .render_title(&mut text)
        .and_then(|()| man.render_name_section(&mut text))
        .and_then(|()| man.render_synopsis_section(&mut text))
        .and_then(|()| man.render_description_section(&mut text))
        .and_then(|()| man.render_options_section(&mut text))
        .and_then(|()| if command.has_subcommands() { man.render_subcommands_section(&mut text) } else { Ok(()) })
        .and_then(|()| closing_sections(command).to_writer(&mut text));
    let text = String::from_utf8_lossy(&text).replace(PREAMBLE, "").replace(".br\n\n.br\n", ".sp\n");
    Page { file: man.get_filename(), text: format!("{MARK}{PREAMBLE}{text}") }
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// What clap's own pages would run together into one paragraph, or leave out.
fn closing_sections(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let examples = examples(command);
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
        literal(&mut roff, examples.iter().map(String::as_str));
    }
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        roff.control("TP", ["8"]);
        roff.text([roman(code)]).text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    roff.control("TP", ["8"]);
    roff.text([roman("antipode.yaml")]);
    roff.text([roman("The site file, unless -f or ANTIPODE_FILE names another; `antipode schema` describes it.")]);
    roff.control("SH", ["SEE ALSO"]);
    let others = if command.has_subcommands() { "barman(1), barman(5)" } else { "antipode(1), barman(1), barman(5)" };
    roff.text([roman(others)]);
    roff
}

/// Lines that are shown as they are, a step to the right.
fn literal<'a>(roff: &mut Roff, lines: impl Iterator<Item = &'a str>) {
    roff.control("RS", ["4"]).control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []).control("RE", []);
}

/// The command lines of a command's help, each as a shell takes it.
pub fn examples(command: &Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = help.strip_prefix("Examples:\n").unwrap_or_default();
    examples.lines().map(|line| line.trim().to_owned()).take_while(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_the_program_one() {
        let pages = pages();
        assert_eq!(pages[0].file, "antipode.1");
        let shown = Cli::command().get_subcommands().filter(|command| !command.is_hide_set()).count();
        assert_eq!(pages.len(), shown + 1);
        assert!(pages.iter().any(|page| page.file == "antipode-barman-conf.1"));
    }

    #[test]
    fn a_page_keeps_each_example_on_a_line_of_its_own() {
        let pages = pages();
        let plan = pages.iter().find(|page| page.file == "antipode-plan.1").unwrap();
        assert!(plan.text.contains(".SH EXAMPLES\n.RS 4\n.nf\n"), "{}", plan.text);
        assert!(plan.text.contains("\nantipode plan\n"), "{}", plan.text);
    }

    #[test]
    fn every_command_says_more_than_one_line_and_has_an_example() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(long.len() > 200, "{}: {long}", command.get_name());
            assert!(!examples(command).is_empty(), "{}", command.get_name());
        }
    }
}
