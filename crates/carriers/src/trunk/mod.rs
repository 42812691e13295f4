//! A trunk that an organization brings: the number is its own at its carrier, which we do not speak to. Whether the
//! organization is trusted to bring it is a rule of the domain.

use crate::{Ask, Carrier, Failure, Reply, Step, Told, told_at_once};

pub(crate) struct Trunk;

impl Carrier for Trunk {
    fn name(&self) -> &'static str {
        "sip_trunk"
    }

    fn build(&self, ask: &Ask<'_>) -> Result<Step, Failure> {
        told_at_once(&ask.op)
    }

    fn read(&self, _ask: &Ask<'_>, _reply: Reply<'_>) -> Result<Told, Failure> {
        Err(Failure::Unsupported("An own trunk's carrier is asked nothing."))
    }
}
