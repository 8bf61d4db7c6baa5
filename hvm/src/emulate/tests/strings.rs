use super::*;

#[test]
fn rep_movs_copies_and_stops_at_pages() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rsi, DATA + 0xffe)
        .with(Gpr::Rdi, DEVICE + 0x20)
        .with(Gpr::Rcx, 6);
    machine.put(DATA + 0xffe, &[1, 2, 3, 4, 5, 6]);
    assert_eq!(machine.step(&[0xf3, 0xa4]), Ok(Step::Again)); // rep movsb
    assert_eq!(machine.state.rip, CODE);
    assert_eq!(machine.gpr(Gpr::Rcx), 4);
    assert_eq!(machine.again(), Ok(PLAIN));
    assert_eq!(machine.state.rip, CODE + 2);
    assert_eq!(machine.bus.device[0x20..0x26], [1, 2, 3, 4, 5, 6]);
    assert_eq!(machine.gpr(Gpr::Rsi), DATA + 0x1004);
    assert_eq!(machine.gpr(Gpr::Rdi), DEVICE + 0x26);
    assert_eq!(machine.gpr(Gpr::Rcx), 0);
}

#[test]
fn an_element_across_pages_goes_alone() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rsi, DATA + 0xffe)
        .with(Gpr::Rdi, DATA)
        .with(Gpr::Rcx, 2);
    machine.put(DATA + 0xffe, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(machine.step(&[0xf3, 0xa5]), Ok(Step::Again)); // rep movsd
    assert_eq!(machine.again(), Ok(PLAIN));
    assert_eq!(machine.ram(DATA), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn strings_run_backwards() {
    for mut machine in [Machine::bits32(), Machine::bits64()] {
        machine.state.gprs[Gpr::Rdi as usize] = DATA + 4;
        machine.state.gprs[Gpr::Rcx as usize] = 4;
        machine.state.gprs[Gpr::Rax as usize] = 0xaabb;
        machine.state.rflags |= Rflags::DF.bits();
        // rep stosw, into the page before at the end
        assert_eq!(machine.step(&[0x66, 0xf3, 0xab]), Ok(Step::Again));
        assert_eq!(machine.gpr(Gpr::Rdi), DATA - 2);
        assert_eq!(machine.again(), Ok(PLAIN));
        assert_eq!(
            machine.ram(DATA - 2),
            [0xbb, 0xaa, 0xbb, 0xaa, 0xbb, 0xaa, 0xbb, 0xaa]
        );
        assert_eq!(machine.gpr(Gpr::Rdi), DATA - 4);
    }
}

#[test]
fn overlapping_copies_repeat_the_pattern() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rsi, DATA)
        .with(Gpr::Rdi, DATA + 1)
        .with(Gpr::Rcx, 7);
    machine.put(DATA, &[0x5a]);
    machine.run(&[0xf3, 0xa4]);
    assert_eq!(machine.ram(DATA), [0x5a; 8]);
}

#[test]
fn a_zero_count_does_nothing() {
    let mut machine = Machine::bits64().with(Gpr::Rdi, 0xdead_0000_0000_0000);
    machine.run(&[0xf3, 0xaa]); // rep stosb
    assert_eq!(machine.gpr(Gpr::Rdi), 0xdead_0000_0000_0000);
}

#[test]
fn searches_stop_where_they_find() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rdi, DEVICE)
        .with(Gpr::Rcx, 100)
        .with(Gpr::Rax, 9);
    machine.run(&[0xf2, 0xae]); // repne scasb
    assert_eq!(
        (machine.gpr(Gpr::Rdi), machine.gpr(Gpr::Rcx)),
        (DEVICE + 10, 90)
    );
    assert!(machine.flags().contains(Rflags::ZF));
    machine.state.gprs[Gpr::Rsi as usize] = DATA;
    machine.put(DATA, &[10, 11, 99]);
    machine.run(&[0xf3, 0xa6]); // repe cmpsb
    assert_eq!(
        (machine.gpr(Gpr::Rsi), machine.gpr(Gpr::Rcx)),
        (DATA + 3, 87)
    );
    assert!(!machine.flags().contains(Rflags::ZF | Rflags::CF));
}

