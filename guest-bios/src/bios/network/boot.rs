//! From INT 19h to the boot program: the cable, DHCP, the file by TFTP. Each step tells people what it does.

use super::super::boot::{Key, say};
use super::super::call::{Call, Resume, Served};
use super::super::{Bios, rtc};
use super::card::FRAME_BYTES;
use super::dhcp::menu::{Menu, Patience};
use super::dhcp::{self, Found, Progress};
use super::station::Station;
use super::wire::Endpoint;
use super::{DATA, DATA_SEGMENT, KIB_WITH, KIB_WITHOUT, pxe, set_conventional, tftp};
use crate::rom;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::Ipv4Addr;
use guest_mem::Gpa;
use hvm::Instant;
use hvm::backend::Link;
use hvm::regs::{Rflags, SegmentName};
use serde::{Deserialize, Serialize};

/// Where boot programs go, and start.
pub const PROGRAM: u64 = 0x7c00;
/// The longest boot program.
pub const MOST_BYTES: u64 = DATA.0 - PROGRAM;
/// How long a cable may take to come up.
const LINK_WAIT_NS: u64 = 5_000_000_000;
/// Frames that one call looks at.
const MOST_FRAMES: usize = 32;
/// Bytes of the program for a dot on the screen.
const DOT_BYTES: u64 = 0x1_0000;
/// Where answers of the TFTP server go.
const LOCAL_PORT: u16 = 2070;

/// Where a boot stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Step {
    /// The cable is to come up until then.
    Link(Instant),
    Dhcp(dhcp::Client),
    Tftp(tftp::Client),
}

/// A menu, and how long it waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Choosing {
    menu: Menu,
    /// `None`: it is on the screen, and waits for a key.
    until: Option<Instant>,
}

/// A boot in progress.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Boot {
    step: Step,
    /// A server's menu that somebody may choose of.
    choosing: Option<Choosing>,
    file: String,
    server: Ipv4Addr,
    loaded_bytes: u64,
    /// What DHCP said, for the program.
    packets: [Vec<u8>; 3],
}

/// Why it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    NoCard,
    NotStarted,
    NoLink,
    Cancelled,
    Dhcp(dhcp::Failure),
    Tftp {
        server: Ipv4Addr,
        file: String,
        why: tftp::Failure,
    },
    TooLong {
        file: String,
    },
    Empty {
        file: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCard => f.write_str("the guest has no network card; `vif` gives it one"),
            Self::NotStarted => f.write_str("the card does not come up"),
            Self::NoLink => f.write_str("no cable is plugged in, or the host's card has no link"),
            Self::Cancelled => f.write_str("stopped by a key"),
            Self::Dhcp(why) => why.fmt(f),
            Self::Tftp { server, file, why } => write!(f, "{server}:{file}: {why}"),
            Self::TooLong { file } => write!(
                f,
                "{file} is longer than the {} KiB that a boot program may have; name another in DHCP",
                MOST_BYTES / 1024
            ),
            Self::Empty { file } => write!(f, "{file} is empty; put a boot program there"),
        }
    }
}

/// How it stands.
pub enum State {
    /// Something is waited for.
    Waiting,
    /// The boot program is where it starts.
    Loaded,
    /// It will not come.
    Failed(Failure),
}

/// Begins to boot from a card.
pub fn begin(bios: &mut Bios, call: &mut Call<'_>, index: u8) -> Served<Result<(), Failure>> {
    bios.network.leave(call)?;
    // Nobody is returned to, and the program goes where the caller's stack may be.
    call.set_segment(SegmentName::Ss, 0);
    call.set_sp(PROGRAM as u16);
    let Some(&card) = bios.network.cards.get(usize::from(index)) else {
        return Ok(Err(Failure::NoCard));
    };
    let mac = card.address(call);
    let mut station = Station::new(card, mac);
    if !station.card.open(call) {
        return Ok(Err(Failure::NotStarted));
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "Network boot by {}, ", card.name());
    for (index, byte) in mac.into_iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02x}");
    }
    text.push_str(" (Esc stops it)\n");
    say(bios, call, &text)?;
    set_conventional(call, KIB_WITHOUT, KIB_WITH)?;
    bios.network.station = Some(station);
    bios.network.boot = Some(Boot {
        step: Step::Link(call.machine.now() + LINK_WAIT_NS),
        choosing: None,
        file: String::new(),
        server: Ipv4Addr::UNSPECIFIED,
        loaded_bytes: 0,
        packets: Default::default(),
    });
    rtc::start_periodic(call);
    Ok(Ok(()))
}

