//! The file into which an apply writes its events, beside the text for people.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::progress::Json;

/// A file that takes lines, and remembers what kept it from taking one.
pub struct EventsFile {
    path: PathBuf,
    state: Mutex<(File, Option<io::Error>)>,
}

impl EventsFile {
    /// An empty file; one that is there loses what it holds.
    pub fn create(path: &Path) -> Result<Arc<Self>, Error> {
        let file = File::create(path).map_err(|error| Self::unwritten(path, error))?;
        Ok(Arc::new(Self { path: path.to_owned(), state: Mutex::new((file, None)) }))
    }

    /// Tells programs in it.
    pub fn json(self: &Arc<Self>) -> Json {
        let file = Arc::clone(self);
        Json::by(move |line| file.add(line))
    }

    /// The error that a command ends with of which not everything was written.
    pub fn failure(&self) -> Option<Error> {
        // Nothing in here can panic half-way.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.take().map(|error| Self::unwritten(&self.path, error))
    }

    fn add(&self, line: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.1.is_none() {
            state.1 = state.0.write_all(line).err();
        }
    }

    fn unwritten(path: &Path, error: io::Error) -> Error {
        Error::io(format_args!("the events cannot be written to {}", path.display()), error)
    }
}
