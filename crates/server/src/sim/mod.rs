//! The simulation that `--sim` adds to the service: a clock that can be moved, a carrier that sells as it is told, a phone network
//! whose callers ring, agents that answer, and decisions about who a tenant is; under `/sim` and the operator's key.
//!
//! What it does is seen only by its effects on the rest, which does not know that it is simulated. Two parts are there without
//! `--sim` too, for numbers that are for tests: the carrier ([`SimCarrier`]) and the network ([`SimNetwork`]). Without `--sim`
//! nothing else of this is made, and the paths do not exist.

mod agents;
mod body;
mod carrier;
mod clock;
mod door;
mod kyc;
mod network;
mod shop;
mod twilio;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinHandle;

use crate::app::App;
pub(crate) use carrier::{SimCarrier, router as carrier_router};
pub(crate) use door::router;
pub(crate) use network::{Ring, SimNetwork, lines_of, outcome_of};
pub(crate) use twilio::url as twilio_url;

/// The clock and the files of a simulation, before anything else is there.
pub(crate) struct SimGround {
    clock: clock::SimClock,
    decisions: kyc::Decisions,
    agents: PathBuf,
    shop: PathBuf,
    twilio: twilio::SimTwilio,
    seed: u64,
}

impl SimGround {
    /// Begins, or goes on where the last process of this store stopped. To be called before anything takes the time.
    /// `beside` gives the path of a file of the simulation's own, by its ending.
    pub(crate) fn open(beside: impl Fn(&str) -> PathBuf, seed: u64) -> anyhow::Result<Self> {
        let clock = clock::SimClock::open(&beside(".sim-clock"))?;
        let decisions = kyc::Decisions::open(&beside(".sim-kyc"))?;
        let twilio = twilio::SimTwilio::open(beside(".sim-twilio"))?;
        Ok(Self { clock, decisions, agents: beside(".sim-agents"), shop: beside(".sim-shop"), twilio, seed })
    }
}

/// A running simulation.
pub(crate) struct Sim {
    app: Arc<App>,
    clock: clock::SimClock,
    decisions: Arc<kyc::Decisions>,
    agents: agents::Agents,
    twilio: twilio::SimTwilio,
    seed: u64,
}

impl Sim {
    /// Starts it over the service: stock for sale, the network as a trunk, agents that answer. Gives what follows the clock.
    pub(crate) async fn start(ground: SimGround, app: Arc<App>) -> anyhow::Result<(Self, JoinHandle<()>)> {
        let SimGround { clock, decisions, agents, shop, twilio, seed } = ground;
        let agents = agents::Agents::start(&agents).await?;
        app.live.callees_at(Some(agents.address()));
        shop::open(&app, &shop, seed).await?;
        shop::connect(&app).await?;
        let decisions = Arc::new(decisions);
        let following = tokio::spawn(Arc::clone(&decisions).follow(Arc::clone(&app)));
        Ok((Self { app, clock, decisions, agents, twilio, seed }, following))
    }

    /// Where its agents answer.
    pub(crate) fn agents(&self) -> std::net::SocketAddr {
        self.agents.address()
    }
}

/// Writes a small file whole: a reader sees the old text or the new one, also after a crash.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let next = path.with_added_extension("next");
    std::fs::write(&next, text)?;
    std::fs::File::open(&next)?.sync_all()?;
    std::fs::rename(&next, path)
}
