//! From the PC16550D data sheet.

use super::*;
use crate::testing::{Peer, twins};
use proptest::prelude::*;

/// A port with OUT2 set, as a PC driver sets it, and the far end.
fn port(room: usize) -> (Uart, Peer) {
    let peer = Peer::with_room(room);
    let mut uart = Uart::new(peer.backend());
    uart.write(MCR, MCR_OUT2);
    (uart, peer)
}

#[test]
fn sends_in_order() {
    let (mut uart, peer) = port(100);
    for byte in *b"hello" {
        assert_ne!(uart.read(LSR) & LSR_THRE, 0);
        uart.write(DATA, byte);
    }
    assert_eq!(peer.received(), b"hello");
}

#[test]
fn a_slow_back_end_holds_thre_down_and_loses_nothing() {
    let (mut uart, peer) = port(2);
    uart.write(IIR_FCR, FCR_ENABLE);
    for byte in 0..18 {
        uart.write(DATA, byte);
    }
    assert_eq!(uart.read(LSR) & (LSR_THRE | LSR_TEMT), 0);
    peer.set_room(10);
    assert_eq!(uart.read(LSR) & (LSR_THRE | LSR_TEMT), 0);
    peer.set_room(100);
    uart.poll();
    assert_eq!(uart.read(LSR) & (LSR_THRE | LSR_TEMT), LSR_THRE | LSR_TEMT);
    assert_eq!(peer.received(), (0..18).collect::<Vec<u8>>());
}

#[test]
fn thre_interrupts() {
    let (mut uart, peer) = port(100);
    assert_eq!(uart.read(IIR_FCR), IIR_NONE);
    uart.write(IER, IER_THRE);
    assert!(
        uart.interrupt(),
        "enabling it with an empty transmitter raises it"
    );
    assert_eq!(uart.read(IIR_FCR), IIR_THRE);
    assert!(!uart.interrupt(), "reading IIR ended it");
    assert_eq!(uart.read(IIR_FCR), IIR_NONE);
    uart.write(DATA, b'x');
    assert!(uart.interrupt(), "empty again");
    peer.set_room(0);
    uart.write(DATA, b'y');
    assert!(!uart.interrupt(), "a write ends it");
    peer.set_room(1);
    uart.poll();
    assert!(uart.interrupt());
    uart.write(IER, 0);
    assert!(!uart.interrupt());
    uart.write(MCR, 0);
    uart.write(IER, IER_THRE);
    assert!(!uart.interrupt(), "OUT2 gates the line");
    assert_eq!(uart.read(IIR_FCR), IIR_THRE);
}

#[test]
fn receives_up_to_the_trigger_and_then_times_out() {
    let (mut uart, peer) = port(0);
    uart.write(IIR_FCR, FCR_ENABLE | 0x40);
    uart.write(IER, IER_DATA);
    peer.send(&[1, 2, 3, 4, 5]);
    uart.poll();
    assert!(uart.interrupt());
    assert_eq!(uart.read(IIR_FCR), IIR_FIFO | IIR_DATA);
    assert_eq!((uart.read(DATA), uart.read(DATA)), (1, 2));
    assert_eq!(uart.read(IIR_FCR), IIR_FIFO | IIR_TIMEOUT);
    assert_eq!(
        (uart.read(DATA), uart.read(DATA), uart.read(DATA)),
        (3, 4, 5)
    );
    assert_eq!(uart.read(LSR) & LSR_DATA, 0);
    assert!(!uart.interrupt());
}

#[test]
fn input_waits_in_the_back_end_while_the_receiver_is_full() {
    let (mut uart, peer) = port(0);
    peer.send(&[7; 40]);
    uart.poll();
    assert_eq!(peer.waiting(), 39);
    uart.write(IIR_FCR, FCR_ENABLE);
    assert_eq!(
        peer.waiting(),
        23,
        "turning FIFOs on lost the byte in the receiver, as documented"
    );
    let mut received = 0;
    while uart.read(LSR) & LSR_DATA != 0 {
        assert_eq!(uart.read(DATA), 7);
        received += 1;
    }
    assert_eq!((received, peer.waiting()), (39, 0));
    assert_eq!(uart.read(LSR) & LSR_OVERRUN, 0);
}