/// Goes on with it.
pub fn proceed(bios: &mut Bios, call: &mut Call<'_>, key: Option<Key>) -> Served<State> {
    let (Some(mut station), Some(mut boot)) =
        (bios.network.station.take(), bios.network.boot.take())
    else {
        return Ok(State::Failed(Failure::NoCard));
    };
    let mut text = String::new();
    let state = match boot.chosen(call, key, &mut text) {
        Some(item) => boot.choose(call, &mut station, item, &mut text),
        None => boot.proceed(call, &mut station, &mut text),
    };
    if let State::Loaded = state {
        let bytes = boot.loaded_bytes;
        let _ = writeln!(text, " {bytes} bytes");
    } else if let (State::Failed(_), Step::Tftp(_)) = (&state, &boot.step) {
        text.push('\n');
    }
    bios.network.station = Some(station);
    bios.network.boot = Some(boot);
    if !text.is_empty() {
        say(bios, call, &text)?;
    }
    Ok(state)
}

/// Starts the program that was loaded (PXE 2.1, 4.4.5): ES:BX and the stack tell where the calls are. If it returns, the next device has
/// its turn.
pub fn start(bios: &mut Bios, call: &mut Call<'_>) -> Served {
    let Some(boot) = bios.network.boot.take() else {
        return Ok(());
    };
    rtc::stop_periodic(call);
    pxe::install(&mut bios.network, call, boot.packets)?;
    call.clear_registers();
    for segment in [SegmentName::Ss, SegmentName::Ds, SegmentName::Es] {
        call.set_segment(segment, 0);
    }
    call.set_sp(PROGRAM as u16);
    let (pxe, pxenv) = (pxe::structures::PXE, pxe::structures::PXENV);
    for word in [DATA_SEGMENT, pxe, rom::SEGMENT, rom::NO_BOOT] {
        call.push(word)?;
    }
    call.set_segment(SegmentName::Es, DATA_SEGMENT);
    call.set_bx(pxenv);
    call.set_flags(Rflags::IF, Rflags::DF | Rflags::TF);
    call.resume(Resume::Far {
        segment: 0,
        offset: PROGRAM as u16,
    });
    call.machine.log(format_args!(
        "BIOS: starting {} of {}, {} bytes",
        boot.file, boot.server, boot.loaded_bytes
    ));
    Ok(())
}

impl Choosing {
    /// Tells that there is a menu, or shows it.
    fn start(menu: Menu, now: Instant, text: &mut String) -> Self {
        const SECOND_NS: u64 = 1_000_000_000;
        let mut choosing = Self { menu, until: None };
        text.push('\n');
        match choosing.menu.patience {
            Patience::Seconds(seconds) => {
                choosing.until = Some(now + u64::from(seconds) * SECOND_NS);
                // Writing to a string cannot fail.
                let _ = writeln!(
                    text,
                    "{} (F8 or m, within {seconds} s)",
                    choosing.menu.prompt
                );
            }
            Patience::None | Patience::Endless => choosing.show(text),
        }
        choosing
    }

    /// Shows it; it waits from now on.
    fn show(&mut self, text: &mut String) {
        self.until = None;
        for (number, item) in (1..).zip(&self.menu.items) {
            // As above.
            let _ = writeln!(text, "  {number}  {}", item.text);
        }
        text.push_str("Press a number.\n");
    }
}

impl Boot {
    fn proceed(&mut self, call: &mut Call<'_>, station: &mut Station, text: &mut String) -> State {
        if let Step::Link(until) = self.step {
            if station.card.link(call) == Link::Up {
                text.push_str("DHCP ...");
                self.step = Step::Dhcp(dhcp::Client::start(call, station));
            } else if call.machine.now() >= until {
                return State::Failed(Failure::NoLink);
            }
            return State::Waiting;
        }
        let mut buffer = [0; FRAME_BYTES];
        for _ in 0..MOST_FRAMES {
            let Some(datagram) = station.receive(call, &mut buffer) else {
                break;
            };
            let Some(datagram) = datagram else {
                continue;
            };
            match &mut self.step {
                Step::Link(_) => {}
                Step::Dhcp(client) => {
                    let progress = client.hear(call, station, &datagram);
                    if progress != Progress::Waiting {
                        return self.told(call, station, progress, text);
                    }
                }
                Step::Tftp(client) => {
                    client.hear(call, station, &datagram);
                    let state = self.take(call, station, text);
                    if !matches!(state, State::Waiting) {
                        return state;
                    }
                }
            }
        }
        match &mut self.step {
            Step::Link(_) => State::Waiting,
            Step::Dhcp(client) => {
                let progress = client.tick(call, station);
                self.told(call, station, progress, text)
            }
            Step::Tftp(client) => {
                client.tick(call, station);
                self.take(call, station, text)
            }
        }
    }