#[test]
fn loads_take_the_override_and_the_address_size() {
    let mut machine = Machine::bits64().with(Gpr::Rsi, 0xffff_ffff_0000_0008);
    machine.state.segments[SegmentName::Gs as usize].base = DEVICE;
    machine.run(&[0x65, 0x67, 0xac]); // lodsb gs:[esi]
    assert_eq!(machine.gpr(Gpr::Rax), 8);
    assert_eq!(machine.gpr(Gpr::Rsi), 9);
    let mut machine = Machine::bits16().with(Gpr::Rsi, 0xffff);
    machine.run(&[0x26, 0xac]); // lodsb es:[si]
    assert_eq!(machine.gpr(Gpr::Rsi), 0);
}

#[test]
fn ports_to_memory_and_back() {
    let mut machine = Machine::bits32()
        .with(Gpr::Rdi, DATA)
        .with(Gpr::Rcx, 3)
        .with(Gpr::Rdx, 0x1f0);
    machine.run(&[0x66, 0xf3, 0x6d]); // rep insw
    assert_eq!(machine.ram(DATA), [1, 0, 2, 0, 3, 0]);
    machine.state.gprs[Gpr::Rsi as usize] = DATA + 2;
    machine.run(&[0x6e]); // outsb
    assert_eq!(
        machine.bus.log[2..],
        [Access::In(0x1f0, 2), Access::Out(0x1f0, 1, 2)]
    );
}

#[test]
fn long_strings_pause_for_interrupts() {
    let mut machine = Machine::bits32().with(Gpr::Rdi, DATA).with(Gpr::Rcx, 9000);
    assert_eq!(machine.step(&[0xf3, 0xaa]), Ok(Step::Again));
    assert_eq!(machine.gpr(Gpr::Rcx), 9000 - 4096);
}

#[test]
fn a_fault_keeps_the_iterations_before_it() {
    let mut machine = Machine::bits64()
        .with(Gpr::Rdi, DATA + 0xff8)
        .with(Gpr::Rcx, 2);
    let entry = Gpa(TABLES + 0x4000 + 4 * 8);
    machine.bus.memory.store(entry, &0_u64).unwrap();
    assert_eq!(machine.step(&[0xf3, 0x48, 0xab]), Ok(Step::Again)); // rep stosq
    let fault = Exception::page_fault(2, DATA + 0x1000);
    assert_eq!(machine.again(), Ok(Step::Fault(fault)));
    assert_eq!(
        (machine.gpr(Gpr::Rdi), machine.gpr(Gpr::Rcx)),
        (DATA + 0x1000, 1)
    );
}

#[test]
fn a_segment_that_ends_ends_the_run_at_its_last_element() {
    let mut machine = Machine::bits16().with(Gpr::Rdi, 0xfffc).with(Gpr::Rcx, 3);
    machine.state.segments[SegmentName::Es as usize].base = 0;
    machine.state.segments[SegmentName::Es as usize].limit = 0xfffd;
    assert_eq!(machine.step(&[0xf3, 0xab]), Ok(Step::Again)); // rep stosw
    assert_eq!(machine.gpr(Gpr::Rcx), 2);
    assert_eq!(machine.again(), Ok(Step::Fault(Exception::plain(13))));
}

#[test]
fn single_steps_trap_after_each_iteration() {
    let mut machine = Machine::bits32().with(Gpr::Rdi, DATA).with(Gpr::Rcx, 2);
    machine.state.rflags |= Rflags::TF.bits();
    let trapped = Ok(Step::Done(Completion {
        shadow: Shadow::None,
        trap: Trap::SingleStep,
        nmis: Nmis::AsBefore,
    }));
    assert_eq!(machine.step(&[0xf3, 0xaa]), trapped);
    assert_eq!((machine.state.rip, machine.gpr(Gpr::Rcx)), (CODE, 1));
    assert_eq!(machine.again(), trapped);
    assert_eq!((machine.state.rip, machine.gpr(Gpr::Rcx)), (CODE + 2, 0));
}
