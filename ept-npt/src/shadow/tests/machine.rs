//! vCPUs that do what guests do, each access judged by the oracle.

use super::*;

struct Cpu {
    registers: Registers,
    root: Root,
    /// Its last access that found a page.
    used: Option<Query>,
    /// When it last flushed all.
    flushed: u64,
    /// When it last flushed a page.
    invalidated: BTreeMap<u64, u64>,
}

pub(super) struct Machine {
    random: Random,
    world: World,
    pub(super) shadow: Shadow<Frames>,
    frames: Frames,
    cpus: Vec<Cpu>,
    now: u64,
}

impl Machine {
    pub(super) fn new(seed: u64, vcpus: usize, tables: u32) -> Self {
        let memory = GuestMemory::anonymous_at(&[(Gpa(0), RAM, Hpa(RAM_AT))]);
        memory.table_log().unwrap();
        let frames = Frames::new(tables);
        let budget = Budget::of_tables(tables);
        let shadow = Shadow::new(frames.clone(), &budget, &memory, vcpus, PHYSICAL_BITS);
        let world = World {
            memory,
            tlbs: std::vec![Tlb::new(); vcpus],
            at_work: 0,
            has_rom: true,
            random: Random(!seed | 1),
            now: 1,
            history: BTreeMap::new(),
        };
        let cpu = || Cpu {
            registers: Registers::default(),
            root: Root::Pae([0; 4]),
            used: None,
            flushed: 0,
            invalidated: BTreeMap::new(),
        };
        let mut machine = Self {
            random: Random(seed | 1),
            world,
            shadow,
            frames,
            cpus: (0..vcpus).map(|_| cpu()).collect(),
            now: 1,
        };
        for _ in 0..1500 {
            machine.edit_from_outside();
        }
        for cpu in 0..vcpus {
            machine.change_mode(cpu);
        }
        machine
    }

    pub(super) fn step(&mut self) {
        self.now += 1;
        self.world.now = self.now;
        let cpu = self.random.below(self.cpus.len() as u64) as usize;
        self.world.at_work = cpu;
        match self.random.below(100) {
            0..8 => self.edit_from_outside(),
            8..16 => self.load_cr3(cpu),
            16..22 => self.invalidate(cpu),
            22..24 => self.change_mode(cpu),
            25..32 => self.change_used(cpu),
            24 if self.random.one_in(8) => self.change_map(cpu),
            _ => self.access(cpu),
        }
    }

    fn address(&mut self) -> u64 {
        let mut va = self.random.pick(&[0, 1, 7, 8]) << 12
            | self.random.pick(&[0, 1, 2, 3]) << 21
            | self.random.pick(&[0, 1, 3]) << 30
            | self.random.pick(&[0, 0, 511]) << 39;
        if va >> 47 & 1 != 0 {
            va |= 0xffff << 48;
        }
        va | (self.random.below(512) * 8)
    }

    /// A device writes a table.
    fn edit_from_outside(&mut self) {
        let table = self.random.below(TABLES) << 12;
        let (at, value) = (table | self.random.slot(), self.random.value());
        self.world.write(at, value);
    }

    fn load_cr3(&mut self, cpu: usize) {
        let registers = &mut self.cpus[cpu].registers;
        if !self.random.one_in(3) {
            registers.cr3 = self.random.below(6) << 12;
            if registers.pae && !registers.long {
                registers.cr3 |= self.random.below(3) << 5;
                self.write_directories(cpu);
            }
        }
        self.activate(cpu);
    }

    /// Most random entries are not right for PAE paging's first four, which have hardly any bits to set; some of these are not there.
    fn write_directories(&mut self, cpu: usize) {
        let table = self.cpus[cpu].registers.cr3 & 0xffff_ffe0;
        for part in 0..4 {
            let entry = match self.random.below(4) {
                0 => 0,
                _ => self.random.below(TABLES) << 12 | 1,
            };
            self.world.write(table + part * 8, entry);
        }
    }

