//! The function as drivers use it: from ATA/ATAPI-6, MMC-3 and the bus master's programming interface.

mod cdrom;
mod channel;
mod disk;
mod dma;
mod machine;
mod media;
pub(crate) mod medium;
mod packets;
mod random;