#[test]
fn priorities() {
    let (mut uart, peer) = port(100);
    uart.write(IER, IER_WRITABLE);
    uart.write(MCR, MCR_OUT2 | MCR_LOOP | MCR_DTR);
    uart.write(DATA, 1);
    uart.write(DATA, 2);
    uart.write(MCR, MCR_OUT2);
    assert!(uart.interrupt());
    assert_eq!(uart.read(IIR_FCR), IIR_LINE);
    assert_eq!(uart.read(LSR) & LSR_OVERRUN, LSR_OVERRUN);
    assert_eq!(uart.read(IIR_FCR), IIR_DATA);
    assert_eq!(
        uart.read(DATA),
        2,
        "an overrun keeps the new byte without FIFOs"
    );
    assert_eq!(uart.read(IIR_FCR), IIR_THRE);
    assert_eq!(uart.read(IIR_FCR), IIR_MODEM);
    assert_ne!(uart.read(MSR) & 0xf, 0);
    assert_eq!(uart.read(IIR_FCR), IIR_NONE);
    assert!(peer.received().is_empty(), "looped bytes stay inside");
}

#[test]
fn modem_loopback() {
    let (mut uart, _) = port(0);
    assert_eq!(uart.read(MSR), MSR_CTS | MSR_DSR | MSR_DCD);
    uart.write(MCR, MCR_LOOP);
    assert_eq!(uart.read(MSR), 0x0b, "three lines fell");
    for (output, input) in [
        (MCR_DTR, MSR_DSR),
        (MCR_RTS, MSR_CTS),
        (MCR_OUT1, MSR_RI),
        (MCR_OUT2, MSR_DCD),
    ] {
        uart.write(MCR, MCR_LOOP | output);
        assert_eq!(uart.read(MSR) & 0xf0, input);
        uart.write(MCR, MCR_LOOP);
        let changes = uart.read(MSR);
        assert_eq!(changes, input >> 4, "the fall of {output:#x}");
    }
    uart.write(MCR, MCR_LOOP | MCR_OUT1);
    assert_eq!(uart.read(MSR) & MSR_TERI, 0, "a rising RI tells nothing");
}

#[test]
fn divisor_scratch_and_fifo_bits() {
    let (mut uart, peer) = port(10);
    uart.write(LCR, LCR_DLAB | 3);
    uart.write(DATA, 0x0c);
    uart.write(IER, 0x01);
    assert_eq!((uart.read(DATA), uart.read(IER)), (0x0c, 0x01));
    uart.write(LCR, 3);
    assert_eq!(uart.read(IER), 0);
    assert!(peer.received().is_empty());
    uart.write(7, 0xa5);
    assert_eq!(uart.read(7), 0xa5);
    uart.write(IER, 0xff);
    assert_eq!(uart.read(IER), 0x0f);
    uart.write(MCR, 0xff);
    assert_eq!(uart.read(MCR), 0x1f);
    uart.write(IIR_FCR, FCR_ENABLE);
    assert_eq!(uart.read(IIR_FCR) & IIR_FIFO, IIR_FIFO);
    uart.write(IIR_FCR, 0xc0);
    assert_eq!(
        uart.read(IIR_FCR) & IIR_FIFO,
        0,
        "without the enable bit nothing else counts"
    );
    uart.reset();
    assert_eq!(
        (uart.read(7), uart.read(MCR), uart.read(LSR)),
        (0xa5, 0, LSR_THRE | LSR_TEMT)
    );
}

#[test]
fn a_paused_port_touches_no_back_end() {
    let (mut uart, peer) = port(10);
    uart.pause();
    uart.write(DATA, 1);
    peer.send(&[2]);
    uart.poll();
    assert_eq!((peer.received().len(), peer.waiting()), (0, 1));
    uart.resume();
    uart.poll();
    assert_eq!((peer.received(), uart.read(DATA)), (Vec::from([1]), 2));
}

fn step(uart: &mut Uart, &(write, register, value): &(bool, u16, u8)) -> (u8, bool) {
    let value = if write {
        uart.write(register, value);
        0
    } else {
        uart.read(register)
    };
    uart.poll();
    (value, uart.interrupt())
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec((any::<bool>(), 0_u16..9, any::<u8>()), 0..200),
        cut in 0_usize..200,
    ) {
        // A far end that takes everything and says nothing is alike for both twins.
        twins(|| port(usize::MAX).0, &operations, cut, step);
        twins(|| port(0).0, &operations, cut, step);
    }
}