    fn change_mode(&mut self, cpu: usize) {
        let cr3 = self.cpus[cpu].registers.cr3;
        let mut chance = |times| self.random.one_in(times);
        let paged = !chance(5);
        let pae = !chance(3);
        self.cpus[cpu].registers = Registers {
            cr3,
            directories: [0; 4],
            paged,
            pae,
            long: paged && pae && !chance(3),
            pse: !chance(3),
            nxe: !chance(3),
            wp: !chance(4),
            smep: chance(5),
            smap: chance(5),
            ac: chance(2),
        };
        self.activate(cpu);
    }

    fn activate(&mut self, cpu: usize) {
        let paging = self.cpus[cpu].registers.paging();
        let root = self.shadow.activate(cpu, &paging, &mut self.world);
        self.cpus[cpu].registers.directories = self.shadow.active[cpu].directories;
        self.shadow.must_flush();
        self.world.tlbs[cpu].clear();
        let now = self.now;
        let cpu = &mut self.cpus[cpu];
        cpu.root = root;
        cpu.flushed = now;
        cpu.invalidated.clear();
    }

    fn invalidate(&mut self, cpu: usize) {
        let va = self.address();
        let va = match self.cpus[cpu].registers.long {
            true => va,
            false => va & 0xffff_ffff,
        };
        self.invalidate_at(cpu, va);
    }

    fn invalidate_at(&mut self, cpu: usize, va: u64) {
        self.shadow.invalidate(Gva(va), &mut self.world);
        if self.shadow.must_flush() {
            self.world.tlbs[cpu].clear();
        }
        self.world.tlbs[cpu].remove(&(va >> 12));
        let now = self.now;
        self.cpus[cpu].invalidated.insert(va >> 12, now);
    }

    /// A page that was used goes elsewhere, the guest flushes it alone, and uses it again.
    fn change_used(&mut self, cpu: usize) {
        let registers = self.cpus[cpu].registers;
        let Some(query) = self.cpus[cpu].used.filter(|_| registers.paged) else {
            return;
        };
        let last = RefCell::new(None);
        oracle::answers(&registers, query, &|at| {
            *last.borrow_mut() = Some(at & !7);
            std::vec![self.world.memory.load(Gpa(at & !7)).unwrap_or(0)]
        });
        let Some(at) = last.into_inner().filter(|at| at >> 12 < TABLES) else {
            return;
        };
        let value = self.random.value();
        self.world.write(at, value);
        if self.random.one_in(2) {
            self.invalidate_at(cpu, query.va);
        }
        self.access_at(cpu, query);
    }

    fn change_map(&mut self, cpu: usize) {
        self.world.has_rom = !self.world.has_rom;
        self.shadow.clear(&mut self.world);
        self.shadow.must_flush();
        self.world.tlbs[cpu].clear();
    }

    /// The values of an entry since a moment.
    fn values(&self, at: u64, since: u64) -> Vec<u64> {
        let now = self.world.memory.load(Gpa(at)).unwrap_or(u64::MAX);
        let before = self.world.history.get(&(at & !7)).into_iter().flatten();
        let mut values: Vec<u64> = before
            .filter(|(until, _)| *until > since)
            .map(|(_, value)| *value)
            .collect();
        values.push(now);
        values
    }

    fn access(&mut self, cpu: usize) {
        let kind = self.random.pick(&[
            AccessKind::Read,
            AccessKind::Read,
            AccessKind::Write,
            AccessKind::Execute,
        ]);
        let registers = self.cpus[cpu].registers;
        let mut privilege = self.random.pick(&[Privilege::User, Privilege::Supervisor]);
        if kind != AccessKind::Execute && !registers.ac && self.random.one_in(8) {
            privilege = Privilege::Implicit;
        }
        let va = match (registers.paged, registers.long) {
            (true, true) => self.address(),
            (true, false) => self.address() & 0xffff_ffff,
            (false, _) => self.random.pick(&[
                self.random_table(),
                1 << 20,
                3 << 20,
                ROM,
                0x1000_0000,
                0xc000_0000,
            ]),
        };
        let query = Query {
            va,
            kind,
            privilege,
        };
        self.access_at(cpu, query);
    }

