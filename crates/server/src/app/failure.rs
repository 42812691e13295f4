//! The one place where the store's errors become the domain's.

use domain::{Error, Guard, Kind, What};
use std::time::Duration;
use store::{CommitError, StoreError};

/// How long a client waits before it tries a store again that is away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A read that failed.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(crate) fn of_read(error: StoreError) -> Error {
    unavailable().because(error.to_string())
}

/// It was not even asked.
pub(crate) fn unreachable() -> Error {
    unavailable().because("the store does not answer".to_owned())
}

fn unavailable() -> Error {
    Error::new(Kind::Unavailable, What::Request, "The service cannot reach its store; try again.")
        .after(RETRY_AFTER)
}

/// A commit that was refused.
pub(crate) fn of_commit(error: CommitError) -> Error {
    match error {
        CommitError::Stale(what) => {
            let words = format!("The {} was changed at the same moment; try again.", what.noun());
            Error::new(Kind::Stale, what, words)
        }
        CommitError::Exists(what) => Error::new(Kind::Exists, what, format!("The {} is taken.", what.noun())),
        CommitError::Guard(Guard::WalletCovers(_)) => balance(),
        CommitError::Guard(Guard::SlotsWithin(_, max)) => {
            Error::new(Kind::Slots, What::Number, format!("All {max} number slots are in use."))
        }
        CommitError::Guard(Guard::ChurnWithin(_, max, _)) => super::churn::refused(max, None),
        CommitError::Guard(Guard::HoldsWithin(_, _, at)) => super::holds::too_many(None, at),
        CommitError::Guard(Guard::NumberUncalled(..)) => {
            // Only a number that was given up in the moment in which its first call was answered; the next turn knows it.
            Error::new(Kind::Stale, What::Number, "The number was called at the same moment; try again.")
        }
        CommitError::Guard(Guard::TestNumbersWithin(_, max)) => {
            let words = format!("An organization holds at most {max} numbers for tests; release one first.");
            Error::new(Kind::Slots, What::Number, words)
        }
        CommitError::Guard(Guard::EndpointAt(..) | Guard::EndpointFollowed(..)) => Error::new(
            Kind::Stale,
            What::Endpoint,
            "The endpoint or its numbers moved at the same moment; try again.",
        ),
        CommitError::Guard(Guard::EndpointUnused(..)) => {
            // Only a number that came to the endpoint while it was being deleted; the next turn takes it along.
            Error::new(
                Kind::Stale,
                What::Endpoint,
                "The endpoint got a number at the same moment; try again.",
            )
        }
        CommitError::Guard(Guard::WebhooksWithin(_, max)) => {
            let words = format!("An organization has at most {max} webhooks; remove one first.");
            Error::new(Kind::Conflict, What::Webhook, words)
        }
        CommitError::Guard(Guard::RatesWithin(_, max)) => {
            let words = format!("There are at most {max} rates in a deck; remove one first.");
            Error::new(Kind::Conflict, What::Rate, words)
        }
        CommitError::Guard(Guard::ProviderUnused(_)) => {
            Error::new(Kind::Conflict, What::Provider, "The provider still has numbers; release them first.")
        }
        CommitError::Unavailable(cause) | CommitError::Unknown(cause) => unavailable().because(cause),
    }
}

/// The balance does not cover it.
pub(crate) fn balance() -> Error {
    Error::new(Kind::Balance, What::Ledger, "The balance does not cover this; add money to the ledger.")
}
