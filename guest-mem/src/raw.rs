//! Copies to and from memory that a guest may write at the same time.
//!
//! The guest is not part of the Rust abstract machine: its stores are like a device's. Naturally aligned words move with
//! one volatile access each, so that a guest's aligned store is seen whole or not at all, which page-table and ring
//! readers need; longer runs are byte copies whose result may be any mix of old and new bytes.

use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Copies out of guest memory.
///
/// # Safety
/// `from..from+into.len()` is mapped and stays mapped, and no Rust reference to any of it exists.
#[inline]
pub unsafe fn copy_out(from: *const u8, into: &mut [u8]) {
    // SAFETY: the caller vouches for `from`; each volatile read is naturally aligned by the guard before it, and `into`
    // is a distinct Rust allocation.
    unsafe {
        match into.len() {
            1 => into[0] = ptr::read_volatile(from),
            2 if from.addr().is_multiple_of(2) => {
                into.copy_from_slice(&ptr::read_volatile(from.cast::<u16>()).to_ne_bytes());
            }
            4 if from.addr().is_multiple_of(4) => {
                into.copy_from_slice(&ptr::read_volatile(from.cast::<u32>()).to_ne_bytes());
            }
            8 if from.addr().is_multiple_of(8) => {
                into.copy_from_slice(&ptr::read_volatile(from.cast::<u64>()).to_ne_bytes());
            }
            len => ptr::copy_nonoverlapping(from, into.as_mut_ptr(), len),
        }
    }
}

/// Reads one word.
///
/// # Safety
/// `at` is mapped and stays mapped, 8-aligned, and no Rust reference to it exists.
#[inline]
pub unsafe fn load_u64(at: *const u64) -> u64 {
    // SAFETY: the caller vouches for `at`.
    unsafe { ptr::read_volatile(at) }
}

/// Copies into guest memory.
///
/// # Safety
/// As [`copy_out`], for `to..to+from.len()`.
#[inline]
pub unsafe fn copy_in(to: *mut u8, from: &[u8]) {
    // SAFETY: as in `copy_out`, with the directions exchanged.
    unsafe {
        match *from {
            [byte] => ptr::write_volatile(to, byte),
            [a, b] if to.addr().is_multiple_of(2) => {
                ptr::write_volatile(to.cast(), u16::from_ne_bytes([a, b]))
            }
            [a, b, c, d] if to.addr().is_multiple_of(4) => {
                ptr::write_volatile(to.cast(), u32::from_ne_bytes([a, b, c, d]));
            }
            [a, b, c, d, e, f, g, h] if to.addr().is_multiple_of(8) => {
                ptr::write_volatile(to.cast(), u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
            }
            _ => ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()),
        }
    }
}

/// Fills guest memory.
///
/// # Safety
/// As [`copy_in`], for `to..to+bytes`.
pub unsafe fn fill(to: *mut u8, bytes: usize, value: u8) {
    // SAFETY: the caller vouches for the range.
    unsafe { ptr::write_bytes(to, value, bytes) }
}

/// LOCK CMPXCHG on a naturally aligned dword. `Err` holds what was found.
///
/// # Safety
/// `at` is mapped, 4-aligned, and only accessed atomically or by the guest while this runs.
#[inline]
pub unsafe fn compare_exchange_u32(at: *mut u32, current: u32, new: u32) -> Result<u32, u32> {
    // SAFETY: the caller vouches for `at`.
    unsafe { AtomicU32::from_ptr(at) }.compare_exchange(
        current,
        new,
        Ordering::SeqCst,
        Ordering::SeqCst,
    )
}

/// LOCK CMPXCHG on a naturally aligned qword. `Err` holds what was found.
///
/// # Safety
/// `at` is mapped, 8-aligned, and only accessed atomically or by the guest while this runs.
#[inline]
pub unsafe fn compare_exchange_u64(at: *mut u64, current: u64, new: u64) -> Result<u64, u64> {
    // SAFETY: the caller vouches for `at`.
    unsafe { AtomicU64::from_ptr(at) }.compare_exchange(
        current,
        new,
        Ordering::SeqCst,
        Ordering::SeqCst,
    )
}
