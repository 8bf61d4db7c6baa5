//! What each exit asks for.

use super::processor::{Next, Processor};
use crate::cpu::live;
use crate::service::control::{CONTROL, count};
use alloc::format;
use core::sync::atomic::Ordering;
use guest_bios::rom;
use guest_mem::Gpa;
use hvm::Width;
use hvm::cpuid::Leaf;
use hvm::emulate::length::{self, Lost};
use hvm::emulate::{self, Completion, Hint, Nmis, Step, Trap, Unsupported};
use hvm::event::Exception;
use hvm::exit::{Access, Exit, Instruction, IoDirection, IoExit, IoKind};
use hvm::hyperv::bits::INVALID_HYPERCALL_CODE;
use hvm::msr::{self, GeneralProtection};
use hvm::regs::{Attributes, Gpr, SegmentName};
use hvm::vcpu::Vcpu;
use hvm::virtual_apic::Served;
use pc::vmmouse;

/// For the report of a guest whose CPU shut down.
pub const TRIPLE_FAULT: &str = "triple fault: an exception while its double fault was delivered";

/// What KVM's hypercall interface answers to a number that it does not have (-KVM_ENOSYS).
const UNKNOWN_HYPERCALL: u64 = -1000_i64 as u64;
/// What it answers to a caller outside ring 0 (-EPERM).
const NOT_PERMITTED: u64 = -1_i64 as u64;

#[inline(always)]
fn answer_cpuid(cpu: &mut impl Vcpu, [eax, ebx, ecx, edx]: Leaf) {
    cpu.set_gpr(Gpr::Rax, eax.into());
    cpu.set_gpr(Gpr::Rbx, ebx.into());
    cpu.set_gpr(Gpr::Rcx, ecx.into());
    cpu.set_gpr(Gpr::Rdx, edx.into());
}

impl<V: Vcpu> Processor<V> {
    /// Completes an exit.
    #[inline]
    pub(super) fn handle(&mut self, exit: Exit) -> Next {
        match exit {
            Exit::Instruction(
                instruction @ (Instruction::Rdtsc
                | Instruction::Rdtscp
                | Instruction::Monitor
                | Instruction::Mwait
                | Instruction::Virtualization),
            ) => self.rare_instruction(instruction),
            Exit::Instruction(instruction) => self.instruction(instruction),
            Exit::Io(io) => self.io(io),
            Exit::NestedFault {
                gpa,
                access,
                table_walk,
            } => self.nested_fault(gpa, access, table_walk),
            Exit::HostInterrupt | Exit::HostNmi | Exit::Init => {
                count(&CONTROL.counters.interrupts);
                self.admit();
                self.interrupted()
            }
            // `deliver` looks again before the next entry.
            Exit::InterruptWindow => {
                count(&CONTROL.counters.other);
                self.forget_window();
                Next::Enter
            }
            Exit::NmiWindow => {
                self.local.events.nmi_done();
                self.forget_window();
                Next::Enter
            }
            Exit::Deadline => {
                count(&CONTROL.counters.interrupts);
                self.deadline();
                self.interrupted()
            }
            Exit::ModificationLogFull => {
                count(&CONTROL.counters.other);
                self.drain_modified();
                Next::Enter
            }
            Exit::ApicWrite { offset } => self.apic_write(offset),
            Exit::EndOfInterrupt { vector } => self.end_of_interrupt(vector),
            Exit::ControlRegister => self.control_register(),
            Exit::PageFault {
                address,
                error_code,
            } => self.page_fault(address, error_code),
            Exit::PagingChanged => {
                self.follow_paging();
                Next::Enter
            }
            Exit::InvalidatePage => self.invalidate_page(),
            Exit::Emulate => self.start_emulating(),
            Exit::TaskSwitch => self.take_over(),
            Exit::Exception { vector, error_code } => self.exception(vector, error_code),
            Exit::TripleFault => self.stop(TRIPLE_FAULT.into()),
            Exit::EntryFailed { code, reason } => self.stop(format!(
                "the CPU refused its state (code {code:#x}): {reason}"
            )),
            Exit::Unexpected { code, info } => self.stop(format!(
                "exit {code:#x} ({:#x}, {:#x}), which was not asked for",
                info[0], info[1]
            )),
        }
    }

