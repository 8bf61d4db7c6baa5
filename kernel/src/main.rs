//! The default program: every part of the kernel, composed. A user's own `main` may take fewer.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use boot::BootInfo;
    use kernel::{console, cpu, info, mem, power, time};

    kernel::entry!(main);

    fn main(boot: &'static BootInfo) -> ! {
        // SAFETY: nothing drives COM1 yet.
        unsafe { console::start_serial() };
        let parts = kernel::init(boot);
        console::start_screen(boot);
        cpu::interrupts::enable();
        info!(
            "{} CPUs ({} silent), {} MiB of RAM, {} MiB free, TSC {} kHz, local APIC timer {} kHz",
            cpu::percpu::count(),
            parts.silent_cpus,
            mem::frames::usable_bytes() >> 20,
            mem::frames::free_bytes() >> 20,
            time::tsc_hz() / 1000,
            time::lapic_timer_hz() / 1000,
        );
        power::power_off()
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This program is for the bare machine: build it with `cargo xtask build`.");
}
