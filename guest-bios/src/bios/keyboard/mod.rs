//! The keyboard: INT 09h puts keys into the buffer, INT 16h gives them out.

pub(super) mod buffer;
pub(super) mod int09;
pub(super) mod int16;
mod keys;
