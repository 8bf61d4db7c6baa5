use super::*;

const MOV_RAX_RBX: [u8; 3] = [0x48, 0x8b, 0x03];
const MOV_RBX_RAX: [u8; 3] = [0x48, 0x89, 0x03];

#[test]
fn page_faults_tell_the_access() {
    let mut machine = Machine::user64().with(Gpr::Rbx, 0x40_0000);
    assert_eq!(
        machine.fault(&MOV_RAX_RBX),
        Exception::page_fault(4, 0x40_0000)
    );
    assert_eq!(
        machine.fault(&MOV_RBX_RAX),
        Exception::page_fault(6, 0x40_0000)
    );
    // An increment asks to write before it reads.
    assert_eq!(
        machine.fault(&[0xff, 0x03]),
        Exception::page_fault(6, 0x40_0000)
    );
    // Only the second page is missing.
    machine.state.gprs[Gpr::Rbx as usize] = RAM_BYTES - 4;
    assert_eq!(
        machine.fault(&MOV_RBX_RAX),
        Exception::page_fault(6, RAM_BYTES)
    );
    assert_eq!(machine.ram(RAM_BYTES - 4), [0; 4]);
}

#[test]
fn addresses_must_be_canonical() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, 0x0000_7fff_ffff_fffc);
    assert_eq!(machine.fault(&MOV_RAX_RBX), Exception::GENERAL_PROTECTION);
    machine.state.gprs[Gpr::Rbp as usize] = 1 << 63;
    let fault = machine.fault(&[0x8b, 0x45, 0x00]); // mov eax,[rbp]
    assert_eq!(fault, Exception::with_code(12, 0));
    machine.state.rip = 1 << 62;
    assert_eq!(
        machine.again(),
        Ok(Step::Fault(Exception::GENERAL_PROTECTION))
    );
}

#[test]
fn limits_hold_outside_long_mode() {
    let mut machine = Machine::bits32().with(Gpr::Rbx, 0xffd);
    machine.state.segments[SegmentName::Ds as usize].limit = 0xfff;
    let load = [0x8b, 0x03]; // mov eax,[ebx]
    assert_eq!(machine.fault(&load), Exception::GENERAL_PROTECTION);
    machine.state.gprs[Gpr::Rbx as usize] = 0xffc;
    machine.run(&load);
    // An offset that wraps is beyond any limit.
    machine.state.segments[SegmentName::Ds as usize].limit = u32::MAX;
    machine.state.gprs[Gpr::Rbx as usize] = 0xffff_fffe;
    assert_eq!(machine.fault(&load), Exception::GENERAL_PROTECTION);
    // Expand-down: only above the limit.
    machine.state.segments[SegmentName::Ds as usize] = Segment::new(16, 0xc097, 0xfff, 0);
    machine.state.gprs[Gpr::Rbx as usize] = 0xffc;
    assert_eq!(machine.fault(&load), Exception::GENERAL_PROTECTION);
    machine.state.gprs[Gpr::Rbx as usize] = 0x1000;
    machine.run(&load);

    let mut machine = Machine::bits16().with(Gpr::Rbx, 0xffff);
    assert_eq!(machine.fault(&[0x8b, 0x07]), Exception::plain(13)); // mov ax,[bx]
    let stack = machine.fault(&[0x36, 0x8b, 0x07]); // mov ax,ss:[bx]
    assert_eq!(stack, Exception::plain(12));
}

#[test]
fn segment_types_hold_in_protected_mode_only() {
    for (attributes, may_read, may_write) in [
        (0xc091, true, false),
        (0xc093, true, true),
        (0xc099, false, false),
        (0xc09b, true, false),
        (0x1_0000, false, false),
        (0xc082, false, false),
    ] {
        let mut machine = Machine::bits32().with(Gpr::Rbx, DATA);
        machine.state.segments[SegmentName::Ds as usize] =
            Segment::new(16, attributes, u32::MAX, 0);
        let is_done = |step| step == Ok(PLAIN);
        assert_eq!(
            is_done(machine.step(&[0x8b, 0x03])),
            may_read,
            "{attributes:#x}"
        );
        assert_eq!(
            is_done(machine.step(&[0x89, 0x03])),
            may_write,
            "{attributes:#x}"
        );
    }
    let mut machine = Machine::bits16().with(Gpr::Rbx, DATA);
    machine.state.segments[SegmentName::Ds as usize].attributes = Default::default();
    machine.run(&[0x89, 0x07]);
}

#[test]
fn user_code_may_ask_for_alignment() {
    let mut machine = Machine::user64().with(Gpr::Rbx, DATA + 1);
    machine.state.cr0 |= Cr0::AM.bits();
    machine.state.rflags |= Rflags::AC.bits();
    assert_eq!(machine.fault(&MOV_RAX_RBX), Exception::with_code(17, 0));
    machine.state.rflags &= !Rflags::AC.bits();
    machine.run(&MOV_RAX_RBX);
}

