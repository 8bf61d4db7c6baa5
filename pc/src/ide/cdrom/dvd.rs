//! READ DVD STRUCTURE (MMC-3, 6.23): what the lead-in of a DVD says.

use super::bay::Disc;
use super::packet::{Packet, Reply};
use super::sense::Sense;

/// Formats.
const PHYSICAL: u8 = 0;
const COPYRIGHT: u8 = 1;
const MANUFACTURER: u8 = 4;
/// Bytes of a lead-in sector, as physical and manufacturer's information take it up.
const SECTOR_BYTES: usize = 2048;
/// Bytes of the header, and of the length field in it.
const HEADER_BYTES: usize = 4;
const LENGTH_BYTES: usize = 2;
/// The physical number of block 0 (ECMA-267, 16.1).
const FIRST_SECTOR: u32 = 0x3_0000;

/// The answer for a disc of so many blocks.
pub(super) fn reply(packet: &Packet, disc: Disc, blocks: u32) -> Result<Reply, Sense> {
    if disc == Disc::Cd {
        return Err(Sense::WRONG_FORMAT);
    }
    let layer = packet.0[6];
    if layer != 0 {
        return Err(Sense::INVALID_FIELD);
    }
    let mut reply = Reply::from([0; HEADER_BYTES].as_slice());
    match packet.0[7] {
        PHYSICAL => {
            let last = FIRST_SECTOR.saturating_add(blocks - 1);
            // DVD-ROM of version 1; 120 mm, no rate given; one embossed layer; usual densities.
            reply
                .push(&[0x01, 0x0f, 0x01, 0x00])
                .push(&FIRST_SECTOR.to_be_bytes())
                .push(&last.to_be_bytes())
                .push(&[0; 5])
                .pad_to(HEADER_BYTES + SECTOR_BYTES);
        }
        // Not protected, no region left out.
        COPYRIGHT => {
            reply.push(&[0; 4]);
        }
        MANUFACTURER => reply.pad_to(HEADER_BYTES + SECTOR_BYTES),
        _ => return Err(Sense::INVALID_FIELD),
    }
    let length = reply.bytes_after(LENGTH_BYTES);
    reply.set(0, &length.to_be_bytes());
    Ok(reply)
}
