//! What a station does while a test does something else.

use anyhow::{Result, bail};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Does `work`, and beside it `duty` until that finds that work is done; what both came to.
pub(super) fn beside<D: Send, W>(
    duty: impl FnOnce(&dyn Fn() -> bool) -> Result<D> + Send,
    work: impl FnOnce() -> W,
) -> Result<(D, W)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let station = scope.spawn(|| duty(&|| done.load(Ordering::Relaxed)));
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let stood = station
            .join()
            .unwrap_or_else(|_| bail!("the station panicked"))?;
        Ok((stood, worked))
    })
}
