//! The 8259 pair (Intel 8259A data sheet): set-up, and the end of an interrupt.

use super::call::Call;

const MASTER: u16 = 0x20;
const SLAVE: u16 = 0xa0;
const END_OF_INTERRUPT: u8 = 0x20;
/// OCW3: read the in-service register.
const READ_IN_SERVICE: u8 = 0x0b;
/// OCW3: read the request register, which software finds selected.
const READ_REQUESTS: u8 = 0x0a;

/// Interrupt vectors as PCs have them: IRQ 0 to 7 at 08h, IRQ 8 to 15 at 70h.
pub fn set_up(call: &mut Call<'_>) {
    /// Open: timer, keyboard, the slave, diskette; clock, mouse, co-processor, disk.
    const MASKS: (u8, u8) = (0xb8, 0x8e);
    start(call, [(0x08, MASKS.0), (0x70, MASKS.1)]);
}

/// Initializes both, each with its first vector and its mask.
pub fn start(call: &mut Call<'_>, vectors_and_masks: [(u8, u8); 2]) {
    const ICW1: u8 = 0x11;
    const PROCESSOR_8086: u8 = 1;
    let chips = [(MASTER, 1 << 2), (SLAVE, 2)];
    for ((port, wiring), (vector, mask)) in chips.into_iter().zip(vectors_and_masks) {
        call.outb(port, ICW1);
        call.outb(port + 1, vector);
        call.outb(port + 1, wiring);
        call.outb(port + 1, PROCESSOR_8086);
        call.outb(port + 1, mask);
    }
}

/// Ends an interrupt.
pub fn end(call: &mut Call<'_>, irq: u8) {
    if irq >= 8 {
        call.outb(SLAVE, END_OF_INTERRUPT);
    }
    call.outb(MASTER, END_OF_INTERRUPT);
}

/// Opens an interrupt.
pub fn unmask(call: &mut Call<'_>, irq: u8) {
    let port = if irq < 8 { MASTER } else { SLAVE } + 1;
    let mask = call.inb(port);
    call.outb(port, mask & !(1 << (irq & 7)));
}

/// An interrupt that nobody asked for: it is ended, and masked so that it does not come again.
pub fn dismiss(call: &mut Call<'_>) {
    const CASCADE: u8 = 1 << 2;
    call.outb(MASTER, READ_IN_SERVICE);
    let master = call.inb(MASTER);
    call.outb(MASTER, READ_REQUESTS);
    call.outb(SLAVE, READ_IN_SERVICE);
    let slave = call.inb(SLAVE);
    call.outb(SLAVE, READ_REQUESTS);
    if master & CASCADE != 0 && slave != 0 {
        let mask = call.inb(SLAVE + 1);
        call.outb(SLAVE + 1, mask | lowest(slave));
        call.outb(SLAVE, END_OF_INTERRUPT);
        call.outb(MASTER, END_OF_INTERRUPT);
    } else if master != 0 {
        let mask = call.inb(MASTER + 1);
        call.outb(MASTER + 1, mask | lowest(master) & !CASCADE);
        call.outb(MASTER, END_OF_INTERRUPT);
    }
}

/// The lowest bit that is set, which has the highest priority.
fn lowest(bits: u8) -> u8 {
    bits & bits.wrapping_neg()
}
