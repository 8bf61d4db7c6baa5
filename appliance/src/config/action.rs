//! What to do when the guest stops: `on_poweroff` and its siblings.

/// The answer to one kind of stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The guest is gone, and with it the host's purpose: power the host off.
    Destroy,
    /// Start the guest again, in place.
    Restart,
    /// Keep the guest as it stopped; the prompt stays.
    Preserve,
}

/// The answers to every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// The guest powered itself off.
    pub poweroff: Action,
    /// The guest asked for a reset.
    pub reboot: Action,
    /// The guest did what cannot go on: a triple fault, say.
    pub crash: Action,
    /// The guest's watchdog ran out.
    pub watchdog: Action,
}

/// Values of the manual page, what they become, and what there is to say about it.
pub(super) const WORDS: &[(&str, Action, Option<&str>)] = &[
    ("destroy", Action::Destroy, None),
    ("restart", Action::Restart, None),
    ("preserve", Action::Preserve, None),
    (
        "rename-restart",
        Action::Restart,
        Some("one guest a machine: the old one is not kept under another name"),
    ),
    (
        "coredump-destroy",
        Action::Destroy,
        Some("no core is dumped: there is no dom0 to take it"),
    ),
    (
        "coredump-restart",
        Action::Restart,
        Some("no core is dumped: there is no dom0 to take it"),
    ),
    (
        "soft-reset",
        Action::Restart,
        Some("there is no soft reset: the guest is restarted"),
    ),
];

pub(super) const EXPECTED: &str =
    "expected destroy (power the host off), restart or preserve (keep it, and the prompt)";

impl Default for Actions {
    fn default() -> Self {
        Self {
            poweroff: Action::Destroy,
            reboot: Action::Restart,
            crash: Action::Preserve,
            watchdog: Action::Preserve,
        }
    }
}
