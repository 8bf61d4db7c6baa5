//! The transceiver's registers (IEEE 802.3, clause 22), as far as the chip shows them: always 100 Mbit/s, full duplex.

use hvm::backend::Link;
use serde::{Deserialize, Serialize};

/// Basic mode control: reset; clears itself.
const RESET: u16 = 1 << 15;
/// 100 Mbit/s, negotiation, full duplex.
const CONTROL_DEFAULT: u16 = 0x3100;
/// Negotiate.
const NEGOTIATE: u16 = 1 << 12;
/// What may be written: speed, negotiation, duplex; the rest is reserved (data sheet, BMCR).
const CONTROL_WRITABLE: u16 = 0x3100;
/// Basic mode status: what the transceiver can do, and that it has more registers.
const ABILITIES: u16 = 0x7809;
/// Basic mode status: negotiation is over.
const NEGOTIATED: u16 = 1 << 5;
/// Basic mode status: link.
const LINK: u16 = 1 << 2;
/// Both duplexes at both speeds, and IEEE 802.3 as the selector.
const ADVERTISEMENT: u16 = 0x01e1;
/// What may be written of it: remote fault, pause, the four, and the selector. 100BASE-T4 it cannot.
const ADVERTISEMENT_WRITABLE: u16 = 0x25ff;
/// The same, heard and acknowledged, with flow control.
const PARTNER: u16 = 0x45e1;
/// The partner can negotiate.
const PARTNER_ABLE: u16 = 1;
/// Transceiver status: link, and that it changed.
const LINK_OK: u16 = 1 << 10;
const LINK_CHANGED: u16 = 1 << 11;
/// Transceiver: link test, heart beat, jabber, 100 Mbit/s on; and which switches there are (data sheet, CSCR: LD, HEART BEAT, JBEN,
/// F_LINK_100, F_Connect, Con_status_En, PASS_SCR). None has an effect: there is no signal that they could change.
const SWITCHES_DEFAULT: u16 = 0x03c0;
const SWITCHES: u16 = 0x03e5;

/// The transceiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phy {
    control: u16,
    advertisement: u16,
    /// Of the transceiver's register, what is written.
    switches: u16,
    link: Link,
    changed: bool,
}

impl Phy {
    /// As after power-on.
    pub fn new(link: Link) -> Self {
        Self {
            control: CONTROL_DEFAULT,
            advertisement: ADVERTISEMENT,
            switches: SWITCHES_DEFAULT,
            link,
            changed: false,
        }
    }

    /// The link as last seen.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Looks at the link; true if it changed.
    pub fn see(&mut self, link: Link) -> bool {
        let news = link != self.link;
        self.link = link;
        self.changed |= news;
        news
    }

    /// Basic mode control.
    pub fn control(&self) -> u16 {
        self.control
    }

    /// Writes it. A reset and negotiation are over at once.
    pub fn set_control(&mut self, value: u16) {
        self.control = value & CONTROL_WRITABLE;
        self.command(value);
    }

    /// Writes what of it is never locked: a reset; a negotiation begins anew, and is over.
    pub fn command(&mut self, value: u16) {
        if value & RESET != 0 {
            *self = Self::new(self.link);
        }
    }

    /// Whether the partner's abilities are known: he was asked.
    fn negotiated(&self) -> bool {
        self.link == Link::Up && self.control & NEGOTIATE != 0
    }

    /// Basic mode status.
    pub fn status(&self) -> u16 {
        let negotiated = if self.negotiated() { NEGOTIATED } else { 0 };
        match self.link {
            Link::Up => ABILITIES | LINK | negotiated,
            Link::Down => ABILITIES,
        }
    }

    /// What is advertised.
    pub fn advertisement(&self) -> u16 {
        self.advertisement
    }

    /// Writes it.
    pub fn set_advertisement(&mut self, value: u16) {
        self.advertisement = value & ADVERTISEMENT_WRITABLE;
    }

    /// What the partner advertises.
    pub fn partner(&self) -> u16 {
        match self.negotiated() {
            true => PARTNER,
            false => 0,
        }
    }

    /// Negotiation expansion.
    pub fn expansion(&self) -> u16 {
        match self.negotiated() {
            true => PARTNER_ABLE,
            false => 0,
        }
    }

    /// Transceiver status; reading it forgets the change of the link.
    pub fn transceiver(&mut self) -> u16 {
        let link = match self.link {
            Link::Up => LINK_OK,
            Link::Down => 0,
        };
        let changed = if core::mem::take(&mut self.changed) {
            LINK_CHANGED
        } else {
            0
        };
        self.switches | link | changed
    }

    /// Its switches, as they were written.
    pub fn switches(&self) -> u16 {
        self.switches
    }

    /// Writes them.
    pub fn set_switches(&mut self, value: u16) {
        self.switches = value & SWITCHES;
    }
}
