//! What can go wrong, each with the file and value that it is about.

use appliance::config::{BlobName, ConfigError};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why an appliance could not be packed.
#[derive(Debug)]
pub enum Error {
    /// A file could not be read.
    Read(PathBuf, io::Error),
    /// A file could not be written.
    Write(PathBuf, io::Error),
    /// A configuration has an error.
    Config(PathBuf, ConfigError),
    /// A file that a configuration names cannot be packed.
    Blob {
        /// The configuration.
        config: PathBuf,
        /// The key and the name.
        blob: Box<BlobName>,
        /// Why.
        problem: String,
    },
    /// There is no hypervisor image.
    NoImage(PathBuf),
    /// Programs that are needed are not installed; the text is the command that does it.
    MissingTools {
        /// What for, and which.
        missing: String,
        /// The line to run.
        install: String,
    },
    /// A program failed.
    Tool {
        /// Its name.
        name: &'static str,
        /// What it said last.
        said: String,
    },
}

impl Error {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Read(path.to_owned(), error)
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Write(path.to_owned(), error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Config(path, error) => write!(f, "{}, {error}", path.display()),
            Self::Blob {
                config,
                blob,
                problem,
            } => write!(
                f,
                "{}, {}: `{} = {}`: {problem}",
                config.display(),
                blob.place,
                blob.key,
                blob.name
            ),
            Self::NoImage(path) => write!(
                f,
                "no hypervisor at {}: build it with `cargo xtask build`, or name it with `--image`",
                path.display()
            ),
            Self::MissingTools { missing, install } => {
                write!(
                    f,
                    "an ISO image needs {missing}; install with:\n  {install}"
                )
            }
            Self::Tool { name, said } => write!(f, "{name} failed: {said}"),
        }
    }
}

impl std::error::Error for Error {}
