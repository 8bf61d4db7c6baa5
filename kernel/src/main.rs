//! The default program: every part of the kernel, composed. A user's own `main` may take fewer.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use boot::BootInfo;
    use kernel::report::{self, Mode};
    use kernel::{console, cpu, net, service, vm};

    kernel::entry!(main);

    fn main(boot: &'static BootInfo) -> ! {
        // SAFETY: nothing drives COM1 yet.
        unsafe { console::start_serial() };
        report::print_version(boot);
        let parts = kernel::init(boot);
        console::start_screen(boot);
        let mode = report::print(boot, parts.platform);
        let guest_ends = service::start(vm::kick, net::start(boot, report::functions()));
        cpu::interrupts::enable();
        match mode {
            Mode::Nested(technology) | Mode::Shadow(technology) => {
                vm::run(boot, technology, guest_ends)
            }
            // The report has said why. The prompt works, and nothing resets the machine.
            Mode::None(_) => service::run_forever(|| ()),
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("This program is for the bare machine: build it with `cargo xtask build`.");
}
