//! What is asked below one agent: its endpoints and its numbers. Whatever is another agent's is not found here. What goes
//! together goes in one commit: an endpoint moves with its numbers, and leaves with them given back.

use domain::agent::AgentPatch;
use domain::agent_op::{AgentImport, AgentOp, EndpointChange};
use domain::ids::{AgentId, EndpointId, NumberId, OrganizationId};
use domain::number::{NumberPatch, NumberQuery, NumberRef, NumberSetup};
use domain::op::Import;
use domain::provider::ProviderKind;
use domain::view::{EndpointRow, RowResult};
use domain::{
    Agent, Change, Commit, E164, Endpoint, Error, Guard, Kind, Number, Organization, Page, Paged, Patch,
    Result, Start, View, What,
};
use std::collections::HashSet;

use super::failure::of_read;
use super::stock::taken;
use super::{App, Ask, again};

/// The most rows of a list that has no pages.
const LIST_MAX: usize = 100_000;
/// How many rows of such a list are read at once.
const BATCH: u32 = 1_000;

impl App {
    pub(super) async fn of_agent(&self, ask: Ask<'_>, agent: AgentId, op: AgentOp) -> Result<View> {
        let agent = self.agent_get(ask, &agent)?;
        let organization = agent.organization_id;
        match op {
            AgentOp::Duplicate(id, new) => self.agent_duplicate(ask, agent, id, new).await,
            AgentOp::Delete => self.agent_leave(ask, agent.id).await,
            AgentOp::EndpointList => {
                self.endpoints_of_agent(&agent).map(|items| View::Endpoints(whole(items)))
            }
            AgentOp::EndpointGet(id) => self.endpoint_of(ask, id, Some(&agent.id)).map(View::Endpoint),
            AgentOp::EndpointGetMany(ids) => {
                let found = ids.into_iter().map(|id| self.endpoint_of(ask, id, Some(&agent.id)));
                there(found).map(|items| View::Endpoints(whole(items)))
            }
            AgentOp::EndpointOfNumber(e164) => {
                let number = self.number_find(ask, &NumberRef::OfAgent(agent.id.clone(), e164))?;
                let id = number.endpoint_id.ok_or_else(|| Error::not_found(What::Endpoint))?;
                self.endpoint_of(ask, id, Some(&agent.id)).map(View::Endpoint)
            }
            AgentOp::EndpointUpdate(id, patch) => {
                self.endpoint_change(ask, (id, Some(&agent.id)), patch, None).await
            }
            AgentOp::EndpointUpdateMany(rows) => Ok(self.endpoints_change(ask, &agent.id, rows).await),
            AgentOp::EndpointDelete(id) => self.endpoint_leave(ask, &agent.id, id).await,
            AgentOp::NumberList(endpoint) => {
                let numbers = self.numbers_of_agent(organization, &agent.id, endpoint)?;
                self.number_views(ask, organization, whole(numbers), false).map(View::Numbers)
            }
            AgentOp::NumberGetMany(numbers) => {
                let found = numbers
                    .into_iter()
                    .map(|n| self.number_find(ask, &NumberRef::OfAgent(agent.id.clone(), n)));
                self.number_views(ask, organization, whole(there(found)?), false).map(View::Numbers)
            }
            AgentOp::NumberImport(import) => self.numbers_import(ask, &agent.id, &import).await,
            AgentOp::NumberMove(e164, endpoint) => self.number_move(ask, agent.id, e164, endpoint).await,
            AgentOp::NumberRelease(rows) => Ok(self.numbers_release(ask, &agent.id, rows).await),
            AgentOp::CallOriginate(asked) => self.call_originate(ask, *asked).await,
            AgentOp::CallOriginated(id, environment) => {
                self.call_originated(ask, &agent.id, id, environment).map(|call| View::Call(Box::new(call)))
            }
        }
    }

    async fn agent_duplicate(
        &self,
        ask: Ask<'_>,
        agent: Agent,
        id: Option<AgentId>,
        new: AgentPatch,
    ) -> Result<View> {
        let description = if new.description.is_keep() {
            agent.description.map_or(Patch::Keep, Patch::Set)
        } else {
            new.description
        };
        self.agent_create(ask, id, AgentPatch { name: new.name, description, bags: agent.bags }).await
    }

