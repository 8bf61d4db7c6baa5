//! The medium in its tray: what can be read, who may take it out, and what the host has yet to hear about it.

use super::bits::{BLOCK_SECTORS, CD_BLOCKS};
use super::sense::Sense;
use alloc::boxed::Box;
use hvm::backend::Block;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Tray {
    Open,
    Closed,
}

/// PREVENT ALLOW MEDIUM REMOVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lock {
    /// The medium can be taken out.
    Allowed,
    /// The host wants to be asked.
    Prevented,
}

/// What happened to the medium since the host last asked (MMC-3, table 80).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Event {
    None = 0,
    EjectRequest = 1,
    NewMedia = 2,
    MediaRemoval = 3,
}

/// What kind of disc an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disc {
    Cd,
    Dvd,
}

/// All but the medium itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    tray: Tray,
    lock: Lock,
    event: Event,
    /// A unit attention is due: the medium may have changed.
    changed: bool,
}

/// The bay.
pub(super) struct Bay {
    medium: Option<Box<dyn Block>>,
    state: State,
}

impl Bay {
    pub(super) fn new(medium: Option<Box<dyn Block>>) -> Self {
        Self {
            medium,
            state: State {
                tray: Tray::Closed,
                lock: Lock::Allowed,
                event: Event::None,
                changed: false,
            },
        }
    }

    /// Hardware reset: the lock opens.
    pub(super) fn reset(&mut self) {
        self.state.lock = Lock::Allowed;
    }

    pub(super) fn tray(&self) -> Tray {
        self.state.tray
    }

    pub(super) fn lock(&self) -> Lock {
        self.state.lock
    }

    pub(super) fn set_lock(&mut self, lock: Lock) {
        self.state.lock = lock;
    }

    /// The medium, if it is where it can be used.
    pub(super) fn loaded(&mut self) -> Result<&mut (dyn Block + 'static), Sense> {
        match (self.state.tray, &mut self.medium) {
            (Tray::Open, _) => Err(Sense::TRAY_OPEN),
            (Tray::Closed, None) => Err(Sense::TRAY_EMPTY),
            (Tray::Closed, Some(medium)) => Ok(medium.as_mut()),
        }
    }

    /// Whatever is in the tray, open or closed: its requests finish in either case.
    pub(super) fn medium(&mut self) -> Option<&mut (dyn Block + 'static)> {
        self.medium.as_deref_mut()
    }

    /// Whole blocks on the medium; an error if it cannot be read, or has none.
    pub(super) fn blocks(&mut self) -> Result<u32, Sense> {
        let blocks = self.loaded()?.sectors() / BLOCK_SECTORS;
        match u32::try_from(blocks).unwrap_or(u32::MAX) {
            0 => Err(Sense::INCOMPATIBLE_MEDIUM),
            blocks => Ok(blocks),
        }
    }

    pub(super) fn disc(&mut self) -> Result<Disc, Sense> {
        let blocks = self.blocks()?;
        Ok(if blocks <= CD_BLOCKS {
            Disc::Cd
        } else {
            Disc::Dvd
        })
    }

    /// Sectors of what is in the tray, to tell media apart.
    pub(super) fn sectors(&self) -> Option<u64> {
        self.medium.as_ref().map(|medium| medium.sectors())
    }

    /// True once if the medium may have changed.
    pub(super) fn take_change(&mut self) -> bool {
        core::mem::take(&mut self.state.changed)
    }

    /// The latest event, once.
    pub(super) fn take_event(&mut self) -> Event {
        core::mem::replace(&mut self.state.event, Event::None)
    }

    pub(super) fn set_event(&mut self, event: Event) {
        self.state.event = event;
    }

    pub(super) fn open(&mut self) {
        if self.state.tray == Tray::Closed {
            self.state.tray = Tray::Open;
            self.note(Event::MediaRemoval);
        }
    }

    pub(super) fn close(&mut self) {
        if self.state.tray == Tray::Open {
            self.state.tray = Tray::Closed;
            self.note_medium();
        }
    }

    /// Another medium is in the closed tray; returns the one before.
    pub(super) fn replace(&mut self, medium: Option<Box<dyn Block>>) -> Option<Box<dyn Block>> {
        let before = core::mem::replace(&mut self.medium, medium);
        self.state.tray = Tray::Closed;
        if self.medium.is_none() {
            self.note(Event::MediaRemoval);
        }
        self.note_medium();
        before
    }

    fn note_medium(&mut self) {
        if self.medium.is_some() {
            self.state.changed = true;
            self.note(Event::NewMedia);
        }
    }

    fn note(&mut self, event: Event) {
        let present = self.medium.is_some() || event == Event::MediaRemoval;
        if present {
            self.state.event = event;
        }
    }

    pub(super) fn save(&self) -> State {
        self.state
    }

    pub(super) fn restore(&mut self, state: State) {
        self.state = state;
    }
}
