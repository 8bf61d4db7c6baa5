//! INT 09h: the keyboard's interrupt. The ROM calls INT 15h function 4Fh between the two steps here, so that programs may
//! change or swallow a code.

use super::super::bda;
use super::super::call::{Call, Resume, Served};
use super::super::pic;
use super::buffer;
use super::keys::{self, Lock, Shift};
use crate::rom::keyboard::{BREAK_TAIL, NO_DATA, PAUSE_AGAIN, PAUSE_TAIL, PRINT_TAIL};
use hvm::regs::Rflags;

const DATA: u16 = 0x60;
const STATUS: u16 = 0x64;
const OUTPUT_FULL: u8 = 1;
const FROM_MOUSE: u8 = 0x20;

// Keyboard flags at 417h.
const RIGHT_SHIFT: u8 = 1;
const LEFT_SHIFT: u8 = 2;
const CONTROL: u8 = 4;
const ALT: u8 = 8;
const SCROLL: u8 = 0x10;
const NUM: u8 = 0x20;
const CAPS: u8 = 0x40;
const INSERT: u8 = 0x80;
// At 418h.
const LEFT_CONTROL: u8 = 1;
const LEFT_ALT: u8 = 2;
const PAUSE: u8 = 8;
// At 496h.
const LAST_E1: u8 = 1;
const LAST_E0: u8 = 2;
const RIGHT_CONTROL: u8 = 4;
const RIGHT_ALT: u8 = 8;

const RELEASED: u8 = 0x80;

/// First step: the code to AL, 4Fh to AH, CF set, for the ROM's INT 15h.
pub fn fetch(call: &mut Call<'_>) -> Served {
    let status = call.inb(STATUS);
    if status == 0xff || status & (OUTPUT_FULL | FROM_MOUSE) != OUTPUT_FULL {
        pic::end(call, 1);
        call.resume(Resume::Near(NO_DATA));
        return Ok(());
    }
    let code = call.inb(DATA);
    call.set_al(code);
    call.set_ah(0x4f);
    call.fail();
    Ok(())
}

/// Second step: the code in AL, unless CF says that it was swallowed.
pub fn take(call: &mut Call<'_>) -> Served {
    if call.flags().contains(Rflags::CF) {
        let code = call.al();
        key(call, code)?;
    }
    pic::end(call, 1);
    Ok(())
}

fn key(call: &mut Call<'_>, code: u8) -> Served {
    let mode: u8 = call.load(bda::KEYBOARD_MODE)?;
    match code {
        0xe0 => return call.store(bda::KEYBOARD_MODE, &(mode | LAST_E0)),
        0xe1 => return call.store(bda::KEYBOARD_MODE, &(mode | LAST_E1)),
        // Acknowledgements and test results of the keyboard.
        0xfa | 0xfe | 0xee | 0x00 | 0xff => return Ok(()),
        _ => {}
    }
    let grey = mode & LAST_E0 != 0;
    if mode & LAST_E1 != 0 {
        return pause(call, mode, code);
    }
    call.store(bda::KEYBOARD_MODE, &(mode & !(LAST_E0 | LAST_E1)))?;
    if modifier(call, code, grey)? {
        return Ok(());
    }
    if code & RELEASED == 0 {
        press(call, code, grey)?;
    }
    Ok(())
}

/// E1h 1Dh 45h: Pause. The ROM halts, with interrupts open, until another key is pressed.
fn pause(call: &mut Call<'_>, mode: u8, code: u8) -> Served {
    const SECOND: u8 = 0x1d;
    const THIRD: u8 = 0x45;
    if code & !RELEASED == SECOND {
        return Ok(());
    }
    call.store(bda::KEYBOARD_MODE, &(mode & !(LAST_E0 | LAST_E1)))?;
    let down: u8 = call.load(bda::KEYBOARD_FLAGS_2)?;
    if code == THIRD && down & PAUSE == 0 {
        call.store(bda::KEYBOARD_FLAGS_2, &(down | PAUSE))?;
        call.resume(Resume::Near(PAUSE_TAIL));
    }
    Ok(())
}

