//! What a vCPU does with its mail ([`super::mailbox`]).

use super::machine::KEEPER;
use super::mailbox::Requests;
use super::processor::{Activity, Leave, Outcome, Processor};
use crate::cpu::live;
use crate::service::control::CONTROL;
use hvm::regs::{SegmentName, State};
use hvm::vcpu::Vcpu;

impl<V: Vcpu> Processor<V> {
    /// Does what others ask.
    #[cold]
    pub(super) fn read_mail(&mut self) -> Option<Leave> {
        let requests = self.local.mailbox.take();
        self.local.attention = true;
        if requests.contains(Requests::FLUSH) {
            self.cpu.flush_tlb();
        }
        if requests.contains(Requests::VECTORS) {
            self.recall();
            let (lapic, mailbox) = (&mut self.local.lapic, self.local.mailbox);
            mailbox.take_vectors(|vector, trigger| lapic.accept_vector(vector, trigger));
        }
        if requests.contains(Requests::NMI) {
            self.local.events.raise_nmi();
        }
        if requests.contains(Requests::INIT) {
            self.init();
        }
        if requests.contains(Requests::START_UP) {
            self.start_up();
        }
        if requests.contains(Requests::LOOK) {
            self.local.look_at_board();
        }
        if requests.contains(Requests::POLL) {
            self.local.with_board(|board, context| board.poll(context));
            self.show();
        } else if requests.contains(Requests::NETWORK) {
            self.local
                .with_board(|board, context| board.poll_network(context));
        }
        if requests.contains(Requests::STOP) && self.machine().gate.is_closing() {
            return Some(Leave::Stop);
        }
        if self.local.index == KEEPER && CONTROL.requested() {
            return CONTROL
                .take()
                .map(|request| Leave::Outcome(Outcome::Request(request)));
        }
        None
    }

    /// INIT (SDM vol. 3A, 9.4.1): the first vCPU begins at the reset vector, the others wait. x87 and SSE registers stay.
    #[cold]
    fn init(&mut self) {
        self.recall();
        self.local.init();
        self.window = None;
        live::set_breakpoints([0; 4]);
        self.restart(&State::reset());
        self.activity = if self.local.index == KEEPER {
            Activity::Running
        } else {
            Activity::WaitForStartUp
        };
    }

    /// A start-up message: real mode, at the start of a page (SDM vol. 3A, 9.4.3).
    #[cold]
    fn start_up(&mut self) {
        if self.activity != Activity::WaitForStartUp {
            return;
        }
        let page = self.local.mailbox.start_page();
        let mut code = self.cpu.segment(SegmentName::Cs);
        code.selector = u16::from(page) << 8;
        code.base = u64::from(page) << 12;
        self.cpu.set_segment(SegmentName::Cs, code);
        self.cpu.set_rip(0);
        self.activity = Activity::Running;
    }
}
