//! Between the services and the guest: requests one way, state the other, in atomics only.
//!
//! Guarantees that neither side waits for the other. The VM looks for requests with [`Control::take`] when it is kicked;
//! services look at [`Control::state`] whenever they like, and are woken when it changes.

use alloc::string::String;
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use heapless::Deque;
use spin::{Mutex, Once};

/// What the services ask of the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Request {
    /// Start a guest that is stopped, from power-on.
    Start = 0,
    /// Reset the guest, whatever it does.
    Reset = 1,
    /// Hold the vCPUs.
    Pause = 2,
    /// Let them go on.
    Resume = 3,
    /// Track which memory is written.
    TrackWrites = 4,
    /// Tell what was written since then, or since the last time.
    TellWrites = 5,
    /// Track it no longer.
    UntrackWrites = 6,
    /// Press the machine's power button.
    PressPowerButton = 7,
    /// Do what [`Control::next_change`] tells.
    ChangeMedia = 8,
    /// The guest's wall clock goes by what the network told.
    FollowClock = 9,
}

/// A medium to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediumChange {
    /// The drive, in xl's words: `hdc`, `fda`.
    pub drive: String,
    /// The bundle's file that goes in; `None`: what is in comes out.
    pub medium: Option<String>,
    /// What if the guest has locked the drive.
    pub manner: Manner,
}

/// How a medium leaves a drive that the guest has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Not at all: the guest is asked.
    Ask,
    /// All the same.
    Force,
}

/// Changes of media that can wait.
const CHANGES: usize = 4;

impl Request {
    /// Most urgent first.
    const ALL: [Self; 10] = [
        Self::Reset,
        Self::Start,
        Self::Pause,
        Self::Resume,
        Self::TrackWrites,
        Self::TellWrites,
        Self::UntrackWrites,
        Self::PressPowerButton,
        Self::ChangeMedia,
        Self::FollowClock,
    ];

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// What the guest is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GuestState {
    /// There is none: no bundle, a broken one, or a CPU that cannot host it. The log says why.
    Absent = 0,
    /// Built, and not started yet.
    Ready = 1,
    /// vCPUs run.
    Running = 2,
    /// vCPUs are held.
    Paused = 3,
    /// It powered off and was preserved.
    Stopped = 4,
    /// It crashed and was preserved.
    Crashed = 5,
}

impl GuestState {
    const ALL: [Self; 6] = [
        Self::Absent,
        Self::Ready,
        Self::Running,
        Self::Paused,
        Self::Stopped,
        Self::Crashed,
    ];

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "none",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "powered off",
            Self::Crashed => "crashed",
        }
    }
}

/// What is to become of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HostAction {
    /// Power it off.
    PowerOff = 1,
    /// Restart it.
    Reboot = 2,
}

/// What does not change while a guest lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFacts {
    /// `name` of the configuration.
    pub name: String,
    /// How many virtual CPUs.
    pub vcpus: u32,
    /// Its memory.
    pub memory_mib: u64,
    /// How its memory is translated, for people: "nested paging (NPT)".
    pub paging: &'static str,
}

/// Exits by kind, counted by the vCPUs.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Counters {
    pub io: AtomicU64,
    pub mmio: AtomicU64,
    pub cpuid: AtomicU64,
    pub msr: AtomicU64,
    pub interrupts: AtomicU64,
    pub halts: AtomicU64,
    pub shadow: AtomicU64,
    pub emulated: AtomicU64,
    pub other: AtomicU64,
}

impl Counters {
    const fn new() -> Self {
        Self {
            io: AtomicU64::new(0),
            mmio: AtomicU64::new(0),
            cpuid: AtomicU64::new(0),
            msr: AtomicU64::new(0),
            interrupts: AtomicU64::new(0),
            halts: AtomicU64::new(0),
            shadow: AtomicU64::new(0),
            emulated: AtomicU64::new(0),
            other: AtomicU64::new(0),
        }
    }

