//! KrosAI's plans, as its page on rate limits has them. Off until an organization's settings name one.

use crate::plan::{Plan, Plans};

pub(super) static PLANS: Plans = Plans {
    setting: "krosai_plan",
    plans: &[
        Plan { name: "free", per_second: Some(10), per_day: Some(1_000), calls: Some(1) },
        Plan { name: "pro", per_second: Some(50), per_day: Some(50_000), calls: Some(10) },
        Plan { name: "business", per_second: Some(200), per_day: Some(500_000), calls: Some(50) },
        Plan { name: "enterprise", per_second: None, per_day: None, calls: None },
    ],
};
