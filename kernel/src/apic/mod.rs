//! Interrupt controllers: the local APICs, the I/O APICs, and the vectors between them and the handlers.

pub mod bits;
pub mod io;
pub mod legacy;
pub mod local;
pub mod vector;

use crate::acpi::Platform;

/// Silences the 8259s, and brings up this CPU's local APIC and all I/O APICs, every input masked. On the boot CPU, once.
pub(crate) fn init(platform: &Platform) {
    legacy::disable();
    local::init(platform.madt.local_apic);
    io::init(&platform.madt);
}
