//! IDE: the PIIX3's function with two channels, hard disks and CD-ROM drives (ATA/ATAPI-6, SFF-8020i, MMC-3).
//!
//! [`Ide`] guarantees: every access ends after an amount of work that the host's request bounds; a disk's DMA transfer is
//! one call of the back end with a scatter list, and programmed I/O moves whole data blocks between drive and guest;
//! requests that a back end leaves pending go on with [`hvm::pci::Function::poll`].

mod bits;
mod buffer;
mod busmaster;
mod cdrom;
mod channel;
mod disk;
mod drive;
mod flight;
mod function;
mod identity;
mod interface;
mod modes;
mod taskfile;
#[cfg(test)]
pub(crate) mod tests;
mod unit;

pub use cdrom::Lock;
pub use drive::Drive;
pub use function::{Change, ChannelName, Ide, Position};
pub use taskfile::Register;