    /// One that is not completed by its length alone.
    #[cold]
    #[inline(never)]
    fn rare_instruction(&mut self, instruction: Instruction) -> Next {
        match instruction {
            Instruction::Rdtsc | Instruction::Rdtscp => self.read_tsc(instruction),
            // Not offered by our CPUID.
            _ => self.raise(Exception::INVALID_OPCODE),
        }
    }

    #[inline]
    fn instruction(&mut self, instruction: Instruction) -> Next {
        let next_rip = match self.cpu.next_rip() {
            Some(rip) => rip,
            None => match self.next_rip_of(instruction) {
                Ok(rip) => rip,
                Err(lost) => return self.lost(lost),
            },
        };
        match instruction {
            Instruction::Cpuid => self.cpuid_exit(next_rip),
            Instruction::Rdmsr => self.rdmsr(next_rip),
            Instruction::Wrmsr => self.wrmsr(next_rip),
            Instruction::Hypercall => self.hypercall(next_rip),
            Instruction::Hlt => match self.complete(next_rip) {
                Next::Enter => Next::Halt,
                other => other,
            },
            // Caches are the host's: the guest's devices see memory through them. INVD would lose other people's data.
            Instruction::Invd | Instruction::Wbinvd => self.complete(next_rip),
            Instruction::Pause => match self.complete(next_rip) {
                Next::Enter => self.spins(),
                other => other,
            },
            Instruction::Rdpmc => self.raise(Exception::GENERAL_PROTECTION),
            Instruction::Xsetbv => self.xsetbv(next_rip),
            // Taken care of before.
            Instruction::Virtualization
            | Instruction::Monitor
            | Instruction::Mwait
            | Instruction::Rdtsc
            | Instruction::Rdtscp => Next::Enter,
        }
    }

    /// RDTSC or RDTSCP, where the counter is ours. Some CPUs' exits name the former for both; the bytes then tell.
    fn read_tsc(&mut self, instruction: Instruction) -> Next {
        count(&CONTROL.counters.other);
        let (instruction, next_rip) = match self.cpu.next_rip() {
            Some(rip) => (instruction, Ok(rip)),
            None => match self.next_rip_of(instruction) {
                Err(Lost::Changed) => {
                    let next_rip = self.next_rip_of(Instruction::Rdtscp);
                    (Instruction::Rdtscp, next_rip)
                }
                next_rip => (instruction, next_rip),
            },
        };
        let next_rip = match next_rip {
            Ok(rip) => rip,
            Err(lost) => return self.lost(lost),
        };
        let tsc = self.local.clock.guest_tsc();
        self.cpu.set_gpr(Gpr::Rax, tsc & 0xffff_ffff);
        self.cpu.set_gpr(Gpr::Rdx, tsc >> 32);
        if instruction == Instruction::Rdtscp {
            self.cpu.set_gpr(Gpr::Rcx, live::tsc_aux());
        }
        self.complete(next_rip)
    }

    /// RIP behind `instruction`, by the bytes.
    #[inline]
    fn next_rip_of(&mut self, instruction: Instruction) -> Result<u64, Lost> {
        length::next_rip(
            &self.cpu,
            self.local.physical_bits,
            &self.local.machine.memory,
            &mut self.cache,
            instruction,
        )
    }

    fn hypercall(&mut self, next_rip: u64) -> Next {
        count(&CONTROL.counters.other);
        if self.machine().hyperv.takes_calls() {
            return self.hyperv_call(next_rip);
        }
        let answer = if self.cpu.cpl() == 0 {
            UNKNOWN_HYPERCALL
        } else {
            NOT_PERMITTED
        };
        self.cpu.set_gpr(Gpr::Rax, answer);
        self.complete(next_rip)
    }

