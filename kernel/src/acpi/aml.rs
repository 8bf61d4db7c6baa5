//! Interpreting AML, which happens once: to learn how this machine is switched off, and to tell it so.
//!
//! The interpreter is deep and may panic on what it does not know, so it runs on a stack of its own, and [`crate::power`]
//! goes on without it when it fails.

use super::handler::Machine;
use super::sleep::SleepType;
use super::{fadt::Fadt, tables};
use crate::warn;
use ::acpi::AcpiError;
use ::acpi::aml::Interpreter;
use ::acpi::aml::namespace::AmlName;
use ::acpi::aml::object::Object;
use ::acpi::registers::FixedRegisters;
use alloc::sync::Arc;
use alloc::vec;
use core::str::FromStr;

/// The interpreter's stack; a DSDT nests calls some hundred deep, each a few hundred bytes.
pub const STACK_BYTES: u64 = 1 << 20;
const HEADER_BYTES: usize = 36;

/// An interpreter with this machine's tables loaded.
pub struct Aml(Interpreter<Machine>);

impl Aml {
    /// Loads the DSDT and all SSDTs.
    #[expect(
        clippy::arc_with_non_send_sync,
        reason = "the interpreter wants an Arc; it stays in one flow"
    )]
    pub fn load(fadt: &Fadt) -> Result<Self, AcpiError> {
        let registers = Arc::new(FixedRegisters::new(fadt.raw(), Machine)?);
        let dsdt = tables::at(fadt.dsdt).ok_or(AcpiError::InvalidDsdtAddress)?;
        let revision = dsdt.get(8).copied().unwrap_or(0);
        let interpreter = Interpreter::new(Machine, revision, registers, None);
        interpreter
            .load_table(&dsdt[HEADER_BYTES..])
            .map_err(AcpiError::Aml)?;
        for ssdt in tables::all().filter(|table| table.starts_with(b"SSDT")) {
            // A broken SSDT costs what it adds.
            if let Err(error) = interpreter.load_table(&ssdt[HEADER_BYTES..]) {
                warn!("ACPI: an SSDT cannot be interpreted ({error:?}); going on without it");
            }
        }
        Ok(Self(interpreter))
    }

    /// Evaluates `\_S5_`. (ACPI 6.5, 7.4.2.6.)
    pub fn s5(&self) -> Option<SleepType> {
        let package = self
            .0
            .evaluate(AmlName::from_str("\\_S5_").ok()?, vec![])
            .ok()?;
        let Object::Package(values) = &*package else {
            return None;
        };
        let value = |at: usize| match &**values.get(at)? {
            Object::Integer(value) => Some((*value & 7) as u8),
            _ => None,
        };
        let a = value(0)?;
        Some(SleepType {
            a,
            b: value(1).unwrap_or(a),
        })
    }

    /// Tells the firmware that the machine goes to S5. (ACPI 6.5, 7.4.1.)
    pub fn prepare_to_sleep(&self) {
        const S5: u64 = 5;
        let argument = ::acpi::aml::object::WrappedObject::new(Object::Integer(S5));
        if let Ok(name) = AmlName::from_str("\\_PTS")
            && let Err(error) = self.0.evaluate_if_present(name, vec![argument])
        {
            warn!("ACPI: \\_PTS failed ({error:?}); going on");
        }
    }
}