    fn access_at(&mut self, cpu: usize, query: Query) {
        let Query { va, kind, .. } = query;
        let registers = self.cpus[cpu].registers;
        let mut got = None;
        for _ in 0..4 {
            match self.attempt(cpu, query) {
                Some(answer) => {
                    got = Some(answer);
                    break;
                }
                None => continue,
            }
        }
        let Some(got) = got else {
            panic!("step {}: no progress at {va:#x}, {registers:?}", self.now);
        };
        self.judge(cpu, query, got);
        self.cpus[cpu].used = matches!(got, Answer::Page(_)).then_some(query);
        if let Answer::Page(gpa) = got
            && kind == AccessKind::Write
            && gpa < TABLES << 12
        {
            // The guest writes one of its tables, through whatever led there.
            let (slot, value) = (self.random.slot(), self.random.value());
            // As the CPU writes, not as the hypervisor does.
            let log = self.world.memory.table_log().unwrap();
            let is_protected = log.is_protected(gpa >> 12);
            assert!(
                !is_protected,
                "step {}: a protected table is written",
                self.now
            );
            self.world.write_late(gpa & !0xfff | slot, value);
        }
    }

    fn random_table(&self) -> u64 {
        (self.now.wrapping_mul(7) % TABLES) << 12
    }

    /// The CPU's own way: its TLB, its walk of the shadow, or a fault.
    fn attempt(&mut self, cpu: usize, query: Query) -> Option<Answer> {
        let registers = self.cpus[cpu].registers;
        let page = query.va >> 12;
        let known = match self.world.tlbs[cpu].get(&page) {
            Some(known) if allows(&registers, known, query) => Some(*known),
            _ => {
                // A fault takes what the TLB knows with it.
                self.world.tlbs[cpu].remove(&page);
                self.walk_shadow(cpu, query.va)
                    .filter(|known| allows(&registers, known, query))
            }
        };
        if let Some(known) = known {
            self.world.tlbs[cpu].insert(page, known);
            return Some(Answer::Page((known.hpa - RAM_AT) | query.va & 0xfff));
        }
        let may_write = self.walk_shadow(cpu, query.va).is_some_and(|it| it.write);
        assert_eq!(self.shadow.lets_write(cpu, Gva(query.va)), may_write);
        let access = Access {
            kind: query.kind,
            privilege: query.privilege,
        };
        let paging = registers.paging();
        let verdict = self
            .shadow
            .fault(cpu, &paging, Gva(query.va), access, &mut self.world);
        if self.shadow.must_flush() {
            self.world.tlbs[cpu].clear();
        }
        match verdict {
            Verdict::Again => None,
            Verdict::Fault(fault) => {
                assert_eq!(fault.address.0, query.va);
                // Faults go by what the tables are now.
                let now = oracle::answers(&registers, query, &|at| self.values(at, self.now));
                let answer = Answer::Fault(fault.error_code);
                assert!(
                    now.contains(&answer),
                    "step {}: {answer:?} at {:#x}, not {now:?}; {registers:?}",
                    self.now,
                    query.va
                );
                Some(answer)
            }
            Verdict::Outside(gpa) => {
                assert!(gpa.0 >= RAM, "{gpa:?} is RAM");
                let writes = query.kind == AccessKind::Write;
                assert!(!self.world.has_rom || gpa.0 & !0xfff != ROM || writes);
                Some(Answer::Page(gpa.0))
            }
            Verdict::Emulate => {
                assert!(!registers.wp && query.kind == AccessKind::Write);
                assert!(registers.smep || registers.smap);
                assert_ne!(query.privilege, Privilege::User);
                let now = oracle::answers(&registers, query, &|at| self.values(at, self.now));
                let page = now.into_iter().next().unwrap();
                // Emulated writes go the hypervisor's way: no table is written behind the log.
                match page {
                    Answer::Page(gpa) if gpa < TABLES << 12 => Some(Answer::Page(u64::MAX)),
                    other => Some(other),
                }
            }
        }
    }

