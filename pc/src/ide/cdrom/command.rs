//! What each packet asks for.

use super::address::from_msf;
use super::bay::Lock;
use super::bits::{opcode, start_stop};
use super::frame::Frame;
use super::mode::Form;
use super::packet::{Packet, Reply};
use super::sense::Sense;
use super::transfer::Span;
use super::{Cdrom, configuration, disc, dvd, inquiry, toc};

/// What is to follow a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Done,
    /// Up to so many bytes of a reply.
    Reply(Reply, usize),
    /// Blocks of the medium.
    Read(Span),
    /// So many bytes of mode parameters come from the host.
    Parameters(Form, usize),
}

/// Commands that go ahead while a unit attention is due (MMC-3, 4.1.6.1).
const UNATTENDED: [u8; 4] = [
    opcode::INQUIRY,
    opcode::REQUEST_SENSE,
    opcode::GET_CONFIGURATION,
    opcode::GET_EVENT_STATUS,
];

impl Cdrom {
    /// Carries a packet out as far as it goes without data.
    pub(super) fn execute(&mut self, packet: &Packet) -> Result<Answer, Sense> {
        let opcode = packet.opcode();
        if opcode == opcode::REQUEST_SENSE {
            return Ok(self.request_sense(packet));
        }
        self.sense = Sense::NONE;
        if !UNATTENDED.contains(&opcode)
            && let Some(attention) = self.take_attention()
        {
            return Err(attention);
        }
        match opcode {
            opcode::TEST_UNIT_READY => self.bay.blocks().map(|_| Answer::Done),
            opcode::START_STOP_UNIT => self.start_stop(packet),
            opcode::PREVENT_ALLOW => {
                self.bay.set_lock(match packet.0[4] & 1 {
                    0 => Lock::Allowed,
                    _ => Lock::Prevented,
                });
                Ok(Answer::Done)
            }
            // Every speed is as good as any other.
            opcode::SET_CD_SPEED => Ok(Answer::Done),
            opcode::SEEK_10 => self
                .span(packet.u32(2), 0, Frame::USER)
                .map(|_| Answer::Done),
            opcode::READ_10 => self.read(packet.u32(2), u32::from(packet.u16(7)), Frame::USER),
            opcode::READ_12 => self.read(packet.u32(2), packet.u32(6), Frame::USER),
            opcode::READ_CD => self.read_cd(packet, packet.u32(2), packet.u24(6)),
            opcode::READ_CD_MSF => self.read_cd_msf(packet),
            opcode::MODE_SELECT_6 => mode_select(packet, Form::Six),
            opcode::MODE_SELECT_10 => mode_select(packet, Form::Ten),
            _ => {
                let (reply, allocation) = self.inform(packet)?;
                Ok(Answer::Reply(reply, allocation))
            }
        }
    }

    /// Commands that only tell something; the answer, and how much of it is wanted.
    fn inform(&mut self, packet: &Packet) -> Result<(Reply, usize), Sense> {
        let medium = usize::from(packet.u16(7));
        Ok(match packet.opcode() {
            opcode::INQUIRY if packet.0[1] & 1 != 0 || packet.0[2] != 0 => {
                return Err(Sense::INVALID_FIELD);
            }
            opcode::INQUIRY => (inquiry::inquiry(), usize::from(packet.u16(3))),
            opcode::READ_CAPACITY => (disc::capacity(self.bay.blocks()?), usize::MAX),
            opcode::READ_TOC => (toc::reply(packet, self.bay.blocks()?)?, medium),
            opcode::GET_CONFIGURATION => {
                let disc = self.bay.disc().ok();
                (configuration::reply(packet, disc)?, medium)
            }
            opcode::GET_EVENT_STATUS => (disc::events(packet, &mut self.bay)?, medium),
            opcode::READ_DISC_INFORMATION => {
                self.bay.blocks()?;
                (disc::information(packet)?, medium)
            }
            opcode::READ_TRACK_INFORMATION => (disc::track(packet, self.bay.blocks()?)?, medium),
            opcode::READ_DVD_STRUCTURE => {
                let disc = self.bay.disc()?;
                let reply = dvd::reply(packet, disc, self.bay.blocks()?)?;
                (reply, usize::from(packet.u16(8)))
            }
            opcode::MECHANISM_STATUS => (disc::mechanism(&self.bay), usize::from(packet.u16(8))),
            opcode::MODE_SENSE_6 => self.mode_sense(packet, Form::Six)?,
            opcode::MODE_SENSE_10 => self.mode_sense(packet, Form::Ten)?,
            _ => return Err(Sense::INVALID_OPCODE),
        })
    }