/// After a halt in Pause: whether it goes on.
pub fn paused(call: &mut Call<'_>) -> Served {
    let down: u8 = call.load(bda::KEYBOARD_FLAGS_2)?;
    if down & PAUSE != 0 {
        call.resume(Resume::Near(PAUSE_AGAIN));
    }
    Ok(())
}

/// Shift keys and locks. True if the code was one.
fn modifier(call: &mut Call<'_>, code: u8, grey: bool) -> Served<bool> {
    let pressed = code & RELEASED == 0;
    let key = code & !RELEASED;
    let (place, bit) = match (key, grey) {
        // Grey keys come wrapped in false shifts.
        (0x2a | 0x36, true) => return Ok(true),
        (0x2a, false) => (bda::KEYBOARD_FLAGS, LEFT_SHIFT),
        (0x36, false) => (bda::KEYBOARD_FLAGS, RIGHT_SHIFT),
        (0x1d, false) => (bda::KEYBOARD_FLAGS_2, LEFT_CONTROL),
        (0x1d, true) => (bda::KEYBOARD_MODE, RIGHT_CONTROL),
        (0x38, false) => (bda::KEYBOARD_FLAGS_2, LEFT_ALT),
        (0x38, true) => (bda::KEYBOARD_MODE, RIGHT_ALT),
        (0x3a, _) => return toggle(call, CAPS, pressed),
        (0x45, false) => return toggle(call, NUM, pressed),
        (0x46, false) => {
            let flags: u8 = call.load(bda::KEYBOARD_FLAGS)?;
            if flags & CONTROL != 0 {
                return Ok(false);
            }
            return toggle(call, SCROLL, pressed);
        }
        _ => return Ok(false),
    };
    let old: u8 = call.load(place)?;
    let new = if pressed { old | bit } else { old & !bit };
    call.store(place, &new)?;
    // Ctrl and Alt in the first byte are down if either key is.
    let left: u8 = call.load(bda::KEYBOARD_FLAGS_2)?;
    let right: u8 = call.load(bda::KEYBOARD_MODE)?;
    let mut flags: u8 = call.load(bda::KEYBOARD_FLAGS)?;
    flags &= !(CONTROL | ALT);
    if left & LEFT_CONTROL != 0 || right & RIGHT_CONTROL != 0 {
        flags |= CONTROL;
    }
    if left & LEFT_ALT != 0 || right & RIGHT_ALT != 0 {
        flags |= ALT;
    }
    call.store(bda::KEYBOARD_FLAGS, &flags)?;
    if key == 0x38 && !pressed {
        end_of_alt(call)?;
    }
    Ok(true)
}

/// A lock key: the lock changes on the first press, repetitions aside.
fn toggle(call: &mut Call<'_>, lock: u8, pressed: bool) -> Served<bool> {
    let down: u8 = call.load(bda::KEYBOARD_FLAGS_2)?;
    if !pressed {
        call.store(bda::KEYBOARD_FLAGS_2, &(down & !lock))?;
    } else if down & lock == 0 {
        call.store(bda::KEYBOARD_FLAGS_2, &(down | lock))?;
        let flags: u8 = call.load(bda::KEYBOARD_FLAGS)?;
        call.store(bda::KEYBOARD_FLAGS, &(flags ^ lock))?;
        lamps(call, flags ^ lock);
    }
    Ok(true)
}

/// Shows the locks on the keyboard, whose answers come as codes and are ignored.
fn lamps(call: &mut Call<'_>, flags: u8) {
    const SET_LAMPS: u8 = 0xed;
    call.outb(DATA, SET_LAMPS);
    // Scroll, Num and Caps in both, at different places.
    call.outb(DATA, flags >> 4 & 7);
}

