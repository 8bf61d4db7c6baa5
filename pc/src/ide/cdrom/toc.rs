//! READ TOC/PMA/ATIP (MMC-3, 6.25): one session, one data track, the lead-out.

use super::address::{Notation, to_bytes, to_msf};
use super::bits::{DATA_TRACK, LEAD_OUT, TRACK};
use super::packet::{Packet, Reply};
use super::sense::Sense;

/// The formats that a ROM drive knows.
const TOC: u8 = 0;
const SESSIONS: u8 = 1;
const FULL_TOC: u8 = 2;
/// Points of the full table: first track, last track, start of the lead-out.
const FIRST_TRACK_POINT: u8 = 0xa0;
const LAST_TRACK_POINT: u8 = 0xa1;
const LEAD_OUT_POINT: u8 = 0xa2;
const SESSION: u8 = 1;
/// Bytes of the length field.
const LENGTH_BYTES: usize = 2;

/// Where addresses are to be in minutes, seconds and frames: bit 1 of byte 1.
pub(super) fn notation(packet: &Packet) -> Notation {
    if packet.0[1] & 1 << 1 != 0 {
        Notation::Msf
    } else {
        Notation::Block
    }
}

/// The answer for a disc of so many blocks.
pub(super) fn reply(packet: &Packet, blocks: u32) -> Result<Reply, Sense> {
    // Before MMC the format was in the last byte (SFF-8020i, table 88).
    let format = match packet.0[2] & 0xf {
        0 => packet.0[9] >> 6,
        format => format,
    };
    let mut reply = match format {
        TOC => toc(packet.0[6], blocks, notation(packet))?,
        SESSIONS => sessions(notation(packet)),
        FULL_TOC => full_toc(blocks),
        _ => return Err(Sense::INVALID_FIELD),
    };
    let length = reply.bytes_after(LENGTH_BYTES);
    reply.set(0, &length.to_be_bytes());
    Ok(reply)
}

/// The tracks from `first` on.
fn toc(first: u8, blocks: u32, notation: Notation) -> Result<Reply, Sense> {
    if first > TRACK && first != LEAD_OUT {
        return Err(Sense::INVALID_FIELD);
    }
    let mut reply = Reply::from([0, 0, TRACK, TRACK].as_slice());
    let all = [(TRACK, 0), (LEAD_OUT, blocks)];
    for (track, start) in all.into_iter().filter(|&(track, _)| track >= first) {
        reply
            .push(&[0, DATA_TRACK, track, 0])
            .push(&to_bytes(start, notation));
    }
    Ok(reply)
}

/// The first track of the last session.
fn sessions(notation: Notation) -> Reply {
    let mut reply = Reply::from([0, 0, SESSION, SESSION].as_slice());
    reply
        .push(&[0, DATA_TRACK, TRACK, 0])
        .push(&to_bytes(0, notation));
    reply
}

/// The lead-in's entries, as recorded.
fn full_toc(blocks: u32) -> Reply {
    let mut reply = Reply::from([0, 0, SESSION, SESSION].as_slice());
    let entries = [
        (FIRST_TRACK_POINT, [TRACK, 0, 0]),
        (LAST_TRACK_POINT, [TRACK, 0, 0]),
        (LEAD_OUT_POINT, to_msf(blocks)),
        (TRACK, to_msf(0)),
    ];
    for (point, [minute, second, frame]) in entries {
        reply
            .push(&[SESSION, DATA_TRACK, 0, point, 0, 0, 0, 0])
            .push(&[minute, second, frame]);
    }
    reply
}
