//! Turns at what all runs in a tree share: making the image, guests' programs and packages, and the directories of cases and of the bench. One
//! thread of one process has it, and others wait.

use crate::tree;
use anyhow::{Context, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Somebody's turn, until it is dropped. The lock ends with its holder, however that ends.
#[derive(Debug)]
pub struct Turn {
    _held: File,
}

impl Turn {
    /// Waits for the turn at making things, and says so where another process has it. Whoever has it must not ask for another.
    pub fn take() -> Result<Self> {
        let place = tree::root().join("target/building");
        Self::take_for(&place, "builds in this tree")
    }

    /// The same for a directory, by a file beside it; who has it `does` this.
    pub fn take_directory(directory: &Path, does: &str) -> Result<Self> {
        Self::take_for(&beside(directory), does)
    }

    /// The same, but nobody waits: nothing if somebody has it.
    pub fn try_take_directory(directory: &Path) -> Result<Option<Self>> {
        let place = beside(directory);
        let file = open(&place)?;
        match file.try_lock() {
            Ok(()) => Self::of(file, &place).map(Some),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| failed(&place)),
        }
    }

    fn take_for(place: &Path, does: &str) -> Result<Self> {
        Self::take_at(place, &|holder| {
            eprintln!("waiting for another xtask{holder}, which {does}…");
        })
    }

    fn take_at(place: &Path, say_waiting: &dyn Fn(&str)) -> Result<Self> {
        let file = open(place)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // It writes its number just behind taking the lock.
                let own = std::process::id().to_string();
                match fs::read_to_string(place).unwrap_or_default().trim() {
                    pid if pid == own => {}
                    "" => say_waiting(""),
                    pid => say_waiting(&format!(" (pid {pid})")),
                }
                file.lock().with_context(|| failed(place))?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| failed(place)),
        }
        Self::of(file, place)
    }

    /// That of the file's lock, which is had.
    fn of(mut file: File, place: &Path) -> Result<Self> {
        let own = std::process::id().to_string();
        file.set_len(0)
            .and_then(|()| file.write_all(own.as_bytes()))
            .with_context(|| failed(place))?;
        Ok(Self { _held: file })
    }
}

fn beside(directory: &Path) -> PathBuf {
    let mut place = directory.as_os_str().to_owned();
    place.push(".lock");
    place.into()
}

fn open(place: &Path) -> Result<File> {
    let directory = place.parent().unwrap_or(tree::root());
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(place)
        .with_context(|| failed(place))
}

fn failed(place: &Path) -> String {
    format!("cannot lock {}", place.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("turn-{name}-{}", std::process::id()))
    }

    #[test]
    fn threads_take_turns_without_a_word() {
        let place = scratch("threads");
        let (inside, turns) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let turn = Turn::take_at(&place, &|holder| {
                            assert_eq!(holder, "", "nobody else is here");
                        });
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        turns.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(turn.unwrap());
                    }
                });
            }
        });
        assert_eq!(turns.into_inner(), 200);
        fs::remove_file(place).unwrap();
    }

    #[test]
    fn who_does_not_want_to_wait_need_not() {
        let directory = scratch("directory");
        let held = Turn::try_take_directory(&directory).unwrap();
        assert!(held.is_some());
        assert!(Turn::try_take_directory(&directory).unwrap().is_none());
        drop(held);
        assert!(Turn::try_take_directory(&directory).unwrap().is_some());
        fs::remove_file(beside(&directory)).unwrap();
    }

    #[test]
    fn another_process_is_named_and_waited_for_until_it_is_killed() {
        let place = scratch("processes");
        let script = format!(
            "exec 9>>{}; flock 9; echo $$ >&9; echo ready; read end",
            place.display()
        );
        let mut holder = command::dependent("bash")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = holder.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let pid = holder.id();
        let (heard, holder) = (Mutex::new(String::new()), Mutex::new(holder));
        let turn = Turn::take_at(&place, &|holder_is| {
            holder_is.clone_into(&mut heard.lock().unwrap());
            holder.lock().unwrap().kill().unwrap();
        });
        assert_eq!(heard.into_inner().unwrap(), format!(" (pid {pid})"));
        assert_eq!(
            fs::read_to_string(&place).unwrap(),
            std::process::id().to_string()
        );
        drop(turn.unwrap());
        holder.into_inner().unwrap().wait().unwrap();
        fs::remove_file(place).unwrap();
    }
}
