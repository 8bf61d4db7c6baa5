//! #VMEXIT codes in neutral form (APM vol. 2, appendix C).

use crate::bits::{exit as code, ioio, npf};
use crate::check;
use crate::vmcb::{Control, Vmcb};
use hvm::exit::{Access, Exit, Instruction, IoDirection, IoExit, IoKind};
use hvm::{Gpa, Gva, Width};

/// What the VMCB says of the last exit.
#[inline]
pub fn decode(vmcb: &Vmcb) -> Exit {
    let control = &vmcb.control;
    let by_name = |instruction| Exit::Instruction(instruction);
    match control.exit_code {
        code::CPUID => by_name(Instruction::Cpuid),
        code::IOIO => io(control),
        code::NPF => nested_fault(control),
        code::INTR => Exit::HostInterrupt,
        code::HLT => by_name(Instruction::Hlt),
        code::MSR if control.exit_info1 & 1 == 0 => by_name(Instruction::Rdmsr),
        code::MSR => by_name(Instruction::Wrmsr),
        code::VMMCALL => by_name(Instruction::Hypercall),
        code::VINTR => Exit::InterruptWindow,
        code::NMI => Exit::HostNmi,
        code::EXCEPTION..=code::EXCEPTION_LAST => exception(control),
        code::CR_READ..=code::CR_LAST => Exit::ControlRegister,
        code::INIT => Exit::Init,
        code::SHUTDOWN => Exit::TripleFault,
        code::RDTSC => by_name(Instruction::Rdtsc),
        code::RDTSCP => by_name(Instruction::Rdtscp),
        code::RDPMC => by_name(Instruction::Rdpmc),
        code::INVD => by_name(Instruction::Invd),
        code::WBINVD => by_name(Instruction::Wbinvd),
        code::PAUSE => by_name(Instruction::Pause),
        code::XSETBV => by_name(Instruction::Xsetbv),
        code::MONITOR => by_name(Instruction::Monitor),
        code::MWAIT | code::MWAIT_ARMED => by_name(Instruction::Mwait),
        code::VMRUN | code::VMLOAD..=code::SKINIT | code::INVLPGA => {
            by_name(Instruction::Virtualization)
        }
        code::INVALID | code::INVALID_32 => Exit::EntryFailed {
            code: control.exit_code,
            reason: check::first_violation(vmcb),
        },
        code::INVLPG => Exit::InvalidatePage,
        code::TASK_SWITCH => Exit::TaskSwitch,
        other => Exit::Unexpected {
            code: other,
            info: [control.exit_info1, control.exit_info2],
        },
    }
}

/// Page faults tell their address beside.
#[cold]
fn exception(control: &Control) -> Exit {
    let error_code = control.exit_info1 as u32;
    match control.exit_code {
        code::PAGE_FAULT => Exit::PageFault {
            address: Gva(control.exit_info2),
            error_code,
        },
        other => Exit::Exception {
            vector: (other - code::EXCEPTION) as u8,
            error_code,
        },
    }
}

#[inline]
fn io(control: &Control) -> Exit {
    let info = control.exit_info1;
    let width = match info & (ioio::SIZE8 | ioio::SIZE16 | ioio::SIZE32) {
        ioio::SIZE8 => Width::Byte,
        ioio::SIZE16 => Width::Word,
        _ => Width::Dword,
    };
    Exit::Io(IoExit {
        port: (info >> ioio::PORT_SHIFT) as u16,
        width,
        direction: if info & ioio::IN != 0 {
            IoDirection::In
        } else {
            IoDirection::Out
        },
        kind: if info & ioio::STRING != 0 {
            IoKind::String
        } else {
            IoKind::Register {
                next_rip: control.exit_info2,
            }
        },
    })
}

#[inline]
fn nested_fault(control: &Control) -> Exit {
    let info = control.exit_info1;
    Exit::NestedFault {
        gpa: Gpa(control.exit_info2),
        access: if info & npf::FETCH != 0 {
            Access::Fetch
        } else if info & npf::WRITE != 0 {
            Access::Write
        } else {
            Access::Read
        },
        table_walk: info & npf::TABLE_WALK != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::tests::blank;

    fn exit(code: u64, info1: u64, info2: u64) -> Exit {
        let mut vmcb = blank();
        vmcb.control.exit_code = code;
        vmcb.control.exit_info1 = info1;
        vmcb.control.exit_info2 = info2;
        decode(&vmcb)
    }

    #[test]
    fn a_port_read_names_port_width_and_next_rip() {
        let wanted = IoExit {
            port: 0x21,
            width: Width::Byte,
            direction: IoDirection::In,
            kind: IoKind::Register { next_rip: 0x1002 },
        };
        assert_eq!(exit(0x7b, 0x0021_0011, 0x1002), Exit::Io(wanted));
    }

    #[test]
    fn string_io_goes_to_the_emulator() {
        let Exit::Io(io) = exit(0x7b, 0x01f0_002c, 0x1002) else {
            panic!("no I/O exit")
        };
        assert_eq!(
            (io.port, io.width, io.direction, io.kind),
            (0x1f0, Width::Word, IoDirection::Out, IoKind::String)
        );
    }

    #[test]
    fn nested_faults_tell_walks_from_accesses() {
        let fault = exit(0x400, 0x1_0000_0006, 0xfee0_0300);
        assert_eq!(
            fault,
            Exit::NestedFault {
                gpa: Gpa(0xfee0_0300),
                access: Access::Write,
                table_walk: false
            }
        );
        let walk = exit(0x400, 0x2_0000_0006, 0xfee0_0300);
        assert_eq!(
            walk,
            Exit::NestedFault {
                gpa: Gpa(0xfee0_0300),
                access: Access::Write,
                table_walk: true
            }
        );
    }

    #[test]
    fn both_forms_of_invalid_are_known() {
        assert!(matches!(exit(u64::MAX, 0, 0), Exit::EntryFailed { .. }));
        assert!(matches!(exit(0xffff_ffff, 0, 0), Exit::EntryFailed { .. }));
        assert!(matches!(
            exit(0x403, 1, 2),
            Exit::Unexpected {
                code: 0x403,
                info: [1, 2]
            }
        ));
    }
}
