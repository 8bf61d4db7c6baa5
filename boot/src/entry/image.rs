//! Ourselves: where we lie, and the kernel inside.

use boot::{Kernel, PhysRange};

unsafe extern "C" {
    static startup_32: u8;
    static image_end: u8;
}

/// The file's first page stays behind when a loader of Linux images takes only the rest.
static KERNEL_FILE: &[u8] = include_bytes!(env!(
    "MONOVISOR_KERNEL",
    "the kernel's ELF file to embed; `cargo xtask build` sets it"
));

/// The memory that we occupy, with the memory behind the file.
pub fn range() -> PhysRange {
    // Only the symbols' addresses are taken; memory is mapped one to one wherever we run.
    let (base, end) = (&raw const startup_32 as u64, &raw const image_end as u64);
    PhysRange {
        base,
        bytes: end - base,
    }
}

/// The kernel, checked.
pub fn kernel() -> Kernel<'static> {
    match Kernel::parse(KERNEL_FILE) {
        Ok(kernel) => kernel,
        Err(error) => crate::fail(format_args!(
            "cannot load the kernel in this file: {error}. Build the file anew"
        )),
    }
}