    fn mode_sense(&mut self, packet: &Packet, form: Form) -> Result<(Reply, usize), Sense> {
        let reply = self.pages.sense(packet, form, &mut self.bay)?;
        Ok((reply, usize::from(form.length(packet))))
    }

    /// Tells why the last command failed, or else what the host must know, and forgets it.
    fn request_sense(&mut self, packet: &Packet) -> Answer {
        let sense = match core::mem::replace(&mut self.sense, Sense::NONE) {
            Sense::NONE => self.take_attention().unwrap_or(Sense::NONE),
            sense => sense,
        };
        let reply = Reply::from(sense.to_bytes().as_slice());
        Answer::Reply(reply, usize::from(packet.0[4]))
    }

    /// What the host must hear before anything else, once.
    fn take_attention(&mut self) -> Option<Sense> {
        if core::mem::take(&mut self.was_reset) {
            Some(Sense::RESET)
        } else {
            self.bay.take_change().then_some(Sense::MEDIUM_CHANGED)
        }
    }

    fn start_stop(&mut self, packet: &Packet) -> Result<Answer, Sense> {
        let how = packet.0[4];
        if how & start_stop::POWER == 0 && how & start_stop::LOAD_EJECT != 0 {
            match (how & start_stop::START != 0, self.bay.lock()) {
                (true, _) => self.bay.close(),
                (false, Lock::Prevented) => return Err(Sense::REMOVAL_PREVENTED),
                (false, Lock::Allowed) => self.bay.open(),
            }
        }
        Ok(Answer::Done)
    }

    /// The extent, if it is on the medium.
    fn span(&mut self, block: u32, left: u32, frame: Frame) -> Result<Span, Sense> {
        let blocks = self.bay.blocks()?;
        let end = block.checked_add(left).ok_or(Sense::OUT_OF_RANGE)?;
        if block >= blocks || end > blocks {
            return Err(Sense::OUT_OF_RANGE);
        }
        Ok(Span { block, left, frame })
    }

    fn read(&mut self, block: u32, blocks: u32, frame: Frame) -> Result<Answer, Sense> {
        let span = self.span(block, blocks, frame)?;
        Ok(if blocks == 0 || frame.is_empty() {
            Answer::Done
        } else {
            Answer::Read(span)
        })
    }

    fn read_cd(&mut self, packet: &Packet, block: u32, blocks: u32) -> Result<Answer, Sense> {
        /// Expected sector types: any, and mode 1.
        const ANY: u8 = 0;
        const MODE_1: u8 = 2;
        let expected = packet.0[1] >> 2 & 7;
        let subchannels = packet.0[10] & 7;
        if subchannels != 0 {
            return Err(Sense::INVALID_FIELD);
        }
        let frame = Frame::from_selection(packet.0[9])?;
        if blocks != 0 && expected != ANY && expected != MODE_1 {
            return Err(Sense::WRONG_TRACK_MODE);
        }
        self.read(block, blocks, frame)
    }

    fn read_cd_msf(&mut self, packet: &Packet) -> Result<Answer, Sense> {
        let at = |at: usize| from_msf([packet.0[at], packet.0[at + 1], packet.0[at + 2]]);
        let (start, end) = at(3).zip(at(6)).ok_or(Sense::INVALID_FIELD)?;
        let blocks = end.checked_sub(start).ok_or(Sense::INVALID_FIELD)?;
        self.read_cd(packet, start, blocks)
    }
}

fn mode_select(packet: &Packet, form: Form) -> Result<Answer, Sense> {
    const SAVE_PAGES: u8 = 1;
    if packet.0[1] & SAVE_PAGES != 0 {
        return Err(Sense::INVALID_FIELD);
    }
    Ok(Answer::Parameters(form, usize::from(form.length(packet))))
}