    /// None of Hyper-V's calls is offered. (TLFS, 3.7: in 64-bit mode the answer is in RAX, else in EDX:EAX.)
    #[cold]
    fn hyperv_call(&mut self, next_rip: u64) -> Next {
        if self.cpu.cpl() != 0 {
            return self.raise(Exception::INVALID_OPCODE);
        }
        let code = self.cpu.segment(SegmentName::Cs).attributes;
        if !code.contains(Attributes::L) {
            self.cpu.set_gpr(Gpr::Rdx, 0);
        }
        self.cpu.set_gpr(Gpr::Rax, INVALID_HYPERCALL_CODE);
        self.complete(next_rip)
    }

    /// XSETBV exits always on VT-x, and never on AMD-V. That CR4.OSXSAVE is set the CPU has checked before.
    #[cold]
    fn xsetbv(&mut self, next_rip: u64) -> Next {
        const XSAVE_LEAF: u32 = 0xd;
        let halves =
            |high: Gpr, low: Gpr| self.cpu.gpr(high) << 32 | self.cpu.gpr(low) & 0xffff_ffff;
        let value = halves(Gpr::Rdx, Gpr::Rax);
        let [low, _, _, high] = self.local.cpuid(XSAVE_LEAF, 0, self.cpu.cr4());
        let offered = u64::from(high) << 32 | u64::from(low);
        let register = self.cpu.gpr(Gpr::Rcx) as u32;
        if register != 0 || self.cpu.cpl() != 0 || !hvm::xcr0::is_valid(value, offered) {
            return self.raise(Exception::GENERAL_PROTECTION);
        }
        // SAFETY: CPUID, which offers no more than this CPU has, allows the value; the host's CR4.OSXSAVE is set wherever CPUID shows XSAVE.
        unsafe { live::set_xcr0(value) };
        self.complete(next_rip)
    }

    /// A MOV to or from a control register, CLTS or LMSW.
    #[cold]
    fn control_register(&mut self) -> Next {
        count(&CONTROL.counters.other);
        let next = self.emulate(Hint::None);
        self.follow_control_registers();
        next
    }

    /// The emulator may have written control registers. With PAE paging the CPU loads four entries when these change (SDM vol. 3A, 4.4.1);
    /// where an emulated write stood for that, they are told to it.
    pub(super) fn follow_control_registers(&mut self) {
        if let Some(table) = self.paging().pae_table() {
            let entries = self.local.machine.memory.load::<[u64; 4]>(table);
            self.cpu.set_pdptes(entries.unwrap_or_default());
        }
        self.follow_paging();
    }

    #[cold]
    fn lost(&mut self, lost: Lost) -> Next {
        match lost {
            Lost::Fault(exception) => self.raise(exception),
            Lost::Changed => Next::Enter,
            Lost::NotRam(gpa) => self.stop(format!(
                "it executes at guest-physical {:#x}, where no memory is",
                gpa.0
            )),
        }
    }

    #[inline]
    fn cpuid_exit(&mut self, next_rip: u64) -> Next {
        count(&CONTROL.counters.cpuid);
        let leaf = self.cpu.gpr(Gpr::Rax) as u32;
        let subleaf = self.cpu.gpr(Gpr::Rcx) as u32;
        match self.local.cpuid.constant(leaf) {
            Some(&answer) => answer_cpuid(&mut self.cpu, answer),
            None => {
                let answer = self.local.cpuid(leaf, subleaf, self.cpu.cr4());
                answer_cpuid(&mut self.cpu, answer);
            }
        }
        self.complete(next_rip)
    }

    fn rdmsr(&mut self, next_rip: u64) -> Next {
        count(&CONTROL.counters.msr);
        let register = self.cpu.gpr(Gpr::Rcx) as u32;
        match self.read_msr(register) {
            Ok(value) => {
                self.cpu.set_gpr(Gpr::Rax, value & 0xffff_ffff);
                self.cpu.set_gpr(Gpr::Rdx, value >> 32);
                self.complete(next_rip)
            }
            Err(GeneralProtection) => self.raise(Exception::GENERAL_PROTECTION),
        }
    }

