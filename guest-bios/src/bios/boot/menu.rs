//! The boot menu: on the guest's screen and on its first serial port, answered from the keyboard or that port.
//!
//! Nobody is waited for unless the configuration says so; then the ROM halts between the timer's ticks. A key that is
//! already in the buffer when INT 19h starts opens the menu as well.

use super::super::call::{Call, Served};
use super::super::int13::drives::{FIRST_CDROM, FIRST_DISK, read_sector};
use super::super::keyboard::buffer;
use super::super::{Bios, bda, int10};
use super::{BootDevice, Choice};
use alloc::string::String;
use core::fmt::Write;

/// What a key means to the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Esc or F12: the menu is wanted, or no longer.
    Menu,
    /// A device's number.
    Digit(u8),
    /// A letter of the boot order.
    Letter(BootDevice),
    /// F8 or m: a boot server's menu is wanted.
    Choices,
    /// Any other.
    Other,
}

/// INT 16h's words for F8 and F12.
const F8: u16 = 0x4200;
const F12: u16 = 0x8600;
const ESCAPE: u8 = 0x1b;

impl Key {
    fn of(word: u16) -> Self {
        match word as u8 {
            _ if word == F12 => Self::Menu,
            _ if word == F8 => Self::Choices,
            b'm' | b'M' => Self::Choices,
            ESCAPE => Self::Menu,
            digit @ b'1'..=b'9' => Self::Digit(digit - b'0'),
            b'a' | b'A' => Self::Letter(BootDevice::Floppy),
            b'c' | b'C' => Self::Letter(BootDevice::Disk),
            b'd' | b'D' => Self::Letter(BootDevice::Cdrom),
            b'n' | b'N' => Self::Letter(BootDevice::Network),
            _ => Self::Other,
        }
    }
}

/// Whether the key that asks for the menu waits in the keyboard buffer; it is taken. Another key is left for what boots.
pub fn asked_for(call: &mut Call<'_>) -> Served<bool> {
    let asked = buffer::peek(call)?.is_some_and(|word| Key::of(word) == Key::Menu);
    if asked {
        buffer::take(call)?;
    }
    Ok(asked)
}

/// The next key, from the keyboard or the serial port.
pub fn key(call: &mut Call<'_>) -> Served<Option<Key>> {
    if let Some(word) = buffer::take(call)? {
        return Ok(Some(Key::of(word)));
    }
    let port: u16 = call.load(bda::SERIAL_PORTS)?;
    Ok(serial::take(call, port).map(|byte| Key::of(byte.into())))
}

/// Tells how to get the menu.
pub fn offer(bios: &Bios, call: &mut Call<'_>) -> Served {
    say(bios, call, "Press Esc or F12 for the boot menu.\n")
}

/// Shows the devices, each with its number.
pub fn show(bios: &Bios, call: &mut Call<'_>) -> Served {
    let mut text = String::from("\nBoot menu\n");
    for (number, choice) in (1..).zip(entries(bios)) {
        let line = describe(bios, call, choice);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {number}  {line}");
    }
    text.push_str("Press a number, or a for diskette, c for hard disk, d for CD, n for network,\n");
    text.push_str("or another key to try them in their order.\n");
    say(bios, call, &text)
}

/// The device with that number.
pub fn entry(bios: &Bios, number: u8) -> Option<Choice> {
    entries(bios).nth(usize::from(number.checked_sub(1)?))
}

/// Up to nine devices: as many as there are digits.
fn entries(bios: &Bios) -> impl Iterator<Item = Choice> {
    const MOST: usize = 9;
    let drives = bios.drives;
    let of = |device, count| {
        (0..count).map(move |index| Choice {
            device,
            index: Some(index),
        })
    };
    of(BootDevice::Floppy, drives.floppies)
        .chain(of(BootDevice::Disk, drives.disks))
        .chain(of(BootDevice::Cdrom, drives.cdroms))
        .chain(of(BootDevice::Network, bios.network.count()))
        .take(MOST)
}

