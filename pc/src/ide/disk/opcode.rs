//! Opcodes and what they mean.

use super::span::Form;
use crate::ide::bits::command::*;
use hvm::backend::Transfer;

/// How much the host moves between two interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// A sector.
    Single,
    /// As many as SET MULTIPLE MODE says.
    Multiple,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Pio(Transfer, Form, Grouping),
    Dma(Transfer, Form),
    Verify(Form),
    NativeMax(Form),
    Flush,
    Identify,
    SetFeatures,
    SetMultiple,
    SetGeometry,
    CheckPower,
    /// Nothing moves here that could be parked, sought or put to sleep.
    Nothing,
    Unknown,
}

impl Command {
    pub(super) fn parse(opcode: u8) -> Self {
        use Form::{Ext, Short};
        use Grouping::{Multiple, Single};
        use Transfer::{Read, Write};
        match opcode {
            READ_SECTORS | READ_SECTORS_NO_RETRY => Self::Pio(Read, Short, Single),
            READ_SECTORS_EXT => Self::Pio(Read, Ext, Single),
            READ_MULTIPLE => Self::Pio(Read, Short, Multiple),
            READ_MULTIPLE_EXT => Self::Pio(Read, Ext, Multiple),
            WRITE_SECTORS | WRITE_SECTORS_NO_RETRY => Self::Pio(Write, Short, Single),
            WRITE_SECTORS_EXT => Self::Pio(Write, Ext, Single),
            WRITE_MULTIPLE => Self::Pio(Write, Short, Multiple),
            WRITE_MULTIPLE_EXT => Self::Pio(Write, Ext, Multiple),
            READ_DMA | READ_DMA_NO_RETRY => Self::Dma(Read, Short),
            READ_DMA_EXT => Self::Dma(Read, Ext),
            WRITE_DMA | WRITE_DMA_NO_RETRY => Self::Dma(Write, Short),
            WRITE_DMA_EXT => Self::Dma(Write, Ext),
            READ_VERIFY | READ_VERIFY_NO_RETRY => Self::Verify(Short),
            READ_VERIFY_EXT => Self::Verify(Ext),
            READ_NATIVE_MAX => Self::NativeMax(Short),
            READ_NATIVE_MAX_EXT => Self::NativeMax(Ext),
            FLUSH_CACHE | FLUSH_CACHE_EXT => Self::Flush,
            IDENTIFY_DEVICE => Self::Identify,
            SET_FEATURES => Self::SetFeatures,
            SET_MULTIPLE_MODE => Self::SetMultiple,
            INITIALIZE_DEVICE_PARAMETERS => Self::SetGeometry,
            RECALIBRATE..=RECALIBRATE_LAST | SEEK..=SEEK_LAST => Self::Nothing,
            _ if CHECK_POWER_MODE.contains(&opcode) => Self::CheckPower,
            _ if is_power_change(opcode) => Self::Nothing,
            _ => Self::Unknown,
        }
    }
}

/// True for the commands that change the power mode and need no more than an answer.
pub(in crate::ide) fn is_power_change(opcode: u8) -> bool {
    [STANDBY_IMMEDIATE, IDLE_IMMEDIATE, STANDBY, IDLE, SLEEP]
        .iter()
        .any(|opcodes| opcodes.contains(&opcode))
}
