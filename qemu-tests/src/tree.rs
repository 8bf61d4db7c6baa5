//! Where things lie in the source tree and in its `target` directory.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's root directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies one level below the workspace root")
}

/// Where finished artifacts go: the image and the kernel's ELF.
pub fn artifacts() -> PathBuf {
    root().join("target/monovisor")
}

/// The bootable file.
pub fn image() -> PathBuf {
    artifacts().join("monovisor")
}

/// Where each `cargo xtask run` has its media and leaves its logs.
pub fn runs() -> PathBuf {
    root().join("target/run")
}

/// Where fetched packages and built guests are kept between runs.
pub fn guests() -> PathBuf {
    root().join("target/guests")
}

/// Where each end-to-end test keeps its logs.
pub fn e2e() -> PathBuf {
    root().join("target/e2e")
}

/// Writes the file `path` in one step: who reads it meanwhile, for a run beside this one, finds the old content or the new.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, content)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
