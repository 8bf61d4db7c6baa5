//! The pointing device: INT 15h functions C200h to C207h, and INT 74h (IBM PS/2 and PC BIOS Interface Technical Reference,
//! "Interrupt 15h", "Extended BIOS data area"). A packet that is complete goes to the program's handler, called far.

use super::Bios;
use super::bda;
use super::call::{Call, Resume, Served};
use super::pic;
use crate::rom::mouse::NO_CALL;
use guest_mem::Gva;
use hvm::regs::SegmentName;
use zerocopy::{FromBytes, Immutable, IntoBytes};

// The 8042 (IBM PS/2 Hardware Interface Technical Reference).
const DATA: u16 = 0x60;
const STATUS: u16 = 0x64;
const OUTPUT_FULL: u8 = 1;
const FROM_MOUSE: u8 = 0x20;
const READ_COMMAND_BYTE: u8 = 0x20;
const WRITE_COMMAND_BYTE: u8 = 0x60;
const DISABLE_MOUSE: u8 = 0xa7;
const ENABLE_MOUSE: u8 = 0xa8;
const TO_MOUSE: u8 = 0xd4;
const COMMAND_MOUSE_IRQ: u8 = 2;
const COMMAND_MOUSE_OFF: u8 = 0x20;
const COMMAND_KEYBOARD_IRQ: u8 = 1;
const ACKNOWLEDGE: u8 = 0xfa;
/// How often the status is read for a byte: some milliseconds.
const POLLS: usize = 4096;

// Fields of the EBDA.
const HANDLER: u64 = 0x22;
const INDEX: u64 = 0x26;
const PACKET: u64 = 0x27;
const BYTES: u64 = 0x28;
const MOST_BYTES: u8 = 8;
/// In [`PACKET`]: a handler is installed; the low bits are the packet's size in bytes, 0 for 8.
const INSTALLED: u8 = 0x80;
const SIZE: u8 = 7;

/// Why a function failed, in AH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Failure {
    Function = 1,
    Input = 2,
    Interface = 3,
    NoHandler = 5,
}

fn ebda(call: &mut Call<'_>, field: u64) -> Served<Gva> {
    let segment: u16 = call.load(bda::EBDA_SEGMENT)?;
    Ok(Gva(u64::from(segment) * 16 + field))
}

fn field<T: FromBytes + IntoBytes>(call: &mut Call<'_>, field: u64) -> Served<T> {
    let at = ebda(call, field)?;
    call.load(at)
}

fn set_field<T: IntoBytes + Immutable>(call: &mut Call<'_>, field: u64, value: &T) -> Served {
    let at = ebda(call, field)?;
    call.store(at, value)
}

/// Serves function C2h.
pub fn serve(bios: &mut Bios, call: &mut Call<'_>) -> Served {
    let answer = match call.al() {
        0x00 => enable(call)?,
        0x01 => reset(call),
        0x02 => sample_rate(call),
        0x03 if call.bh() <= 3 => command(call, 0xe8, Some(call.bh())),
        0x03 => Err(Failure::Input),
        0x04 => identify(call),
        0x05 => initialize(call)?,
        0x06 => extended(call),
        0x07 => install(call)?,
        _ => {
            bios.log_missing(call, 0x15);
            Err(Failure::Function)
        }
    };
    match answer {
        Ok(()) => {
            call.set_ah(0);
            call.succeed();
        }
        Err(failure) => {
            call.set_ah(failure as u8);
            call.fail();
        }
    }
    Ok(())
}

type Answer = Result<(), Failure>;

/// The next byte of the mouse, if it comes soon.
fn receive(call: &mut Call<'_>) -> Result<u8, Failure> {
    for _ in 0..POLLS {
        let status = call.inb(STATUS);
        if status & OUTPUT_FULL != 0 {
            let byte = call.inb(DATA);
            if status & FROM_MOUSE != 0 {
                return Ok(byte);
            }
        }
    }
    Err(Failure::Interface)
}

