//! `antipode plan`: what would change at the site, and why; and `antipode show`, which prints what an earlier one saved.

use crate::cli::{self, Format, View};
use crate::cycle::Session;
use crate::error::{Error, Exit};
use crate::plan::Plan;
use crate::plan::saved::SavedPlan;
use crate::plan_file;
use crate::render::{self, Form, Whys};
use crate::stdout;
use crate::store::home;

use super::interrupt::Interrupt;
use super::terminal::{self, Terminal};
use super::{complete, explain, saved_plan, scope, source};

/// Runs the command.
pub async fn run(arguments: &cli::Plan, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let declared = source::declared(&arguments.site, terminal)?;
    let part = scope::asked_for(&arguments.scope)?;
    let mut session = Session::open(&declared.site, &interrupt.token, terminal::told()).await;
    session.refresh = arguments.scope.refresh;
    let accepted = &arguments.consent.accepted;
    let planned = match session.accept(accepted) {
        Ok(()) => session.plan(&part).await,
        Err(error) => Err(error),
    };
    let planned = planned.and_then(|planned| {
        planned.plan.check_accepted(accepted)?;
        Ok(planned)
    });
    let whys = match &planned {
        Ok(planned) if terminal.verbose > 0 => explain::whys(&declared, &session, planned),
        _ => Whys::default(),
    };
    // What a plan relies on is only worked out for one that is written down.
    let is_document = arguments.output.is_some() || arguments.view.format == Format::Json;
    let to_save = planned.as_ref().ok().filter(|_| is_document);
    let to_save = to_save.map(|planned| session.to_save(planned, declared.identity()));
    let unresolved = session.unresolved.clone();
    session.close().await;
    let planned = planned?;
    let is_for_people = arguments.view.format == Format::Human && !terminal.quiet;
    let windows = is_for_people.then(|| render::windows(&declared.site, &planned.plan, planned.now));
    let plan = planned.plan;
    complete::remember(&plan);
    match &to_save {
        Some(saved) => show_saved(saved, &arguments.view, terminal, &whys)?,
        None => print(&plan, form(&arguments.view, terminal), &whys, terminal),
    }
    for note in windows.iter().flatten() {
        terminal::tell(&format!("Note: {note}.\n"));
    }
    for error in &unresolved {
        terminal.error(error);
    }
    if let Err(refused) = home::check(&declared.site.catalog.path) {
        terminal.warn_of_apply(&refused.into());
    }
    terminal.warn_of_rsync(&declared.site).await;
    if let (Some(file), Some(to_save)) = (&arguments.output, &to_save) {
        saved_plan::save(to_save, file, &arguments.site, terminal)?;
    }
    Ok(if plan.is_blocked() || !unresolved.is_empty() {
        Exit::Error
    } else if arguments.detailed_exitcode && !plan.is_empty() {
        Exit::Changes
    } else {
        Exit::Done
    })
}

/// Runs `show`: prints a saved plan as `plan` would have printed it.
pub fn show_file(arguments: &cli::Show, terminal: &Terminal) -> Result<Exit, Error> {
    let saved = saved_plan::read(&arguments.plan)?;
    show_saved(&saved, &arguments.view, terminal, &Whys::default())?;
    Ok(Exit::Done)
}

/// Prints a plan for people; with `-q` only what is wrong with it and what it comes to.
pub fn show(plan: &Plan, terminal: &Terminal) {
    print(plan, Form::Human(terminal.style()), &Whys::default(), terminal);
}

fn print(plan: &Plan, form: Form, whys: &Whys, terminal: &Terminal) {
    let text = match form {
        Form::Human(style) if terminal.quiet => render::quiet(plan, style),
        form => render::plan(plan, form, whys),
    };
    stdout::print(&text);
}

/// Prints a plan that is or will be saved, as it was asked for.
pub fn show_saved(saved: &SavedPlan, view: &View, terminal: &Terminal, whys: &Whys) -> Result<(), Error> {
    if view.format == Format::Json {
        let text = plan_file::write(saved)?;
        stdout::print(&text);
    } else {
        print(&saved.plan, form(view, terminal), whys, terminal);
    }
    Ok(())
}

/// The text form that a plan is asked for in.
fn form(view: &View, terminal: &Terminal) -> Form {
    match view.format {
        Format::Human | Format::Json => Form::Human(terminal.style()),
        Format::Markdown => Form::Markdown { max_chars: view.max_chars, verbose: terminal.verbose > 0 },
        Format::Dot => Form::Dot,
        Format::Mermaid => Form::Mermaid,
    }
}
