//! Providers: trunks and the stock's.

use domain::error::Kind;
use domain::ids::ProviderId;
use domain::op::{CredentialsIn, Expect, InboundIn, OutboundIn, Place, ProviderIn, RegisterIn};
use domain::provider::{Credentials, Inbound, Outbound, ProviderKind, ProviderPatch, Register};
use domain::target::Transport;
use domain::{Change, Commit, Error, Guard, Page, Patch, Provider, Result, View, What};

use super::failure::of_read;
use super::{App, Ask, again, expect, one};
use crate::clock;

impl App {
    pub(super) async fn provider_create(
        &self,
        ask: Ask<'_>,
        kind: ProviderKind,
        new: ProviderIn,
    ) -> Result<View> {
        // The operator's own, which carries the stock of all, belongs to no organization.
        let organization = match ask.caller.organization_id {
            Some(_) => Some(self.tenant(ask)?),
            None => None,
        };
        let id = ProviderId(clock::id());
        let patch = self.sealed(id, new, None)?;
        let provider = Provider::create(organization, id, kind, patch, ask.now)?;
        self.check_no_source(&provider)?;
        self.check_ways(None, &provider)?;
        self.account_check(None, &provider).await?;
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
        let mine = |p: &Provider| {
            everything || (p.organization_id.is_some() && p.organization_id == ask.caller.organization_id)
        };
        found.filter(mine).ok_or_else(|| Error::not_found(What::Provider))
    }

