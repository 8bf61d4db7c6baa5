//! Any service with any registers, paging on or off, on data areas of any content: it ends, without a panic.
#![no_main]

mod machine;

use guest_bios::bios::Service;
use guest_bios::rom;
use guest_mem::Gpa;
use hvm::regs::{Registers, Segment, SegmentName, State};
use libfuzzer_sys::fuzz_target;
use machine::Pc;

/// Bytes of a call: service, mode, three segments, eight registers.
const CALL_BYTES: usize = 2 + 3 * 2 + 8 * 4;

fn real_mode(state: &mut State, name: SegmentName, selector: u16) {
    let base = u64::from(selector) << 4;
    state.set_segment(name, Segment::new(selector, 0x93, 0xffff, base));
}

fuzz_target!(|data: &[u8]| {
    let Some((area, calls)) = data.split_at_checked(0x100) else {
        return;
    };
    let (mut pc, mut bios) = Pc::new(vec![0x55; 1 << 16]);
    for call in calls.chunks_exact(CALL_BYTES).take(16) {
        let memory = hvm_memory(&pc);
        memory.write(Gpa(0x400), area).unwrap();
        bios.install(memory).unwrap();
        let mut state = State::reset();
        real_mode(&mut state, SegmentName::Cs, rom::SEGMENT);
        let names = [SegmentName::Ds, SegmentName::Es, SegmentName::Ss];
        for (name, bytes) in names.into_iter().zip(call[2..8].chunks_exact(2)) {
            real_mode(&mut state, name, u16::from_le_bytes([bytes[0], bytes[1]]));
        }
        for (gpr, bytes) in state.gprs.iter_mut().zip(call[8..].chunks_exact(4)) {
            *gpr = u32::from_le_bytes(bytes.try_into().unwrap()).into();
        }
        if call[1] & 1 != 0 {
            // Paging by a directory that is whatever lies there.
            state.cr0 |= 0x8000_0001;
            state.cr3 = u64::from(call[1]) << 12;
        }
        let service = Service::ALL[usize::from(call[0]) % Service::ALL.len()];
        let resumed = if call[1] & 2 != 0 { 9 } else { 0 };
        state.rip = u64::from(rom::stub(service)) + resumed + rom::OUT_BYTES;
        let _ = bios.trapped(&mut state, &mut pc);
    }
});

fn hvm_memory(pc: &Pc) -> &guest_mem::GuestMemory {
    use guest_bios::bios::Machine;
    pc.memory()
}
