//! Nudges: PostgreSQL's NOTIFY, sent in a group's own transaction, so that none comes before what it tells of can be read.
//!
//! A nudge says that there is something, not what. One that is lost costs time only: who waits looks by itself now and then as
//! well. The connection that listens is made anew when it breaks, and that is a nudge too.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::AsyncMessage;

use super::fault::Fault;
use super::gate::Gate;
use super::settings::Settings;

/// What a group says that raised the generation.
pub(super) const NUDGE: &str = "NOTIFY trunkline_commit";
const LISTEN: &str = "LISTEN trunkline_commit";
/// Between two connections: the first pause, and the longest; it doubles in between.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What tells of commits, of this process and of others.
#[derive(Clone, Debug)]
pub struct Nudges(Option<watch::Receiver<()>>);

impl Nudges {
    /// Nobody else writes, or nobody tells of it.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Waits for the next one since this was asked last; several count as one. It may be early, and it may not come: look now and
    /// then without one.
    pub async fn next(&mut self) {
        let told = match &mut self.0 {
            Some(told) => told.changed().await.is_ok(),
            None => false,
        };
        if !told {
            std::future::pending::<()>().await;
        }
    }
}

/// The connection that listens.
pub(super) struct Ear(watch::Receiver<()>);

impl Ear {
    pub(super) fn open(gate: &Arc<Gate>) -> Self {
        let (told, heard) = watch::channel(());
        gate.io().spawn(listen(gate.settings().clone(), told));
        Self(heard)
    }

    pub(super) fn nudges(&self) -> Nudges {
        Nudges(Some(self.0.clone()))
    }
}

/// Listens until nobody wants to hear.
async fn listen(settings: Settings, told: watch::Sender<()>) {
    let mut pause = PAUSE_MIN;
    while !told.is_closed() {
        if let Err(cause) = listen_once(&settings, &told, &mut pause).await {
            tracing::debug!(error = %crate::StoreError::from(cause), "the connection that listens has ended");
        }
        // A pause, or the end of those who hear.
        if timeout(pause, told.closed()).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn listen_once(
    settings: &Settings,
    told: &watch::Sender<()>,
    pause: &mut Duration,
) -> Result<(), Fault> {
    let (client, mut wire) = settings.connect().await?;
    let mut listening = pin!(client.batch_execute(LISTEN));
    let mut listens = false;
    poll_fn(|context| {
        if !listens && let Poll::Ready(said) = listening.as_mut().poll(context) {
            said?;
            listens = true;
            *pause = PAUSE_MIN;
            // What was told before this moment nobody heard.
            told.send_replace(());
        }
        loop {
            match wire.poll_message(context) {
                Poll::Ready(Some(Ok(AsyncMessage::Notification(_)))) => {
                    told.send_replace(());
                }
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}
