//! INT 14h, serial ports, and INT 17h, printers (IBM PS/2 and PC BIOS Interface Technical Reference).

use super::bda;
use super::call::{Call, Served};
use guest_mem::Gva;

// The 16550's registers, by offset (PC16550D data sheet).
const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const MODEM_STATUS: u16 = 6;

const DATA_READY: u8 = 1;
const HOLDING_EMPTY: u8 = 0x20;
/// Bit 7 of the line status that INT 14h tells: the port did not get ready.
const TIMED_OUT: u8 = 0x80;

/// Serves INT 14h: function AH on port DX. Ports that there are not leave the registers alone.
pub fn serve(call: &mut Call<'_>) -> Served {
    let number = call.dx();
    if number > 3 {
        return Ok(());
    }
    let port: u16 = call.load(Gva(bda::SERIAL_PORTS.0 + 2 * u64::from(number)))?;
    if port == 0 {
        return Ok(());
    }
    match call.ah() {
        0x00 => {
            initialize(call, port);
            status(call, port);
        }
        0x01 => {
            call.outb(port + MODEM_CONTROL, 3);
            let ready = call.inb(port + LINE_STATUS) & HOLDING_EMPTY != 0;
            if ready {
                call.outb(port + DATA, call.al());
            }
            let line = call.inb(port + LINE_STATUS);
            call.set_ah(if ready { line } else { line | TIMED_OUT });
        }
        0x02 => {
            let line = call.inb(port + LINE_STATUS);
            if line & DATA_READY != 0 {
                let byte = call.inb(port + DATA);
                call.set_al(byte);
                call.set_ah(line & 0x1e);
            } else {
                call.set_ah(line | TIMED_OUT);
            }
        }
        0x03 => status(call, port),
        _ => {}
    }
    Ok(())
}

/// Function 00h: speed in bits 7:5 of AL, then parity, stop bits and length as the line control register has them.
fn initialize(call: &mut Call<'_>, port: u16) {
    const DIVISORS: [u16; 8] = [1047, 768, 384, 192, 96, 48, 24, 12];
    const DIVISOR_ACCESS: u8 = 0x80;
    let parameters = call.al();
    let [low, high] = DIVISORS[usize::from(parameters >> 5)].to_le_bytes();
    call.outb(port + LINE_CONTROL, DIVISOR_ACCESS);
    call.outb(port + DATA, low);
    call.outb(port + INTERRUPT_ENABLE, high);
    call.outb(port + LINE_CONTROL, parameters & 0x1f);
    call.outb(port + INTERRUPT_ENABLE, 0);
}

fn status(call: &mut Call<'_>, port: u16) {
    let line = call.inb(port + LINE_STATUS);
    let modem = call.inb(port + MODEM_STATUS);
    call.set_ah(line);
    call.set_al(modem);
}

/// Serves INT 17h: there are no printers, and none gets ready.
pub fn printer(call: &mut Call<'_>) {
    const TIME_OUT: u8 = 1;
    if call.dx() <= 2 && call.ah() <= 2 {
        call.set_ah(TIME_OUT);
    }
}
