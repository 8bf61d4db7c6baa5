use super::super::segments::RULES;
use super::*;

/// A register's name, selector, base, limit and access rights.
pub(super) type Register = (&'static str, Field, Field, Field, Field);

macro_rules! register {
    ($name:literal $selector:ident $base:ident $limit:ident $access_rights:ident) => {
        (
            $name,
            Field::$selector,
            Field::$base,
            Field::$limit,
            Field::$access_rights,
        )
    };
}

pub(super) const CS: Register =
    register!("CS" GuestCsSelector GuestCsBase GuestCsLimit GuestCsAccessRights);
pub(super) const SS: Register =
    register!("SS" GuestSsSelector GuestSsBase GuestSsLimit GuestSsAccessRights);
const LDTR: Register =
    register!("LDTR" GuestLdtrSelector GuestLdtrBase GuestLdtrLimit GuestLdtrAccessRights);
const TR: Register = register!("TR" GuestTrSelector GuestTrBase GuestTrLimit GuestTrAccessRights);
pub(super) const DATA: [Register; 4] = [
    register!("DS" GuestDsSelector GuestDsBase GuestDsLimit GuestDsAccessRights),
    register!("ES" GuestEsSelector GuestEsBase GuestEsLimit GuestEsAccessRights),
    register!("FS" GuestFsSelector GuestFsBase GuestFsLimit GuestFsAccessRights),
    register!("GS" GuestGsSelector GuestGsBase GuestGsLimit GuestGsAccessRights),
];

const UNUSABLE: u64 = 1 << 16;

/// What breaks one register's rule: a good state, the rule's words, the change.
type Spoil = (Good, &'static str, fn(&mut Subject, Register));

/// Rules that CS, SS, DS, ES, FS and GS share.
const CODE_AND_DATA: &[Spoil] = &[
    (vm86, "base: must be 16 times", |s, (_, _, base, ..)| {
        s.add(base, 1)
    }),
    (vm86, "limit: must be FFFFh", |s, (.., limit, _)| {
        s.set(limit, 0xf_ffff)
    }),
    (vm86, "access rights: must be F3h", |s, (.., rights)| {
        s.set(rights, 0x93)
    }),
    (long_mode, "access rights: S (bit 4)", |s, (.., rights)| {
        s.remove(rights, 0x10)
    }),
];

/// Rules that these share with TR and LDTR.
const ALL: &[Spoil] = &[
    (pae, "access rights: P (bit 7)", |s, (.., rights)| {
        s.remove(rights, 0x80)
    }),
    (
        pae,
        "access rights: reserved bits 11:8",
        |s, (.., rights)| s.add(rights, 0x400),
    ),
    (
        pae,
        "access rights: G (bit 15) must be 0",
        |s, (.., limit, rights)| {
            s.set(limit, 0x7ffe);
            s.add(rights, 0x8000);
        },
    ),
    (
        pae,
        "access rights: G (bit 15) must be 1",
        |s, (.., limit, rights)| {
            s.set(limit, 0x10_0000);
            s.remove(rights, 0x8000);
        },
    ),
    (
        pae,
        "access rights: reserved bits 31:17",
        |s, (.., rights)| s.add(rights, 1 << 17),
    ),
];

/// Rules of DS, ES, FS and GS.
const DATA_ALONE: &[Spoil] = &[
    (
        long_mode,
        "access rights: type must be accessed",
        |s, (.., rights)| s.remove(rights, 1),
    ),
    (
        long_mode,
        "access rights: type of a code segment",
        |s, (.., rights)| s.set(rights, 0xc099),
    ),
    (
        long_mode,
        "access rights: DPL must not be below",
        |s, (_, selector, ..)| s.add(selector, 1),
    ),
];

const SINGLE: &[Case] = &[
    (long_mode, "guest SS selector: RPL", |s| {
        s.add(Field::GuestSsSelector, 1)
    }),
    (long_mode, "guest CS access rights: type", |s| {
        s.set(Field::GuestCsAccessRights, 0xa098)
    }),
    (long_mode, "guest CS access rights: type", |s| {
        s.set(Field::GuestCsAccessRights, 0xa093)
    }),
    (real_mode, "guest CS access rights: type", |s| {
        s.set(Field::GuestCsAccessRights, 0x97)
    }),
    (long_mode, "guest SS access rights: type", |s| {
        s.set(Field::GuestSsAccessRights, 0xc095)
    }),
    (real_mode, "guest CS access rights: DPL must be 0", |s| {
        s.set(Field::GuestCsAccessRights, 0xb3)
    }),
    (pae, "guest CS access rights: DPL must be that", |s| {
        s.set(Field::GuestCsAccessRights, 0xc09b)
    }),
    (
        long_mode,
        "guest CS access rights: DPL must not exceed",
        |s| s.set(Field::GuestCsAccessRights, 0xa0bf),
    ),
    (
        long_mode,
        "guest SS access rights: DPL must be the selector's",
        |s| {
            s.set(Field::GuestCsAccessRights, 0xa0bb);
            s.set(Field::GuestSsAccessRights, 0xc0b3);
        },
    ),
    (real_mode, "guest SS access rights: DPL must be 0 if", |s| {
        s.set(Field::GuestCsAccessRights, 0xfb);
        s.set(Field::GuestSsAccessRights, 0xf3);
    }),
    (pae, "guest SS access rights: DPL must be 0 if", |s| {
        s.control(Field::SecondaryControls, secondary::UNRESTRICTED_GUEST);
        s.set(Field::GuestCsAccessRights, 0xc093);
    }),
    (long_mode, "guest TR access rights: type", |s| {
        s.set(Field::GuestTrAccessRights, 0x83)
    }),
    (pae, "guest TR access rights: type", |s| {
        s.set(Field::GuestTrAccessRights, 0x89)
    }),
    (pae, "guest LDTR access rights: type", |s| {
        s.set(Field::GuestLdtrAccessRights, 0x83)
    }),
    (long_mode, "guest TR access rights: must be usable", |s| {
        s.add(Field::GuestTrAccessRights, UNUSABLE)
    }),
    (long_mode, "guest CS access rights: D/B", |s| {
        s.add(Field::GuestCsAccessRights, 0x4000)
    }),
];

#[test]
fn each_rule_names_what_breaks_it() {
    let mut seen: BTreeSet<_> = SINGLE
        .iter()
        .map(|&(good, words, spoil)| named(good, words, spoil))
        .collect();
    let mut each = |registers: &[Register], spoils: &[Spoil]| {
        for &(good, words, spoil) in spoils {
            for &register in registers {
                let words = std::format!("guest {} {words}", register.0);
                seen.insert(named(good, &words, |s| spoil(s, register)));
            }
        }
    };
    let [ds, es, fs, gs] = DATA;
    each(&[CS, SS, ds, es, fs, gs], CODE_AND_DATA);
    each(&[CS, SS, ds, es, fs, gs, TR, LDTR], ALL);
    each(&DATA, DATA_ALONE);
    each(
        &[TR, LDTR],
        &[
            (pae, "selector: TI", |s, (_, selector, ..)| {
                s.add(selector, 4)
            }),
            (pae, "access rights: S (bit 4)", |s, (.., rights)| {
                s.add(rights, 0x10)
            }),
        ],
    );
    each(
        &[TR, LDTR, fs, gs],
        &[(pae, "base: must be canonical", |s, (_, _, base, ..)| {
            s.set(base, NOT_CANONICAL)
        })],
    );
    each(
        &[CS, SS, ds, es],
        &[(pae, "base: bits 63:32", |s, (_, _, base, ..)| {
            s.set(base, 1 << 32)
        })],
    );
    none_left_out(RULES, &seen);
}

#[test]
fn unusable_registers_are_excused() {
    let mut subject = long_mode();
    for (_, selector, base, limit, rights) in DATA.into_iter().chain([LDTR]) {
        subject.set_all(&[
            (selector, 7),
            (limit, 0xffff_fffe),
            (rights, UNUSABLE | 0xffff_0f00),
        ]);
        subject.set(base, UPPER_HALF);
    }
    assert!(subject.violation().starts_with("no rule"));
    // The privilege level of SS is the guest's even then.
    subject.set(Field::GuestSsAccessRights, UNUSABLE | 0x60);
    assert!(
        subject
            .violation()
            .starts_with("guest CS access rights: DPL")
    );
}

#[test]
fn an_unrestricted_guest_has_any_rpl() {
    let mut subject = real_mode();
    for (_, selector, ..) in DATA.into_iter().chain([SS]) {
        subject.set(selector, 3);
    }
    assert!(subject.violation().starts_with("no rule"));
    subject.set(Field::GuestCsAccessRights, 0x93);
    assert!(subject.violation().starts_with("no rule"));
}
