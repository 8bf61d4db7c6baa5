//! What the services keep beside guest memory, as saved state.

use super::Bios;
use super::boot::Stage;
use super::int13::drives::Emulation;
use super::int15::Connection;
use super::network::Network;
use alloc::format;
use alloc::vec::Vec;
use hvm::Instant;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

const VERSION: u16 = 3;

#[derive(Serialize, Deserialize)]
struct Saved {
    emulation: Option<Emulation>,
    next_device: u32,
    stage: Stage,
    apm: Connection,
    waiting_until: Option<Instant>,
    network: Network,
}

/// The drives, the boot order and what was logged belong to the machine and stay.
impl Lifecycle for Bios {
    fn kind(&self) -> &'static str {
        "bios"
    }

    fn reset(&mut self) {
        self.emulation = None;
        self.next_device = 0;
        self.stage = Stage::default();
        self.apm = Connection::default();
        self.waiting_until = None;
        self.network = Network::default();
    }

    fn save(&self) -> Vec<u8> {
        let saved = Saved {
            emulation: self.emulation,
            next_device: self.next_device as u32,
            stage: self.stage,
            apm: self.apm,
            waiting_until: self.waiting_until,
            network: self.network.clone(),
        };
        // A record of numbers always serializes; should it not, the empty payload is refused.
        postcard::to_allocvec(&(VERSION, saved)).unwrap_or_default()
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let bad = |error| RestoreError(format!("bios: the saved state does not decode: {error}"));
        let (version, rest) = postcard::take_from_bytes::<u16>(saved).map_err(bad)?;
        if version != VERSION {
            return Err(RestoreError(format!(
                "bios: found saved state of version {version}, this build reads version {VERSION}"
            )));
        }
        let (state, rest) = postcard::take_from_bytes::<Saved>(rest).map_err(bad)?;
        if !rest.is_empty() {
            return Err(RestoreError(format!(
                "bios: {} bytes follow the saved state",
                rest.len()
            )));
        }
        if let Some(emulation) = &state.emulation
            && !emulation.is_plausible(self.drives)
        {
            return Err(RestoreError(
                "bios: the saved state emulates a drive that this machine does not have".into(),
            ));
        }
        self.emulation = state.emulation;
        self.next_device = state.next_device as usize;
        self.stage = state.stage;
        self.apm = state.apm;
        self.waiting_until = state.waiting_until;
        self.network = state.network;
        Ok(())
    }
}