    fn wrmsr(&mut self, next_rip: u64) -> Next {
        count(&CONTROL.counters.msr);
        let register = self.cpu.gpr(Gpr::Rcx) as u32;
        let value = self.cpu.gpr(Gpr::Rax) & 0xffff_ffff | self.cpu.gpr(Gpr::Rdx) << 32;
        match self.write_msr(register, value) {
            Ok(()) => self.complete(next_rip),
            Err(GeneralProtection) => self.raise(Exception::GENERAL_PROTECTION),
        }
    }

    #[inline]
    fn read_msr(&mut self, register: u32) -> Result<u64, GeneralProtection> {
        if register == msr::EFER {
            Ok(self.cpu.efer())
        } else {
            self.recall_for_msr(register);
            self.local.read_msr(register)
        }
    }

    fn write_msr(&mut self, register: u32, value: u64) -> Result<(), GeneralProtection> {
        if register == msr::EFER {
            let checked = msr::checked_efer(self.cpu.efer(), value, self.cpu.cr0())?;
            self.cpu.set_efer(checked);
            self.follow_paging();
            return Ok(());
        }
        self.recall_for_msr(register);
        self.local.write_msr(register, value)?;
        if matches!(register, msr::IA32_TSC | msr::IA32_TSC_ADJUST) {
            self.cpu.set_tsc_offset(self.local.clock.offset());
        }
        self.take_priority();
        Ok(())
    }

    /// Shows the CPU the task priority that was written through the local APIC. Where the CPU delivers interrupts it is handed over
    /// with the rest.
    #[inline]
    pub(super) fn take_priority(&mut self) {
        if let Served::All(_) = self.cpu.served_apic() {
            return;
        }
        let priority = self.local.lapic.tpr() >> 4;
        if priority != self.cpu.cr8() {
            self.cpu.set_cr8(priority);
        }
    }

    #[inline]
    fn io(&mut self, io: IoExit) -> Next {
        count(&CONTROL.counters.io);
        let IoKind::Register { next_rip } = io.kind else {
            return self.emulate(Hint::None);
        };
        let rax = self.cpu.gpr(Gpr::Rax);
        match io.direction {
            IoDirection::In if io.port == vmmouse::PORT && io.width == Width::Dword => {
                self.vmware_request();
            }
            IoDirection::In => {
                let value = u64::from(self.local.port_read(io.port, io.width));
                // A byte or a word leaves the rest of RAX; a dword clears the upper half.
                let kept = if io.width == Width::Dword {
                    0
                } else {
                    rax & !io.width.mask()
                };
                self.cpu.set_gpr(Gpr::Rax, kept | io.width.cut(value));
            }
            IoDirection::Out => {
                if io.port == rom::TRAP_PORT
                    && let Some(next) = self.firmware_trap(next_rip)
                {
                    return next;
                }
                let value = io.width.cut(rax) as u32;
                self.local.port_write(io.port, io.width, value);
            }
        }
        self.complete(next_rip)
    }

    /// A guest asks VMware's port: the pointer's answer, or what nobody answers.
    #[cold]
    fn vmware_request(&mut self) {
        let [eax, ebx, ecx, edx] =
            [Gpr::Rax, Gpr::Rbx, Gpr::Rcx, Gpr::Rdx].map(|gpr| self.cpu.gpr(gpr) as u32);
        let asked = vmmouse::Registers { eax, ebx, ecx, edx };
        let Some(answer) = self
            .local
            .with_board(|board, _| board.vmware_request(asked))
        else {
            return self.cpu.set_gpr(Gpr::Rax, u32::MAX.into());
        };
        self.cpu.set_gpr(Gpr::Rax, answer.eax.into());
        self.cpu.set_gpr(Gpr::Rbx, answer.ebx.into());
        self.cpu.set_gpr(Gpr::Rcx, answer.ecx.into());
        self.cpu.set_gpr(Gpr::Rdx, answer.edx.into());
    }

