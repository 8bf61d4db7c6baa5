//! A directory for one `cargo xtask run`: several may be under way in a tree.

use anyhow::{Context, Result};
use qemu_tests::turn::Turn;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What is still wanted when the machine has ended: COM2's frames, and what emulators say.
const LOGS: [&str; 3] = ["defmt.bin", "bochs.log", "emulator.log"];

/// The directory, of which only logs are left when it is dropped.
pub struct Directory {
    path: PathBuf,
    _turn: Turn,
}

impl Directory {
    /// The first of those numbered below `place` that no other run has. It is empty: a run that was killed could not clear it away.
    pub fn take(place: &Path) -> Result<Self> {
        let mut paths = (0_u32..).map(|number| place.join(number.to_string()));
        let (path, turn) = paths
            .find_map(|path| match Turn::try_take_directory(&path) {
                Ok(turn) => turn.map(|turn| Ok((path, turn))),
                Err(error) => Some(Err(error)),
            })
            .context("other runs have all directories")??;
        let failed = || format!("cannot empty {}", path.display());
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(failed)?,
            _ => fs::create_dir_all(&path).with_context(failed)?,
        }
        Ok(Self { path, _turn: turn })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes all but the logs.
    fn clear(&self) -> std::io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if LOGS.iter().any(|log| entry.file_name() == *log) {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("cannot clear {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_directories_of_their_own_and_leave_logs() {
        let place = std::env::temp_dir().join(format!("runs-{}", std::process::id()));
        let first = Directory::take(&place).unwrap();
        let second = Directory::take(&place).unwrap();
        assert_eq!(first.path(), place.join("0"));
        assert_eq!(second.path(), place.join("1"));
        let [bundle, log] = ["bundle.cpio", "defmt.bin"].map(|name| first.path().join(name));
        fs::write(&bundle, "bundle").unwrap();
        fs::write(&log, "frames").unwrap();
        fs::create_dir_all(first.path().join("iso/boot")).unwrap();
        drop(first);
        let left = fs::read_dir(place.join("0")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [log]);
        // As if it had been killed.
        fs::write(&bundle, "bundle").unwrap();
        let third = Directory::take(&place).unwrap();
        assert_eq!(third.path(), place.join("0"));
        assert_eq!(fs::read_dir(third.path()).unwrap().count(), 0);
        drop((second, third));
        fs::remove_dir_all(place).unwrap();
    }
}
