//! Finding and reading the site file.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use crate::cli::SiteFile;
use crate::diag::{Diagnostic, Diagnostics, Span};
use crate::error::{Error, Kind};
use crate::plan;
use crate::site::model::Group;
use crate::site::{self, LineNumbers, Loaded, Quotes, Site};
use crate::store::Readers;

use super::terminal::{self, Terminal};

/// What a site file is called unless it is named.
pub const DEFAULT: &str = "antipode.yaml";

/// A site file as it was found.
#[derive(Clone)]
pub struct Source {
    /// What the person calls it.
    pub name: String,
    text: String,
    /// What kept it from being read as text.
    unreadable: Option<Diagnostic>,
}

impl Source {
    /// Whether it is the same text.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.text == other.text && self.unreadable.is_some() == other.unreadable.is_some()
    }

    /// What it says, or every mistake in it.
    pub fn load(&self) -> Result<Loaded, Diagnostics> {
        match &self.unreadable {
            Some(mistake) => Err(Diagnostics::new(&self.name, vec![mistake.clone()])),
            None => site::load(&self.name, &self.text, env::home_dir().as_deref()).map(|loaded| self.placed(loaded)),
        }
    }

    /// The same with the path by which a run of another site would find it.
    fn placed(&self, mut loaded: Loaded) -> Loaded {
        if let Ok(path) = fs::canonicalize(&self.name) {
            loaded.site.file = path.display().to_string();
        }
        loaded
    }

    /// What it declares; its mistakes go to stderr as they are.
    pub fn declared(self, terminal: &Terminal) -> Result<Declared, Error> {
        match self.load() {
            Ok(Loaded { site, lines }) => {
                keep_from_others(&site);
                Ok(Declared { site, lines, source: self })
            }
            Err(mistakes) => Err(self.refuse(&mistakes, terminal)),
        }
    }

    /// Shows the mistakes on stderr; the error that is left to say counts them.
    pub fn refuse(&self, mistakes: &Diagnostics, terminal: &Terminal) -> Error {
        let width = usize::from(terminal::width_on_stderr().unwrap_or(100));
        terminal::tell(&mistakes.render(&self.text, terminal.colour_on_stderr(), width));
        let count = mistakes.list().len();
        let what = if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") };
        Error::new(Kind::Invalid, format!("{} has {what}", self.name))
    }
}

/// From now on nothing that this program makes is for more users than the catalog is, whatever umask it was started with.
fn keep_from_others(site: &Site) {
    let readers = match site.catalog.group {
        Group::None => Readers::Owner,
        Group::Read => Readers::Group,
    };
    rustix::process::umask(Mode::from_raw_mode(readers.umask()));
}

/// Finds and reads the site file.
pub fn read(arguments: &SiteFile) -> Result<Source, Error> {
    let path = find(arguments)?;
    let bytes = read_bounded(&path).map_err(|error| {
        Error::io(format_args!("cannot read the site file {}", path.display()), error)
            .hint("name it with -f FILE or ANTIPODE_FILE")
    })?;
    let name = path.display().to_string();
    if bytes.len() as u64 > LONGEST {
        let message = format!("{name} has more than {} MiB and is no site file", LONGEST >> 20);
        return Err(Error::new(Kind::Invalid, message).hint("name the site file with -f FILE or ANTIPODE_FILE"));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Source { name, text, unreadable: None },
        Err(error) => {
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Source { name, unreadable: Some(not_utf8(&text, error.utf8_error().valid_up_to())), text }
        }
    })
}

/// More than a site of ten thousand replicas says.
const LONGEST: u64 = 8 << 20;

/// The content of a file, and of one that is too long the first byte more. It may be a pipe.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A site file that holds what it should.
pub struct Declared {
    /// What it declares.
    pub site: Site,
    lines: LineNumbers,
    source: Source,
}

impl Declared {
    /// The file to quote from.
    pub fn quotes(&self) -> Quotes<'_> {
        Quotes { name: &self.source.name, text: &self.source.text, lines: &self.lines }
    }

    /// The file, without what it declares.
    pub fn into_source(self) -> Source {
        self.source
    }

    /// The file's name and digest, for a plan that is made from it.
    pub fn identity(&self) -> plan::saved::SiteFile {
        plan::saved::SiteFile::new(self.source.name.clone(), self.source.text.as_bytes())
    }
}

/// Reads the site file for what it declares; its mistakes go to stderr as they are.
pub fn load(arguments: &SiteFile, terminal: &Terminal) -> Result<Site, Error> {
    declared(arguments, terminal).map(|declared| declared.site)
}

/// The same, with the file to quote from.
pub fn declared(arguments: &SiteFile, terminal: &Terminal) -> Result<Declared, Error> {
    read(arguments)?.declared(terminal)
}

/// What is wrong with a file whose bytes are not UTF-8 from an offset on; there the text has a replacement character.
fn not_utf8(text: &str, offset: usize) -> Diagnostic {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let span = Span { line, column, offset, length: char::REPLACEMENT_CHARACTER.len_utf8() };
    Diagnostic::error("encoding", "the file is not UTF-8")
        .at("", span)
        .label("not a character in UTF-8")
        .help("save it as UTF-8: `iconv -f latin1 -t utf-8` turns Latin-1 into it")
}

/// `-f`, then `./antipode.yaml`, then what the environment names.
fn find(arguments: &SiteFile) -> Result<PathBuf, Error> {
    if let Some(path) = &arguments.file {
        return Ok(path.clone());
    }
    if Path::new(DEFAULT).exists() {
        return Ok(PathBuf::from(DEFAULT));
    }
    env::var_os("ANTIPODE_FILE").filter(|path| !path.is_empty()).map(PathBuf::from).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("there is no {DEFAULT} in this directory"))
            .hint("name the site file with -f FILE or ANTIPODE_FILE; `antipode init` writes a first one")
    })
}
