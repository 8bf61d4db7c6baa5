//! The one request that a drive's back end may be at work on.

/// Tells the answer to the present request from the answer to one that a reset gave up. While a given-up request is
/// still out, its memory may still be written, so the drive stays busy until it has landed.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// The present request's token, or the next one's.
    token: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Landed,
    UnderWay,
    GivenUp,
}

impl Flight {
    /// The token for the next request.
    pub(super) fn token(&self) -> u64 {
        self.token
    }

    /// The request is pending.
    pub(super) fn depart(&mut self) {
        self.state = State::UnderWay;
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.state == State::UnderWay
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.state == State::GivenUp
    }

    /// A request finished. True if somebody waits for it.
    pub(super) fn land(&mut self, token: u64) -> bool {
        if token != self.token || self.state == State::Landed {
            return false;
        }
        let awaited = self.is_under_way();
        self.state = State::Landed;
        self.token = self.token.wrapping_add(1);
        awaited
    }

    /// Nobody waits for the request any more.
    pub(super) fn give_up(&mut self) {
        if self.is_under_way() {
            self.state = State::GivenUp;
        }
    }

    /// The back end itself is gone, and its requests with it.
    pub(super) fn forget(&mut self) {
        if self.state != State::Landed {
            self.state = State::Landed;
            self.token = self.token.wrapping_add(1);
        }
    }
}
