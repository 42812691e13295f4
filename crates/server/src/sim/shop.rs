//! What a simulation starts with: numbers for sale of the simulated carrier's, and its network as a trunk of the operator's.

use anyhow::{Context, anyhow};
use domain::ids::ProviderId;
use domain::number::Network;
use domain::provider::{AddressRule, Inbound, Provider, ProviderKind};
use domain::{Change, Commit};
use std::path::Path;

use super::write_whole;
use crate::app::App;
use crate::clock;

/// How many numbers of each country and type are put on sale at the first start.
const STOCKED: usize = 24;

/// Puts numbers on sale, once: `file` says that it was done.
pub(super) async fn open(app: &App, file: &Path, seed: u64) -> anyhow::Result<()> {
    if file.exists() {
        return Ok(());
    }
    for what in carriers::simulated::numbers::kinds() {
        let made = app.stock_offers(what, (Network::Simulated, seed, STOCKED), clock::now()).await;
        made.map_err(|error| {
            anyhow!("the simulated stock cannot be written: {} {}", error.public, error.for_log())
        })?;
    }
    write_whole(file, "stocked\n").with_context(|| file.display().to_string())
}

/// Makes the simulated network a trunk of the operator's, where it has an address of its own: calls are then seen to have come
/// through it, and other trunks can name the address.
pub(super) async fn connect(app: &App) -> anyhow::Result<()> {
    let known = app.store.provider_get(ProviderId::SIMULATED)?;
    let source = app.network.source();
    let inbound = Inbound {
        allowed_addresses: source.iter().filter_map(|at| AddressRule::parse(&at.to_string())).collect(),
        ..Inbound::default()
    };
    let now = clock::now();
    let created_at = known.as_ref().map_or(now, |known| known.created_at);
    let version = known.as_ref().map_or(1, |known| known.version + 1);
    if known.is_some_and(|known| known.inbound.as_ref() == Some(&inbound)) {
        return Ok(());
    }
    let provider = Provider {
        id: ProviderId::SIMULATED,
        organization_id: None,
        kind: ProviderKind::SipTrunk,
        label: "simulated network".to_owned(),
        inbound: Some(inbound),
        outbound: None,
        register: None,
        account: None,
        calls_max: None,
        created_at,
        updated_at: now,
        version,
    };
    let commit = Commit { changes: vec![Change::Provider(provider)], ..Commit::default() };
    // The live table follows once the service runs.
    app.store.commit(commit).await?;
    Ok(())
}