    /// Removes an agent, its endpoints, and gives its numbers back.
    async fn agent_leave(&self, ask: Ask<'_>, id: AgentId) -> Result<View> {
        again!(None::<u64>, {
            let agent = self.agent_get(ask, &id)?;
            let organization = agent.organization_id;
            let numbers = self.numbers_of_agent(organization, &id, None)?;
            let endpoints = self.endpoints_of_agent(&agent)?;
            if numbers.len() >= LIST_MAX || endpoints.len() >= LIST_MAX {
                let words =
                    "The agent has too much to be removed at once; remove its connectors or endpoints first.";
                return Err(Error::new(Kind::Conflict, What::Agent, words));
            }
            let mut commit = self.numbers_leave(ask, organization, numbers)?;
            let Commit { changes, guards, answer: _ } = &mut commit;
            for endpoint in endpoints {
                self.check_unnamed(organization, endpoint.id)?;
                changes.push(Change::EndpointDelete(organization, endpoint.id, endpoint.version));
                changes.push(ask.event(organization, "endpoint.deleted", endpoint.id));
                guards.push(Guard::EndpointUnused(organization, endpoint.id));
            }
            // A number or an endpoint that arrives in this moment refuses the whole, and the next turn takes it along.
            changes.push(Change::AgentDelete(organization, id.clone(), agent.version));
            changes.push(ask.event(organization, "agent.deleted", &id));
            self.commit(ask, commit, View::Done).await
        })
    }

    /// Removes an endpoint and gives its numbers back.
    async fn endpoint_leave(&self, ask: Ask<'_>, agent: &AgentId, id: EndpointId) -> Result<View> {
        again!(None::<u64>, {
            let endpoint = self.endpoint_of(ask, id, Some(agent))?;
            let organization = endpoint.organization_id;
            let (mut numbers, mut after) = (Vec::new(), None);
            loop {
                let more = self.store.numbers_on_endpoint(organization, id, after, BATCH).map_err(of_read)?;
                let Some(last) = more.last() else { break };
                after = Some(last.id);
                numbers.extend(more);
            }
            self.check_unnamed(organization, id)?;
            let gone = numbers.iter().map(|number| number.e164).collect();
            let mut commit = self.numbers_leave(ask, organization, numbers)?;
            commit.changes.push(Change::EndpointDelete(organization, id, endpoint.version));
            commit.changes.push(ask.event(organization, "endpoint.deleted", id));
            commit.guards.push(Guard::EndpointUnused(organization, id));
            self.commit(ask, commit, View::EndpointGone(id, gone)).await
        })
    }

    /// What is written when many numbers of one organization are given back.
    fn numbers_leave(
        &self,
        ask: Ask<'_>,
        organization: OrganizationId,
        numbers: Vec<Number>,
    ) -> Result<Commit> {
        let mut all = Commit::default();
        if numbers.is_empty() {
            return Ok(all);
        }
        let settings =
            domain::organization::Settings::read(&self.organization_get(ask, organization)?.settings)?;
        for number in numbers {
            let next = number.release(&settings, ask.now)?;
            let (_, commit) = self.number_leaving(ask, (&number, next), &settings, "number.released")?;
            all.changes.extend(commit.changes);
            all.guards.extend(commit.guards);
        }
        Ok(all)
    }

