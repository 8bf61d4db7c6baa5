//! Placeholder until the checker is merged.
use crate::controls::Msrs;
use crate::vmcs::Fields;
pub fn first_violation(_fields: &impl Fields, _msrs: &Msrs) -> &'static str {
    "the state checker is not merged yet"
}
