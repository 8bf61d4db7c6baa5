//! A register model of the UART for tests, with a line that sends a byte every few status reads.

use super::bits::FIFO_BYTES;
use crate::ports::Ports;
use std::{collections::VecDeque, vec::Vec};

pub struct Model {
    base: Option<u16>,
    pub divisor: u16,
    pub interrupt_enable: u8,
    pub fifo_control: u8,
    pub line_control: u8,
    pub modem_control: u8,
    transmit_pending: bool,
    receive: VecDeque<u8>,
    transmit: VecDeque<u8>,
    pub sent: Vec<u8>,
    pub overruns: usize,
    pub polls_a_byte: u32,
    pub status_reads: u32,
    pub stuck: bool,
}

impl Model {
    pub fn new(base: u16) -> Self {
        Self {
            base: Some(base),
            divisor: 12,
            interrupt_enable: 0,
            fifo_control: 0,
            line_control: 0,
            modem_control: 0,
            transmit_pending: false,
            receive: VecDeque::new(),
            transmit: VecDeque::new(),
            sent: Vec::new(),
            overruns: 0,
            polls_a_byte: 0,
            status_reads: 0,
            stuck: false,
        }
    }

    pub fn absent() -> Self {
        Self {
            base: None,
            ..Self::new(0)
        }
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.receive.extend(bytes);
    }

    pub fn interrupt_line(&self) -> bool {
        self.modem_control & 8 != 0
            && (self.interrupt_enable & 1 != 0 && !self.receive.is_empty()
                || self.interrupt_enable & 2 != 0 && self.transmit_pending)
    }

    pub fn finish(&mut self) {
        self.sent.extend(self.transmit.drain(..));
    }

    /// The most urgent cause; reading it clears the transmit interrupt, if it is that.
    fn identify(&mut self) -> u8 {
        if self.interrupt_enable & 1 != 0 && !self.receive.is_empty() {
            return 0xc4;
        }
        match core::mem::take(&mut self.transmit_pending) && self.interrupt_enable & 2 != 0 {
            true => 0xc2,
            false => 0xc1,
        }
    }

    fn status(&mut self) -> u8 {
        self.status_reads += 1;
        if !self.stuck
            && self.status_reads.is_multiple_of(self.polls_a_byte.max(1))
            && let Some(byte) = self.transmit.pop_front()
        {
            self.sent.push(byte);
            self.transmit_pending |= self.transmit.is_empty();
        }
        let empty = self.transmit.is_empty() && !self.stuck;
        u8::from(!self.receive.is_empty()) | u8::from(empty) << 5
    }

    fn send(&mut self, byte: u8) {
        self.transmit_pending = false;
        if self.polls_a_byte == 0 {
            self.sent.push(byte);
        } else if self.transmit.len() < FIFO_BYTES {
            self.transmit.push_back(byte);
        } else {
            self.overruns += 1;
        }
    }
}

impl Ports for Model {
    fn read_u8(&mut self, port: u16) -> u8 {
        let Some(register) = self.base.and_then(|base| port.checked_sub(base)) else {
            return 0xff;
        };
        match (register, self.line_control & 0x80 != 0) {
            (0, false) => self.receive.pop_front().unwrap_or(0),
            (1, false) => self.interrupt_enable,
            (2, _) => self.identify(),
            (5, _) => self.status(),
            (6, _) => 0,
            _ => panic!("read of register {register}"),
        }
    }

    fn write_u8(&mut self, port: u16, value: u8) {
        let Some(register) = self.base.and_then(|base| port.checked_sub(base)) else {
            return;
        };
        match (register, self.line_control & 0x80 != 0) {
            (0, true) => self.divisor = self.divisor & 0xff00 | u16::from(value),
            (1, true) => self.divisor = self.divisor & 0xff | u16::from(value) << 8,
            (0, false) => self.send(value),
            (1, false) => {
                self.transmit_pending |=
                    value & !self.interrupt_enable & 2 != 0 && self.transmit.is_empty();
                self.interrupt_enable = value & 0xf;
            }
            (2, _) => self.fifo_control = value,
            (3, _) => self.line_control = value,
            (4, _) => self.modem_control = value,
            _ => panic!("write to register {register}"),
        }
    }

    fn read_u32(&mut self, port: u16) -> u32 {
        panic!("32-bit read of port {port:#x}")
    }

    fn write_u32(&mut self, port: u16, _: u32) {
        panic!("32-bit write to port {port:#x}")
    }
}
