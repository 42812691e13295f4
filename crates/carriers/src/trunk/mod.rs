//! A trunk that an organization brings: the number is its own at its carrier, which we do not speak to. Whether the
//! organization is trusted to bring it is a rule of the domain.

use crate::{Carrier, CarrierOp, Failure, Outcome};

pub(crate) struct Trunk;

impl Carrier for Trunk {
    fn name(&self) -> &'static str {
        "sip_trunk"
    }

    fn ask(&self, op: CarrierOp) -> Result<Outcome, Failure> {
        match op {
            CarrierOp::Acquire(_) | CarrierOp::Release(_) => Ok(Outcome::Done),
        }
    }
}
