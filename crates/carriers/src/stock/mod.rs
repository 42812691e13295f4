//! The operator's own stock: the numbers are on the operator's trunks already, so there is nobody to ask.

use crate::{Carrier, CarrierOp, Failure, Outcome};

pub(crate) struct Stock;

impl Carrier for Stock {
    fn name(&self) -> &'static str {
        "stock"
    }

    fn ask(&self, op: CarrierOp) -> Result<Outcome, Failure> {
        match op {
            CarrierOp::Acquire(_) | CarrierOp::Release(_) => Ok(Outcome::Done),
        }
    }
}
