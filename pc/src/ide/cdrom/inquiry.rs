//! What the drive is: INQUIRY (SPC-2, 7.3) and IDENTIFY PACKET DEVICE (ATA/ATAPI-6, 8.16).

use super::packet::Reply;
use crate::ide::identity::{BYTES, Identity, MEANINGFUL};
use crate::ide::modes::Modes;

/// A CD-ROM with a removable medium; version and format of ATAPI; 31 bytes follow the fifth.
const HEADER: [u8; 8] = [0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0];
const VENDOR: &[u8; 8] = b"MONOVISR";
const PRODUCT: &[u8; 16] = b"CD-ROM          ";
const REVISION: &[u8; 4] = b"1.0 ";

/// Word 0: a packet device of type 5, removable, DRQ within 50 µs, 12-byte packets.
const PACKET_DEVICE: u16 = 0x85c0;
/// Words 71 and 72: typical times to release and to clear SERV, in ns; there is no overlap.
const RELEASE_NS: u16 = 30;
/// Word 82: NOP, DEVICE RESET, packets, power management.
const COMMANDS: u16 = 1 << 14 | 1 << 9 | 1 << 4 | 1 << 3;

/// The standard inquiry data.
pub(super) fn inquiry() -> Reply {
    let mut reply = Reply::from(HEADER.as_slice());
    reply.push(VENDOR).push(PRODUCT).push(REVISION);
    reply
}

/// The words of the drive's identity.
pub(super) fn identify(serial: &str, modes: Modes) -> [u8; BYTES] {
    let mut identity = Identity::new("MONOVISOR CD-ROM", serial, modes);
    identity.set(0, PACKET_DEVICE);
    identity.set(71, RELEASE_NS);
    identity.set(72, RELEASE_NS);
    identity.set(82, COMMANDS);
    identity.set(83, MEANINGFUL);
    identity.set(84, MEANINGFUL);
    identity.set(85, COMMANDS);
    identity.set(87, MEANINGFUL);
    identity.into_bytes()
}
