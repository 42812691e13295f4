//! Twilio's accounts as two APIs name them: Cartesia's and the native one. What the account's carrier expects of ids is its to
//! check; here they are bounded, and the region is one of a closed list.

use domain::carrier_account::{AccountRef, is_id};
use domain::error::Result;
use domain::op::{AccountIn, Secret};
use domain::provider::ProviderKind;
use serde_json::Value;

use crate::json::{Body, text};

/// The regions that a key can be in.
pub(crate) const REGIONS: [&str; 3] = ["us1", "ie1", "au1"];
/// The region where none is named.
const REGION_DEFAULT: &str = "us1";
/// The longest secret, in bytes.
const SECRET_MAX: usize = 255;
const ID: &str = "1 to 64 letters and digits";
const REGION: &str = "one of `us1`, `ie1`, `au1`";

fn id(value: Value) -> Option<String> {
    text(value).filter(|text| is_id(text))
}

fn secret(value: Value) -> Option<Secret> {
    let visible =
        |text: &String| (1..=SECRET_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    text(value).filter(visible).map(Secret)
}

fn region(value: Value) -> Option<String> {
    text(value).filter(|text| REGIONS.contains(&text.as_str()))
}

/// A new account.
pub(crate) fn create(body: &mut Body) -> Result<AccountIn> {
    let account_id = body.required("account_sid", ID, id)?;
    let key_id = body.required("api_key_sid", ID, id)?;
    let key_secret = body.required("api_key_secret", "a text of 1 to 255 characters", secret)?;
    let region = body.optional("region", REGION, region)?.unwrap_or_else(|| REGION_DEFAULT.to_owned());
    Ok(AccountIn {
        id: Some(account_id),
        key_id: Some(key_id),
        key_secret: Some(key_secret),
        region: Some(region),
    })
}

/// A change of one, if it names anything of it. The account itself never changes.
pub(crate) fn update(body: &mut Body) -> Result<Option<AccountIn>> {
    let account = AccountIn {
        id: None,
        key_id: body.unclearable("api_key_sid", ID, id)?,
        key_secret: body.unclearable("api_key_secret", "a text of 1 to 255 characters", secret)?,
        region: body.unclearable("region", REGION, region)?,
    };
    Ok((account != AccountIn::default()).then_some(account))
}

/// Refuses what only an account has.
pub(crate) fn none(body: &mut Body) -> Result<()> {
    for field in ["account_sid", "api_key_sid", "api_key_secret", "region"] {
        body.optional(field, "left out: only an account at Twilio has it", |_| None::<()>)?;
    }
    Ok(())
}

/// The account that a request names by its id and, if it is not the default, its region.
pub(crate) fn named(body: &mut Body) -> Result<AccountRef> {
    let id = body.required("account_sid", ID, id)?;
    let region = body.unclearable("region", REGION, region)?.unwrap_or_else(|| REGION_DEFAULT.to_owned());
    Ok(AccountRef { kind: ProviderKind::Twilio, id, region })
}