    /// Each counter with its name.
    pub fn all(&self) -> [(&'static str, u64); 9] {
        [
            ("I/O", &self.io),
            ("MMIO", &self.mmio),
            ("CPUID", &self.cpuid),
            ("MSR", &self.msr),
            ("interrupts", &self.interrupts),
            ("HLT", &self.halts),
            ("shadow", &self.shadow),
            ("emulated", &self.emulated),
            ("other", &self.other),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

/// Shadow tables, told by the vCPUs as they load CR3.
#[derive(Debug, Default)]
pub struct ShadowTables {
    /// How many there is memory for; none without shadow paging.
    pub room: AtomicU32,
    /// How many are in use.
    pub used: AtomicU32,
    /// The most that were.
    pub peak: AtomicU32,
}

impl ShadowTables {
    const fn new() -> Self {
        Self {
            room: AtomicU32::new(0),
            used: AtomicU32::new(0),
            peak: AtomicU32::new(0),
        }
    }

    /// In use, the most, and all that there is memory for.
    pub fn counts(&self) -> [u32; 3] {
        [&self.used, &self.peak, &self.room].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Adds one to a counter that only the calling CPU writes: no locked instruction on the exit path.
#[inline]
pub fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Adds to such a counter.
#[inline]
pub fn add(counter: &AtomicU64, amount: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(amount),
        Ordering::Relaxed,
    );
}

/// The control block of the one guest.
pub struct Control {
    requests: AtomicU32,
    state: AtomicU8,
    host: AtomicU8,
    facts: Once<GuestFacts>,
    kick: Once<fn()>,
    changed: Once<fn()>,
    /// Only a request's two sides take this lock, and neither on the exit path.
    changes: Mutex<Deque<MediumChange, CHANGES>>,
    /// Exits by kind.
    pub counters: Counters,
    /// Shadow tables.
    pub shadow_tables: ShadowTables,
}

/// The one guest's control block.
pub static CONTROL: Control = Control::new();

impl Control {
    /// No guest, no requests.
    pub const fn new() -> Self {
        Self {
            requests: AtomicU32::new(0),
            state: AtomicU8::new(GuestState::Absent as u8),
            host: AtomicU8::new(0),
            facts: Once::new(),
            kick: Once::new(),
            changed: Once::new(),
            changes: Mutex::new(Deque::new()),
            counters: Counters::new(),
            shadow_tables: ShadowTables::new(),
        }
    }

    /// Sets what is called after a request, on the service CPU: it must bring the vCPUs out to look for requests. Only the first
    /// call counts.
    pub fn on_request(&self, kick: fn()) {
        self.kick.call_once(|| kick);
    }

    /// Sets what is called after a change of state, on the VM's side. Only the first call counts.
    pub fn on_change(&self, changed: fn()) {
        self.changed.call_once(|| changed);
    }

    /// Asks the VM for something.
    pub fn request(&self, request: Request) {
        self.requests.fetch_or(request.bit(), Ordering::Release);
        if let Some(kick) = self.kick.get() {
            kick();
        }
    }

    /// Whether there are requests: one plain load.
    #[inline]
    pub fn requested(&self) -> bool {
        self.requests.load(Ordering::Relaxed) != 0
    }

    /// VM: takes the most urgent request.
    pub fn take(&self) -> Option<Request> {
        let pending = self.requests.load(Ordering::Acquire);
        let request = Request::ALL
            .into_iter()
            .find(|request| pending & request.bit() != 0)?;
        self.requests.fetch_and(!request.bit(), Ordering::AcqRel);
        Some(request)
    }

    /// Asks for a change of medium; false if too many wait already.
    pub fn request_change(&self, change: MediumChange) -> bool {
        let taken = self.changes.lock().push_back(change).is_ok();
        if taken {
            self.request(Request::ChangeMedia);
        }
        taken
    }

    /// VM: takes the next change of medium.
    pub fn next_change(&self) -> Option<MediumChange> {
        self.changes.lock().pop_front()
    }

    /// VM: says what the guest is, once it is known.
    pub fn describe(&self, facts: GuestFacts) {
        self.facts.call_once(|| facts);
    }

    /// What the guest is; `None` if none was described.
    pub fn facts(&self) -> Option<&GuestFacts> {
        self.facts.get()
    }

    /// VM: says what the guest does from now on.
    pub fn set_state(&self, state: GuestState) {
        self.state.store(state as u8, Ordering::Release);
        self.wake_services();
    }

    /// What the guest does.
    pub fn state(&self) -> GuestState {
        let state = self.state.load(Ordering::Acquire);
        GuestState::ALL
            .into_iter()
            .find(|known| *known as u8 == state)
            .unwrap_or(GuestState::Absent)
    }

    /// What the guest will do once the requests that wait are done: the state to judge a further request by.
    pub fn state_to_come(&self) -> GuestState {
        let pending = self.requests.load(Ordering::Acquire);
        let waits = |request: Request| pending & request.bit() != 0;
        match self.state() {
            GuestState::Absent => GuestState::Absent,
            _ if waits(Request::Resume) => GuestState::Running,
            _ if waits(Request::Pause) => GuestState::Paused,
            _ if waits(Request::Reset) || waits(Request::Start) => GuestState::Running,
            state => state,
        }
    }

    /// Asks the lifecycle service for the host's power-off or restart.
    pub fn ask_host(&self, action: HostAction) {
        self.host.store(action as u8, Ordering::Release);
        self.wake_services();
    }

    /// Lifecycle service: what was asked of the host.
    pub fn host_action(&self) -> Option<HostAction> {
        match self.host.load(Ordering::Acquire) {
            1 => Some(HostAction::PowerOff),
            2 => Some(HostAction::Reboot),
            _ => None,
        }
    }

    fn wake_services(&self) {
        if let Some(changed) = self.changed.get() {
            changed();
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_once_and_the_most_urgent_first() {
        let control = Control::new();
        assert_eq!(control.take(), None);
        control.request(Request::Resume);
        control.request(Request::Reset);
        control.request(Request::Reset);
        assert!(control.requested());
        assert_eq!(control.take(), Some(Request::Reset));
        assert_eq!(control.take(), Some(Request::Resume));
        assert_eq!(control.take(), None);
    }

    #[test]
    fn changes_of_media_come_in_order_and_are_bounded() {
        let control = Control::new();
        let change = |drive: &str| MediumChange {
            drive: drive.into(),
            medium: None,
            manner: Manner::Ask,
        };
        assert!(
            ["hda", "hdb", "hdc", "hdd"]
                .map(change)
                .into_iter()
                .all(|change| control.request_change(change))
        );
        assert!(!control.request_change(change("fda")));
        assert_eq!(control.take(), Some(Request::ChangeMedia));
        assert_eq!(
            control.next_change().map(|change| change.drive),
            Some("hda".into())
        );
        assert!(control.request_change(change("fda")));
    }

    #[test]
    fn every_state_comes_back() {
        let control = Control::new();
        assert_eq!(control.state(), GuestState::Absent);
        for state in GuestState::ALL {
            control.set_state(state);
            assert_eq!(control.state(), state);
        }
    }

    #[test]
    fn requests_that_wait_tell_the_state_to_come() {
        let control = Control::new();
        control.request(Request::Reset);
        assert_eq!(control.state_to_come(), GuestState::Absent);
        control.set_state(GuestState::Crashed);
        assert_eq!(control.state_to_come(), GuestState::Running);
        control.request(Request::Pause);
        assert_eq!(control.state_to_come(), GuestState::Paused);
        while control.take().is_some() {}
        assert_eq!(control.state_to_come(), GuestState::Crashed);
    }

    #[test]
    fn a_request_kicks_the_vm() {
        use core::sync::atomic::AtomicBool;
        static KICKED: AtomicBool = AtomicBool::new(false);
        let control = Control::new();
        control.on_request(|| KICKED.store(true, Ordering::Relaxed));
        control.request(Request::Pause);
        assert!(KICKED.load(Ordering::Relaxed));
    }
}
