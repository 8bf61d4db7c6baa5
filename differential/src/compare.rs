//! Whether two outcomes are the same.

use crate::undefined::Undefined;
use crate::{Ending, Outcome, Start, arena};
use hvm::emulate::code::CodeMode;
use hvm::regs::Rflags;
use std::fmt::Write;

/// Flags that belong to the outcome. The kernel owns IF and IOPL; RF is what a fault or trap pushes.
const FLAGS: u64 = 0x24_4dd5;
/// The kernel hides its own part of the address space: faults there are always reported as violations.
const USER_END: u64 = 0x0000_7fff_ffff_f000;

/// Says what differs; empty if nothing does.
pub fn differences(start: &Start, model: &Outcome, cpu: &Outcome, undefined: Undefined) -> String {
    let both_fault = [model, cpu]
        .iter()
        .all(|one| matches!(one.ending, Ending::Fault { .. }));
    if undefined.which_fault && both_fault {
        return String::new();
    }
    let mut text = String::new();
    let mut note = |what: &str, model: String, cpu: String| {
        if model != cpu {
            let _ = writeln!(text, "  {what}: emulator {model}, CPU {cpu}");
        }
    };
    note(
        "ending",
        format!("{:x?}", known(model.ending)),
        format!("{:x?}", known(cpu.ending)),
    );
    let mask = if start.mode == CodeMode::Bits64 {
        u64::MAX
    } else {
        0xffff_ffff
    };
    note(
        "RIP",
        format!("{:x}", model.registers.rip & mask),
        format!("{:x}", cpu.registers.rip & mask),
    );
    if !(undefined.destination || both_fault && undefined.partial) {
        let count = if mask == u64::MAX { 16 } else { 8 };
        for index in 0..count {
            let [model, cpu] =
                [model, cpu].map(|one| format!("{:x}", one.registers.gprs[index] & mask));
            note(&format!("register {index}"), model, cpu);
        }
        if let Some(index) =
            (0..size_of::<arena::Memory>()).find(|&index| model.memory[index] != cpu.memory[index])
        {
            let offset = arena::CODE + index as u64;
            let [model, cpu] = [model, cpu].map(|one| {
                format!(
                    "{:02x?}",
                    &one.memory[index..(index + 16).min(one.memory.len())]
                )
            });
            note(
                &format!("memory from {:x} on", arena::BASE + offset),
                model,
                cpu,
            );
        }
    }
    let mut flags = FLAGS & !undefined.flags;
    if start.registers.rflags & Rflags::TF.bits() != 0 {
        // Whether the kernel shows the flag that it was asked to set depends on the way there.
        flags &= !Rflags::TF.bits();
    }
    let [of_model, of_cpu] = [model, cpu].map(|one| {
        let flags = Rflags::from_bits_retain(one.registers.rflags & flags);
        format!("{flags:?}")
    });
    note("RFLAGS", of_model, of_cpu);
    let [of_model, of_cpu] = [model, cpu].map(|one| {
        // The kernel's own IRET makes 0 of the other null selectors.
        let selectors = one.registers.selectors;
        format!("{:x?}", selectors.map(|one| if one < 4 { 0 } else { one }))
    });
    note("ES, CS, SS, DS, FS, GS", of_model, of_cpu);
    if start.mode == CodeMode::Bits64 {
        let [of_model, of_cpu] = [model, cpu].map(|one| format!("{:x?}", one.registers.bases));
        note("FS and GS base", of_model, of_cpu);
    }
    let parts = [
        ("x87 control", 0..2),
        ("x87 status", 2..5),
        ("x87 or MMX", 32..160),
        ("XMM", 160..416),
        ("upper YMM", 576..832),
    ];
    for (what, range) in parts {
        let [of_model, of_cpu] = [model, cpu].map(|one| &one.registers.vectors[range.clone()]);
        if of_model != of_cpu {
            note(what, format!("{of_model:02x?}"), format!("{of_cpu:02x?}"));
        }
    }
    text
}

/// The part of an ending that the kernel tells as it is.
fn known(ending: Ending) -> Ending {
    match ending {
        Ending::Fault {
            vector: 14,
            error_code,
            address: Some(address),
        } if address >= USER_END => Ending::Fault {
            vector: 14,
            error_code: error_code | 1,
            address: Some(address),
        },
        other => other,
    }
}
