//! The way out of organizations' own accounts: made when the first number of an account is to call out, and not before.
//!
//! What is made there is the same at every repeat ([`crate::vault::Vault::way_out_login`]), so it does not matter where a process
//! dies: the next one that is asked finds it there and keeps it here.

use carriers::Failure;
use carriers::account::{Outcome, Task, Trouble, WayOut};
use domain::ids::ProviderId;
use domain::provider::{Credentials, FromForm, Outbound};
use domain::target::Transport;
use domain::{Intent, Provider};
use std::sync::Arc;

use super::Carriage;
use super::attach::name;
use crate::clock;

/// As many calls in a second as a carrier of accounts takes between two addresses (twilio.com, Sending SIP to Twilio).
const CALLS_PER_SECOND: u32 = 30;

impl Carriage {
    /// Has calls let out by the account of a provider, where nothing lets them out yet.
    pub(crate) async fn open_out(self: &Arc<Self>, id: ProviderId) -> Result<(), Trouble> {
        let carriage = Arc::clone(self);
        // It goes on where whoever asked hangs up: a turn that nobody gave back would keep other nodes from the account.
        let work = tokio::spawn(async move {
            let opening = async {
                // In one's turn: another may have done it.
                let provider = carriage.provider(id).map_err(trouble)?;
                carriage.open(provider).await
            };
            carriage.in_turn(id, opening).await
        });
        let late = || Err(Trouble::Unavailable("no turn with the account was long enough".to_owned(), None));
        work.await.ok().flatten().unwrap_or_else(late)
    }

    /// The same for a number that was just attached, if it calls out. In one's turn with the account. What goes wrong is in the
    /// log: calls to the number come all the same, and `explain` tells of the rest.
    pub(super) async fn open_for(&self, intent: &Intent, provider: Provider) {
        let number =
            intent.number_id.and_then(|id| self.store.number_get(intent.organization_id, id).ok()?);
        if number.is_some_and(|number| number.allow_outbound) {
            drop(self.open(provider).await);
        }
    }

    /// Whether a way out was made in the account, by what is known of it here.
    pub(super) fn is_opened(&self, provider: &Provider) -> bool {
        let (username, _) = self.accounts.vault().way_out_login(provider.id.0.as_bytes());
        let outbound = provider.outbound.as_ref().and_then(|side| side.credentials.as_ref());
        outbound.is_some_and(|credentials| credentials.username == username)
    }

    async fn open(&self, provider: Provider) -> Result<(), Trouble> {
        let attachment = provider.account.as_ref().and_then(|account| account.attachment.clone());
        let Some(attachment) = attachment.filter(|_| provider.outbound.is_none()) else { return Ok(()) };
        let id = provider.id;
        let (username, password) = self.accounts.vault().way_out_login(id.0.as_bytes());
        let credentials = Credentials {
            username: username.clone(),
            password: self.accounts.vault().seal(password.as_bytes(), id.0.as_bytes()),
        };
        let domain = format!("trunkline-{}", id.0.simple());
        let way = WayOut { attachment, name: name(id), domain, username, password };
        let Outcome::Opened(host) = self.accounts.run(&provider, Task::Open(way)).await? else {
            return Err(Trouble::Unavailable("a way out that is none".to_owned(), None));
        };
        let mut outbound = Outbound::new(host, Transport::Udp);
        outbound.credentials = Some(credentials);
        outbound.calls_per_second = Some(CALLS_PER_SECOND);
        // Carriers of accounts look there for a number of the account.
        outbound.dial.from = FromForm::Number;
        self.keep(provider, |p| p.opened(outbound.clone(), clock::now())).await.map(drop).map_err(trouble)
    }
}

/// What a failure is to whoever asked for it.
fn trouble(failure: Failure) -> Trouble {
    match failure {
        Failure::Unsupported(words) => Trouble::Refused(words.to_owned()),
        Failure::Refused(words) => Trouble::Refused(words),
        Failure::Unavailable(words) => Trouble::Unavailable(words, None),
    }
}
