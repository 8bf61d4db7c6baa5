//! A CD of any bytes is booted or refused, and its drive then answers.
#![no_main]

mod machine;

use guest_bios::bios::Service;
use guest_bios::rom;
use hvm::regs::{Gpr, Registers, Segment, SegmentName, State};
use libfuzzer_sys::fuzz_target;
use machine::Pc;

const RECORD: usize = 17 * 2048;

fn trap(state: &mut State, offset: u16) {
    let base = u64::from(rom::SEGMENT) << 4;
    state.set_segment(
        SegmentName::Cs,
        Segment::new(rom::SEGMENT, 0x9b, 0xffff, base),
    );
    state.rip = u64::from(offset) + rom::OUT_BYTES;
}

fuzz_target!(|data: &[u8]| {
    // Boot record and catalog of any content, at the places that lead there.
    let mut cd = vec![0; 40 * 2048];
    cd[RECORD..][..30].copy_from_slice(b"\0CD001\x01EL TORITO SPECIFICATION");
    cd[RECORD + 0x47] = 20;
    let catalog = &mut cd[20 * 2048..][..2048];
    let length = data.len().min(catalog.len());
    catalog[..length].copy_from_slice(&data[..length]);
    catalog[0] = 1;
    catalog[30..32].copy_from_slice(&[0x55, 0xaa]);
    catalog[28..30].fill(0);
    let sum = catalog[..32].chunks(2).fold(0_u16, |sum, word| {
        sum.wrapping_add(u16::from_le_bytes([word[0], word[1]]))
    });
    catalog[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    let (mut pc, mut bios) = Pc::new(cd);
    let mut state = State::reset();
    trap(&mut state, 0xe05b + 2);
    let _ = bios.trapped(&mut state, &mut pc);
    trap(&mut state, rom::stub(Service::Bootstrap));
    let _ = bios.trapped(&mut state, &mut pc);
    for function in [0x0800_u64, 0x0201, 0x4b01, 0x4200, 0x4800] {
        state.set_gpr(Gpr::Rax, function);
        state.set_gpr(Gpr::Rcx, 1);
        state.set_gpr(Gpr::Rbx, 0x7e00);
        state.set_gpr(Gpr::Rsi, 0x600);
        trap(&mut state, rom::stub(Service::Disk));
        let _ = bios.trapped(&mut state, &mut pc);
    }
});
