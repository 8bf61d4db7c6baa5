//! What to boot from, in the words of firmware: Open Firmware paths for `bootorder`, and two bytes of CMOS RAM.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A drive by its place in the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootPath {
    /// Floppy 0 or 1.
    Floppy(u8),
    /// On the IDE function: its channel, and the drive on it.
    Ide(u8, u8),
    /// A virtio disk in a PCI slot.
    Virtio(u8),
}

impl BootPath {
    /// Devices above the drive as QEMU names them (IEEE 1275 device paths of its `pc` machine).
    fn path(self) -> String {
        match self {
            Self::Floppy(index) => format!("/pci@i0cf8/isa@1/fdc@03f0/floppy@{index}"),
            Self::Ide(channel, drive) => {
                format!("/pci@i0cf8/ide@1,1/drive@{channel}/disk@{drive}")
            }
            Self::Virtio(slot) => format!("/pci@i0cf8/scsi@{slot:x}/disk@0,0"),
        }
    }
}

/// A kind of device in the order to try them, by its number in CMOS RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum OrderedBy {
    /// Floppies.
    Floppy = 1,
    /// Hard disks.
    Disk = 2,
    /// CDs.
    Cdrom = 3,
    /// The network.
    Network = 4,
}

/// The item `bootorder`: a line for each path, and a zero byte.
pub(super) fn item(paths: &[BootPath]) -> Vec<u8> {
    let lines: Vec<_> = paths.iter().map(|path| path.path()).collect();
    let mut bytes = lines.join("\n").into_bytes();
    bytes.push(0);
    bytes
}

/// CMOS bytes 3Dh and 38h: the first two choices, and the third.
pub(super) fn cmos(order: &[OrderedBy]) -> [u8; 2] {
    let choice = |index: usize| order.get(index).map_or(0, |kind| *kind as u8);
    /// No floppy is refused for its boot sector's signature.
    const ANY_FLOPPY: u8 = 1;
    [choice(0) | choice(1) << 4, choice(2) << 4 | ANY_FLOPPY]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_qemus_machine() {
        let paths = [
            BootPath::Ide(1, 0),
            BootPath::Virtio(0x1f),
            BootPath::Floppy(0),
        ];
        assert_eq!(
            item(&paths),
            b"/pci@i0cf8/ide@1,1/drive@1/disk@0\n/pci@i0cf8/scsi@1f/disk@0,0\n/pci@i0cf8/isa@1/fdc@03f0/floppy@0\0"
        );
        assert_eq!(item(&[]), [0]);
    }

    #[test]
    fn three_choices_fit_the_clocks_ram() {
        let order = [OrderedBy::Cdrom, OrderedBy::Disk, OrderedBy::Network];
        assert_eq!(cmos(&order), [0x23, 0x41]);
        assert_eq!(cmos(&[]), [0, 1]);
    }
}
