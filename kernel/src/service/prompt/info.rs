//! What `info` shows.

use super::super::control::{Control, GuestFacts, GuestState};
use crate::{cpu::percpu, log, mem::frames, time};
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// Guest and host at one moment.
pub struct Info<'a> {
    facts: Option<&'a GuestFacts>,
    state: GuestState,
    exits: Vec<(&'static str, u64)>,
    /// In use, the most, and room; room is zero without shadow paging.
    shadow_tables: [u32; 3],
    uptime_ns: u64,
    cpus: usize,
    usable_mib: u64,
    free_mib: u64,
    lost_lines: u64,
    lost_frames: u64,
}

impl<'a> Info<'a> {
    /// As things stand.
    pub fn now(control: &'a Control) -> Self {
        Self {
            facts: control.facts(),
            state: control.state(),
            exits: control.counters.all().into(),
            shadow_tables: control.shadow_tables.counts(),
            uptime_ns: time::now_ns(),
            cpus: percpu::count(),
            usable_mib: frames::usable_bytes() >> 20,
            free_mib: frames::free_bytes() >> 20,
            lost_lines: log::lost_lines(),
            lost_frames: log::frames::lost_frames(),
        }
    }

    /// Writes it, a line a thing.
    pub fn write(&self, out: &mut (impl Write + ?Sized)) -> fmt::Result {
        let state = self.state.name();
        match self.facts {
            Some(facts) => {
                writeln!(out, "guest:   `{}`, {state}", facts.name)?;
                writeln!(
                    out,
                    "         {} vCPU, {} MiB, {}",
                    facts.vcpus, facts.memory_mib, facts.paging
                )?;
            }
            None => writeln!(out, "guest:   {state}")?,
        }
        write!(out, "exits:  ")?;
        for (name, count) in &self.exits {
            write!(out, " {name} {count}")?;
        }
        writeln!(out)?;
        let [used, peak, room] = self.shadow_tables;
        if room > 0 {
            writeln!(
                out,
                "shadow:  {used} tables in use, {peak} at the most, room for {room}"
            )?;
        }
        let given_mib = self.facts.map_or(0, |facts| facts.memory_mib);
        let kept_mib = self
            .usable_mib
            .saturating_sub(given_mib)
            .saturating_sub(self.free_mib);
        writeln!(
            out,
            "memory:  {} MiB usable: {given_mib} given to the guest, {kept_mib} kept, {} free",
            self.usable_mib, self.free_mib
        )?;
        if self.lost_lines + self.lost_frames > 0 {
            writeln!(
                out,
                "log:     {} lines and {} defmt frames found no room",
                self.lost_lines, self.lost_frames
            )?;
        }
        let seconds = self.uptime_ns / 1_000_000_000;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        writeln!(
            out,
            "host:    {} CPUs, up {hours}:{minutes:02}:{:02}",
            self.cpus,
            seconds % 60
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn info(facts: Option<&GuestFacts>) -> String {
        let exits = Control::new().counters.all().into();
        let mut out = String::new();
        Info {
            facts,
            state: if facts.is_some() {
                GuestState::Running
            } else {
                GuestState::Absent
            },
            exits,
            shadow_tables: match facts {
                Some(_) => [30, 40, 50],
                None => [0; 3],
            },
            uptime_ns: 3_723_000_000_000,
            cpus: 2,
            usable_mib: 500,
            free_mib: 300,
            lost_lines: 0,
            lost_frames: 7,
        }
        .write(&mut out)
        .unwrap();
        out
    }

    #[test]
    fn memory_adds_up() {
        let facts = GuestFacts {
            name: "florizel".into(),
            vcpus: 1,
            memory_mib: 128,
            paging: "nested paging (NPT)",
        };
        let text = info(Some(&facts));
        assert!(text.contains("`florizel`, running"));
        assert!(
            text.contains("500 MiB usable: 128 given to the guest, 72 kept, 300 free"),
            "{text}"
        );
        assert!(text.contains("30 tables in use, 40 at the most, room for 50"));
        assert!(text.contains("2 CPUs, up 1:02:03"));
        assert!(text.contains("0 lines and 7 defmt frames"));
    }

    #[test]
    fn without_a_guest_it_says_so() {
        assert!(info(None).contains("guest:   none"));
        assert!(!info(None).contains("tables"));
    }
}