fn send(call: &mut Call<'_>, byte: u8) -> Answer {
    call.outb(STATUS, TO_MOUSE);
    call.outb(DATA, byte);
    match receive(call)? {
        ACKNOWLEDGE => Ok(()),
        _ => Err(Failure::Interface),
    }
}

/// Talks to the mouse with its interrupt and the keyboard's off, so that nobody else takes its bytes.
fn talk<T>(
    call: &mut Call<'_>,
    work: impl FnOnce(&mut Call<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let before = command_byte(call)?;
    let quiet = before & !(COMMAND_MOUSE_IRQ | COMMAND_KEYBOARD_IRQ | COMMAND_MOUSE_OFF);
    set_command_byte(call, quiet);
    let result = work(call);
    set_command_byte(call, before);
    result
}

fn command_byte(call: &mut Call<'_>) -> Result<u8, Failure> {
    call.outb(STATUS, READ_COMMAND_BYTE);
    for _ in 0..POLLS {
        let status = call.inb(STATUS);
        if status & OUTPUT_FULL != 0 {
            let byte = call.inb(DATA);
            if status & FROM_MOUSE == 0 {
                return Ok(byte);
            }
        }
    }
    Err(Failure::Interface)
}

fn set_command_byte(call: &mut Call<'_>, value: u8) {
    call.outb(STATUS, WRITE_COMMAND_BYTE);
    call.outb(DATA, value);
}

/// A command, and its parameter if it has one.
fn command(call: &mut Call<'_>, code: u8, parameter: Option<u8>) -> Answer {
    talk(call, |call| {
        send(call, code)?;
        parameter.map_or(Ok(()), |value| send(call, value))
    })
}

/// Function C200h: BH = 1 has the mouse report, 0 stops it.
fn enable(call: &mut Call<'_>) -> Served<Answer> {
    const REPORT: u8 = 0xf4;
    const STOP: u8 = 0xf5;
    let packet: u8 = field(call, PACKET)?;
    if packet & INSTALLED == 0 {
        return Ok(Err(Failure::NoHandler));
    }
    set_field(call, INDEX, &0_u8)?;
    Ok(match call.bh() {
        0 => {
            let answer = command(call, STOP, None);
            call.outb(STATUS, DISABLE_MOUSE);
            answer
        }
        1 => {
            call.outb(STATUS, ENABLE_MOUSE);
            let answer = command(call, REPORT, None);
            if let Ok(byte) = command_byte(call) {
                let open = (byte | COMMAND_MOUSE_IRQ) & !COMMAND_MOUSE_OFF;
                set_command_byte(call, open);
            }
            pic::unmask(call, 12);
            pic::unmask(call, 2);
            answer
        }
        _ => Err(Failure::Input),
    })
}

/// Function C201h: the result of the mouse's self-test in BL, its identification in BH.
fn reset(call: &mut Call<'_>) -> Answer {
    const RESET: u8 = 0xff;
    let (result, identification) = talk(call, |call| {
        send(call, RESET)?;
        Ok((receive(call)?, receive(call)?))
    })?;
    call.set_bl(result);
    call.set_bh(identification);
    Ok(())
}

/// Function C202h: BH numbers the rates.
fn sample_rate(call: &mut Call<'_>) -> Answer {
    const SET_RATE: u8 = 0xf3;
    const RATES: [u8; 7] = [10, 20, 40, 60, 80, 100, 200];
    let rate = RATES.get(usize::from(call.bh())).copied();
    command(call, SET_RATE, Some(rate.ok_or(Failure::Input)?))
}

/// Function C204h: the identification in BH.
fn identify(call: &mut Call<'_>) -> Answer {
    const IDENTIFY: u8 = 0xf2;
    let identification = talk(call, |call| {
        send(call, IDENTIFY)?;
        receive(call)
    })?;
    call.set_bh(identification);
    Ok(())
}

/// Function C205h: packets of BH bytes, and a reset.
fn initialize(call: &mut Call<'_>) -> Served<Answer> {
    let size = call.bh();
    if size == 0 || size > MOST_BYTES {
        return Ok(Err(Failure::Input));
    }
    let place = ebda(call, PACKET)?;
    let packet: u8 = call.load(place)?;
    call.store(place, &(packet & !SIZE | size & SIZE))?;
    set_field(call, INDEX, &0_u8)?;
    call.outb(STATUS, ENABLE_MOUSE);
    Ok(reset(call))
}

/// Function C206h: BH = 0 tells status, resolution and rate in BL, CL, DL; 1 and 2 set the scaling.
fn extended(call: &mut Call<'_>) -> Answer {
    const STATUS_REQUEST: u8 = 0xe9;
    match call.bh() {
        0 => {
            let [status, resolution, rate] = talk(call, |call| {
                send(call, STATUS_REQUEST)?;
                Ok([receive(call)?, receive(call)?, receive(call)?])
            })?;
            call.set_bl(status);
            call.set_cl(resolution);
            call.set_dl(rate);
            Ok(())
        }
        1 => command(call, 0xe6, None),
        2 => command(call, 0xe7, None),
        _ => Err(Failure::Input),
    }
}

/// Function C207h: the handler at ES:BX; 0:0 for none.
fn install(call: &mut Call<'_>) -> Served<Answer> {
    let handler = [call.bx(), call.selector(SegmentName::Es)];
    set_field(call, HANDLER, &handler)?;
    let place = ebda(call, PACKET)?;
    let packet: u8 = call.load(place)?;
    let installed = if handler == [0, 0] { 0 } else { INSTALLED };
    call.store(place, &(packet & !INSTALLED | installed))?;
    Ok(Ok(()))
}

/// INT 74h: a byte of the mouse. With the last of a packet the handler is called: status, X, Y and a zero lie on the
/// stack below its return address.
pub fn interrupt(call: &mut Call<'_>) -> Served {
    call.resume(Resume::Near(NO_CALL));
    let status = call.inb(STATUS);
    let ready = OUTPUT_FULL | FROM_MOUSE;
    if status == 0xff || status & ready != ready {
        pic::end(call, 12);
        return Ok(());
    }
    let packet: u8 = field(call, PACKET)?;
    let place = ebda(call, INDEX)?;
    let index: u8 = call.load(place)?;
    let index = index & SIZE;
    let handler: [u16; 2] = field(call, HANDLER)?;
    let bytes = ebda(call, BYTES)?;
    let size = match packet & SIZE {
        0 => MOST_BYTES,
        size => size,
    };
    let last = index + 1 >= size && packet & INSTALLED != 0;
    if last {
        prepare_call(call, handler)?;
    }
    // Nothing below faults: the data area was read and written above.
    let byte = call.inb(DATA);
    call.store(bytes.wrapping_add(index.into()), &byte)?;
    if last {
        finish_call(call, bytes, size)?;
    }
    call.store(place, &if index + 1 >= size { 0 } else { index + 1 })?;
    pic::end(call, 12);
    Ok(())
}

/// Room for four words and the return address, and the jump.
fn prepare_call(call: &mut Call<'_>, [offset, segment]: [u16; 2]) -> Served {
    const BEHIND_TRAP: u16 = 4;
    for _ in 0..4 {
        call.push(0)?;
    }
    call.push(call.selector(SegmentName::Cs))?;
    call.push(call.ip().wrapping_add(BEHIND_TRAP))?;
    call.resume(Resume::Far { segment, offset });
    Ok(())
}

/// Fills the words in.
fn finish_call(call: &mut Call<'_>, bytes: Gva, size: u8) -> Served {
    let packet: [u8; 4] = call.load(bytes)?;
    let third = if size > 3 { packet[3] } else { 0 };
    let words = [third, packet[2], packet[1], packet[0]];
    for (index, word) in (0..).zip(words) {
        let at = call.linear(
            SegmentName::Ss,
            u32::from(call.sp().wrapping_add(4 + 2 * index)),
        );
        call.store(at, &u16::from(word))?;
    }
    Ok(())
}