    async fn endpoints_change(&self, ask: Ask<'_>, agent: &AgentId, rows: Vec<EndpointChange>) -> View {
        let mut results = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            let outcome = match row {
                Ok((endpoint, patch)) => {
                    self.endpoint_change(alone(ask), (endpoint, Some(agent)), patch, None).await
                }
                Err(error) => Err(error),
            };
            let result = outcome.and_then(|view| match view {
                View::Endpoint(endpoint) => Ok(endpoint),
                _ => Err(Error::internal("a changed endpoint has another view")),
            });
            results.push(EndpointRow { id, result });
        }
        View::EndpointRows(results)
    }

    async fn numbers_release(
        &self,
        ask: Ask<'_>,
        agent: &AgentId,
        rows: Vec<(String, Result<E164>)>,
    ) -> View {
        let mut results: Vec<RowResult<NumberId>> = Vec::with_capacity(rows.len());
        for (text, row) in rows {
            let outcome = match row {
                Ok(e164) => {
                    self.number_release(alone(ask), NumberRef::OfAgent(agent.clone(), e164), None).await
                }
                Err(error) => Err(error),
            };
            let result = outcome.and_then(|view| match view {
                View::Number(view) => Ok(view.number.id),
                _ => Err(Error::internal("a released number has another view")),
            });
            results.push(RowResult { e164: text, result });
        }
        View::Imported(results)
    }

    async fn number_move(
        &self,
        ask: Ask<'_>,
        agent: AgentId,
        e164: E164,
        endpoint: EndpointId,
    ) -> Result<View> {
        let number = NumberRef::OfAgent(agent.clone(), e164);
        // The endpoint it has is no new one, whoever's that is (another API may give it one that belongs to no agent).
        if self.number_find(ask, &number)?.endpoint_id != Some(endpoint) {
            self.endpoint_of(ask, endpoint, Some(&agent)).map_err(|error| error.at("endpoint_id"))?;
        }
        // The agent is named with the endpoint: should the endpoint leave the agent in this moment, the number stays.
        let patch = NumberPatch {
            endpoint_id: Patch::Set(endpoint),
            agent_id: Patch::Set(agent),
            ..NumberPatch::default()
        };
        self.number_update(ask, number, patch, None).await.map_err(|error| match (error.kind, error.field) {
            (Kind::Invalid, Some("agent_id")) => Error::not_found(What::Endpoint).at("endpoint_id"),
            _ => error,
        })
    }

    /// Brings numbers in for an agent, all or none, on the one trunk there is.
    async fn numbers_import(&self, ask: Ask<'_>, agent: &AgentId, import: &AgentImport) -> Result<View> {
        let organization = self.organization_get(ask, ask.organization()?)?;
        if let Some(id) = import.endpoint_id {
            self.endpoint_of(ask, id, Some(agent)).map_err(|error| error.at("endpoint_id"))?;
        }
        let trunk = self.only_trunk(&organization)?;
        let trust = self.import_trust(ask, &organization)?;
        let done = again!(None::<u64>, {
            let (mut seen, mut guards, mut rows, mut changes) =
                (HashSet::new(), Vec::new(), Vec::new(), Vec::new());
            guards.extend(organization.number_slots.map(|max| Guard::SlotsWithin(organization.id, max)));
            guards.extend(self.churn(ask, &organization, import.numbers.len() as u64)?);
            for text in &import.numbers {
                let setup = NumberSetup {
                    endpoint_id: import.endpoint_id,
                    agent_id: Some(agent.clone()),
                    label: None,
                    environment: import.environment,
                };
                let row = Import { e164: text.clone(), setup };
                let (number, landing) = self.imported(ask, (&organization, trust), trunk, &row)?;
                if !seen.insert(number.e164) {
                    return Err(Error::invalid(
                        What::Number,
                        "e164",
                        format!("{} is listed twice.", number.e164),
                    ));
                }
                guards.extend(landing.filter(|guard| !guards.contains(guard)));
                changes.push(ask.event(organization.id, "number.imported", number.id));
                rows.push(RowResult { e164: number.e164.to_string(), result: Ok(number.id) });
                changes.push(Change::Number(Box::new(number)));
            }
            self.commit(ask, Commit { changes, guards, answer: None }, View::Imported(rows)).await
        });
        done.map_err(|error| taken(error, "A number is held already; nothing was imported."))
    }

    /// The organization's one SIP trunk: an import that names no provider has no other way to say where the number is.
    fn only_trunk(&self, organization: &Organization) -> Result<domain::ids::ProviderId> {
        let page = Page::first(BATCH);
        let providers = self.store.provider_list(Some(organization.id), &page).map_err(of_read)?;
        let mut trunks = providers.items.iter().filter(|provider| provider.kind == ProviderKind::SipTrunk);
        let words = match (trunks.next(), trunks.next(), providers.more) {
            (Some(trunk), None, false) => return Ok(trunk.id),
            (None, ..) => {
                "Imported numbers come in on a SIP trunk, and the account has none; make one first."
            }
            (Some(_), ..) => {
                "The account has several SIP trunks, and this request cannot name one; import with a provider instead."
            }
        };
        Err(Error::invalid(What::Provider, "provider_id", words))
    }

    /// An endpoint of the tenant's and, where an agent is named, of the agent's.
    pub(super) fn endpoint_of(
        &self,
        ask: Ask<'_>,
        id: EndpointId,
        agent: Option<&AgentId>,
    ) -> Result<Endpoint> {
        let endpoint = self.endpoint_get(ask, id)?;
        if agent.is_none() || endpoint.agent_id.as_ref() == agent {
            return Ok(endpoint);
        }
        Err(Error::not_found(What::Endpoint))
    }

    fn endpoints_of_agent(&self, agent: &Agent) -> Result<Vec<Endpoint>> {
        let most = u32::try_from(LIST_MAX).unwrap_or(u32::MAX);
        self.store.endpoints_of_agent(agent.organization_id, &agent.id, most).map_err(of_read)
    }

    /// An agent's held numbers, newest first.
    fn numbers_of_agent(
        &self,
        organization: OrganizationId,
        agent: &AgentId,
        endpoint: Option<EndpointId>,
    ) -> Result<Vec<Number>> {
        let query =
            NumberQuery { agent_id: Some(agent.clone()), endpoint_id: endpoint, ..NumberQuery::default() };
        let (mut all, mut page): (Vec<Number>, _) = (Vec::new(), Page::first(BATCH));
        loop {
            let Paged { items, more } =
                self.store.number_list(organization, &query, &page).map_err(of_read)?;
            all.extend(items);
            match all.last() {
                Some(last) if more && all.len() < LIST_MAX => page.start = Start::After(last.id),
                Some(_) | None => return Ok(all),
            }
        }
    }
}

/// The same request for one of its parts: no answer is kept with a part.
fn alone(ask: Ask<'_>) -> Ask<'_> {
    Ask { keep: None, slot: None, ..ask }
}

/// A list without pages.
fn whole<T>(items: Vec<T>) -> Paged<T> {
    Paged { items, more: false }
}

/// Those that are there; what is not found is left out.
fn there<T>(found: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let found = found.filter(|row| !matches!(row, Err(error) if error.kind == Kind::NotFound));
    found.collect()
}
