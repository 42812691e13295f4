//! Webhooks of one API, and what is sent to them. How it is sent is in [`crate::webhooks`].

use domain::ids::{EventId, OrganizationId, WebhookId};
use domain::key::DialectName;
use domain::op::{Expect, Secret};
use domain::webhook::{DeliveryState, WEBHOOKS_MAX, WebhookPatch};
use domain::{Change, Commit, Delivery, Error, Guard, Page, Result, View, Webhook, What};

use super::failure::of_read;
use super::{App, Ask, again, expect, one};
use crate::{clock, vault};

impl App {
    pub(super) async fn webhook_create(
        &self,
        ask: Ask<'_>,
        dialect: DialectName,
        new: WebhookPatch,
    ) -> Result<View> {
        let organization = self.webhooks_of(ask)?;
        self.check_destination(&new)?;
        let (id, secret) = (WebhookId(clock::id()), format!("whsec_{}", vault::random_secret()));
        let sealed = self.vault.seal(secret.as_bytes(), id.0.as_bytes());
        let webhook = Webhook::create(organization, dialect, (id, sealed), new, ask.now)?;
        webhook.check_told(None, ask.caller)?;
        let event = ask.event(organization, "webhook.created", id);
        let changes = vec![Change::Webhook(webhook.clone()), event];
        let guards = vec![Guard::WebhooksWithin(organization, WEBHOOKS_MAX)];
        // Whoever makes it sees what it signs with, whatever may be seen later.
        let view = View::Webhook(Box::new(webhook), Some(Secret(secret)));
        self.commit(ask, Commit { changes, guards, answer: None }, view).await
    }

    pub(super) fn webhook_list(
        &self,
        ask: Ask<'_>,
        dialect: &DialectName,
        page: &Page<WebhookId>,
    ) -> Result<View> {
        self.store.webhook_list(self.webhooks_of(ask)?, dialect, page).map(View::Webhooks).map_err(of_read)
    }

    pub(super) fn webhook_get(&self, ask: Ask<'_>, dialect: &DialectName, id: WebhookId) -> Result<View> {
        self.webhook_shown(ask, self.webhook_found(ask, dialect, id)?)
    }

    pub(super) async fn webhook_update(
        &self,
        ask: Ask<'_>,
        (dialect, id): (DialectName, WebhookId),
        patch: WebhookPatch,
        expected: Expect,
    ) -> Result<View> {
        self.check_destination(&patch)?;
        again!(expected, {
            let before = self.webhook_found(ask, &dialect, id)?;
            expect(expected, before.version, What::Webhook)?;
            let next = before.update(patch.clone(), ask.now)?;
            next.check_told(Some(&before), ask.caller)?;
            let event = ask.event(next.organization_id, "webhook.updated", id);
            let commit = one(before.version, next.clone(), next.version, Change::Webhook, event);
            let view = self.webhook_shown(ask, next)?;
            self.commit(ask, commit, view).await
        })
    }

    pub(super) async fn webhook_delete(
        &self,
        ask: Ask<'_>,
        (dialect, id): (DialectName, WebhookId),
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.webhook_found(ask, &dialect, id)?;
            expect(expected, before.version, What::Webhook)?;
            let organization = before.organization_id;
            let changes = vec![
                Change::WebhookDelete(organization, id, before.version),
                ask.event(organization, "webhook.deleted", id),
            ];
            self.commit(ask, Commit { changes, ..Commit::default() }, View::Done).await
        })
    }

    pub(super) fn delivery_list(
        &self,
        ask: Ask<'_>,
        (dialect, id): (&DialectName, WebhookId),
        page: &Page<EventId>,
    ) -> Result<View> {
        let webhook = self.webhook_found(ask, dialect, id)?;
        self.store.delivery_list(webhook.organization_id, id, page).map(View::Deliveries).map_err(of_read)
    }

    /// Sends an event again, from the beginning. One that waits for its first attempt does so already.
    pub(super) async fn delivery_again(
        &self,
        ask: Ask<'_>,
        (dialect, id): (DialectName, WebhookId),
        event: EventId,
    ) -> Result<View> {
        let webhook = self.webhook_found(ask, &dialect, id)?;
        let found = self.store.delivery_get(webhook.organization_id, id, event).map_err(of_read)?;
        let delivery = found.ok_or_else(|| Error::not_found(What::Delivery))?;
        let fresh = delivery.attempts == 0 && matches!(delivery.state, DeliveryState::Waiting(_));
        let next: Delivery = if fresh { delivery } else { delivery.again(ask.now) };
        let changes = if fresh { Vec::new() } else { vec![Change::Delivery(Box::new(next.clone()))] };
        self.commit(ask, Commit { changes, ..Commit::default() }, View::Delivery(Box::new(next))).await
    }

    /// Whose webhooks are asked about: the operator names the organization, as for all that belongs to one.
    fn webhooks_of(&self, ask: Ask<'_>) -> Result<OrganizationId> {
        let organization = ask.organization()?;
        self.organization_get(ask, organization).map(|found| found.id)
    }

    fn webhook_found(&self, ask: Ask<'_>, dialect: &DialectName, id: WebhookId) -> Result<Webhook> {
        let found = self.store.webhook_get(ask.organization()?, id).map_err(of_read)?;
        let own = found.filter(|webhook| webhook.dialect == *dialect);
        own.ok_or_else(|| Error::not_found(What::Webhook))
    }

    /// A webhook with its secret for those who see such.
    fn webhook_shown(&self, ask: Ask<'_>, webhook: Webhook) -> Result<View> {
        if !ask.caller.sees_webhook_secrets() {
            return Ok(View::Webhook(Box::new(webhook), None));
        }
        let opened = self.vault.open(&webhook.secret, webhook.id.0.as_bytes());
        let secret = opened.and_then(|bytes| String::from_utf8(bytes).ok());
        let secret = secret.ok_or_else(|| Error::internal("a webhook's secret does not open"))?;
        Ok(View::Webhook(Box::new(webhook), Some(Secret(secret))))
    }

    /// Refuses an address that nothing is sent to; what a name stands for is looked at when something is.
    fn check_destination(&self, patch: &WebhookPatch) -> Result<()> {
        let Some(url) = &patch.url else { return Ok(()) };
        self.outgoing.check(url).map(drop).map_err(|words| Error::invalid(What::Webhook, "url", words))
    }
}
