//! The BIOS data area at 0040:0000 (IBM PS/2 and PC BIOS Interface Technical Reference, "BIOS data area"), by linear
//! address.

use guest_mem::Gva;

/// Ports of COM1 to COM4, words.
pub const SERIAL_PORTS: Gva = Gva(0x400);
/// Segment of the extended BIOS data area.
pub const EBDA_SEGMENT: Gva = Gva(0x40e);
/// What INT 11h tells.
pub const EQUIPMENT: Gva = Gva(0x410);
/// What INT 12h tells: KiB below the EBDA.
pub const MEMORY_KIB: Gva = Gva(0x413);
/// Keyboard flags: shift keys and locks.
pub const KEYBOARD_FLAGS: Gva = Gva(0x417);
/// Keys that are down.
pub const KEYBOARD_FLAGS_2: Gva = Gva(0x418);
/// The number typed with Alt on the keypad.
pub const ALT_KEYPAD: Gva = Gva(0x419);
/// Offset in segment 40h of the next key to give out.
pub const KEY_HEAD: Gva = Gva(0x41a);
/// Offset of the next free place.
pub const KEY_TAIL: Gva = Gva(0x41c);
/// Diskette motors: shut off when this counts down to 0.
pub const DISKETTE_MOTOR_TICKS: Gva = Gva(0x440);
/// Status of the last diskette operation.
pub const DISKETTE_STATUS: Gva = Gva(0x441);
/// Current video mode.
pub const VIDEO_MODE: Gva = Gva(0x449);
/// Columns, a word.
pub const COLUMNS: Gva = Gva(0x44a);
/// Bytes in a page of video memory, a word.
pub const PAGE_BYTES: Gva = Gva(0x44c);
/// Where the shown page starts, a word.
pub const PAGE_START: Gva = Gva(0x44e);
/// Cursor positions of eight pages: column, row.
pub const CURSORS: Gva = Gva(0x450);
/// Cursor shape: last line, first line.
pub const CURSOR_SHAPE: Gva = Gva(0x460);
/// The shown page.
pub const ACTIVE_PAGE: Gva = Gva(0x462);
/// Port of the CRT controller's index register, a word.
pub const CRTC_PORT: Gva = Gva(0x463);
/// The CGA mode control register's would-be value.
pub const CGA_MODE: Gva = Gva(0x465);
/// The CGA colour select register's would-be value.
pub const CGA_PALETTE: Gva = Gva(0x466);
/// Ticks since midnight, a dword.
pub const TICKS: Gva = Gva(0x46c);
/// Midnights that passed since INT 1Ah last told.
pub const MIDNIGHTS: Gva = Gva(0x470);
/// Bit 7: Ctrl-Break was pressed.
pub const BREAK: Gva = Gva(0x471);
/// 1234h: restart without memory test.
pub const RESET_FLAG: Gva = Gva(0x472);
/// Status of the last disk operation.
pub const DISK_STATUS: Gva = Gva(0x474);
/// How many hard disks.
pub const DISKS: Gva = Gva(0x475);
/// Time-outs of LPT1 to LPT3.
pub const PRINTER_TIMEOUTS: Gva = Gva(0x478);
/// Time-outs of COM1 to COM4.
pub const SERIAL_TIMEOUTS: Gva = Gva(0x47c);
/// Offset where the keyboard buffer starts.
pub const KEY_BUFFER_START: Gva = Gva(0x480);
/// Offset behind it.
pub const KEY_BUFFER_END: Gva = Gva(0x482);
/// Text rows less one.
pub const LAST_ROW: Gva = Gva(0x484);
/// Scan lines of a character, a word.
pub const CHARACTER_HEIGHT: Gva = Gva(0x485);
/// Video control: bit 7 mode set without clearing; bits 6:5 memory.
pub const VIDEO_CONTROL: Gva = Gva(0x487);
/// Video switches.
pub const VIDEO_SWITCHES: Gva = Gva(0x488);
/// VGA flags: bit 0 VGA active, bit 4 400 lines in text modes.
pub const VGA_FLAGS: Gva = Gva(0x489);
/// Display combination.
pub const DISPLAY_COMBINATION: Gva = Gva(0x48a);
/// Keyboard: bit 4 101-key keyboard, bit 1 last code was E0h, bit 0 E1h.
pub const KEYBOARD_MODE: Gva = Gva(0x496);
/// Far pointer to the flag of INT 15h function 83h.
pub const WAIT_FLAG: Gva = Gva(0x498);
/// Microseconds left of that wait, a dword.
pub const WAIT_COUNT: Gva = Gva(0x49c);
/// Bit 0: a wait is on; bit 7: it is over.
pub const WAIT_ACTIVE: Gva = Gva(0x4a0);

/// Offset in segment 40h of the keyboard buffer that POST sets up, and of its end.
pub const KEY_BUFFER: (u16, u16) = (0x1e, 0x3e);
