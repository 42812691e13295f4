//! What the facts tell of a call.

use super::*;

impl World {
    pub(crate) fn answered(&self) -> usize {
        self.facts.iter().filter(|fact| matches!(fact, Fact::Answered { .. })).count()
    }

    /// The end of the dialog that was answered.
    pub(crate) fn ended(&self) -> Option<Side> {
        let tag = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { dialog, .. } => Some(dialog.to_tag.as_str()),
            _ => None,
        })?;
        self.facts.iter().find_map(|fact| match fact {
            Fact::Ended { by, callee_tag, .. } if callee_tag == tag => Some(*by),
            _ => None,
        })
    }

    pub(crate) fn failed(&self) -> Option<(u16, Cause)> {
        self.facts.iter().find_map(|fact| match fact {
            Fact::Failed { status, cause, .. } => Some((*status, *cause)),
            _ => None,
        })
    }

    pub(crate) fn attempts(&self) -> Vec<(u64, Option<u16>, Cause)> {
        let attempt = |fact: &Fact| match fact {
            Fact::Attempt(one) => Some((one.tag, one.status, one.cause)),
            _ => None,
        };
        self.facts.iter().filter_map(attempt).collect()
    }

    /// The dialog as the facts tell it.
    pub(crate) fn dialog(&self) -> Option<Dialog> {
        let mut dialog = self.facts.iter().find_map(|fact| match fact {
            Fact::Answered { dialog, .. } => Some(dialog.as_ref().clone()),
            _ => None,
        })?;
        for fact in &self.facts {
            match fact {
                Fact::Step { by: Side::Caller, bits, .. } => dialog.cseq = dialog.cseq.max((1 << bits) - 1),
                Fact::Step { by: Side::Callee, bits, .. } => {
                    dialog.callee_cseq = dialog.callee_cseq.max((1 << bits) - 1);
                }
                _ => {}
            }
        }
        Some(dialog)
    }
}

pub(super) fn short(fact: &Fact) -> String {
    match fact {
        Fact::Attempt(one) => format!("attempt {} {:?} {:?}", one.n, one.status, one.cause),
        Fact::Answered { known, .. } => format!("answered {known:?}"),
        Fact::Ended { by, .. } => format!("ended {by:?}"),
        Fact::Failed { status, cause, .. } => format!("failed {status} {cause:?}"),
        Fact::Refreshed { .. } => "refreshed".into(),
        Fact::HungUp { mark, .. } => format!("hung up {mark}"),
        Fact::Step { by, bits, .. } => format!("step {by:?} {bits}"),
        Fact::Leg { .. } | Fact::Unplaced { .. } => format!("{fact:?}"),
    }
}
