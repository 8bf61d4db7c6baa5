//! An independent page walker, straight from the manual's tables (SDM vol. 3A, chapter 4), over every value that the entries have had
//! since some moment: what a TLB may still know.

use super::Registers;
use hvm::walk::{AccessKind, Privilege};
use std::collections::BTreeSet;
use std::vec::Vec;

/// An entry's values, for the aligned eight bytes at an address.
pub type Values<'a> = &'a dyn Fn(u64) -> Vec<u64>;

#[derive(Clone, Copy)]
pub struct Query {
    pub va: u64,
    pub kind: AccessKind,
    pub privilege: Privilege,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    Page(u64),
    Fault(u32),
}

#[derive(Clone, Copy)]
struct Sofar {
    write: bool,
    user: bool,
    execute: bool,
}

/// All answers that the entries allow.
pub fn answers(registers: &Registers, query: Query, values: Values) -> BTreeSet<Answer> {
    let mut found = BTreeSet::new();
    let all = Sofar {
        write: true,
        user: true,
        execute: true,
    };
    let walk = Walk {
        registers,
        query,
        values,
    };
    if !registers.paged {
        found.insert(Answer::Page(query.va & 0xffff_ffff));
    } else if registers.long {
        walk.wide(registers.cr3 & !0xfff, 39, all, &mut found);
    } else if registers.pae {
        let pointer = registers.directories[(query.va >> 30 & 3) as usize];
        if pointer & 1 == 0 {
            found.insert(walk.fault(0));
        } else if pointer & 0xfff0_0000_0000_01c6 != 0 || walk.beyond(pointer) {
            found.insert(walk.fault(9));
        } else {
            walk.wide(pointer & 0xf_ffff_ffff_f000, 21, all, &mut found);
        }
    } else {
        walk.narrow(&mut found);
    }
    found
}

struct Walk<'a> {
    registers: &'a Registers,
    query: Query,
    values: Values<'a>,
}

impl Walk<'_> {
    fn beyond(&self, entry: u64) -> bool {
        entry & 0xf_ffff_ffff_f000 >= 1 << super::PHYSICAL_BITS
    }

    fn fault(&self, found: u32) -> Answer {
        let Registers { nxe, smep, pae, .. } = *self.registers;
        let mut code = found;
        if self.query.kind == AccessKind::Write {
            code |= 2;
        }
        if self.query.privilege == Privilege::User {
            code |= 4;
        }
        if self.query.kind == AccessKind::Execute && (smep || nxe && pae) {
            code |= 16;
        }
        Answer::Fault(code)
    }

    fn page(&self, page: u64, sofar: Sofar) -> Answer {
        let registers = self.registers;
        let user = self.query.privilege == Privilege::User;
        let lifted = self.query.privilege == Privilege::Supervisor && registers.ac;
        let allowed = match (self.query.kind, user) {
            (AccessKind::Read, true) => sofar.user,
            (AccessKind::Write, true) => sofar.user && sofar.write,
            (AccessKind::Execute, true) => sofar.user && sofar.execute,
            (AccessKind::Execute, false) => sofar.execute && !(sofar.user && registers.smep),
            (kind, false) => {
                (!sofar.user || !registers.smap || lifted)
                    && (kind == AccessKind::Read || sofar.write || !registers.wp)
            }
        };
        match allowed {
            true => Answer::Page(page),
            false => self.fault(1),
        }
    }

    fn wide(&self, table: u64, shift: u32, sofar: Sofar, found: &mut BTreeSet<Answer>) {
        let at = table + (self.query.va >> shift & 511) * 8;
        for entry in (self.values)(at) {
            if entry & 1 == 0 {
                found.insert(self.fault(0));
                continue;
            }
            let nx = entry >> 63 != 0;
            let large = shift > 12 && entry & 0x80 != 0;
            let size = 1_u64 << shift;
            let reserved = self.beyond(entry)
                || nx && !self.registers.nxe
                || !self.registers.long && entry & 0x7ff0_0000_0000_0000 != 0
                || large && (shift == 39 || entry & (size - 1) & 0xf_ffff_ffff_e000 != 0);
            if reserved {
                found.insert(self.fault(9));
                continue;
            }
            let sofar = Sofar {
                write: sofar.write && entry & 2 != 0,
                user: sofar.user && entry & 4 != 0,
                execute: sofar.execute && !nx,
            };
            if shift == 12 || large {
                let base = entry & 0xf_ffff_ffff_f000 & !(size - 1);
                found.insert(self.page(base | self.query.va & (size - 1), sofar));
            } else {
                self.wide(entry & 0xf_ffff_ffff_f000, shift - 9, sofar, found);
            }
        }
    }

    fn narrow_values(&self, at: u64) -> Vec<u32> {
        let words = (self.values)(at & !7);
        words
            .into_iter()
            .map(|word| (word >> (at % 8 * 8)) as u32)
            .collect()
    }

    fn narrow(&self, found: &mut BTreeSet<Answer>) {
        let va = self.query.va;
        let at = (self.registers.cr3 & 0xffff_f000) + (va >> 22 & 1023) * 4;
        for upper in self.narrow_values(at) {
            if upper & 1 == 0 {
                found.insert(self.fault(0));
                continue;
            }
            let sofar = Sofar {
                write: upper & 2 != 0,
                user: upper & 4 != 0,
                execute: true,
            };
            if upper & 0x80 != 0 && self.registers.pse {
                let base = u64::from(upper & 0xffc0_0000) | u64::from(upper >> 13 & 0xff) << 32;
                if upper >> 21 & 1 != 0 || base >= 1 << super::PHYSICAL_BITS {
                    found.insert(self.fault(9));
                } else {
                    found.insert(self.page(base | va & 0x3f_ffff, sofar));
                }
                continue;
            }
            let at = u64::from(upper & 0xffff_f000) + (va >> 12 & 1023) * 4;
            for entry in self.narrow_values(at) {
                if entry & 1 == 0 {
                    found.insert(self.fault(0));
                    continue;
                }
                let sofar = Sofar {
                    write: sofar.write && entry & 2 != 0,
                    user: sofar.user && entry & 4 != 0,
                    ..sofar
                };
                found.insert(self.page(u64::from(entry & 0xffff_f000) | va & 0xfff, sofar));
            }
        }
    }
}