#[test]
fn a_faulting_pop_keeps_the_stack() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, 0x40_0000);
    let fault = machine.fault(&[0x8f, 0x03]); // pop qword [rbx]
    assert_eq!(fault, Exception::page_fault(2, 0x40_0000));
    // A push that cannot write does not read the device either.
    let mut machine = Machine::bits64()
        .with(Gpr::Rbx, DEVICE)
        .with(Gpr::Rsp, 0x40_0000);
    machine.fault(&[0xff, 0x33]); // push qword [rbx]
    assert!(machine.bus.log.is_empty());
}

#[test]
fn fetches_fault_too() {
    let mut machine = Machine::bits64();
    machine.state.rip = 0x40_0000;
    let fault = Exception::page_fault(1 << 4, 0x40_0000);
    assert_eq!(machine.again(), Ok(Step::Fault(fault)));
    // In the second page, at that page's address.
    machine.state.rip = RAM_BYTES - 1;
    machine.put(RAM_BYTES - 1, &[0x8b]);
    let fault = Exception::page_fault(1 << 4, RAM_BYTES);
    assert_eq!(machine.again(), Ok(Step::Fault(fault)));
}

#[test]
fn code_on_a_device_is_reported() {
    let mut machine = Machine::bits64();
    machine.state.rip = DEVICE + 5;
    let report = machine.again().unwrap_err();
    assert_eq!(report.reason, Reason::CodeNotRam(Gpa(DEVICE + 5)));
    assert_eq!((report.rip, report.length), (DEVICE + 5, 0));
}

#[test]
fn what_is_not_covered_is_reported_with_its_bytes() {
    let mut machine = Machine::bits64();
    let report = machine.step(&[0x0f, 0x58, 0x03]).unwrap_err(); // addps xmm0,[rbx]
    assert_eq!(report.reason, Reason::Instruction);
    assert_eq!(report.bytes[..3], [0x0f, 0x58, 0x03]);
    assert_eq!(machine.state.rip, CODE);
    let text = std::format!("{report}");
    assert!(text.contains("0x1000 (bytes 0f 58 03 "), "{text}");
    let report = machine
        .step(&[0x62, 0xf1, 0x7c, 0x48, 0x10, 0x03]) // vmovups zmm0,[rbx]
        .unwrap_err();
    assert_eq!(report.reason, Reason::Undecodable);
}

#[test]
fn what_no_cpu_decodes_is_an_invalid_opcode() {
    for bytes in [
        &[0x0f, 0x0b][..],
        &[0x0f, 0xff, 0xc0],
        &[0xf0, 0x8b, 0x03],
        &[0x06],
    ] {
        let fault = Machine::bits64().fault(bytes);
        assert_eq!(fault, Exception::INVALID_OPCODE, "{bytes:x?}");
    }
}

#[test]
fn an_instruction_is_at_most_15_bytes() {
    let mut bytes = [0x66; 16];
    bytes[15] = 0x90;
    assert_eq!(
        Machine::bits64().fault(&bytes),
        Exception::GENERAL_PROTECTION
    );
}

#[test]
fn completion_clears_rf_and_owes_the_trap() {
    let mut machine = Machine::bits64().with(Gpr::Rbx, DATA);
    machine.state.rflags |= (Rflags::RF | Rflags::TF).bits();
    let trapped = Completion {
        shadow: Shadow::None,
        trap: Trap::SingleStep,
        nmis: Nmis::AsBefore,
    };
    assert_eq!(machine.step(&MOV_RAX_RBX), Ok(Step::Done(trapped)));
    assert!(!machine.flags().contains(Rflags::RF));
    assert!(machine.flags().contains(Rflags::TF));
}

#[test]
fn between_iterations_rf_is_set_and_at_the_end_clear() {
    let rep_stosb = [0xf3, 0xaa];
    let mut machine = Machine::bits64()
        .with(Gpr::Rdi, DATA)
        .with(Gpr::Rcx, 0x1001);
    assert_eq!(machine.step(&rep_stosb), Ok(Step::Again));
    assert!(machine.flags().contains(Rflags::RF));
    machine.state.set_gpr(Gpr::Rcx, 1);
    assert!(matches!(machine.step(&rep_stosb), Ok(Step::Done(_))));
    assert!(!machine.flags().contains(Rflags::RF));

    let mut machine = Machine::bits64().with(Gpr::Rdi, DATA).with(Gpr::Rcx, 2);
    machine.state.rflags |= Rflags::TF.bits();
    for is_last in [false, true] {
        let Ok(Step::Done(completion)) = machine.step(&rep_stosb) else {
            panic!("no single step")
        };
        assert_eq!(completion.trap, Trap::SingleStep);
        assert_eq!(machine.flags().contains(Rflags::RF), !is_last);
    }
}