    /// Looks after the menu, if there is one: the item that a key or time has chosen.
    fn chosen(&mut self, call: &mut Call<'_>, key: Option<Key>, text: &mut String) -> Option<u16> {
        let choosing = self.choosing.as_mut()?;
        let Some(until) = choosing.until else {
            let Some(Key::Digit(digit)) = key else {
                return None;
            };
            let item = choosing
                .menu
                .items
                .get(usize::from(digit).checked_sub(1)?)?;
            return Some(item.number);
        };
        if key == Some(Key::Choices) {
            choosing.show(text);
            return None;
        }
        (call.machine.now() >= until).then(|| choosing.menu.first())
    }

    fn choose(
        &mut self,
        call: &mut Call<'_>,
        station: &mut Station,
        item: u16,
        text: &mut String,
    ) -> State {
        self.choosing = None;
        let Step::Dhcp(client) = &mut self.step else {
            return State::Waiting;
        };
        let progress = client.choose(call, station, item);
        self.told(call, station, progress, text)
    }

    /// DHCP is over, or is not.
    fn told(
        &mut self,
        call: &mut Call<'_>,
        station: &mut Station,
        progress: Progress,
        text: &mut String,
    ) -> State {
        let Found { server, file } = match progress {
            Progress::Waiting => return State::Waiting,
            Progress::Choose(menu) => {
                self.choosing = Some(Choosing::start(menu, call.machine.now(), text));
                return State::Waiting;
            }
            Progress::Failed(why) => {
                text.push('\n');
                return State::Failed(Failure::Dhcp(why));
            }
            Progress::Done(found) => found,
        };
        if let Step::Dhcp(client) = &self.step {
            self.packets = client.packets().map(<[u8]>::to_vec);
        }
        let printable = file.iter().filter(|byte| (b' '..=b'~').contains(*byte));
        self.file = printable.map(|&byte| char::from(byte)).collect();
        self.server = server;
        let _ = write!(
            text,
            " {}, router {}\nTFTP {server}:{} ",
            station.address, station.router, self.file
        );
        let request = tftp::Request {
            server: Endpoint::new(server, tftp::SERVER_PORT),
            router: Ipv4Addr::UNSPECIFIED,
            local_port: LOCAL_PORT,
            name: &file,
            block_bytes: tftp::MOST_BLOCK_BYTES,
        };
        self.step = Step::Tftp(tftp::Client::open(call, station, request));
        State::Waiting
    }

    /// Takes what has come of the file.
    fn take(&mut self, call: &mut Call<'_>, station: &mut Station, text: &mut String) -> State {
        let Step::Tftp(client) = &mut self.step else {
            return State::Waiting;
        };
        let announced = client.file_bytes.map_or(0, u64::from);
        let more = client.held().map_or(0, |block| block.len() as u64);
        if announced.max(self.loaded_bytes.saturating_add(more)) > MOST_BYTES {
            client.abort(call, station);
            let file = core::mem::take(&mut self.file);
            return State::Failed(Failure::TooLong { file });
        }
        if let Some(block) = client.held() {
            call.write_physical(Gpa(PROGRAM + self.loaded_bytes), block);
            let before = self.loaded_bytes / DOT_BYTES;
            self.loaded_bytes = self.loaded_bytes.saturating_add(more);
            for _ in before..self.loaded_bytes / DOT_BYTES {
                text.push('.');
            }
            client.acknowledge(call, station);
        }
        match client.phase() {
            tftp::Phase::Asking | tftp::Phase::Open => State::Waiting,
            tftp::Phase::Done if self.loaded_bytes == 0 => State::Failed(Failure::Empty {
                file: core::mem::take(&mut self.file),
            }),
            tftp::Phase::Done => State::Loaded,
            tftp::Phase::Failed(why) => State::Failed(Failure::Tftp {
                server: self.server,
                file: core::mem::take(&mut self.file),
                why: why.clone(),
            }),
        }
    }
}
