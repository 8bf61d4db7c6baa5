//! Mode pages (MMC-3, 5.5; SFF-8020i, 10.8.6).

use super::bay::{Bay, Lock, Tray};
use super::packet::{Packet, Reply};
use super::sense::Sense;
use serde::{Deserialize, Serialize};

/// Read error recovery: parameters and retries may be set.
const RECOVERY: [u8; 8] = [0x01, 6, 0, 5, 0, 0, 0, 0];
const RECOVERY_CHANGEABLE: [u8; 8] = [0, 0, 0x37, 0xff, 0, 0, 0, 0];
/// CD-ROM parameters: 60 seconds a minute, 75 frames a second.
const PARAMETERS: [u8; 8] = [0x0d, 6, 0, 0, 0, 60, 0, 75];
/// Audio control: both ports at full volume; volumes may be set, though nothing is played.
const AUDIO: [u8; 16] = [0x0e, 14, 0x04, 0, 0, 0, 0, 75, 1, 0xff, 2, 0xff, 0, 0, 0, 0];
const AUDIO_CHANGEABLE: [u8; 16] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0xff, 0x0f, 0xff, 0x0f, 0xff, 0x0f, 0xff,
];
const CAPABILITIES_CODE: u8 = 0x2a;
const CAPABILITIES_BYTES: usize = 22;
/// Stands for all pages.
const ALL: u8 = 0x3f;

/// 48 times the speed of audio, in kilobytes a second.
pub(super) const SPEED_KB_S: u16 = 8467;
/// The buffer, in kilobytes.
const BUFFER_KB: u16 = 64;

/// Medium types (SFF-8020i, table 74).
const TYPE_DATA_CD: u8 = 0x01;
const TYPE_NO_DISC: u8 = 0x70;
const TYPE_DOOR_OPEN: u8 = 0x71;

/// Which header and lengths a command uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Form {
    Six,
    Ten,
}

impl Form {
    pub(super) fn header_bytes(self) -> usize {
        match self {
            Self::Six => 4,
            Self::Ten => 8,
        }
    }

    /// The length in the packet: of the answer that is wanted, or of the parameters that come.
    pub(super) fn length(self, packet: &Packet) -> u16 {
        match self {
            Self::Six => u16::from(packet.0[4]),
            Self::Ten => packet.u16(7),
        }
    }

    /// Length of the block descriptors in a parameter list.
    fn descriptor_bytes(self, header: &[u8]) -> usize {
        match (self, header) {
            (Self::Six, &[.., length]) => usize::from(length),
            (Self::Ten, &[.., high, low]) => usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        }
    }
}

/// The pages that the host may change, as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pages {
    recovery: [u8; 8],
    audio: [u8; 16],
}

impl Pages {
    pub(super) const DEFAULT: Self = Self {
        recovery: RECOVERY,
        audio: AUDIO,
    };

    /// MODE SENSE.
    pub(super) fn sense(&self, packet: &Packet, form: Form, bay: &mut Bay) -> Result<Reply, Sense> {
        let wanted = packet.0[2] & ALL;
        let capabilities = capabilities(bay);
        let unchangeable = [0; CAPABILITIES_BYTES];
        let pages: [&[u8]; 4] = match packet.0[2] >> 6 {
            0 => [&self.recovery, &PARAMETERS, &self.audio, &capabilities],
            1 => [
                &RECOVERY_CHANGEABLE,
                &unchangeable[..PARAMETERS.len()],
                &AUDIO_CHANGEABLE,
                &unchangeable,
            ],
            2 => [&RECOVERY, &PARAMETERS, &AUDIO, &capabilities],
            _ => return Err(Sense::NO_SAVED_PAGES),
        };
        let headers: [[u8; 2]; 4] = [
            [RECOVERY[0], RECOVERY[1]],
            [PARAMETERS[0], PARAMETERS[1]],
            [AUDIO[0], AUDIO[1]],
            [CAPABILITIES_CODE, CAPABILITIES_BYTES as u8 - 2],
        ];
        let mut reply = Reply::from(&[0; 8][..form.header_bytes()]);
        for (header, page) in headers.into_iter().zip(pages) {
            if wanted == ALL || wanted == header[0] {
                reply.push(&header).push(page.get(2..).unwrap_or(&[]));
            }
        }
        if reply.bytes_after(form.header_bytes()) == 0 {
            return Err(Sense::INVALID_FIELD);
        }
        let kind = medium_type(bay);
        match form {
            Form::Six => {
                let length = reply.bytes_after(1) as u8;
                reply.set(0, &[length, kind]);
            }
            Form::Ten => {
                let [high, low] = reply.bytes_after(2).to_be_bytes();
                reply.set(0, &[high, low, kind]);
            }
        }
        Ok(reply)
    }

