//! VM exits in neutral form (SDM vol. 3C, 28.2; vol. 3D, appendix C).

use crate::bits::{interruption, qualification as bits, reason};
use crate::vmcs::{Field, Fields};
use hvm::exit::{Access, Exit, Instruction, IoDirection, IoExit, IoKind};
use hvm::{Gpa, Gva, Width};

/// What the VMCS says of the last exit. A failed entry comes out as [`Exit::Unexpected`]: whoever has the state names the rule.
/// `apic_access` tells where the guest has the APIC-access page.
#[inline]
pub fn decode(fields: &impl Fields, apic_access: impl FnOnce() -> Gpa) -> Exit {
    let why = fields.read(Field::ExitReason);
    let by_name = |instruction| Exit::Instruction(instruction);
    match why & (reason::BASIC | reason::ENTRY_FAILURE) {
        reason::CPUID => by_name(Instruction::Cpuid),
        reason::IO => io(fields),
        reason::EPT_VIOLATION => nested_fault(fields),
        reason::EXTERNAL_INTERRUPT => Exit::HostInterrupt,
        reason::HLT => by_name(Instruction::Hlt),
        reason::RDMSR => by_name(Instruction::Rdmsr),
        reason::WRMSR => by_name(Instruction::Wrmsr),
        reason::VMCALL => by_name(Instruction::Hypercall),
        reason::INTERRUPT_WINDOW | reason::TPR_BELOW_THRESHOLD => Exit::InterruptWindow,
        reason::NMI_WINDOW => Exit::NmiWindow,
        reason::APIC_ACCESS => apic_fault(fields, apic_access()),
        reason::APIC_WRITE => Exit::ApicWrite {
            offset: (fields.read(Field::ExitQualification) & bits::APIC_OFFSET) as u16,
        },
        reason::VIRTUALIZED_EOI => Exit::EndOfInterrupt {
            vector: fields.read(Field::ExitQualification) as u8,
        },
        reason::PREEMPTION_TIMER => Exit::Deadline,
        reason::MODIFICATION_LOG_FULL => Exit::ModificationLogFull,
        reason::EXCEPTION_OR_NMI => exception(fields),
        reason::CONTROL_REGISTER => Exit::ControlRegister,
        reason::INVLPG => Exit::InvalidatePage,
        reason::TASK_SWITCH => Exit::TaskSwitch,
        reason::TRIPLE_FAULT => Exit::TripleFault,
        reason::INIT | reason::SIPI => Exit::Init,
        reason::RDTSC => by_name(Instruction::Rdtsc),
        reason::RDTSCP => by_name(Instruction::Rdtscp),
        reason::RDPMC => by_name(Instruction::Rdpmc),
        reason::INVD => by_name(Instruction::Invd),
        reason::WBINVD => by_name(Instruction::Wbinvd),
        reason::PAUSE => by_name(Instruction::Pause),
        reason::XSETBV => by_name(Instruction::Xsetbv),
        reason::MONITOR => by_name(Instruction::Monitor),
        reason::MWAIT => by_name(Instruction::Mwait),
        reason::GETSEC
        | reason::VMCLEAR..=reason::VMXON
        | reason::INVEPT
        | reason::INVVPID
        | reason::VMFUNC => by_name(Instruction::Virtualization),
        _ => Exit::Unexpected {
            code: why,
            info: [
                fields.read(Field::ExitQualification),
                fields.read(Field::GuestPhysicalAddress),
            ],
        },
    }
}

#[inline]
fn io(fields: &impl Fields) -> Exit {
    let info = fields.read(Field::ExitQualification);
    let width = match info & bits::IO_SIZE {
        0 => Width::Byte,
        1 => Width::Word,
        _ => Width::Dword,
    };
    Exit::Io(IoExit {
        port: (info >> bits::IO_PORT_SHIFT) as u16,
        width,
        direction: if info & bits::IO_IN != 0 {
            IoDirection::In
        } else {
            IoDirection::Out
        },
        kind: if info & bits::IO_STRING != 0 {
            IoKind::String
        } else {
            IoKind::Register {
                next_rip: next_rip(fields),
            }
        },
    })
}

/// RIP behind the instruction that exited. Outside 64-bit code EIP wraps at 4 GiB.
#[inline]
pub fn next_rip(fields: &impl Fields) -> u64 {
    let rip = fields.read(Field::GuestRip);
    let next = rip.wrapping_add(fields.read(Field::ExitInstructionLength));
    let was_low = rip >> 32 == 0;
    if was_low && next >> 32 != 0 && !is_64_bit(fields) {
        return next & 0xffff_ffff;
    }
    next
}

fn is_64_bit(fields: &impl Fields) -> bool {
    const LONG: u64 = 1 << 13;
    fields.read(Field::GuestCsAccessRights) & LONG != 0
}

#[inline]
fn nested_fault(fields: &impl Fields) -> Exit {
    let info = fields.read(Field::ExitQualification);
    Exit::NestedFault {
        gpa: Gpa(fields.read(Field::GuestPhysicalAddress)),
        access: if info & bits::EPT_FETCH != 0 {
            Access::Fetch
        } else if info & bits::EPT_WRITE != 0 {
            Access::Write
        } else {
            Access::Read
        },
        table_walk: info & bits::EPT_LINEAR_VALID != 0 && info & bits::EPT_TRANSLATED == 0,
    }
}

