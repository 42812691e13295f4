//! Plans: what a vendor lets its customers do by what they pay. The vendor's folder names the setting of an organization that
//! chooses one, and the figures; that they hold is the server's to see to.

use domain::Bag;
use domain::error::{Error, Result, What};

/// The plans of a vendor.
#[derive(Debug)]
pub struct Plans {
    /// The setting of an organization that names its plan; none is in force where it is absent or null.
    pub setting: &'static str,
    /// The plans.
    pub plans: &'static [Plan],
}

/// One of them. What is none has no limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name, as the setting has it.
    pub name: &'static str,
    /// Requests of one organization within a second, through the vendor's API.
    pub per_second: Option<u32>,
    /// The same within a day (UTC).
    pub per_day: Option<u32>,
    /// Calls of one organization at a time, however they came about.
    pub calls: Option<u32>,
}

impl Plans {
    /// The plan that an organization's settings name. A name of no plan is an error, refused where settings are written.
    pub fn of(&'static self, settings: &Bag) -> Result<Option<&'static Plan>> {
        let Some(value) = settings.get(self.setting).filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let named = value.as_str().and_then(|name| self.plans.iter().find(|plan| plan.name == name));
        named.map(Some).ok_or_else(|| {
            let known: Vec<String> = self.plans.iter().map(|plan| format!("\"{}\"", plan.name)).collect();
            let words = format!("`settings.{}` must be one of {}.", self.setting, known.join(", "));
            Error::invalid(What::Organization, "settings", words)
        })
    }
}
