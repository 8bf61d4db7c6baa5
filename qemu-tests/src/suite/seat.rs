//! Somebody before a PC, who reads its screen and types.

use super::session::{BOOT, Lab, SOON, Session};
use crate::engine::{Emulator, Subject};
use crate::machine::{Desk, Machine};
use crate::pc::Pc;
use anyhow::{Result, bail};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Somebody before a PC.
pub(super) struct Seat {
    pub(super) session: Session,
    subject: Subject,
    directory: PathBuf,
}

impl Seat {
    /// Switches the PC on. Under Monovisor, its prompt is in front, and tells the screen.
    pub(super) fn take(lab: &Lab, pc: &Pc) -> Result<Self> {
        Self::take_on(lab, &mut lab.machine(), pc)
    }

    /// The same on a machine of the case's own.
    pub(super) fn take_on(lab: &Lab, machine: &mut Machine, pc: &Pc) -> Result<Self> {
        let media: u64 = pc
            .media
            .iter()
            .filter_map(|(_, image)| fs::metadata(image).ok())
            .map(|metadata| metadata.len() >> 20)
            .sum();
        // The bundle, the copies of its media, the guest, and Monovisor with what it tracks.
        let needed = pc.memory_mib + 2 * u32::try_from(media)? + 128;
        machine.memory_mib = machine.memory_mib.max(needed);
        if let Emulator::Qemu(_) = lab.emulator() {
            machine.desk = Desk::Attended;
        }
        let mut session = lab.start_pc_on(machine, pc)?;
        if lab.subject() == Subject::Monovisor {
            session.console.expect("guest starts", BOOT)?;
            session.enter_prompt()?;
        }
        Ok(Self {
            session,
            subject: lab.subject(),
            directory: lab.directory().to_owned(),
        })
    }

    pub(super) fn screen(&mut self) -> Result<String> {
        match self.subject {
            Subject::Monovisor => self.session.screen(),
            Subject::Guest => self.session.console.desk()?.text(&self.directory),
        }
    }

    /// Waits until the screen shows what `wanted` finds on it, and keeps it; `what` says in words what that is.
    pub(super) fn until(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let limit = limit * self.session.console.slowness();
        let start = Instant::now();
        loop {
            let screen = self.screen()?;
            if wanted(&screen) {
                self.keep(&screen)?;
                return Ok(screen);
            }
            if start.elapsed() > limit {
                self.keep(&screen)?;
                bail!(
                    "the screen does not show {what} within {} s, but\n{screen}",
                    limit.as_secs()
                );
            }
            // A picture cannot be waited for, only looked at again.
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    pub(super) fn shows(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.until(&format!("{text:?}"), limit, |screen| screen.contains(text))
    }

    /// Presses a key, again and again, until the screen shows `text`.
    pub(super) fn until_pressing(&mut self, key: &str, text: &str) -> Result<()> {
        const TRIES: usize = 10;
        for _ in 1..TRIES {
            self.presses(key)?;
            if self.shows(text, Duration::from_secs(3)).is_ok() {
                return Ok(());
            }
        }
        self.presses(key)?;
        self.shows(text, SOON).map(drop)
    }

    /// The screen as text, and as a picture where somebody can take one.
    fn keep(&mut self, screen: &str) -> Result<()> {
        fs::write(self.directory.join("screen.txt"), screen)?;
        match self.session.console.desk() {
            Ok(desk) => desk.save_png(&self.directory.join("screen.png")),
            Err(_) => Ok(()),
        }
    }

    /// Whether there are keys.
    pub(super) fn has_keyboard(&mut self) -> bool {
        self.session.console.desk().is_ok()
    }

    pub(super) fn types(&mut self, text: &str) -> Result<()> {
        self.session.console.desk()?.type_text(text)
    }

    /// Presses a key, or several at once, as in `ctrl-b`.
    pub(super) fn presses(&mut self, keys: &str) -> Result<()> {
        let keys: Vec<_> = keys.split('-').collect();
        self.session.console.desk()?.press(&keys)
    }
}
