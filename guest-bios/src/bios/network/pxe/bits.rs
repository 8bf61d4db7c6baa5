//! Numbers of the calls (PXE 2.1, chapters 3 and 4).

/// Operation codes.
#[allow(missing_docs)]
pub mod operation {
    pub const UNDI_STARTUP: u16 = 0x01;
    pub const UNDI_CLEANUP: u16 = 0x02;
    pub const UNDI_INITIALIZE: u16 = 0x03;
    pub const UNDI_RESET_ADAPTER: u16 = 0x04;
    pub const UNDI_SHUTDOWN: u16 = 0x05;
    pub const UNDI_OPEN: u16 = 0x06;
    pub const UNDI_CLOSE: u16 = 0x07;
    pub const UNDI_TRANSMIT: u16 = 0x08;
    pub const UNDI_SET_GROUPS: u16 = 0x09;
    pub const UNDI_SET_STATION: u16 = 0x0a;
    pub const UNDI_SET_FILTER: u16 = 0x0b;
    pub const UNDI_GET_INFORMATION: u16 = 0x0c;
    pub const UNDI_GET_STATISTICS: u16 = 0x0d;
    pub const UNDI_CLEAR_STATISTICS: u16 = 0x0e;
    pub const UNDI_DIAGNOSE: u16 = 0x0f;
    pub const UNDI_FORCE_INTERRUPT: u16 = 0x10;
    pub const UNDI_GET_GROUP: u16 = 0x11;
    pub const UNDI_GET_NIC_TYPE: u16 = 0x12;
    pub const UNDI_GET_INTERFACE: u16 = 0x13;
    pub const UNDI_ISR: u16 = 0x14;
    /// The specification gives this number to PXENV_UNDI_GET_STATE as well; boot programs mean this one.
    pub const STOP_UNDI: u16 = 0x15;
    pub const START_UNDI: u16 = 0x00;
    pub const TFTP_OPEN: u16 = 0x20;
    pub const TFTP_CLOSE: u16 = 0x21;
    pub const TFTP_READ: u16 = 0x22;
    pub const TFTP_READ_FILE: u16 = 0x23;
    pub const TFTP_GET_SIZE: u16 = 0x25;
    pub const UDP_OPEN: u16 = 0x30;
    pub const UDP_CLOSE: u16 = 0x31;
    pub const UDP_READ: u16 = 0x32;
    pub const UDP_WRITE: u16 = 0x33;
    pub const UNLOAD_STACK: u16 = 0x70;
    pub const GET_CACHED_INFO: u16 = 0x71;
    pub const RESTART_TFTP: u16 = 0x73;
    pub const START_BASE: u16 = 0x75;
    pub const STOP_BASE: u16 = 0x76;
}

/// Status words.
#[allow(missing_docs)]
pub mod status {
    pub const SUCCESS: u16 = 0;
    pub const FAILURE: u16 = 1;
    pub const UNSUPPORTED: u16 = 3;
    pub const OUT_OF_RESOURCES: u16 = 6;
    pub const UDP_CLOSED: u16 = 0x18;
    pub const UDP_OPEN: u16 = 0x19;
    pub const TFTP_CLOSED: u16 = 0x1a;
    pub const TFTP_OPEN: u16 = 0x1b;
    pub const TFTP_OPEN_TIMEOUT: u16 = 0x32;
    pub const TFTP_READ_TIMEOUT: u16 = 0x35;
    pub const TFTP_ERROR: u16 = 0x36;
    pub const TFTP_CANNOT_READ: u16 = 0x39;
    pub const TFTP_NOT_FOUND: u16 = 0x3b;
    pub const TFTP_ACCESS: u16 = 0x3c;
    pub const TFTP_NO_SIZE: u16 = 0x3e;
    pub const UNDI_INVALID_STATE: u16 = 0x64;
    pub const UNDI_TRANSMIT_ERROR: u16 = 0x65;
    pub const UNDI_INVALID_PARAMETER: u16 = 0x66;
}

/// What AX says: the call was done, or was not.
pub const EXIT_SUCCESS: u16 = 0;
/// See [`EXIT_SUCCESS`].
pub const EXIT_FAILURE: u16 = 1;

/// What the interrupt call is asked, and answers.
#[allow(missing_docs)]
pub mod isr {
    pub const START: u16 = 1;
    pub const PROCESS: u16 = 2;
    pub const NEXT: u16 = 3;
    pub const OURS: u16 = 0;
    pub const NOT_OURS: u16 = 1;
    pub const DONE: u16 = 0;
    pub const TRANSMITTED: u16 = 2;
    pub const RECEIVED: u16 = 3;
}

/// Protocols of frames to be sent, and of frames that came.
#[allow(missing_docs)]
pub mod protocol {
    pub const UNKNOWN: u8 = 0;
    pub const IP: u8 = 1;
    pub const ARP: u8 = 2;
    pub const RARP: u8 = 3;
}

/// What the card can: broadcast, groups, all frames, reset, open and close, interrupts.
pub const SERVICES: u32 = 0x1 | 0x2 | 0x8 | 0x400 | 0x800 | 0x1000;