/// An access to the APIC-access page that the CPU does not serve (28.2.1, table 28-6). The guest-physical address is not among what
/// such an exit tells. Accesses that no instruction makes (page walks, delivery of
/// events) cannot be emulated; they are told as walks.
fn apic_fault(fields: &impl Fields, page: Gpa) -> Exit {
    let info = fields.read(Field::ExitQualification);
    let kind = info >> bits::APIC_ACCESS_SHIFT & bits::APIC_ACCESS_MASK;
    Exit::NestedFault {
        gpa: Gpa(page.0 | info & bits::APIC_OFFSET),
        access: match kind {
            bits::APIC_ACCESS_WRITE => Access::Write,
            bits::APIC_ACCESS_FETCH => Access::Fetch,
            _ => Access::Read,
        },
        table_walk: kind > bits::APIC_ACCESS_FETCH,
    }
}

const PAGE_FAULT: u8 = 14;

fn exception(fields: &impl Fields) -> Exit {
    let info = fields.read(Field::ExitInterruptionInformation);
    if info >> interruption::TYPE_SHIFT & interruption::TYPE_MASK == interruption::TYPE_NMI {
        return Exit::HostNmi;
    }
    let error_code = if info & interruption::ERROR_VALID != 0 {
        fields.read(Field::ExitInterruptionErrorCode) as u32
    } else {
        0
    };
    match (info & interruption::VECTOR) as u8 {
        PAGE_FAULT => Exit::PageFault {
            address: Gva(fields.read(Field::ExitQualification)),
            error_code,
        },
        vector => Exit::Exception { vector, error_code },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmcs::tests::Plain;

    fn exit(fields: &[(Field, u64)]) -> Exit {
        decode(&Plain(fields.iter().copied().collect()), || {
            Gpa(0xfee0_0000)
        })
    }

    #[test]
    fn port_accesses() {
        let io = |info| {
            exit(&[
                (Field::ExitReason, reason::IO),
                (Field::ExitQualification, info),
                (Field::GuestRip, 0x1000),
                (Field::ExitInstructionLength, 2),
            ])
        };
        let expected = |port, width, direction, kind| {
            Exit::Io(IoExit {
                port,
                width,
                direction,
                kind,
            })
        };
        let register = IoKind::Register { next_rip: 0x1002 };
        assert_eq!(
            io(0x0071_0008),
            expected(0x71, Width::Byte, IoDirection::In, register)
        );
        assert_eq!(
            io(0x0cf8_0003),
            expected(0xcf8, Width::Dword, IoDirection::Out, register)
        );
        assert_eq!(
            io(0x01f0_0039),
            expected(0x1f0, Width::Word, IoDirection::In, IoKind::String)
        );
    }

    #[test]
    fn nested_faults() {
        let fault = |info| {
            exit(&[
                (Field::ExitReason, reason::EPT_VIOLATION),
                (Field::ExitQualification, info),
                (Field::GuestPhysicalAddress, 0xfee0_0020),
            ])
        };
        let expected = |access, table_walk| Exit::NestedFault {
            gpa: Gpa(0xfee0_0020),
            access,
            table_walk,
        };
        assert_eq!(fault(0x181), expected(Access::Read, false));
        assert_eq!(fault(0x182), expected(Access::Write, false));
        assert_eq!(fault(0x184), expected(Access::Fetch, false));
        // A walk that sets an accessed bit.
        assert_eq!(fault(0x083), expected(Access::Write, true));
    }

    #[test]
    fn accesses_to_the_apic() {
        let seen = |reason, info| {
            exit(&[
                (Field::ExitReason, reason),
                (Field::ExitQualification, info),
            ])
        };
        let fault = |access, table_walk| Exit::NestedFault {
            gpa: Gpa(0xfee0_0390),
            access,
            table_walk,
        };
        let access = reason::APIC_ACCESS;
        assert_eq!(seen(access, 0x0390), fault(Access::Read, false));
        assert_eq!(seen(access, 0x1390), fault(Access::Write, false));
        assert_eq!(seen(access, 0x2390), fault(Access::Fetch, false));
        assert_eq!(seen(access, 0xa390), fault(Access::Read, true));
        assert_eq!(
            seen(reason::APIC_WRITE, 0x320),
            Exit::ApicWrite { offset: 0x320 }
        );
        assert_eq!(
            seen(reason::VIRTUALIZED_EOI, 0x51),
            Exit::EndOfInterrupt { vector: 0x51 }
        );
    }

    #[test]
    fn exceptions_and_nmis_share_a_reason() {
        let event = |info| {
            exit(&[
                (Field::ExitReason, reason::EXCEPTION_OR_NMI),
                (Field::ExitInterruptionInformation, info),
                (Field::ExitInterruptionErrorCode, 9),
            ])
        };
        assert_eq!(event(0x8000_0202), Exit::HostNmi);
        let expected = |vector, error_code| Exit::Exception { vector, error_code };
        assert_eq!(event(0x8000_0301), expected(1, 0));
        assert_eq!(event(0x8000_0b11), expected(17, 9));
    }

    #[test]
    fn rip_wraps_only_outside_64_bit_code() {
        let next = |rip, rights| {
            next_rip(&Plain(
                [
                    (Field::GuestRip, rip),
                    (Field::ExitInstructionLength, 2),
                    (Field::GuestCsAccessRights, rights),
                ]
                .into(),
            ))
        };
        assert_eq!(next(0xffff_fffe, 0xc09b), 0);
        assert_eq!(next(0xffff_fffe, 0xa09b), 0x1_0000_0000);
        assert_eq!(next(0xffff_ffff_8000_0000, 0xa09b), 0xffff_ffff_8000_0002);
    }

    #[test]
    fn a_failed_entry_is_not_taken_for_an_exit() {
        let code = reason::ENTRY_FAILURE | reason::INVALID_GUEST_STATE;
        let Exit::Unexpected { code: seen, .. } = exit(&[(Field::ExitReason, code)]) else {
            panic!()
        };
        assert_eq!(seen, code);
    }
}