    fn walk_shadow(&self, cpu: usize, va: u64) -> Option<Known> {
        let (mut table, mut shift) = match self.cpus[cpu].root {
            Root::Long(table) => (table.0, 39),
            Root::Pae(pointers) => {
                let pointer = pointers[(va >> 30 & 3) as usize];
                if pointer & 1 == 0 {
                    return None;
                }
                assert_eq!(pointer & 0xfff, 1);
                (pointer & !1, 21)
            }
        };
        let mut known = Known {
            hpa: 0,
            write: true,
            user: true,
            execute: true,
        };
        loop {
            let entry = self.frames.at(table + (va >> shift & 511) * 8);
            if entry & 1 == 0 {
                assert_eq!(entry, 0);
                return None;
            }
            known.write &= entry & 2 != 0;
            known.user &= entry & 4 != 0;
            known.execute &= entry >> 63 == 0;
            let at = entry & 0xf_ffff_ffff_f000;
            if shift == 12 || entry & 0x80 != 0 {
                assert!(shift <= 21);
                let mask = (1_u64 << shift) - 1;
                assert_eq!(at & mask, 0, "misaligned");
                known.hpa = at | va & mask & !0xfff;
                let gpa = known.hpa - RAM_AT;
                assert!(gpa < RAM || self.world.has_rom && gpa == ROM && !known.write);
                return Some(known);
            }
            table = at;
            shift -= 9;
        }
    }

    fn judge(&mut self, cpu: usize, query: Query, got: Answer) {
        if got == Answer::Page(u64::MAX) {
            return;
        }
        let registers = self.cpus[cpu].registers;
        let page = self.cpus[cpu].invalidated.get(&(query.va >> 12));
        let since = self.cpus[cpu].flushed.max(page.copied().unwrap_or(0));
        let allowed = oracle::answers(&registers, query, &|at| self.values(at, since));
        assert!(
            allowed.contains(&got),
            "step {}, vCPU {cpu}: {got:?} at {:#x} ({:?} {:?}), not {allowed:?}; {registers:?}",
            self.now,
            query.va,
            query.kind,
            query.privilege,
        );
        if allowed.len() == 1 && registers.paged && matches!(got, Answer::Page(_)) {
            self.judge_marks(&registers, query);
        }
    }

    /// Where nothing has changed since the flush, the marks are in the tables.
    fn judge_marks(&self, registers: &Registers, query: Query) {
        let changed = RefCell::new(false);
        let last = RefCell::new(0);
        let since = self.cpus[self.world.at_work].flushed;
        let at_all = RefCell::new(true);
        let look = |at: u64| {
            let values = self.values(at, since);
            *changed.borrow_mut() |= values.len() > 1;
            // Each half on its own, for entries of four bytes.
            let entry = *values.last().unwrap();
            *last.borrow_mut() = entry;
            *at_all.borrow_mut() &= entry & 0x20 != 0 || entry >> 37 & 1 != 0;
            std::vec![entry]
        };
        oracle::answers(registers, query, &look);
        if changed.into_inner() {
            return;
        }
        assert!(at_all.into_inner(), "step {}: not accessed", self.now);
        let last = last.into_inner();
        if query.kind == AccessKind::Write {
            assert!(
                last & 0x40 != 0 || last >> 38 & 1 != 0,
                "step {}: not dirty",
                self.now
            );
        }
    }
}

fn allows(registers: &Registers, known: &Known, query: Query) -> bool {
    let paged = registers.paged;
    if query.privilege == Privilege::User {
        return known.user
            && match query.kind {
                AccessKind::Read => true,
                AccessKind::Write => known.write,
                AccessKind::Execute => known.execute,
            };
    }
    let lifted = query.privilege == Privilege::Supervisor && registers.ac;
    match query.kind {
        AccessKind::Execute => known.execute && !(known.user && registers.smep && paged),
        _ if known.user && registers.smap && paged && !lifted => false,
        AccessKind::Write => known.write,
        AccessKind::Read => true,
    }
}
