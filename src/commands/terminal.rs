//! The edges of the program: stdout and stderr, with colour or without, how wide, and what is told on stderr.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{Color, Global, TextOrJson};
use crate::error::{Error, Exit};
use crate::progress;
pub use crate::progress::tell;
use crate::site::Site;
use crate::transport::{Teller, doubt_of_rsync};
use crate::{render, stdout};

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const BOLD: Style = Style::new().bold();

/// What is known of where the output goes.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    color: Color,
    /// How often `-v` was given.
    pub verbose: u8,
    /// Whether `-q` was given.
    pub quiet: bool,
    log_format: TextOrJson,
}

impl Default for Terminal {
    /// As nothing on the command line says.
    fn default() -> Self {
        Self { color: Color::Auto, verbose: 0, quiet: false, log_format: TextOrJson::Text }
    }
}

impl Terminal {
    /// The terminal of this process, as the command line wants it used.
    pub fn new(global: &Global) -> Self {
        Self { color: global.color, verbose: global.verbose, quiet: global.quiet, log_format: global.log_format }
    }

    /// Sends the log to stderr; without `-v` only what RUST_LOG asks for.
    pub fn start_log(self) {
        let level = match self.verbose {
            0 => "off",
            1 => "antipode=info",
            _ => "antipode=debug",
        };
        let asked = env::var("RUST_LOG").ok().filter(|asked| !asked.is_empty());
        let asked = asked.and_then(|asked| asked.parse::<Targets>().ok());
        // Each level is one that is understood.
        let filter = asked.or_else(|| level.parse().ok()).unwrap_or_default();
        let log = tracing_subscriber::fmt::layer().with_writer(|| Log);
        let log = match self.log_format {
            TextOrJson::Text => log.with_ansi(self.colour_on_stderr()).without_time().boxed(),
            TextOrJson::Json => log.json().flatten_event(true).boxed(),
        };
        // Only a second subscriber can be refused, and there is none.
        let _ = tracing_subscriber::registry().with(log.with_filter(filter)).try_init();
    }

    /// The same for a question: who answers it must see what it is about.
    #[must_use]
    pub fn aloud(self) -> Self {
        Self { quiet: false, ..self }
    }

    /// The same where only what went wrong is told.
    #[must_use]
    pub fn silent(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// How a plan is laid out on stdout.
    pub fn style(self) -> render::Style {
        render::Style { colour: self.colour(), width: width(), verbose: self.verbose > 0 }
    }

    /// Whether stdout takes colour.
    pub fn colour(self) -> bool {
        self.wants_colour(&stdout::handle())
    }

    /// Whether stderr takes colour.
    pub fn colour_on_stderr(self) -> bool {
        self.wants_colour(&io::stderr())
    }

    fn wants_colour(self, stream: &impl anstream::stream::RawStream) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never,
        }
    }

    /// Tells an error, and how the command ends because of it. The log has what lies behind it.
    pub fn error(self, error: &Error) -> Exit {
        self.tell_of(&self.styled("Error", RED), &error.message, error);
        let mut behind = std::error::Error::source(error);
        while let Some(source) = behind {
            tracing::info!(kind = error.kind.label(), "{source}");
            behind = source.source();
        }
        error.kind.exit()
    }

    /// Tells what will be an error for whoever goes on to apply.
    pub fn warn_of_apply(self, error: &Error) {
        self.tell_of(&self.styled("Warning", YELLOW), &format!("an apply is refused: {}", error.message), error);
    }

    /// Tells what went wrong beside the work that a command is there for.
    pub fn warn(self, error: &Error) {
        progress::above(|| self.tell_of(&self.styled("Warning", YELLOW), &error.message, error));
    }

    /// Tells what is to be known of the rsync that receives; with `-q` nothing, as nothing went wrong.
    pub async fn warn_of_rsync(self, site: &Site) {
        if self.quiet {
            return;
        }
        if let Some(doubt) = doubt_of_rsync(site.primaries.values()).await {
            self.warn(&doubt);
        }
    }

    fn tell_of(self, label: &str, message: &str, error: &Error) {
        let mut text = format!("{label}: {message}\n");
        if let Some(hint) = &error.hint {
            text.push_str(&format!("  {}: {hint}\n", self.styled("hint", BOLD)));
        }
        tell(&text);
    }

    fn styled(self, text: &str, style: Style) -> String {
        if self.colour_on_stderr() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Where the log goes.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::write_above(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether stderr is a terminal that can be drawn on.
pub fn shows_progress() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|name| name != "dumb")
}

/// Columns of stdout: what COLUMNS says, else what the terminal says, else unknown.
pub fn width() -> Option<u16> {
    width_of(stdout::handle())
}

/// Columns of stderr, in the same way.
pub fn width_on_stderr() -> Option<u16> {
    width_of(io::stderr())
}

fn width_of(stream: impl std::os::fd::AsFd) -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|columns| *columns > 0);
    columns.or_else(|| rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_col)).filter(|w| *w > 0)
}

/// Whether stdout is a terminal that can be drawn on.
pub fn can_be_drawn_on() -> bool {
    rustix::termios::isatty(stdout::handle()) && std::env::var_os("TERM").is_some_and(|name| name != "dumb")
}

/// Lines of stdout, where it is a terminal that says so.
pub fn rows() -> Option<u16> {
    rustix::termios::tcgetwinsize(stdout::handle()).ok().map(|size| size.ws_row).filter(|rows| *rows > 0)
}

/// Tells whoever watches which line is waited for.
pub fn told() -> Teller {
    Arc::new(|primary, error, wait| {
        tracing::info!(primary, "{error}");
        if shows_progress() {
            tell(&format!("{error}; {}\n", progress::waiting(primary, wait)));
        }
    })
}
