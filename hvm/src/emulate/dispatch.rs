//! Which instruction is executed by what.

use super::alu::{self, Shift};
use super::decimal::After;
use super::interrupt::Guard;
use super::{Bus, Execution, Flow, Reason, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Registers, Rflags};
use iced_x86::{Code, Mnemonic};

impl<C: Registers, B: Bus> Execution<'_, C, B> {
    /// The same with the vCPU behind its traits: what is rare is there once for both vendors.
    fn as_any(&mut self) -> Execution<'_, dyn Registers + '_, dyn Bus + '_> {
        Execution {
            cpu: self.cpu,
            bus: self.bus,
            instruction: self.instruction,
            decoded: self.decoded,
            mode: self.mode,
            cpl: self.cpl,
            hint: self.hint,
            next: self.next,
        }
    }

    #[inline(never)]
    fn execute_as_any(&mut self) -> Result<Flow, Stop> {
        let mut any = self.as_any();
        let flow = any.execute_stack();
        self.next = any.next;
        flow
    }

    /// Executes the instruction, all but moving RIP on.
    #[inline]
    pub(super) fn execute(&mut self) -> Result<Flow, Stop> {
        match self.instruction.mnemonic() {
            Mnemonic::Mov => self.mov(),
            Mnemonic::Movzx => self.mov_zero_extended(),
            Mnemonic::Movsx | Mnemonic::Movsxd => self.mov_sign_extended(),
            Mnemonic::Movnti => self.mov_plain(),
            Mnemonic::Movbe => self.mov_swapped(),
            Mnemonic::Add => self.binary(|width, a, b, _| alu::add(width, a, b, 0)),
            Mnemonic::Or => self.binary(|width, a, b, _| alu::logic(width, a | b)),
            Mnemonic::Adc => self.binary(alu::add),
            Mnemonic::Sbb => self.binary(alu::sub),
            Mnemonic::And => self.binary(|width, a, b, _| alu::logic(width, a & b)),
            Mnemonic::Sub => self.binary(|width, a, b, _| alu::sub(width, a, b, 0)),
            Mnemonic::Xor => self.binary(|width, a, b, _| alu::logic(width, a ^ b)),
            Mnemonic::Cmp => self.compare(|width, a, b| alu::sub(width, a, b, 0)),
            Mnemonic::Test => self.compare(|width, a, b| alu::logic(width, a & b)),
            Mnemonic::Inc => self.unary(alu::increment),
            Mnemonic::Dec => self.unary(alu::decrement),
            Mnemonic::Neg => self.unary(|width, a| alu::sub(width, 0, a, 0)),
            Mnemonic::Not => self.unary(|_, a| alu::plain(!a)),
            _ => self.execute_rarer(),
        }
    }

    fn execute_rarer(&mut self) -> Result<Flow, Stop> {
        match self.instruction.mnemonic() {
            Mnemonic::Shl | Mnemonic::Sal => self.shift(Shift::Shl),
            Mnemonic::Shr => self.shift(Shift::Shr),
            Mnemonic::Sar => self.shift(Shift::Sar),
            Mnemonic::Rol => self.shift(Shift::Rol),
            Mnemonic::Ror => self.shift(Shift::Ror),
            Mnemonic::Rcl => self.shift(Shift::Rcl),
            Mnemonic::Rcr => self.shift(Shift::Rcr),
            Mnemonic::Shld => self.double_shift(Shift::Shl),
            Mnemonic::Shrd => self.double_shift(Shift::Shr),
            Mnemonic::Bt => self.bit_test(),
            Mnemonic::Bts => self.bit_change(|value, mask| value | mask),
            Mnemonic::Btr => self.bit_change(|value, mask| value & !mask),
            Mnemonic::Btc => self.bit_change(|value, mask| value ^ mask),
            Mnemonic::Xchg => self.exchange(),
            Mnemonic::Xadd => self.exchange_add(),
            Mnemonic::Cmpxchg => self.compare_exchange(),
            Mnemonic::Cmpxchg8b => self.compare_exchange_8(),
            Mnemonic::Cmpxchg16b => self.compare_exchange_16(),
            Mnemonic::Push => self.push_operand(),
            Mnemonic::Pop => self.pop_operand(),
            Mnemonic::In => self.port_in(),
            Mnemonic::Out => self.port_out(),
            Mnemonic::Nop | Mnemonic::Pause => Ok(Flow::Next),
            Mnemonic::Ud0 | Mnemonic::Ud1 | Mnemonic::Ud2 => Err(Exception::INVALID_OPCODE.into()),
            Mnemonic::Lea => self.load_address(),
            Mnemonic::Mul => self.multiply(),
            Mnemonic::Imul => self.multiply_signed(),
            Mnemonic::Div => self.divide(),
            Mnemonic::Idiv => self.divide_signed(),
            Mnemonic::Cbw => self.widen(Width::Byte, Width::Word),
            Mnemonic::Cwde => self.widen(Width::Word, Width::Dword),
            Mnemonic::Cdqe => self.widen(Width::Dword, Width::Qword),
            Mnemonic::Cwd => self.widen_into_data(Width::Word),
            Mnemonic::Cdq => self.widen_into_data(Width::Dword),
            Mnemonic::Cqo => self.widen_into_data(Width::Qword),
            Mnemonic::Bswap => self.swap_bytes(),
            Mnemonic::Xlatb => self.translate_byte(),
            Mnemonic::Bound => self.check_bounds(),
            Mnemonic::Salc => self.spread_carry(),
            _ => match super::string::operation(self.instruction.code()) {
                Some((operation, width)) => self.string(operation, width),
                None => self.execute_as_any(),
            },
        }
    }
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// Branches and the stack.
    fn execute_stack(&mut self) -> Result<Flow, Stop> {
        use Code::{Call_m1616, Call_m1632, Call_m1664, Call_ptr1616, Call_ptr1632};
        use Code::{Jmp_m1616, Jmp_m1632, Jmp_m1664, Jmp_ptr1616, Jmp_ptr1632};
        match self.instruction.mnemonic() {
            Mnemonic::Jmp => match self.instruction.code() {
                Jmp_ptr1616 | Jmp_ptr1632 | Jmp_m1616 | Jmp_m1632 | Jmp_m1664 => self.jump_far(),
                _ => self.jump_near(),
            },
            Mnemonic::Call => match self.instruction.code() {
                Call_ptr1616 | Call_ptr1632 | Call_m1616 | Call_m1632 | Call_m1664 => {
                    self.call_far()
                }
                _ => self.call_near(),
            },
            Mnemonic::Ret => self.return_near(),
            Mnemonic::Retf => self.return_far(),
            Mnemonic::Iret | Mnemonic::Iretd | Mnemonic::Iretq => self.return_from_interrupt(),
            Mnemonic::Int => self.interrupt(self.instruction.immediate8(), Guard::Number),
            Mnemonic::Int3 => self.interrupt(3, Guard::Gate),
            Mnemonic::Int1 => self.interrupt(1, Guard::None),
            Mnemonic::Into if self.holds(0) => self.interrupt(4, Guard::Gate),
            Mnemonic::Into => Ok(Flow::Next),
            Mnemonic::Lds | Mnemonic::Les | Mnemonic::Lfs | Mnemonic::Lgs | Mnemonic::Lss => {
                self.load_far_pointer()
            }
            Mnemonic::Loop
            | Mnemonic::Loope
            | Mnemonic::Loopne
            | Mnemonic::Jcxz
            | Mnemonic::Jecxz
            | Mnemonic::Jrcxz => self.loop_near(),
            Mnemonic::Pushf | Mnemonic::Pushfd | Mnemonic::Pushfq => self.push_flags(),
            Mnemonic::Popf | Mnemonic::Popfd | Mnemonic::Popfq => self.pop_flags(),
            Mnemonic::Pusha | Mnemonic::Pushad => self.push_all(),
            Mnemonic::Popa | Mnemonic::Popad => self.pop_all(),
            Mnemonic::Enter => self.enter_frame(),
            Mnemonic::Leave => self.leave_frame(),
            _ => self.execute_bits(),
        }
    }

    /// What counts, finds and moves bits, and digits.
    fn execute_bits(&mut self) -> Result<Flow, Stop> {
        match self.instruction.mnemonic() {
            Mnemonic::Bsf => self.scan(|_, value| value.trailing_zeros()),
            Mnemonic::Bsr => self.scan(|_, value| 63 - value.leading_zeros()),
            Mnemonic::Popcnt => self.count_ones(),
            Mnemonic::Tzcnt => self.count_zeros(|_, value| value.trailing_zeros()),
            Mnemonic::Lzcnt => {
                self.count_zeros(|width, value| value.leading_zeros() + width.bits() - 64)
            }
            Mnemonic::Andn
            | Mnemonic::Bextr
            | Mnemonic::Blsi
            | Mnemonic::Blsmsk
            | Mnemonic::Blsr
            | Mnemonic::Bzhi
            | Mnemonic::Pdep
            | Mnemonic::Pext
            | Mnemonic::Rorx
            | Mnemonic::Sarx
            | Mnemonic::Shlx
            | Mnemonic::Shrx => self.manipulate_bits(),
            Mnemonic::Mulx => self.multiply_flagless(),
            Mnemonic::Adcx => self.add_with(Rflags::CF),
            Mnemonic::Adox => self.add_with(Rflags::OF),
            Mnemonic::Crc32 => self.accumulate_checksum(),
            Mnemonic::Aaa => self.adjust_digit(After::Addition),
            Mnemonic::Aas => self.adjust_digit(After::Subtraction),
            Mnemonic::Daa => self.adjust_packed(After::Addition),
            Mnemonic::Das => self.adjust_packed(After::Subtraction),
            Mnemonic::Aam => self.split_digits(),
            Mnemonic::Aad => self.join_digits(),
            Mnemonic::Lahf => self.load_flags(),
            Mnemonic::Sahf => self.store_flags(),
            Mnemonic::Clac => self.set_access_flag(Rflags::empty()),
            Mnemonic::Stac => self.set_access_flag(Rflags::AC),
            Mnemonic::Wait
            | Mnemonic::Fninit
            | Mnemonic::Fnclex
            | Mnemonic::Fldcw
            | Mnemonic::Fnstcw
            | Mnemonic::Fnstsw => self.control_fpu(),
            _ => self.execute_by_code(),
        }
    }

    /// Where one mnemonic stands for several instructions, or many for one.
    fn execute_by_code(&mut self) -> Result<Flow, Stop> {
        let code = self.instruction.code();
        if let Some(condition) = distance(code, Code::Seto_rm8, Code::Setg_rm8) {
            return self.set_byte(condition);
        }
        let near = [
            (Code::Jo_rel8_16, Code::Jg_rel8_64),
            (Code::Jo_rel16, Code::Jg_rel32_64),
        ];
        for (first, last) in near {
            if let Some(step) = distance(code, first, last) {
                return self.jump_if(step / 3);
            }
        }
        if let Some(step) = distance(code, Code::Cmovo_r16_rm16, Code::Cmovg_r64_rm64) {
            // 16, 32 and 64 bits for each condition.
            return self.mov_if(step / 3);
        }
        match self.system() {
            Err(Stop::Unsupported(Reason::Instruction)) => self.vector(),
            other => other,
        }
    }
}

/// How far `code` is from `first`, if it is not beyond `last`.
fn distance(code: Code, first: Code, last: Code) -> Option<u8> {
    let (code, first, last) = (code as usize, first as usize, last as usize);
    (first..=last).contains(&code).then(|| (code - first) as u8)
}
