//! Exceptions of the hypervisor itself. None is expected: each but NMI ends the machine, with a report.

use super::idt::Frame;
use super::percpu;
use crate::halt;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

const NMI: u64 = 2;
const DOUBLE_FAULT: u64 = 8;
const PAGE_FAULT: u64 = 14;

static NMIS: AtomicU64 = AtomicU64::new(0);

/// How many NMIs came that this program did not send.
pub fn stray_nmis() -> u64 {
    NMIS.load(Ordering::Relaxed)
}

pub(super) fn handle(frame: &Frame) {
    if frame.vector == NMI {
        if halt::stopping() {
            halt::park();
        }
        NMIS.fetch_add(1, Ordering::Relaxed);
        return;
    }
    halt::with_report(format_args!("{}", Report(frame)));
}

struct Report<'a>(&'a Frame);

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let f = self.0;
        let name = name(f.vector);
        write!(
            out,
            "exception {} ({name}), error code {:x}h, on CPU ",
            f.vector, f.error_code
        )?;
        match percpu::try_current() {
            Some(cpu) => writeln!(out, "{}", cpu.index())?,
            None => writeln!(out, "?")?,
        }
        if matches!(f.vector, PAGE_FAULT | DOUBLE_FAULT) {
            // SAFETY: reading CR2 has no effect.
            writeln!(out, "  address {:016x}", unsafe { x86::controlregs::cr2() })?;
        }
        writeln!(
            out,
            "  rip {:016x}  rflags {:08x}  cs {:04x}  ss {:04x}",
            f.rip, f.rflags, f.cs, f.ss
        )?;
        writeln!(
            out,
            "  rax {:016x}  rbx {:016x}  rcx {:016x}  rdx {:016x}",
            f.rax, f.rbx, f.rcx, f.rdx
        )?;
        writeln!(
            out,
            "  rsi {:016x}  rdi {:016x}  rbp {:016x}  rsp {:016x}",
            f.rsi, f.rdi, f.rbp, f.rsp
        )?;
        writeln!(
            out,
            "  r8  {:016x}  r9  {:016x}  r10 {:016x}  r11 {:016x}",
            f.r8, f.r9, f.r10, f.r11
        )?;
        write!(
            out,
            "  r12 {:016x}  r13 {:016x}  r14 {:016x}  r15 {:016x}",
            f.r12, f.r13, f.r14, f.r15
        )
    }
}

/// Names of the exceptions. (SDM vol. 3, table 6-1; AMD APM vol. 2, table 8-1.)
fn name(vector: u64) -> &'static str {
    match vector {
        0 => "divide error",
        1 => "debug",
        3 => "breakpoint",
        4 => "overflow",
        5 => "bound range",
        6 => "invalid opcode",
        7 => "no FPU",
        DOUBLE_FAULT => "double fault",
        10 => "invalid TSS",
        11 => "segment not present",
        12 => "stack fault",
        13 => "general protection",
        PAGE_FAULT => "page fault",
        16 => "x87 error",
        17 => "alignment check",
        18 => "machine check",
        19 => "SIMD error",
        20 => "virtualization exception",
        21 => "control protection",
        28 => "hypervisor injection",
        29 => "VMM communication",
        30 => "security",
        _ => "reserved",
    }
}
