//! The two 8259s: moved out of the exceptions' way and masked for good. (8259A data sheet, initialization command words.)

use x86::io::outb;

const PRIMARY: u16 = 0x20;
const SECONDARY: u16 = 0xa0;
/// Where a spurious interrupt of a masked 8259 can still show up; [`super::vector`] ignores these 16.
const FIRST_VECTOR: u8 = 0x20;

/// Initializes and masks both. Harmless where there are none: nothing answers at their ports.
pub(super) fn disable() {
    let words = [
        (PRIMARY, 0x11),
        (SECONDARY, 0x11),
        (PRIMARY + 1, FIRST_VECTOR),
        (SECONDARY + 1, FIRST_VECTOR + 8),
        (PRIMARY + 1, 1 << 2),
        (SECONDARY + 1, 2),
        (PRIMARY + 1, 1),
        (SECONDARY + 1, 1),
        (PRIMARY + 1, 0xff),
        (SECONDARY + 1, 0xff),
    ];
    for (port, value) in words {
        // SAFETY: these ports belong to the interrupt controllers, which nobody else drives.
        unsafe { outb(port, value) };
    }
}
