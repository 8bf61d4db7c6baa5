//! Checks on guest segment registers (SDM vol. 3C, 27.3.1.2).

use super::{Rule, State};
use crate::vmcs::Field;
use hvm::regs::{Attributes, Cr0, Rflags};

/// The fields of a segment register.
struct Register {
    selector: Field,
    base: Field,
    limit: Field,
    access_rights: Field,
}

const CS: Register = Register {
    selector: Field::GuestCsSelector,
    base: Field::GuestCsBase,
    limit: Field::GuestCsLimit,
    access_rights: Field::GuestCsAccessRights,
};
const SS: Register = Register {
    selector: Field::GuestSsSelector,
    base: Field::GuestSsBase,
    limit: Field::GuestSsLimit,
    access_rights: Field::GuestSsAccessRights,
};
const DS: Register = Register {
    selector: Field::GuestDsSelector,
    base: Field::GuestDsBase,
    limit: Field::GuestDsLimit,
    access_rights: Field::GuestDsAccessRights,
};
const ES: Register = Register {
    selector: Field::GuestEsSelector,
    base: Field::GuestEsBase,
    limit: Field::GuestEsLimit,
    access_rights: Field::GuestEsAccessRights,
};
const FS: Register = Register {
    selector: Field::GuestFsSelector,
    base: Field::GuestFsBase,
    limit: Field::GuestFsLimit,
    access_rights: Field::GuestFsAccessRights,
};
const GS: Register = Register {
    selector: Field::GuestGsSelector,
    base: Field::GuestGsBase,
    limit: Field::GuestGsLimit,
    access_rights: Field::GuestGsAccessRights,
};
const LDTR: Register = Register {
    selector: Field::GuestLdtrSelector,
    base: Field::GuestLdtrBase,
    limit: Field::GuestLdtrLimit,
    access_rights: Field::GuestLdtrAccessRights,
};
const TR: Register = Register {
    selector: Field::GuestTrSelector,
    base: Field::GuestTrBase,
    limit: Field::GuestTrLimit,
    access_rights: Field::GuestTrAccessRights,
};

/// Each rule once for every register in its list, each with a text of its own.
macro_rules! rules {
    ($( [$($register:ident)*] $rule:literal if $broken:ident; )*) => {
        &[$($((
            |s| $broken(s, &$register),
            concat!("guest ", stringify!($register), " ", $rule, " (SDM 3C, 27.3.1.2)"),
        ),)*)*]
    };
}

pub(super) const RULES: &[Rule] = rules! {
    [TR LDTR] "selector: TI (bit 2) must be 0" if names_local_table;
    [SS] "selector: RPL must be that of CS, but for an unrestricted guest" if rpl_beside_cs;
    [CS SS DS ES FS GS] "base: must be 16 times the selector in a virtual-8086 guest" if base_not_of_vm86;
    [TR FS GS LDTR] "base: must be canonical" if base_not_canonical;
    [CS SS DS ES] "base: bits 63:32 must be 0" if base_beyond_4_gib;
    [CS SS DS ES FS GS] "limit: must be FFFFh in a virtual-8086 guest" if limit_not_of_vm86;
    [CS SS DS ES FS GS] "access rights: must be F3h in a virtual-8086 guest" if rights_not_of_vm86;
    [CS] "access rights: type must be 9, 11, 13 or 15, or in an unrestricted guest 3" if bad_cs_type;
    [SS] "access rights: type must be 3 or 7" if bad_ss_type;
    [DS ES FS GS] "access rights: type must be accessed (bit 0)" if not_accessed;
    [DS ES FS GS] "access rights: type of a code segment must be readable (bit 1)" if unreadable_code;
    [CS SS DS ES FS GS] "access rights: S (bit 4) must be 1" if is_system;
    [CS] "access rights: DPL must be 0 for type 3" if cs_dpl_of_data;
    [CS] "access rights: DPL must be that of SS for types 9 and 11" if cs_dpl_beside_ss;
    [CS] "access rights: DPL must not exceed that of SS for types 13 and 15" if cs_dpl_above_ss;
    [SS] "access rights: DPL must be the selector's RPL, but for an unrestricted guest" if ss_dpl_beside_rpl;
    [SS] "access rights: DPL must be 0 if CS has type 3 or CR0.PE is 0" if ss_dpl_in_real_mode;
    [DS ES FS GS] "access rights: DPL must not be below the selector's RPL for types 0 to 11, but for an unrestricted guest" if dpl_below_rpl;
    [TR] "access rights: type must be 11, or outside IA-32e mode 3" if bad_tr_type;
    [LDTR] "access rights: type must be 2" if bad_ldtr_type;
    [TR LDTR] "access rights: S (bit 4) must be 0" if is_no_system;
    [TR] "access rights: must be usable (bit 16 must be 0)" if is_unusable;
    [CS SS DS ES FS GS TR LDTR] "access rights: P (bit 7) must be 1" if not_present;
    [CS SS DS ES FS GS TR LDTR] "access rights: reserved bits 11:8 must be 0" if reserved_low;
    [CS] "access rights: D/B (bit 14) must be 0 in 64-bit code" if both_sizes;
    [CS SS DS ES FS GS TR LDTR] "access rights: G (bit 15) must be 0 if one of the limit's bits 11:0 is" if limit_not_in_pages;
    [CS SS DS ES FS GS TR LDTR] "access rights: G (bit 15) must be 1 if one of the limit's bits 31:20 is" if limit_not_in_bytes;
    [CS SS DS ES FS GS TR LDTR] "access rights: reserved bits 31:17 must be 0" if reserved_high;
};

