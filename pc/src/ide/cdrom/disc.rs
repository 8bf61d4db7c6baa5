//! Short answers about the disc and the mechanism (MMC-3, 6.15 and 6.22 to 6.27).

use super::address::{Notation, to_bytes};
use super::bay::{Bay, Event, Tray};
use super::bits::{BLOCK_BYTES, TRACK, event};
use super::packet::{Packet, Reply};
use super::sense::Sense;

/// READ CAPACITY: the last block, and the length of a block.
pub(super) fn capacity(blocks: u32) -> Reply {
    let mut reply = Reply::new();
    reply
        .push(&blocks.saturating_sub(1).to_be_bytes())
        .push(&(BLOCK_BYTES as u32).to_be_bytes());
    reply
}

/// READ DISC INFORMATION: complete, with one complete session.
pub(super) fn information(packet: &Packet) -> Result<Reply, Sense> {
    if packet.0[1] & 7 != 0 {
        return Err(Sense::INVALID_FIELD);
    }
    let mut information = [0; 34];
    information[1] = 32;
    // Complete disc, complete last session.
    information[2] = 0b1110;
    // First track; sessions; first and last track of the last session.
    information[3] = TRACK;
    information[4..7].fill(1);
    // Unrestricted use.
    information[7] = 1 << 5;
    // No more lead-in or lead-out to come.
    information[16..24].fill(0xff);
    Ok(Reply::from(information.as_slice()))
}

/// READ TRACK INFORMATION: the data track, however it is named.
pub(super) fn track(packet: &Packet, blocks: u32) -> Result<Reply, Sense> {
    let number = packet.u32(2);
    let exists = match packet.0[1] & 3 {
        // By a block on it, by its number, by its session's.
        0 => number < blocks,
        1 | 2 => number == u32::from(TRACK),
        _ => false,
    };
    if !exists {
        return Err(Sense::INVALID_FIELD);
    }
    let mut track = [0; 36];
    track[1] = 34;
    track[2] = TRACK;
    track[3] = 1;
    // A data track of mode 1.
    track[5] = 4;
    track[6] = 1;
    track[24..28].copy_from_slice(&blocks.to_be_bytes());
    Ok(Reply::from(track.as_slice()))
}

/// MECHANISM STATUS: no changer, and whether the door is open.
pub(super) fn mechanism(bay: &Bay) -> Reply {
    const DOOR_OPEN: u8 = 1 << 4;
    let door = match bay.tray() {
        Tray::Open => DOOR_OPEN,
        Tray::Closed => 0,
    };
    let mut reply = Reply::from([0, door].as_slice());
    let [_, block @ ..] = to_bytes(0, Notation::Block);
    reply.push(&block).push(&[0, 0, 0]);
    reply
}

/// GET EVENT STATUS NOTIFICATION: what happened to the medium.
pub(super) fn events(packet: &Packet, bay: &mut Bay) -> Result<Reply, Sense> {
    const DOOR_OPEN: u8 = 1;
    const PRESENT: u8 = 1 << 1;
    let classes = packet.0[4];
    if packet.0[1] & event::POLLED == 0 {
        return Err(Sense::INVALID_FIELD);
    }
    if classes & 1 << event::MEDIA_CLASS == 0 {
        let header = [0, 2, event::NONE_AVAILABLE, 1 << event::MEDIA_CLASS];
        return Ok(Reply::from(header.as_slice()));
    }
    let status = match bay.tray() {
        Tray::Open => DOOR_OPEN,
        Tray::Closed if bay.sectors().is_some() => PRESENT,
        Tray::Closed => 0,
    };
    // An answer too short for the event must not take it away (6.7.1.4).
    let happened = if packet.u16(7) > 4 {
        bay.take_event()
    } else {
        Event::None
    };
    let mut reply = Reply::from([0, 6, event::MEDIA_CLASS, 1 << event::MEDIA_CLASS].as_slice());
    reply.push(&[happened as u8, status, 0, 0]);
    Ok(reply)
}
