//! A user's own firmware, built for QEMU's `pc` machine (SeaBIOS, OVMF): what its image is, and what it is told about the machine.

mod boot_order;
mod cmos;
mod image;
mod items;

pub use boot_order::{BootPath, OrderedBy};
pub use cmos::cmos;
pub use image::{Flash, Image, ImageError, SLOT_BYTES};
pub use items::{Facts, Key, items};
