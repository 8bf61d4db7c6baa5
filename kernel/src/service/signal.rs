//! Wakes one task, from anywhere but NMIs: interrupt handlers, other CPUs, the exit path. No lock, no allocation.

use atomic_waker::AtomicWaker;
use core::{
    future::poll_fn,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
};

/// A flag that a task waits for.
pub struct Signal {
    raised: AtomicBool,
    waker: AtomicWaker,
}

impl Signal {
    /// Not raised.
    pub const fn new() -> Self {
        Self {
            raised: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// Raises it. Raised twice before the task looks, it counts once.
    #[inline]
    pub fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Waits until it is raised, and lowers it. For one task.
    pub async fn wait(&self) {
        poll_fn(|context| {
            // One that was woken need not be known again.
            if self.raised.swap(false, Ordering::AcqRel) {
                return Poll::Ready(());
            }
            self.waker.register(context.waker());
            match self.raised.swap(false, Ordering::AcqRel) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

impl Default for Signal {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future,
        pin::pin,
        sync::{Arc, atomic::AtomicUsize},
        task::{Context, Wake, Waker},
    };

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_signal_wakes_once_and_is_not_lost() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        let signal = Signal::new();
        let mut waiting = pin!(signal.wait());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        signal.raise();
        signal.raise();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
        signal.raise();
        assert!(pin!(signal.wait()).poll(&mut context).is_ready());
        assert!(pin!(signal.wait()).poll(&mut context).is_pending());
    }
}
