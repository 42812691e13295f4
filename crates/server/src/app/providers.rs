//! Providers: trunks and the stock's.

use domain::error::Kind;
use domain::ids::ProviderId;
use domain::op::{CredentialsIn, Expect, InboundIn, OutboundIn, ProviderIn};
use domain::provider::{Credentials, Inbound, Outbound, ProviderKind, ProviderPatch};
use domain::{Change, Commit, Error, Guard, Page, Patch, Provider, Result, View, What};

use super::failure::of_read;
use super::{App, Ask, again, expect, one};
use crate::clock;

impl App {
    pub(super) async fn provider_create(&self, ask: Ask<'_>, kind: ProviderKind, new: ProviderIn) -> Result<View> {
        // The operator's own, which carries the stock of all, belongs to no organization.
        let organization = match ask.caller.organization_id {
            Some(_) => Some(self.tenant(ask)?),
            None => None,
        };
        let id = ProviderId(clock::id());
        let patch = self.sealed(id, new, None);
        let provider = Provider::create(organization, id, kind, patch, ask.now)?;
        self.check_no_source(&provider)?;
        let log = organization.unwrap_or(domain::ids::OrganizationId::NONE);
        let changes = vec![Change::Provider(provider.clone()), ask.event(log, "provider.created", id)];
        self.commit(ask, Commit { changes, ..Commit::default() }, View::Provider(provider)).await
    }

    pub(super) fn provider_list(&self, ask: Ask<'_>, page: &Page<ProviderId>) -> Result<View> {
        self.store.provider_list(ask.caller.organization_id, page).map(View::Providers).map_err(of_read)
    }

    pub(super) fn provider_get(&self, ask: Ask<'_>, id: ProviderId) -> Result<Provider> {
        let found = self.store.provider_get(id).map_err(of_read)?;
        let everything = ask.caller.is_operator() && ask.caller.organization_id.is_none();
        let mine = |p: &Provider| everything || (p.organization_id.is_some() && p.organization_id == ask.caller.organization_id);
        found.filter(mine).ok_or_else(|| Error::not_found(What::Provider))
    }

    pub(super) async fn provider_update(&self, ask: Ask<'_>, id: ProviderId, patch: ProviderIn, expected: Expect) -> Result<View> {
        again!(expected, {
            let before = self.provider_get(ask, id)?;
            expect(expected, before.version, What::Provider)?;
            let next = before.update(self.sealed(id, patch.clone(), Some(&before)), ask.now)?;
            self.check_no_source(&next)?;
            let log = before.organization_id.unwrap_or(domain::ids::OrganizationId::NONE);
            let event = ask.event(log, "provider.updated", id);
            let commit = one(before.version, next.clone(), next.version, Change::Provider, event);
            self.commit(ask, commit, View::Provider(next)).await
        })
    }

    pub(super) async fn provider_delete(&self, ask: Ask<'_>, id: ProviderId, expected: Expect) -> Result<View> {
        again!(expected, {
            let before = self.provider_get(ask, id)?;
            expect(expected, before.version, What::Provider)?;
            let log = before.organization_id.unwrap_or(domain::ids::OrganizationId::NONE);
            let event = ask.event(log, "provider.deleted", id);
            let changes = vec![Change::ProviderDelete(id, before.version), event];
            let guards = vec![Guard::ProviderUnused(id)];
            self.commit(ask, Commit { changes, guards, answer: None }, View::Done).await
        })
    }

    /// The same patch with its passwords encrypted for this provider; absent credentials stay as they are.
    fn sealed(&self, id: ProviderId, patch: ProviderIn, before: Option<&Provider>) -> ProviderPatch {
        let ProviderIn { label, inbound, outbound } = patch;
        let credentials = |new: Patch<CredentialsIn>, old: Option<&Credentials>| match new {
            Patch::Keep => old.cloned(),
            Patch::Clear => None,
            Patch::Set(CredentialsIn { username, password }) => {
                let password = self.vault.seal(password.0.as_bytes(), id.0.as_bytes());
                Some(Credentials { username, password })
            }
        };
        let old_in = before.and_then(|p| p.inbound.as_ref()).and_then(|i| i.credentials.as_ref());
        let old_out = before.and_then(|p| p.outbound.as_ref()).and_then(|o| o.credentials.as_ref());
        let inbound = match inbound {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(InboundIn { allowed_addresses, credentials: new }) => {
                Patch::Set(Inbound { allowed_addresses, credentials: credentials(new, old_in) })
            }
        };
        let outbound = match outbound {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(OutboundIn { address, transport, credentials: new }) => {
                Patch::Set(Outbound { address, transport, credentials: credentials(new, old_out) })
            }
        };
        ProviderPatch { label, inbound, outbound }
    }

    /// An address is a trunk's or an endpoint's, never both.
    fn check_no_source(&self, provider: &Provider) -> Result<()> {
        let rules = provider.inbound.iter().flat_map(|inbound| &inbound.allowed_addresses);
        let clash = rules.into_iter().find(|rule| self.live.is_endpoint_address(rule));
        clash.map_or(Ok(()), |rule| {
            let words = format!("`inbound.allowed_addresses`: {rule} is an endpoint's source address.");
            Err(Error::new(Kind::Conflict, What::Provider, words).at("inbound"))
        })
    }
}
