//! Which descriptors of a ring are the card's: those from the oldest on, as many as were handed over and not taken back.

/// The card's descriptors in a ring of `SIZE`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<const SIZE: usize> {
    oldest: usize,
    outstanding: usize,
}

impl<const SIZE: usize> Span<SIZE> {
    /// The first one.
    #[inline]
    pub fn oldest(&self) -> usize {
        self.oldest
    }

    /// How many there are.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// The one behind them.
    #[inline]
    pub fn next(&self) -> usize {
        (self.oldest + self.outstanding) % SIZE
    }

    /// The card has that one, too: which it is.
    #[inline]
    pub fn hand_over(&mut self) -> usize {
        let index = self.next();
        self.outstanding += 1;
        index
    }

    /// The card is done with the oldest one: which it is.
    #[inline]
    pub fn take_back(&mut self) -> usize {
        let index = self.oldest;
        self.oldest = (index + 1) % SIZE;
        self.outstanding -= 1;
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_round() {
        let mut span = Span::<3>::default();
        for round in 0..7 {
            assert_eq!(span.hand_over(), round % 3);
            assert_eq!(span.outstanding(), 1);
            assert_eq!((span.oldest(), span.next()), (round % 3, (round + 1) % 3));
            assert_eq!(span.take_back(), round % 3);
        }
        assert_eq!(span.outstanding(), 0);
    }
}
