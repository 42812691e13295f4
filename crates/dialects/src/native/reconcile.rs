//! Comparing what carriers hold for us with what is held here.

use serde::Serialize;
use utoipa::ToSchema;

use super::reply::id_or_null;
use crate::{Request, json};
use domain::Op;
use domain::error::{Result, What};
use domain::op::Reconcile;
use domain::reconciled::{Difference, Mending, Reconciled, Side};

pub(super) fn reconcile(request: &Request<'_>) -> Result<Op> {
    let mut body = json::body(request.body, What::Request)?.null_is_absent();
    let dry = body.optional("dry_run", "true or false", |value| value.as_bool())?.unwrap_or(false);
    body.close()?;
    Ok(Op::CarrierReconcile(if dry { Reconcile::DryRun } else { Reconcile::Mend }))
}

/// How to compare; an empty body mends.
#[derive(ToSchema)]
#[schema(as = Reconcile)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ReconcileBody {
    /// Tell what differs and change nothing; absent: false.
    #[schema(required = false)]
    dry_run: bool,
}

/// What a carrier and we have of each other.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reconciled)]
pub(super) struct ReconciledOut {
    /// Which carrier.
    carrier: &'static str,
    /// Whether nothing was to be changed.
    dry_run: bool,
    /// Whether both have the same now: nothing differed, or all was mended.
    sound: bool,
    /// How many numbers the carrier holds for us.
    carrier_numbers: u64,
    /// How many numbers are held here that must be among them.
    held_numbers: u64,
    /// Why the comparison came to no end; null: it did.
    #[schema(required = true)]
    ended_by: Option<String>,
    /// Numbers that one side has and the other has not.
    differences: Vec<DifferenceOut>,
    /// How many more there are than are named.
    left_out: u64,
}

/// A number that one side has and the other has not.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Difference)]
pub(super) struct DifferenceOut {
    /// The number, in E.164 form.
    e164: String,
    /// `nobodys`: the carrier has it for us, and nobody here. `missing`: somebody here has it, and the carrier has not.
    finding: &'static str,
    /// Whose it is here.
    #[schema(required = true, format = "uuid")]
    organization_id: Option<String>,
    /// The number's id here.
    #[schema(required = true, format = "uuid")]
    number_id: Option<String>,
    /// `none`, `under_way`, `given_back`, `recovered` or `refused`.
    action: &'static str,
    /// The carrier's words where it refused.
    #[schema(required = true)]
    reason: Option<String>,
}

impl From<Reconciled> for ReconciledOut {
    fn from(report: Reconciled) -> Self {
        let sound = report.is_sound();
        let Reconciled { carrier, dry_run, listed, held, ended_by, differences, left_out } = report;
        let differences = differences.into_iter().map(DifferenceOut::from).collect();
        let (carrier_numbers, held_numbers) = (listed, held);
        Self { carrier, dry_run, sound, carrier_numbers, held_numbers, ended_by, differences, left_out }
    }
}

impl From<Difference> for DifferenceOut {
    fn from(difference: Difference) -> Self {
        // The work's id is for our own log.
        let Difference { e164, side, mending, intent: _ } = difference;
        let (finding, done, holder) = match side {
            Side::Carrier => ("nobodys", "given_back", None),
            Side::Tenant(organization, number) => ("missing", "recovered", Some((organization, number))),
        };
        let (action, reason) = match mending {
            Mending::None => ("none", None),
            Mending::UnderWay => ("under_way", None),
            Mending::Done => (done, None),
            Mending::Refused(words) => ("refused", Some(words)),
        };
        Self {
            e164: e164.to_string(),
            finding,
            organization_id: id_or_null(holder.map(|(organization, _)| organization)),
            number_id: id_or_null(holder.map(|(_, number)| number)),
            action,
            reason,
        }
    }
}
