//! The vCPU's vector registers as bytes: an XSAVE image in the standard format (SDM vol. 1, 13.4 and 13.5).

/// Legacy region, header, and the upper halves of YMM registers.
pub const XSAVE_HEAD_BYTES: usize = 832;

/// FXSAVE's control, status and abridged tag words, and where the registers lie.
const FCW: usize = 0;
const FSW: usize = 2;
const FTW: usize = 4;
const ST: usize = 32;
const XMM: usize = 160;
const XSTATE_BV: usize = 512;
const UPPER: usize = 576;
/// Components, as XSTATE_BV tells them apart.
const X87: u8 = 1;
const SSE: u8 = 1 << 1;
const AVX: u8 = 1 << 2;
/// The control word that FNINIT sets.
const FCW_INITIAL: u16 = 0x37f;
/// Of a control word, the bits that can be written, and one that is always set; found on CPUs by the differential test.
const FCW_WRITABLE: u16 = 0x1f3f;
const FCW_SET: u16 = 1 << 6;
/// The exceptions of control and status word, and FSW's busy bit.
const EXCEPTIONS: u16 = 0x3f;
const BUSY: u16 = 1 << 15;
/// FSW: the top of the stack, and an exception that waits to be raised.
const TOP_SHIFT: u32 = 11;
const TOP: u16 = 7 << TOP_SHIFT;
const ERROR_SUMMARY: u16 = 1 << 7;

/// The start of an image.
pub struct XsaveImage<'a>(&'a mut [u8; XSAVE_HEAD_BYTES]);

impl<'a> XsaveImage<'a> {
    /// An image that starts with these bytes.
    pub fn new(bytes: &'a mut [u8; XSAVE_HEAD_BYTES]) -> Self {
        Self(bytes)
    }

    /// Whether a component is stored. One in its initial state need not be, and reads as zero.
    fn has(&self, component: u8) -> bool {
        self.0[XSTATE_BV] & component != 0
    }

    /// Stores a component whose registers are at `range`, from now on.
    fn keep(&mut self, component: u8, range: core::ops::Range<usize>) {
        if !self.has(component) {
            self.0[range].fill(0);
            self.0[XSTATE_BV] |= component;
        }
    }

    fn read(&self, component: u8, at: usize) -> u128 {
        if !self.has(component) {
            return 0;
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[at..at + 16]);
        u128::from_le_bytes(bytes)
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn set_word(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    /// XMM0 to XMM15, lowest byte first.
    pub fn xmm(&self, index: u8) -> u128 {
        self.read(SSE, XMM + 16 * usize::from(index & 15))
    }

    /// Changes XMM0 to XMM15.
    pub fn set_xmm(&mut self, index: u8, value: u128) {
        self.keep(SSE, XMM..XMM + 256);
        let at = XMM + 16 * usize::from(index & 15);
        self.0[at..at + 16].copy_from_slice(&value.to_le_bytes());
    }

    /// Bits 255:128 of YMM0 to YMM15.
    pub fn upper(&self, index: u8) -> u128 {
        self.read(AVX, UPPER + 16 * usize::from(index & 15))
    }

    /// Changes them.
    pub fn set_upper(&mut self, index: u8, value: u128) {
        if value == 0 && !self.has(AVX) {
            return;
        }
        self.keep(AVX, UPPER..UPPER + 256);
        let at = UPPER + 16 * usize::from(index & 15);
        self.0[at..at + 16].copy_from_slice(&value.to_le_bytes());
    }

    /// Where MM0 to MM7 is: the image has x87 registers from the top of their stack on.
    fn mmx_at(&self, index: u8) -> usize {
        let top = match self.has(X87) {
            true => (self.word(FSW) & TOP) >> TOP_SHIFT,
            false => 0,
        };
        ST + 16 * usize::from((u16::from(index) + 8 - top) & 7)
    }

    /// MM0 to MM7.
    pub fn mmx(&self, index: u8) -> u64 {
        self.read(X87, self.mmx_at(index)) as u64
    }

    /// Changes MM0 to MM7, whose upper 16 bits become ones (SDM vol. 1, 9.6.2).
    pub fn set_mmx(&mut self, index: u8, value: u64) {
        self.keep_x87();
        let at = self.mmx_at(index);
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
        self.0[at + 8..at + 10].fill(0xff);
    }

    fn keep_x87(&mut self) {
        if !self.has(X87) {
            self.keep(X87, ST..XMM);
            self.0[FCW..FTW + 2].fill(0);
            self.set_word(FCW, FCW_INITIAL);
        }
    }

    /// What every MMX instruction does: the top of the stack is register 0, and all are in use.
    pub fn enter_mmx(&mut self) {
        self.keep_x87();
        let status = self.word(FSW);
        let top = usize::from((status & TOP) >> TOP_SHIFT);
        self.0[ST..XMM].rotate_right(16 * top);
        self.set_word(FSW, status & !TOP);
        self.0[FTW] = 0xff;
    }

    /// The x87 control word.
    pub fn control(&self) -> u16 {
        match self.has(X87) {
            true => self.word(FCW),
            false => FCW_INITIAL,
        }
    }

    /// Changes it. An exception that is no longer masked waits to be raised (SDM vol. 2A, FLDCW).
    pub fn set_control(&mut self, value: u16) {
        self.keep_x87();
        self.set_word(FCW, value & FCW_WRITABLE | FCW_SET);
        let status = self.word(FSW) & !(ERROR_SUMMARY | BUSY);
        let waits = status & !value & EXCEPTIONS != 0;
        self.set_word(FSW, status | if waits { ERROR_SUMMARY | BUSY } else { 0 });
    }

    /// The x87 status word.
    pub fn status(&self) -> u16 {
        match self.has(X87) {
            true => self.word(FSW),
            false => 0,
        }
    }

    /// FNINIT: the registers keep what they have, and count as empty.
    pub fn initialize_x87(&mut self) {
        self.keep_x87();
        let top = usize::from((self.word(FSW) & TOP) >> TOP_SHIFT);
        self.0[ST..XMM].rotate_right(16 * top);
        self.0[FCW..ST - 8].fill(0);
        self.set_word(FCW, FCW_INITIAL);
    }

    /// FNCLEX.
    pub fn clear_exceptions(&mut self) {
        const CLEARED: u16 = 0x80ff;
        self.keep_x87();
        self.set_word(FSW, self.word(FSW) & !CLEARED);
    }

    /// An x87 exception waits for the next x87 or MMX instruction.
    pub fn has_pending_exception(&self) -> bool {
        self.has(X87) && self.word(FSW) & ERROR_SUMMARY != 0
    }
}
