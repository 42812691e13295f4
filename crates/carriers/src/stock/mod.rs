//! The operator's own stock: the numbers are on the operator's trunks already, so there is nobody to ask.

use crate::{Ask, Carrier, Failure, Reply, Step, Told, told_at_once};

pub(crate) struct Stock;

impl Carrier for Stock {
    fn name(&self) -> &'static str {
        "stock"
    }

    fn build(&self, ask: &Ask<'_>) -> Result<Step, Failure> {
        told_at_once(&ask.op)
    }

    fn read(&self, _ask: &Ask<'_>, _reply: Reply<'_>) -> Result<Told, Failure> {
        Err(Failure::Unsupported("The operator's stock is asked nothing."))
    }
}
