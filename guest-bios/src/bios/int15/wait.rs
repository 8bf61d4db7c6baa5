//! Waiting for a time (functions 83h and 86h). The clock's periodic interrupt, 1024 a second, ends the CPU's halts.

use super::super::bda;
use super::super::call::{Call, Served};
use super::super::rtc;
use super::super::{Bios, Entry, Turn};
use guest_mem::Gva;
use hvm::regs::SegmentName;

const BUSY: u8 = 1;
const DONE: u8 = 0x80;
const ALREADY_WAITING: u8 = 0x83;
/// Less than this is waited for without halting: the next interrupt would come too late.
const SHORT_NS: u64 = 1_000_000;

fn microseconds(call: &Call<'_>) -> u32 {
    u32::from(call.cx()) << 16 | u32::from(call.dx())
}

/// Function 86h: waits CX:DX microseconds.
pub fn delay(bios: &mut Bios, call: &mut Call<'_>, entry: Entry) -> Served<Turn> {
    let now = call.machine.now();
    let until = match (entry, bios.waiting_until) {
        (Entry::Resumed, Some(until)) => until,
        _ => now + u64::from(microseconds(call)) * 1000,
    };
    if now >= until {
        bios.waiting_until = None;
        let active: u8 = call.load(bda::WAIT_ACTIVE)?;
        if active & BUSY == 0 {
            rtc::stop_periodic(call);
        }
        call.set_ah(0);
        call.succeed();
        return Ok(Turn::Done);
    }
    bios.waiting_until = Some(until);
    if until.since_ns(now) < SHORT_NS {
        return Ok(Turn::Spin);
    }
    rtc::start_periodic(call);
    Ok(Turn::Wait)
}

/// Function 83h: AL = 0 has bit 7 of the byte at ES:BX set after CX:DX microseconds; AL = 1 cancels.
pub fn event(bios: &mut Bios, call: &mut Call<'_>) -> Served {
    const CANCEL: u8 = 1;
    let active: u8 = call.load(bda::WAIT_ACTIVE)?;
    if call.al() == CANCEL {
        call.store(bda::WAIT_ACTIVE, &(active & !(BUSY | DONE)))?;
        if bios.waiting_until.is_none() {
            rtc::stop_periodic(call);
        }
    } else if active & BUSY != 0 {
        call.set_ah(ALREADY_WAITING);
        call.fail();
        return Ok(());
    } else {
        let flag = [call.bx(), call.selector(SegmentName::Es)];
        call.store(bda::WAIT_FLAG, &flag)?;
        call.store(bda::WAIT_COUNT, &microseconds(call))?;
        call.store(bda::WAIT_ACTIVE, &BUSY)?;
        rtc::start_periodic(call);
    }
    call.set_ah(0);
    call.succeed();
    Ok(())
}

/// A period of the clock is over: a wait of function 83h may end.
pub(in super::super) fn elapsed(bios: &Bios, call: &mut Call<'_>) -> Served {
    let active: u8 = call.load(bda::WAIT_ACTIVE)?;
    if active & BUSY == 0 {
        return Ok(());
    }
    let left: u32 = call.load(bda::WAIT_COUNT)?;
    let left = left.saturating_sub(rtc::PERIOD_US);
    call.store(bda::WAIT_COUNT, &left)?;
    if left > 0 {
        return Ok(());
    }
    let [offset, segment]: [u16; 2] = call.load(bda::WAIT_FLAG)?;
    let flag = Gva(u64::from(segment) * 16 + u64::from(offset));
    let value: u8 = call.load(flag)?;
    call.store(flag, &(value | DONE))?;
    call.store(bda::WAIT_ACTIVE, &0_u8)?;
    if bios.waiting_until.is_none() {
        rtc::stop_periodic(call);
    }
    Ok(())
}