const RPL: u64 = 3;
const SELECTOR_TI: u64 = 1 << 2;
const VM86_LIMIT: u64 = 0xffff;
const VM86_ACCESS_RIGHTS: u64 = 0xf3;
/// The only type of CS that is no code segment: data, writable, accessed.
const CS_DATA: u32 = 3;

fn rights(s: &State<'_>, register: &Register) -> Attributes {
    Attributes::from_bits_retain(s.read(register.access_rights) as u32)
}

fn kind(s: &State<'_>, register: &Register) -> u32 {
    (rights(s, register) & Attributes::TYPE).bits()
}

fn dpl(s: &State<'_>, register: &Register) -> u64 {
    s.read(register.access_rights) >> 5 & 3
}

fn rpl(s: &State<'_>, register: &Register) -> u64 {
    s.read(register.selector) & RPL
}

fn vm86(s: &State<'_>) -> bool {
    s.rflags(Rflags::VM)
}

fn usable(s: &State<'_>, register: &Register) -> bool {
    !rights(s, register).contains(Attributes::UNUSABLE)
}

/// Whether the parts of the access rights are looked at one by one: always for TR, otherwise if the register is usable; CS counts as
/// usable. In a virtual-8086 guest only those of the system segments are.
fn in_parts(s: &State<'_>, register: &Register) -> bool {
    match register.access_rights {
        Field::GuestTrAccessRights => true,
        Field::GuestLdtrAccessRights => usable(s, register),
        Field::GuestCsAccessRights => !vm86(s),
        _ => !vm86(s) && usable(s, register),
    }
}

fn names_local_table(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && s.has(register.selector, SELECTOR_TI)
}

fn rpl_beside_cs(s: &State<'_>, register: &Register) -> bool {
    !vm86(s) && !s.unrestricted() && rpl(s, register) != rpl(s, &CS)
}

fn base_not_of_vm86(s: &State<'_>, register: &Register) -> bool {
    vm86(s) && s.read(register.base) != (s.read(register.selector) & 0xffff) << 4
}

/// FS and GS count even if they are unusable.
fn base_not_canonical(s: &State<'_>, register: &Register) -> bool {
    let exempt = register.base == LDTR.base && !usable(s, register);
    !exempt && s.bad_linear(register.base)
}

fn base_beyond_4_gib(s: &State<'_>, register: &Register) -> bool {
    let exempt = register.base != CS.base && !usable(s, register);
    !exempt && s.has(register.base, !0xffff_ffff)
}

fn limit_not_of_vm86(s: &State<'_>, register: &Register) -> bool {
    vm86(s) && s.read(register.limit) != VM86_LIMIT
}

fn rights_not_of_vm86(s: &State<'_>, register: &Register) -> bool {
    vm86(s) && s.read(register.access_rights) != VM86_ACCESS_RIGHTS
}

fn bad_cs_type(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register)
        && match kind(s, register) {
            9 | 11 | 13 | 15 => false,
            CS_DATA => !s.unrestricted(),
            _ => true,
        }
}

fn bad_ss_type(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && !matches!(kind(s, register), 3 | 7)
}

fn not_accessed(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && kind(s, register) & 1 == 0
}

fn unreadable_code(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && kind(s, register) & 0b1010 == 0b1000
}

fn is_system(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && !rights(s, register).contains(Attributes::S)
}

fn is_no_system(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && rights(s, register).contains(Attributes::S)
}

fn cs_dpl_of_data(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && kind(s, register) == CS_DATA && dpl(s, register) != 0
}

fn cs_dpl_beside_ss(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && matches!(kind(s, register), 9 | 11) && dpl(s, register) != dpl(s, &SS)
}

fn cs_dpl_above_ss(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && matches!(kind(s, register), 13 | 15) && dpl(s, register) > dpl(s, &SS)
}

/// SS counts even if it is unusable.
fn ss_dpl_beside_rpl(s: &State<'_>, register: &Register) -> bool {
    !vm86(s) && !s.unrestricted() && dpl(s, register) != rpl(s, register)
}

/// Likewise.
fn ss_dpl_in_real_mode(s: &State<'_>, register: &Register) -> bool {
    !vm86(s) && (kind(s, &CS) == CS_DATA || !s.guest_cr0(Cr0::PE)) && dpl(s, register) != 0
}

fn dpl_below_rpl(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register)
        && !s.unrestricted()
        && kind(s, register) <= 11
        && dpl(s, register) < rpl(s, register)
}

fn bad_tr_type(s: &State<'_>, register: &Register) -> bool {
    match kind(s, register) {
        11 => false,
        3 => s.ia32e(),
        _ => true,
    }
}

fn bad_ldtr_type(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && kind(s, register) != 2
}

fn is_unusable(s: &State<'_>, register: &Register) -> bool {
    !usable(s, register)
}

fn not_present(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && !rights(s, register).contains(Attributes::P)
}

fn reserved_low(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && s.has(register.access_rights, 0xf00)
}

fn both_sizes(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register)
        && s.ia32e()
        && rights(s, register).contains(Attributes::L | Attributes::DB)
}

fn limit_not_in_pages(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register)
        && rights(s, register).contains(Attributes::G)
        && s.read(register.limit) & 0xfff != 0xfff
}

fn limit_not_in_bytes(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register)
        && !rights(s, register).contains(Attributes::G)
        && s.has(register.limit, 0xfff0_0000)
}

fn reserved_high(s: &State<'_>, register: &Register) -> bool {
    in_parts(s, register) && s.has(register.access_rights, 0xfffe_0000)
}