/// The number that was typed on the keypad with Alt held becomes a character.
fn end_of_alt(call: &mut Call<'_>) -> Served {
    let number: u8 = call.load(bda::ALT_KEYPAD)?;
    if number != 0 {
        call.store(bda::ALT_KEYPAD, &0_u8)?;
        buffer::put(call, number.into())?;
    }
    Ok(())
}

fn press(call: &mut Call<'_>, code: u8, grey: bool) -> Served {
    const DELETE: u8 = 0x53;
    const BREAK: u8 = 0x46;
    const PRINT: u8 = 0x37;
    const INSERT_KEY: u8 = 0x52;
    let flags: u8 = call.load(bda::KEYBOARD_FLAGS)?;
    let held = |keys: u8| flags & keys == keys;
    if code == DELETE && held(CONTROL | ALT) {
        return restart(call);
    }
    if code == BREAK && held(CONTROL) {
        call.store(bda::BREAK, &0x80_u8)?;
        buffer::clear(call)?;
        buffer::put(call, 0)?;
        call.resume(Resume::Near(BREAK_TAIL));
        return Ok(());
    }
    if code == PRINT && grey && !held(CONTROL) {
        call.resume(Resume::Near(PRINT_TAIL));
        return Ok(());
    }
    let down: u8 = call.load(bda::KEYBOARD_FLAGS_2)?;
    if down & PAUSE != 0 {
        return call.store(bda::KEYBOARD_FLAGS_2, &(down & !PAUSE));
    }
    if code == INSERT_KEY && flags & (CONTROL | ALT | LEFT_SHIFT | RIGHT_SHIFT) == 0 {
        call.store(bda::KEYBOARD_FLAGS, &(flags ^ INSERT))?;
    }
    if !grey && held(ALT) && keys::lock(code) == Lock::Num {
        return keypad_digit(call, code);
    }
    let shift = shift(code, flags, grey);
    let word = if grey {
        keys::grey_word(code, shift)
    } else {
        keys::word(code, shift)
    };
    if let Some(word) = word {
        buffer::put(call, word)?;
    }
    Ok(())
}

/// The shift state with the locks applied.
fn shift(code: u8, flags: u8, grey: bool) -> Shift {
    if flags & ALT != 0 {
        return Shift::Alt;
    }
    if flags & CONTROL != 0 {
        return Shift::Control;
    }
    let lock = match keys::lock(code) {
        _ if grey => 0,
        Lock::Caps => flags & CAPS,
        Lock::Num => flags & NUM,
        Lock::None => 0,
    };
    let shifted = flags & (LEFT_SHIFT | RIGHT_SHIFT) != 0;
    if shifted != (lock != 0) {
        Shift::Upper
    } else {
        Shift::None
    }
}

fn keypad_digit(call: &mut Call<'_>, code: u8) -> Served {
    const DIGITS: [u8; 13] = [7, 8, 9, 0, 4, 5, 6, 0, 1, 2, 3, 0, 0];
    const DECIMAL_POINT: u8 = 0x53;
    if code == DECIMAL_POINT {
        return Ok(());
    }
    let digit = DIGITS.get(usize::from(code.wrapping_sub(0x47))).copied();
    let number: u8 = call.load(bda::ALT_KEYPAD)?;
    let number = number.wrapping_mul(10).wrapping_add(digit.unwrap_or(0));
    call.store(bda::ALT_KEYPAD, &number)
}

/// Ctrl-Alt-Del: a warm start, by the reset control register (PIIX3 data sheet, RCR).
fn restart(call: &mut Call<'_>) -> Served {
    const WARM: u16 = 0x1234;
    const RESET_CONTROL: u16 = 0xcf9;
    call.store(bda::RESET_FLAG, &WARM)?;
    call.outb(RESET_CONTROL, 2);
    call.outb(RESET_CONTROL, 6);
    Ok(())
}
