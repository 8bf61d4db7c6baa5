//! The keyboard buffer in the data area: a ring of words in segment 40h. Its pointers are the guest's to change; those
//! that lead out of the ring are pulled back to its start.

use super::super::bda;
use super::super::call::{Call, Served};
use guest_mem::Gva;

const SEGMENT: u64 = 0x400;

/// Start and end of the ring.
fn bounds(call: &mut Call<'_>) -> Served<(u16, u16)> {
    let start: u16 = call.load(bda::KEY_BUFFER_START)?;
    let end: u16 = call.load(bda::KEY_BUFFER_END)?;
    // Old software clears these; then the buffer is where POST had it.
    Ok(if start < end {
        (start, end)
    } else {
        bda::KEY_BUFFER
    })
}

fn next(at: u16, (start, end): (u16, u16)) -> u16 {
    match at.checked_add(2) {
        Some(next) if next < end && next >= start => next,
        _ => start,
    }
}

/// Puts a word in; false if the ring is full.
pub fn put(call: &mut Call<'_>, word: u16) -> Served<bool> {
    let bounds = bounds(call)?;
    let head: u16 = call.load(bda::KEY_HEAD)?;
    let tail: u16 = call.load(bda::KEY_TAIL)?;
    let following = next(tail, bounds);
    if following == head {
        return Ok(false);
    }
    call.store(Gva(SEGMENT + u64::from(tail)), &word)?;
    call.store(bda::KEY_TAIL, &following)?;
    Ok(true)
}

/// The oldest word, which stays.
pub fn peek(call: &mut Call<'_>) -> Served<Option<u16>> {
    let head: u16 = call.load(bda::KEY_HEAD)?;
    let tail: u16 = call.load(bda::KEY_TAIL)?;
    if head == tail {
        return Ok(None);
    }
    call.load(Gva(SEGMENT + u64::from(head))).map(Some)
}

/// Takes the oldest word out.
pub fn take(call: &mut Call<'_>) -> Served<Option<u16>> {
    let word = peek(call)?;
    if word.is_some() {
        let bounds = bounds(call)?;
        let head: u16 = call.load(bda::KEY_HEAD)?;
        call.store(bda::KEY_HEAD, &next(head, bounds))?;
    }
    Ok(word)
}

/// Empties it.
pub fn clear(call: &mut Call<'_>) -> Served {
    let (start, _) = bounds(call)?;
    call.store(bda::KEY_HEAD, &start)?;
    call.store(bda::KEY_TAIL, &start)
}
