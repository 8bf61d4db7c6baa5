//! A board that is driven by bytes, for the targets that look at one of its devices each.

use guest_mem::{Gpa, GuestMemory};
use hvm::apic::ApicMessage;
use hvm::device::{Context, PowerEvent, Signals};
use hvm::input::{Action, Input, Key, KeyEvent, PointerEvent};
use hvm::{Instant, Width};
use pc::board::{Board, BoardConfig};
use pc::floppy::Place;
use pc::fw_cfg::{FwCfg, Key as ItemKey};
use pc::pflash::{Flash, Protection};
use pc::vmmouse::Registers;
use std::sync::Mutex;
use virtio_pv::ram::{Access, RamDisk};

/// Where the flash is.
pub const FLASH_BASE: u64 = 0xffc0_0000;
const RAM_BYTES: u64 = 0x4_0000;

/// The RAM of the run before, since RAM is leaked and runs are many.
static SPARE: Mutex<Option<GuestMemory>> = Mutex::new(None);

/// Nobody hears anything.
struct Deaf;

impl Signals for Deaf {
    fn interrupt(&mut self, _message: ApicMessage) {}
    fn end_of_interrupt(&mut self, _vector: u8) {}
    fn power(&mut self, _event: PowerEvent) {}
}

/// Someone who types all keys in turn, and pushes the mouse.
struct Hands(u8);

impl Input for Hands {
    fn next_key(&mut self) -> Option<KeyEvent> {
        self.0 = self.0.wrapping_add(1);
        let key = Key::from_usage(self.0 >> 1)?;
        let action = [Action::Press, Action::Release][usize::from(self.0 & 1)];
        Some(KeyEvent { key, action })
    }

    fn next_pointer(&mut self) -> Option<PointerEvent> {
        self.0 = self.0.wrapping_add(1);
        let right = i16::from(self.0) - 100;
        (self.0 & 1 == 0).then_some(PointerEvent::Motion { right, down: 7 })
    }
}

fn board() -> Board {
    let mut board = Board::new(BoardConfig {
        epoch_seconds: 1_795_368_600,
        com1: None,
        com2: None,
        ide: None,
    });
    board.connect_input(Box::new(Hands(0)));
    board.insert_floppy(
        Place::A,
        Box::new(RamDisk::new(vec![7; 1_474_560], Access::ReadWrite)),
    );
    let file = (ItemKey::File("etc/e820".into()), vec![1; 100]);
    board.attach_fw_cfg(FwCfg::new(vec![file]).unwrap());
    let flash = Flash::new(vec![0xff; 0x2000], Protection::Writable).unwrap();
    board.attach_flash(Gpa(FLASH_BASE), flash);
    board
}

/// Runs a trace of eight-byte steps over some of the ports and of the memory. A board that takes the state over must have the
/// same state.
pub fn run(data: &[u8], ports: &[u16], memory_base: u64) {
    let spare = SPARE.lock().unwrap().take();
    let memory = spare.unwrap_or_else(|| GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]));
    let mut board = board();
    let mut now = Instant::ZERO;
    for step in data.chunks_exact(8).take(1000) {
        let &[what, select, offset_low, offset_high, a, b, c, d] = step else {
            break;
        };
        let value = u32::from_le_bytes([a, b, c, d]);
        let offset = u16::from_le_bytes([offset_low, offset_high]);
        let mut context = Context {
            memory: &memory,
            now,
            signals: &mut Deaf,
        };
        let port = ports[usize::from(select) % ports.len()];
        let width =
            [Width::Byte, Width::Word, Width::Dword, Width::Qword][usize::from(what >> 4 & 3)];
        let gpa = Gpa(memory_base + u64::from(offset & 0x3fff));
        match what & 0xf {
            0..=4 => board.port_write(port, Width::Byte, value, &mut context),
            5 => board.port_write(port, width.min(Width::Dword), value, &mut context),
            6 | 7 => drop(board.port_read(port, width.min(Width::Dword), &mut context)),
            8 => {
                let value = u64::from(value) << (select & 31);
                let _ = board.mmio_write(gpa, width, value, &mut context);
            }
            9 => drop(board.mmio_read(gpa, width, &mut context)),
            10 => board.poll(&mut context),
            11 => drop(memory.store(Gpa(offset.into()), &value)),
            12 => {
                let registers = Registers {
                    eax: 0x564d_5868,
                    ebx: value,
                    ecx: u32::from(select) % 48,
                    edx: 0x5658,
                };
                board.vmware_request(registers);
            }
            13 => now = now + (u64::from(value) << (select & 31)),
            _ => {
                if let Some(deadline) = board.deadline() {
                    now = now.max(deadline);
                    context.now = now;
                    board.poll(&mut context);
                }
            }
        }
    }
    let saved = board.save();
    let mut twin = self::board();
    twin.restore(&saved).unwrap();
    assert_eq!(twin.save(), saved);
    *SPARE.lock().unwrap() = Some(memory);
}