    /// MODE SELECT with its parameter list: all of it, or none.
    pub(super) fn select(&mut self, list: &[u8], form: Form) -> Result<(), Sense> {
        if list.is_empty() {
            return Ok(());
        }
        let (header, rest) = list
            .split_at_checked(form.header_bytes())
            .ok_or(Sense::PARAMETER_LENGTH)?;
        let mut rest = rest
            .get(form.descriptor_bytes(header)..)
            .ok_or(Sense::PARAMETER_LENGTH)?;
        let mut pages = *self;
        while let [_, length, ..] = *rest {
            let (page, next) = rest
                .split_at_checked(2 + usize::from(length))
                .ok_or(Sense::PARAMETER_LENGTH)?;
            pages.set(page)?;
            rest = next;
        }
        *self = pages;
        Ok(())
    }

    /// Sets one page, which may differ from what is there only in changeable bits.
    fn set(&mut self, page: &[u8]) -> Result<(), Sense> {
        let (current, changeable): (&mut [u8], &[u8]) = match page[0] & ALL {
            0x01 => (&mut self.recovery, &RECOVERY_CHANGEABLE),
            0x0e => (&mut self.audio, &AUDIO_CHANGEABLE),
            0x0d => return fixed(page, &PARAMETERS),
            // Old software writes this page back as it read it; all of it is ours to say.
            CAPABILITIES_CODE => return Ok(()),
            _ => return Err(Sense::INVALID_PARAMETER),
        };
        if page.len() != current.len() {
            return Err(Sense::INVALID_PARAMETER);
        }
        for ((current, &new), &mask) in current.iter_mut().zip(page).zip(changeable).skip(2) {
            if (*current ^ new) & !mask != 0 {
                return Err(Sense::INVALID_PARAMETER);
            }
            *current = new;
        }
        Ok(())
    }
}

fn fixed(page: &[u8], current: &[u8]) -> Result<(), Sense> {
    if page.get(2..) == current.get(2..) {
        Ok(())
    } else {
        Err(Sense::INVALID_PARAMETER)
    }
}

/// The capabilities page: reads all kinds of discs, and has a tray that locks.
fn capabilities(bay: &Bay) -> [u8; CAPABILITIES_BYTES] {
    /// DVD-RAM, DVD-R, DVD-ROM, CD-RW and CD-R can be read.
    const READS: u8 = 0x3b;
    /// A tray; it can be locked, and ejects on command.
    const TRAY: u8 = 1 << 5 | 1 << 3 | 1;
    const LOCKED: u8 = 1 << 1;
    let locked = match bay.lock() {
        Lock::Prevented => LOCKED,
        Lock::Allowed => 0,
    };
    let mut page = [0; CAPABILITIES_BYTES];
    page[0] = CAPABILITIES_CODE;
    page[1] = CAPABILITIES_BYTES as u8 - 2;
    page[2] = READS;
    page[6] = TRAY | locked;
    page[8..10].copy_from_slice(&SPEED_KB_S.to_be_bytes());
    page[12..14].copy_from_slice(&BUFFER_KB.to_be_bytes());
    page[14..16].copy_from_slice(&SPEED_KB_S.to_be_bytes());
    page
}

fn medium_type(bay: &mut Bay) -> u8 {
    match (bay.tray(), bay.blocks()) {
        (Tray::Open, _) => TYPE_DOOR_OPEN,
        (Tray::Closed, Ok(_)) => TYPE_DATA_CD,
        (Tray::Closed, Err(_)) => TYPE_NO_DISC,
    }
}
