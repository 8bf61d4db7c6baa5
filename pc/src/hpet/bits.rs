//! HPET registers (IA-PC HPET specification 1.0a, 2.3).

/// General capabilities and identification.
pub(super) const CAPABILITIES: u64 = 0x000;
/// General configuration.
pub(super) const CONFIGURATION: u64 = 0x010;
/// General interrupt status.
pub(super) const STATUS: u64 = 0x020;
/// Main counter.
pub(super) const COUNTER: u64 = 0x0f0;
/// The first timer's registers, and from one timer to the next.
pub(super) const TIMERS: u64 = 0x100;
pub(super) const TIMER_STRIDE: u64 = 0x20;
/// Within a timer: configuration, comparator, FSB route (not offered).
pub(super) const TIMER_CONFIGURATION: u64 = 0x00;
pub(super) const TIMER_COMPARATOR: u64 = 0x08;

/// Configuration: the counter runs, interrupts pass.
pub(super) const ENABLE: u64 = 1;
/// Configuration: timers 0 and 1 take the places of PIT and clock.
pub(super) const LEGACY_ROUTE: u64 = 1 << 1;

/// Timer configuration: level-triggered.
pub(super) const LEVEL: u64 = 1 << 1;
pub(super) const INTERRUPT: u64 = 1 << 2;
pub(super) const PERIODIC: u64 = 1 << 3;
pub(super) const PERIODIC_CAPABLE: u64 = 1 << 4;
pub(super) const SIZE_CAPABLE: u64 = 1 << 5;
/// Timer configuration: the next write to the comparator sets it, not only the period.
pub(super) const VALUE_SET: u64 = 1 << 6;
pub(super) const MODE_32: u64 = 1 << 8;
pub(super) const ROUTE_SHIFT: u32 = 9;
pub(super) const ROUTE: u64 = 0x1f << ROUTE_SHIFT;
/// What software may set. VALUE_SET reads as 0.
pub(super) const WRITABLE: u64 = LEVEL | INTERRUPT | PERIODIC | MODE_32 | ROUTE;
/// I/O APIC inputs that each timer can be routed to: those that nothing else drives.
pub(super) const ROUTES: u64 = 0b1111 << 20;
