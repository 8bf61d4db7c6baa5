//! What INT 13h answers in AH.

/// An error of INT 13h (IBM BIOS Interface Technical Reference, "Interrupt 13h"; EDD-3, 5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Unknown function, or a parameter that makes no sense.
    Invalid = 0x01,
    /// The medium cannot be written.
    WriteProtected = 0x03,
    /// No such sector.
    NotFound = 0x04,
    /// The medium was changed.
    Changed = 0x06,
    /// The controller failed.
    Controller = 0x20,
    /// The drive is empty.
    NoMedium = 0x31,
    /// A removable medium that is not locked.
    NotLocked = 0xb0,
}
