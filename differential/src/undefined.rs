//! What the manual (SDM vol. 2, each instruction's "Flags Affected") leaves undefined.

use crate::Start;
use hvm::regs::Rflags;
use iced_x86::{Instruction, Mnemonic, OpKind};

/// What must not be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Undefined {
    /// These bits of RFLAGS.
    pub flags: u64,
    /// The destination, too.
    pub destination: bool,
    /// Which operand's fault comes first.
    pub which_fault: bool,
    /// Registers and memory, where the instruction faults: it may have been done in part.
    pub partial: bool,
}

/// What `instruction`, executed from `start`, leaves undefined.
pub fn of(instruction: &Instruction, start: &Start) -> Undefined {
    use Mnemonic::*;
    let (cf, pf, af, zf, sf, of) = (
        Rflags::CF,
        Rflags::PF,
        Rflags::AF,
        Rflags::ZF,
        Rflags::SF,
        Rflags::OF,
    );
    let flags = match instruction.mnemonic() {
        Mul | Imul => pf | af | zf | sf,
        Div | Idiv => cf | pf | af | zf | sf | of,
        And | Or | Xor | Test => af,
        Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr | Shld | Shrd => {
            return shift(instruction, start);
        }
        Bsf | Bsr => cf | pf | af | sf | of,
        Bt | Bts | Btr | Btc => pf | af | sf | of,
        Daa | Das => of,
        Aaa | Aas => pf | zf | sf | of,
        Aam | Aad => cf | af | of,
        Lzcnt | Tzcnt => pf | af | sf | of,
        Andn | Bzhi | Blsi | Blsr | Blsmsk => pf | af,
        Bextr => pf | af | sf,
        _ => Rflags::empty(),
    };
    Undefined {
        flags: flags.bits(),
        // Of two operands, or of a limit and an alignment.
        which_fault: matches!(
            instruction.mnemonic(),
            Cmpsb
                | Cmpsw
                | Cmpsd
                | Cmpsq
                | Movaps
                | Movapd
                | Movdqa
                | Movntps
                | Movntpd
                | Movntdq
                | Movntdqa
                | Vmovaps
                | Vmovapd
                | Vmovdqa
                | Vmovntps
                | Vmovntpd
                | Vmovntdq
                | Vmovntdqa
                | Cmpxchg16b
                | Call
                | Retf
                | Iret
                | Iretd
                | Iretq
        ),
        partial: matches!(
            instruction.mnemonic(),
            Enter | Pusha | Pushad | Popa | Popad
        ),
        destination: false,
    }
}

fn shift(instruction: &Instruction, start: &Start) -> Undefined {
    use Mnemonic::*;
    let last = instruction.op_count() - 1;
    let is_double = matches!(instruction.mnemonic(), Shld | Shrd);
    let bits = match instruction.op_kind(0) {
        OpKind::Register => instruction.op_register(0).size() as u64 * 8,
        _ => instruction.memory_size().size() as u64 * 8,
    };
    let count = match instruction.op_kind(last) {
        OpKind::Register => start.registers.gprs[1] & 0xff,
        _ => instruction.immediate(last),
    };
    let count = count & if bits == 64 { 63 } else { 31 };
    if count == 0 {
        return Undefined::default();
    }
    let rotates = matches!(instruction.mnemonic(), Rol | Ror | Rcl | Rcr);
    let mut flags = if rotates { Rflags::empty() } else { Rflags::AF };
    if count != 1 {
        flags |= Rflags::OF;
    }
    if matches!(instruction.mnemonic(), Shl | Sal | Shr) && count >= bits {
        flags |= Rflags::CF;
    }
    let destination = is_double && count > bits;
    if destination {
        flags |= Rflags::CF | Rflags::PF | Rflags::ZF | Rflags::SF;
    }
    Undefined {
        flags: flags.bits(),
        destination,
        ..Undefined::default()
    }
}
