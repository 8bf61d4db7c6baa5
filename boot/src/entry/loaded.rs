//! Started by a loader that is done: what it left is in records in memory.

use crate::physical::Physical;
use crate::{console, fail, handover, image, linux, multiboot, pvh};
use boot::{BootInfo, Framebuffer, LoaderKind, place};

/// From `start.s`, with our own stack and segments, interrupts off. `record` is the physical address of the loader's.
#[unsafe(no_mangle)]
extern "C" fn loaded_main(loader: LoaderKind, record: u64, tsc: u64) -> ! {
    // SAFETY: the entry runs once; a 32-bit one has just loaded these tables, the 64-bit one comes in long mode.
    let mut memory = unsafe {
        match loader {
            LoaderKind::Linux64 => Physical::take_over(),
            _ => Physical::resume(),
        }
    };
    // SAFETY: this function runs once, and no other entry does.
    let info = unsafe { handover::record() };
    info.entry_tsc = tsc;
    info.loader = loader;
    match loader {
        LoaderKind::Multiboot => multiboot::learn(info, record, &mut memory),
        LoaderKind::Pvh => pvh::learn(info, record, &mut memory),
        _ => linux::learn(info, record, &mut memory),
    }
    if let Framebuffer::Text { .. } = info.framebuffer {
        console::use_text_screen();
    }
    if info.memory.len == 0 {
        fail(format_args!(
            "the loader gave no memory map, so there is no telling where memory is; use another loader"
        ));
    }
    start(info)
}

/// Places the kernel and enters it.
fn start(info: &mut BootInfo) -> ! {
    let kernel = image::kernel();
    let busy = [image::range(), info.bundle];
    let Some(placement) = place(&info.memory, kernel.bytes(), handover::BYTES, &busy) else {
        fail(format_args!(
            "found no {} KiB of free memory in one piece from 1 MiB to 4 GiB for the kernel; \
             give the machine more memory, or load a smaller bundle",
            (kernel.bytes() + handover::BYTES) >> 10
        ));
    };
    // SAFETY: `place` gave memory that the loader calls usable and that holds neither us nor the bundle; the rest that
    // the loader left is read, and our tables map all below 4 GiB.
    unsafe {
        handover::load(&kernel, placement.kernel);
        handover::enter(info, &kernel, placement)
    }
}
