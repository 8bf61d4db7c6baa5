//! The first instructions, on a stack of our own.

use boot::BootInfo;

/// Names the function that runs when the machine is handed over: `fn main(boot: &'static BootInfo) -> !`.
///
/// It runs on the boot CPU with interrupts off, exceptions being reported and nothing else set up; it calls
/// [`crate::init`](fn@crate::init) when it wants the rest.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(export_name = "monovisor_main")]
        fn __monovisor_main(boot: &'static ::boot::BootInfo) -> ! {
            let main: fn(&'static ::boot::BootInfo) -> ! = $main;
            main(boot)
        }
    };
}

/// True if the record is one that this build understands.
pub fn is_valid(info: &BootInfo) -> bool {
    info.magic == BootInfo::MAGIC && info.bytes == size_of::<BootInfo>() as u64
}

#[cfg(target_os = "none")]
mod bare {
    use super::{BootInfo, is_valid};
    use crate::mem::stack;
    use core::arch::naked_asm;
    use spin::Once;

    unsafe extern "Rust" {
        fn monovisor_main(boot: &'static BootInfo) -> !;
    }

    static BOOT: Once<BootInfo> = Once::new();

    /// Takes the boot CPU's stack and goes on in Rust; BSS is zero, the loader being an ELF loader. RDI is the physical address of the record, which the
    /// boot code's tables map one to one.
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    #[unsafe(link_section = ".text.start")]
    unsafe extern "C" fn _start() -> ! {
        naked_asm!(
            "cli",
            "cld",
            "lea rsp, [rip + {stacks} + {top}]",
            "xor ebp, ebp",
            "call {start}",
            "ud2",
            stacks = sym stack::BOOT_CPU,
            top = const stack::BOOT_MAIN_TOP,
            start = sym start,
        )
    }

    extern "C" fn start(info: *const BootInfo) -> ! {
        crate::cpu::init_boot_cpu();
        // SAFETY: the loader's contract: the record is readable here and nothing changes it. It is plain integers, of which
        // the enumerations hold valid values if the magic and the size are right, which is checked before they are used.
        let valid = unsafe { is_valid(&*info) };
        if !valid {
            crate::halt::with_report(format_args!(
                "the kernel was started without a valid boot record: boot code and kernel are not from one build"
            ));
        }
        // SAFETY: as above.
        let boot = BOOT.call_once(|| unsafe { info.read() });
        // SAFETY: `entry!` defines the function with this signature.
        unsafe { monovisor_main(boot) }
    }
}