    #[inline]
    pub(super) fn nested_fault(&mut self, gpa: Gpa, access: Access, table_walk: bool) -> Next {
        let machine = self.machine();
        if access == Access::Write
            && machine.watch.protects.load(Ordering::Relaxed)
            && machine.tracker.lock().write_fault(&mut self.cpu, gpa)
        {
            count(&CONTROL.counters.other);
            return Next::Enter;
        }
        count(&CONTROL.counters.mmio);
        if machine.framebuffer.covers(gpa)
            && access != Access::Fetch
            && !table_walk
            && self.admit_to_framebuffer(gpa)
        {
            return Next::Enter;
        }
        if table_walk {
            return self.stop(format!(
                "its page tables lie at guest-physical {:#x}, where no memory is",
                gpa.0
            ));
        }
        match access {
            Access::Read => self.emulate(Hint::Read(gpa)),
            Access::Write => self.emulate(Hint::Write(gpa)),
            Access::Fetch => self.stop(format!(
                "it executes at guest-physical {:#x}, where no memory is",
                gpa.0
            )),
        }
    }

    /// Has the emulator execute the instruction at RIP.
    #[inline(never)]
    pub(super) fn emulate(&mut self, hint: Hint) -> Next {
        let step = self.step(hint);
        self.stepped(step)
    }

    /// What the emulator makes of the instruction at RIP.
    #[inline(always)]
    pub(super) fn step(&mut self, hint: Hint) -> Result<Step, Unsupported> {
        self.recall_for(hint);
        let device_page = match hint {
            Hint::Read(gpa) | Hint::Write(gpa) => Some(gpa.page_base()),
            Hint::None => None,
        };
        let mut bus = super::bus::LocalBus {
            local: &mut self.local,
            device_page,
        };
        let fetched = device_page.and_then(|_| self.cpu.fetched_bytes().copied());
        let step = emulate::step(
            &mut self.cpu,
            &mut bus,
            &mut self.cache,
            hint,
            fetched.as_ref(),
        );
        self.local.vectors.put_back();
        self.take_priority();
        step
    }

    /// What is to be done about it.
    #[inline(always)]
    pub(super) fn stepped(&mut self, step: Result<Step, Unsupported>) -> Next {
        if self.local.trapped {
            self.local.trapped = false;
            if matches!(step, Ok(Step::Done(_)))
                && let Some(next) = self.firmware_trap(self.cpu.rip())
            {
                return next;
            }
        }
        match step {
            Ok(Step::Done(completion)) => self.completed(completion),
            Ok(Step::Halt(completion)) => match self.completed(completion) {
                Next::Enter => Next::Halt,
                other => other,
            },
            Ok(Step::Again) => Next::Enter,
            Ok(Step::Fault(exception)) => self.raise(exception),
            Err(unsupported) => self.stop(format!("{unsupported}")),
        }
    }

    #[inline]
    fn completed(&mut self, completion: Completion) -> Next {
        self.cpu.set_shadow(completion.shadow);
        if completion.nmis == Nmis::Open {
            self.open_nmis();
        }
        match completion.trap {
            Trap::None => Next::Enter,
            Trap::SingleStep => self.single_step(),
        }
    }

    /// Intercepted exceptions go on to the guest, except for machine checks, which are the host's, and for a hypercall in the
    /// other vendor's form: a guest may not know which CPU it is on.
    #[cold]
    fn exception(&mut self, vector: u8, error_code: u32) -> Next {
        const INVALID_OPCODE: u8 = 6;
        const ALIGNMENT: u8 = 17;
        const MACHINE_CHECK: u8 = 18;
        match vector {
            INVALID_OPCODE => match self.next_rip_of(Instruction::Hypercall) {
                Ok(next_rip) => self.hypercall(next_rip),
                Err(_) => self.raise(Exception::INVALID_OPCODE),
            },
            MACHINE_CHECK => {
                self.stop("a machine check interrupted it: the host's hardware is failing".into())
            }
            ALIGNMENT => self.raise(Exception::with_code(vector, error_code)),
            _ => self.raise(Exception::plain(vector)),
        }
    }
}