fn describe(bios: &Bios, call: &mut Call<'_>, choice: Choice) -> String {
    let index = choice.index.unwrap_or(0);
    if choice.device == BootDevice::Network {
        return describe_card(bios, call, index);
    }
    let first = match choice.device {
        BootDevice::Disk => FIRST_DISK,
        BootDevice::Cdrom => FIRST_CDROM,
        BootDevice::Floppy | BootDevice::Network => 0,
    };
    let number = first.saturating_add(index);
    let mut line = String::from(super::name(choice.device));
    let _ = write!(line, " {}: ", index + 1);
    let target = bios.drives.find(number, None);
    let Some((target, medium)) =
        target.and_then(|target| target.medium(call.machine).map(|medium| (target, medium)))
    else {
        line.push_str("empty");
        return line;
    };
    let kib = medium.sectors / 2;
    let _ = match kib {
        0..10240 => write!(line, "{kib} KiB"),
        _ => write!(line, "{} MiB", kib / 1024),
    };
    if choice.device == BootDevice::Cdrom {
        const VOLUME_DESCRIPTOR: u64 = 16 * 4;
        let mut sector = [0; 512];
        if read_sector(call.machine, &target, VOLUME_DESCRIPTOR, &mut sector).is_ok() {
            let _ = write!(line, " {}", volume_name(&sector));
        }
    }
    line
}

fn describe_card(bios: &Bios, call: &mut Call<'_>, index: u8) -> String {
    let mut line = String::from(super::name(BootDevice::Network));
    let _ = write!(line, " {}: ", index + 1);
    if let Some((kind, address)) = bios.network.describe(call, index) {
        let _ = write!(line, "{kind}");
        for (place, byte) in address.into_iter().enumerate() {
            let between = if place == 0 { ' ' } else { ':' };
            let _ = write!(line, "{between}{byte:02x}");
        }
    }
    line
}

/// The volume identifier of a CD (ISO 9660, 8.4.7), what of it is printable.
fn volume_name(descriptor: &[u8; 512]) -> String {
    let [b'\x01', b'C', b'D', b'0', b'0', b'1'] = descriptor[..6] else {
        return String::new();
    };
    let printable = |byte: &&u8| (b' '..=b'~').contains(*byte);
    let name = descriptor[40..72].iter().filter(printable);
    let name: String = name.map(|&byte| char::from(byte)).collect();
    String::from(name.trim_end())
}

/// Shows a text on the screen and on the serial port.
pub fn say(bios: &Bios, call: &mut Call<'_>, text: &str) -> Served {
    int10::print(call, &bios.fonts, text)?;
    let port: u16 = call.load(bda::SERIAL_PORTS)?;
    serial::say(call, port, text);
    Ok(())
}

/// The first serial port (PC16550D data sheet), whose number is the data area's and so may be nonsense.
mod serial {
    use super::Call;

    const LINE_STATUS: u16 = 5;
    const DATA_READY: u8 = 1;
    const HOLDING_EMPTY: u8 = 0x20;
    /// What a bus without a port reads as.
    const NOBODY: u8 = 0xff;

    fn status(call: &mut Call<'_>, port: u16) -> u8 {
        match call.inb(port.wrapping_add(LINE_STATUS)) {
            _ if port == 0 => 0,
            NOBODY => 0,
            status => status,
        }
    }

    pub fn take(call: &mut Call<'_>, port: u16) -> Option<u8> {
        (status(call, port) & DATA_READY != 0).then(|| call.inb(port))
    }

    /// What the port does not take at once is lost.
    pub fn say(call: &mut Call<'_>, port: u16, text: &str) {
        for byte in text.bytes() {
            let line: &[u8] = if byte == b'\n' { b"\r\n" } else { &[byte] };
            for &byte in line {
                if status(call, port) & HOLDING_EMPTY == 0 {
                    return;
                }
                call.outb(port, byte);
            }
        }
    }
}