    pub(super) async fn provider_update(
        &self,
        ask: Ask<'_>,
        id: ProviderId,
        patch: ProviderIn,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.provider_get(ask, id)?;
            expect(expected, before.version, What::Provider)?;
            let next = before.update(self.sealed(id, patch.clone(), Some(&before))?, ask.now)?;
            self.check_no_source(&next)?;
            self.check_ways(Some(&before), &next)?;
            self.account_check(Some(&before), &next).await?;
            let log = before.organization_id.unwrap_or(domain::ids::OrganizationId::NONE);
            let event = ask.event(log, "provider.updated", id);
            let mut commit = one(before.version, next.clone(), next.version, Change::Provider, event);
            commit.changes.extend(self.account_moves(&before, &next)?);
            self.commit(ask, commit, View::Provider(next)).await
        })
    }

    pub(super) async fn provider_delete(
        &self,
        ask: Ask<'_>,
        id: ProviderId,
        expected: Expect,
    ) -> Result<View> {
        again!(expected, {
            let before = self.provider_get(ask, id)?;
            expect(expected, before.version, What::Provider)?;
            let log = before.organization_id.unwrap_or(domain::ids::OrganizationId::NONE);
            let event = ask.event(log, "provider.deleted", id);
            let changes = vec![Change::ProviderDelete(id, before.version), event];
            let guards = vec![Guard::ProviderUnused(id)];
            let done = self.commit(ask, Commit { changes, guards, answer: None }, View::Done).await;
            if done.is_ok() && before.account.is_some() {
                let carriage = std::sync::Arc::clone(&self.carriage);
                // Not waited for: nothing here depends on what is left in the account.
                drop(tokio::spawn(async move { carriage.dismantle(&before).await }));
            }
            done
        })
    }

    /// The same patch as whole sides, with passwords encrypted for this provider; what is absent stays as it is.
    fn sealed(&self, id: ProviderId, patch: ProviderIn, before: Option<&Provider>) -> Result<ProviderPatch> {
        let ProviderIn { label, inbound, outbound, register, account, calls_max } = patch;
        let account = self.account_sealed(id, account);
        let inbound = match inbound {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(new) => Patch::Set(self.inbound(id, new, before.and_then(|p| p.inbound.as_ref()))?),
        };
        let outbound = match outbound {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(new) => {
                Patch::Set(self.outbound(id, new, before.and_then(|p| p.outbound.as_ref()))?)
            }
        };
        let register = match register {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(new) => {
                let old = before.and_then(|p| p.register.as_deref());
                Patch::Set(Box::new(self.register(id, new, old)?))
            }
        };
        Ok(ProviderPatch { label, inbound, outbound, register, account, calls_max })
    }

    fn register(&self, id: ProviderId, new: RegisterIn, old: Option<&Register>) -> Result<Register> {
        let RegisterIn { registrar, transport, domain, user, credentials, expires_seconds } = new;
        let missing = |field: &str| {
            Error::new(Kind::Missing, What::Provider, format!("`register.{field}` is required."))
                .at("register")
        };
        let former = old.map(|old| old.credentials.clone());
        let credentials = self.credentials(id, credentials, former, "register")?;
        let mut next = Register {
            registrar: registrar
                .or_else(|| old.map(|o| o.registrar.clone()))
                .ok_or_else(|| missing("registrar"))?,
            transport: transport.or_else(|| old.map(|o| o.transport)).unwrap_or(Transport::Udp),
            domain: old.and_then(|o| o.domain.clone()),
            user: old.and_then(|o| o.user.clone()),
            credentials: credentials.ok_or_else(|| missing("credentials"))?,
            expires_seconds: expires_seconds
                .or_else(|| old.map(|o| o.expires_seconds))
                .unwrap_or(Register::EXPIRES),
        };
        domain.apply(&mut next.domain);
        user.apply(&mut next.user);
        Ok(next)
    }

    fn inbound(&self, id: ProviderId, new: InboundIn, old: Option<&Inbound>) -> Result<Inbound> {
        let InboundIn {
            allowed_addresses,
            allowed_numbers,
            allowed_hosts,
            media_encryption,
            credentials,
            certificate_names,
        } = new;
        let mut next = old.cloned().unwrap_or_default();
        next.allowed_addresses = allowed_addresses.unwrap_or(next.allowed_addresses);
        next.allowed_hosts = allowed_hosts.unwrap_or(next.allowed_hosts);
        next.allowed_numbers = allowed_numbers.unwrap_or(next.allowed_numbers);
        next.media_encryption = media_encryption.unwrap_or(next.media_encryption);
        next.certificate_names = certificate_names.map_or(next.certificate_names, Box::new);
        next.credentials = self.credentials(id, credentials, next.credentials, "inbound")?;
        Ok(next)
    }

    fn outbound(&self, id: ProviderId, new: OutboundIn, old: Option<&Outbound>) -> Result<Outbound> {
        let OutboundIn {
            address,
            transport,
            place,
            destination_country,
            media_encryption,
            credentials,
            number_format,
            prefix,
            headers,
            from,
            emergency,
            calls_per_second,
            priority,
        } = new;
        if let (Place::Fixed, Some(old)) = (place, old)
            && (address.as_ref().is_some_and(|a| *a != old.address)
                || transport.is_some_and(|t| t != old.transport))
        {
            let words = "`outbound.address` and `outbound.transport` cannot change; make another provider.";
            return Err(Error::invalid(What::Provider, "outbound", words));
        }
        let missing = |field: &str| {
            Error::new(Kind::Missing, What::Provider, format!("`outbound.{field}` is required."))
                .at("outbound")
        };
        let old_address = old.map(|o| o.address.clone());
        let address = address.or(old_address).ok_or_else(|| missing("address"))?;
        let transport = transport.or_else(|| old.map(|o| o.transport)).ok_or_else(|| missing("transport"))?;
        let mut next = old.cloned().unwrap_or_else(|| Outbound::new(String::new(), transport));
        (next.address, next.transport) = (address, transport);
        destination_country.apply(&mut next.destination_country);
        next.media_encryption = media_encryption.unwrap_or(next.media_encryption);
        next.credentials = self.credentials(id, credentials, next.credentials, "outbound")?;
        next.dial.number_format = number_format.unwrap_or(next.dial.number_format);
        next.dial.prefix = prefix.over(next.dial.prefix);
        next.dial.headers = headers.over(next.dial.headers);
        next.dial.from = from.unwrap_or(next.dial.from);
        next.emergency = emergency.unwrap_or(next.emergency);
        calls_per_second.apply(&mut next.calls_per_second);
        next.priority = priority.unwrap_or(next.priority);
        Ok(next)
    }

    /// Credentials with their password encrypted for this provider; a name without a password keeps the password.
    fn credentials(
        &self,
        id: ProviderId,
        new: Patch<CredentialsIn>,
        old: Option<Credentials>,
        side: &'static str,
    ) -> Result<Option<Credentials>> {
        let CredentialsIn { username, password } = match new {
            Patch::Keep => return Ok(old),
            Patch::Clear => return Ok(None),
            Patch::Set(new) => new,
        };
        let password = match (password, old) {
            (Some(password), _) => self.vault.seal(password.0.as_bytes(), id.0.as_bytes()),
            (None, Some(Credentials { username: _, password })) => password,
            (None, None) => {
                let words = format!("`{side}.credentials.password` is required.");
                return Err(Error::new(Kind::Missing, What::Provider, words).at(side));
            }
        };
        Ok(Some(Credentials { username, password }))
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
