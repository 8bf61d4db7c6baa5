//! The life of the function: reset, pause, saved state.

use super::interrupts::SavedInterrupts;
use super::{Activity, Selectors, Transport};
use crate::endpoint::SavedEndpoint;
use alloc::format;
use alloc::vec::Vec;
use hvm::device::{Lifecycle, RestoreError};
use serde::{Deserialize, Serialize};

/// Version of [`Saved`].
const VERSION: u16 = 1;

/// The state of a function.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u16,
    config: Vec<u8>,
    interrupts: SavedInterrupts,
    selectors: Selectors,
    endpoint: SavedEndpoint,
}

impl Lifecycle for Transport {
    fn kind(&self) -> &'static str {
        self.endpoint.device().kind()
    }

    fn reset(&mut self) {
        self.config.reset();
        self.interrupts.msix.reset();
        self.interrupts.reset();
        self.selectors = Selectors::default();
        self.endpoint.reset();
    }

    fn pause(&mut self) {
        self.activity = Activity::Paused;
    }

    /// What was kicked meanwhile is served by the next `poll`.
    fn resume(&mut self) {
        self.activity = Activity::Running;
    }

    fn save(&self) -> Vec<u8> {
        let saved = Saved {
            version: VERSION,
            config: self.config.save(),
            interrupts: self.interrupts.save(),
            selectors: self.selectors,
            endpoint: self.endpoint.save(),
        };
        postcard::to_allocvec(&saved).expect("writing to memory does not fail")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let kind = self.kind();
        let saved: Saved = postcard::from_bytes(saved)
            .map_err(|error| RestoreError(format!("{kind}: unreadable state: {error}")))?;
        if saved.version != VERSION {
            return Err(RestoreError(format!(
                "{kind}: found state version {}, want {VERSION}",
                saved.version
            )));
        }
        let mut config = self.config.clone();
        config.restore(&saved.config)?;
        let interrupts = self.interrupts.resumed(saved.interrupts)?;
        self.endpoint.restore(&saved.endpoint)?;
        self.config = config;
        self.interrupts = interrupts;
        self.selectors = saved.selectors;
        Ok(())
    }
}
