//! Numbers with what dialects show beside them.

use domain::ids::{AgentId, OrganizationId, ProviderId};
use domain::view::{AgentBrief, NumberView, ProviderBrief, SipAccess};
use domain::{Number, Paged, Result, Timestamp};
use std::collections::HashMap;

use super::failure::of_read;
use super::{App, Ask};

impl App {
    /// One number, with its SIP password where the caller may see it.
    pub(super) fn number_view(&self, ask: Ask<'_>, number: Number) -> Result<NumberView> {
        let agent = match &number.agent_id {
            Some(id) => self.store.agent_get(number.organization_id, id).map_err(of_read)?,
            None => None,
        };
        let agent = agent.map(|a| AgentBrief { id: a.id, name: a.name });
        let provider = match number.provider_id {
            Some(id) => self.store.provider_get(id).map_err(of_read)?,
            None => None,
        };
        let provider = provider.map(ProviderBrief::from);
        Ok(self.number_view_of(ask, number, agent, provider))
    }

    /// The same where the names beside it are known.
    pub(super) fn number_view_of(
        &self,
        ask: Ask<'_>,
        number: Number,
        agent: Option<AgentBrief>,
        provider: Option<ProviderBrief>,
    ) -> NumberView {
        let mut sip = self.sip_access(&number);
        if ask.caller.sees_passwords() {
            let clear = self.vault.open(&number.sip_credentials.password, number.id.0.as_bytes());
            sip.password = clear.and_then(|bytes| String::from_utf8(bytes).ok());
        }
        NumberView { number, agent, provider, minutes_this_month: 0, sip }
    }

    /// A page of numbers: each agent and provider is read once, no password is opened.
    pub(super) fn number_views(
        &self,
        ask: Ask<'_>,
        organization: OrganizationId,
        numbers: Paged<Number>,
        with_minutes: bool,
    ) -> Result<Paged<NumberView>> {
        let mut agents: HashMap<AgentId, Option<AgentBrief>> = HashMap::new();
        let mut providers: HashMap<ProviderId, Option<ProviderBrief>> = HashMap::new();
        let mut minutes = HashMap::new();
        if with_minutes {
            let ids: Vec<_> = numbers.items.iter().map(|n| n.id).collect();
            minutes.extend(self.store.minutes(organization, &ids, month_start(ask.now)).map_err(of_read)?);
        }
        for number in &numbers.items {
            if let Some(id) = &number.agent_id
                && !agents.contains_key(id)
            {
                let agent = self.store.agent_get(organization, id).map_err(of_read)?;
                agents.insert(id.clone(), agent.map(|a| AgentBrief { id: a.id, name: a.name }));
            }
            if let Some(id) = number.provider_id
                && !providers.contains_key(&id)
            {
                let provider = self.store.provider_get(id).map_err(of_read)?;
                providers.insert(id, provider.map(ProviderBrief::from));
            }
        }
        Ok(numbers.map(|number| NumberView {
            agent: number.agent_id.as_ref().and_then(|id| agents.get(id).cloned().flatten()),
            provider: number.provider_id.and_then(|id| providers.get(&id).cloned().flatten()),
            minutes_this_month: minutes.get(&number.id).copied().unwrap_or(0),
            sip: self.sip_access(&number),
            number,
        }))
    }

    fn sip_access(&self, number: &Number) -> SipAccess {
        SipAccess {
            domain: self.public.host.clone(),
            port: self.public.port,
            username: number.sip_credentials.username.clone(),
            password: None,
        }
    }
}

/// The first moment of a time's calendar month, in UTC.
pub(crate) fn month_start(now: Timestamp) -> Timestamp {
    let date = now.to_zoned(jiff::tz::TimeZone::UTC).date().first_of_month();
    date.to_zoned(jiff::tz::TimeZone::UTC).map_or(now, |zoned| zoned.timestamp())
}
