//! Panics end the machine with a report.

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    crate::halt::with_report(format_args!("{info}"))
}
