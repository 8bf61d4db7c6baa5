//! What the host sets up: geometry, transfer modes, data blocks, cache.

use super::geometry::Geometry;
use super::{Disk, MOST_MULTIPLE};
use crate::ide::bits::{device, feature};
use crate::ide::interface::Interface;
use crate::ide::modes::Modes;
use serde::{Deserialize, Serialize};

/// Whether a finished write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cache {
    /// After a flush.
    WriteBack,
    /// At once: each write is followed by a flush.
    WriteThrough,
}

/// What the host has set up. All of it survives a software reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) geometry: Geometry,
    /// Sectors in a data block of the MULTIPLE commands; 0: they are off.
    pub(super) multiple: u8,
    pub(super) modes: Modes,
    pub(super) cache: Cache,
}

impl Settings {
    pub(super) const POWER_ON: Self = Self {
        geometry: Geometry::DEFAULT,
        multiple: MOST_MULTIPLE,
        modes: Modes::POWER_ON,
        cache: Cache::WriteBack,
    };
}

impl Disk {
    pub(super) fn set_features(&mut self, interface: &mut Interface) {
        let task = &interface.task;
        match task.features.current {
            feature::WRITE_CACHE_ON => self.settings.cache = Cache::WriteBack,
            feature::WRITE_CACHE_OFF => {
                self.settings.cache = Cache::WriteThrough;
                // What is in the cache must not stay there (8.46.7).
                return self.flush(interface);
            }
            feature::TRANSFER_MODE => match self.settings.modes.select(task.count.current) {
                Some(modes) => self.settings.modes = modes,
                None => return interface.abort(),
            },
            harmless if feature::HARMLESS.contains(&harmless) => {}
            _ => return interface.abort(),
        }
        interface.complete();
    }

    pub(super) fn set_multiple(&mut self, interface: &mut Interface) {
        let sectors = interface.task.count.current;
        if sectors > MOST_MULTIPLE || !(sectors == 0 || sectors.is_power_of_two()) {
            return interface.abort();
        }
        self.settings.multiple = sectors;
        interface.complete();
    }

    pub(super) fn set_geometry(&mut self, interface: &mut Interface) {
        let last_head = interface.task.device & device::HEAD;
        match Geometry::from_registers(last_head, interface.task.count.current) {
            Some(geometry) => {
                self.settings.geometry = geometry;
                interface.complete();
            }
            None => interface.abort(),
        }
    }
}
