//! INT 16h: the keyboard (IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 16h").

use super::super::bda;
use super::super::call::{Call, Served};
use super::super::{Bios, Turn};
use super::buffer;
use hvm::regs::Rflags;

/// Serves a call; waiting for a key is the ROM's.
pub fn serve(bios: &mut Bios, call: &mut Call<'_>) -> Served<Turn> {
    match call.ah() {
        0x00 => read(call, Keyboard::Keys83),
        0x10 => read(call, Keyboard::Keys101),
        0x01 => look(call, Keyboard::Keys83).map(|()| Turn::Done),
        0x11 => look(call, Keyboard::Keys101).map(|()| Turn::Done),
        0x02 => {
            let flags = call.load(bda::KEYBOARD_FLAGS)?;
            call.set_al(flags);
            Ok(Turn::Done)
        }
        // Repeat rate and delay are the keyboard's; it has its own.
        0x03 => Ok(Turn::Done),
        0x05 => {
            let stored = buffer::put(call, call.cx())?;
            call.set_al(u8::from(!stored));
            Ok(Turn::Done)
        }
        0x09 => {
            // Functions 10h to 12h are there, function 0Ah too.
            call.set_al(0x30);
            Ok(Turn::Done)
        }
        0x0a => {
            const IDENTIFICATION: u16 = 0x83ab;
            call.set_bx(IDENTIFICATION);
            Ok(Turn::Done)
        }
        0x12 => {
            let flags: u8 = call.load(bda::KEYBOARD_FLAGS)?;
            let left: u8 = call.load(bda::KEYBOARD_FLAGS_2)?;
            let right: u8 = call.load(bda::KEYBOARD_MODE)?;
            call.set_al(flags);
            // Left Ctrl and Alt, right Ctrl and Alt, then the locks; SysRq is bit 7.
            let keys = left & 0x73 | right & 0x0c | (left & 4) << 5;
            call.set_ah(keys);
            Ok(Turn::Done)
        }
        0x92 => {
            // A program asks whether functions 10h to 12h are there: any other AH says so.
            call.set_ah(0x80);
            Ok(Turn::Done)
        }
        0xa2 => Ok(Turn::Done),
        _ => {
            bios.log_missing(call, 0x16);
            Ok(Turn::Done)
        }
    }
}

/// Which keyboard the caller knows of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyboard {
    Keys83,
    Keys101,
}

impl Keyboard {
    /// A word as that keyboard would have given it.
    fn word(self, word: u16) -> u16 {
        let [character, scan] = word.to_le_bytes();
        if self == Self::Keys101 {
            return if character == 0xf0 && scan != 0 {
                word & 0xff00
            } else {
                word
            };
        }
        match (scan, character) {
            (0xe0, b'/') => 0x352f,
            (0xe0, _) => 0x1c00 | u16::from(character),
            (1.., 0xe0 | 0xf0) => word & 0xff00,
            _ => word,
        }
    }
}

fn read(call: &mut Call<'_>, keyboard: Keyboard) -> Served<Turn> {
    match buffer::take(call)? {
        Some(word) => {
            call.set_ax(keyboard.word(word));
            Ok(Turn::Done)
        }
        None => Ok(Turn::Wait),
    }
}

/// ZF says that there is no key.
fn look(call: &mut Call<'_>, keyboard: Keyboard) -> Served {
    match buffer::peek(call)? {
        Some(word) => {
            call.set_ax(keyboard.word(word));
            call.set_flags(Rflags::empty(), Rflags::ZF);
        }
        None => call.set_flags(Rflags::ZF, Rflags::empty()),
    }
    Ok(())
}
