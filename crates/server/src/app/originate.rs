//! Calls that an API begins. Each is decided by the rules of calls out, goes on record, and is answered for before anything is
//! sent: a repeat under the same idempotency key finds that answer, also over a crash, and calls nobody again.

use domain::ids::{AgentId, CallId, OrganizationId};
use domain::number::{Environment, NumberQuery, Status};
use domain::originate::{CallTo, CallingNumber, METADATA_MAX, Origin, Originate};
use domain::outbound::{CallOut, Party, Refusal, Refused, Shown};
use domain::provider::{MediaEncryption, Offer};
use domain::routing::{self, EndpointMedia};
use domain::trail::Trail;
use domain::{
    Call, Commit, E164, Endpoint, Error, Fact, Generation, Kind, Number, Page, Result, Timestamp, View, What,
};
use jiff::SignedDuration;
use sip::{CallIds, Sound};
use std::sync::Arc;
use std::time::Duration;
use store::Store;

use super::failure::{of_commit, of_read};
use super::{App, Ask};
use crate::clock;
use crate::edge::{Control, Placement};
use crate::live::RouteOut;

/// How long the state of a call is told to who began it for an agent, after its end.
const TOLD_FOR: SignedDuration = SignedDuration::from_hours(2);
/// Numbers of one agent that are looked at for one that may call out.
const LOOK_MAX: u32 = 1_000;

impl App {
    pub(super) async fn call_originate(&self, ask: Ask<'_>, asked: Originate) -> Result<View> {
        asked.check()?;
        let organization = ask.organization()?;
        let number = self.calling(ask, &asked)?;
        let endpoint = self.answering(ask, &asked, &number)?;
        let mut rows: Vec<(String, Result<Box<Call>>)> = Vec::new();
        let (mut placements, mut told) = (Vec::new(), Vec::new());
        for to in &asked.calls {
            // Counted before anybody else decides: of two requests that come at once, the second finds the first one's calls.
            let decided: Result<_> = self.control.in_turn(|| {
                let placement = self.placement(&asked, (&number, &endpoint), to)?;
                Ok(self.control.record(&placement).map(|recorded| (placement, recorded)))
            });
            match decided {
                Ok(Some((placement, (call, facts)))) => {
                    told.extend(facts);
                    rows.push((to.number.clone(), Ok(Box::new(call))));
                    placements.push(placement);
                }
                Ok(None) => rows.push((to.number.clone(), Err(unkept()))),
                // What is wrong with the number is wrong with all of its calls.
                Err(error) if asked.each && (error.what == What::Call || !placements.is_empty()) => {
                    rows.push((to.number.clone(), Err(error)));
                }
                Err(error) => return Err(error),
            }
        }
        if !asked.each
            && let [(_, Err(_))] = &rows[..]
        {
            return Err(unkept());
        }
        let view = View::Originated(rows);
        if placements.is_empty() {
            return self.commit(ask, Commit::default(), view).await;
        }
        let events =
            placements.iter().map(|one| ask.event(organization, "call.originated", CallId(one.ids.call)));
        let mut commit = Commit { changes: events.collect(), ..Commit::default() };
        if let Err(error) = self.admits_commit(ask, &commit) {
            withdrawn(&self.control, &placements);
            return Err(error);
        }
        commit.answer = ask.keep.map(|keep| keep(&view));
        // Whoever asked may hang up meanwhile: what is on record is placed, or told to have failed.
        let begun = tokio::spawn(Self::begun_calls(
            self.control.clone(),
            self.store.clone(),
            Recorded { told, commit, placements },
        ));
        let generation = begun.await.map_err(|_| Error::internal("calls were not begun"))??;
        self.live.follow(generation).await;
        Ok(view)
    }

    /// Calls that are on record: into the store, with the answer that a repeat of the request gets, then on their way.
    async fn begun_calls(control: Control, store: Store, recorded: Recorded) -> Result<Generation> {
        let Recorded { told, commit, placements } = recorded;
        // The journal has them; who asks for the call with the next breath finds it in the store.
        let committed = match store.facts_append(told).await {
            Ok(_) => store.commit(commit).await.map_err(of_commit),
            Err(error) => Err(of_read(error)),
        };
        match committed {
            Ok(generation) => {
                for placement in placements {
                    control.place(placement);
                }
                Ok(generation)
            }
            Err(error) => {
                withdrawn(&control, &placements);
                Err(error)
            }
        }
    }

    /// The state of a call that was begun for an agent; for a while after its end.
    pub(super) fn call_originated(
        &self,
        ask: Ask<'_>,
        agent: &AgentId,
        id: CallId,
        environment: Environment,
    ) -> Result<Call> {
        let organization = ask.organization()?;
        let call = self.store.call_get(organization, id).map_err(of_read)?;
        let call = call.ok_or_else(|| Error::not_found(What::Call))?;
        self.call_seen(ask, &call)?;
        let told = |end: Timestamp| ask.now.duration_since(end) < TOLD_FOR;
        let fits = call.origin.as_ref().is_some_and(|origin| {
            origin.agent_id.as_ref() == Some(agent) && origin.environment == Some(environment)
        });
        let shown = fits && call.ended_at.is_none_or(told);
        if shown { Ok(call) } else { Err(Error::not_found(What::Call)) }
    }

    /// The number that calls.
    fn calling(&self, ask: Ask<'_>, asked: &Originate) -> Result<Number> {
        let (agent, environment) = match (&asked.from, &asked.agent_id) {
            (CallingNumber::Named(number), _) => {
                let found = self.number_find(ask, number);
                return found
                    .map_err(|error| if error.kind == Kind::NotFound { error.at("from") } else { error });
            }
            (CallingNumber::OfAgent(environment), Some(agent)) => (agent, *environment),
            (CallingNumber::OfAgent(_), None) => return Err(Error::missing(What::Call, "from")),
        };
        let query = NumberQuery {
            agent_id: Some(agent.clone()),
            environment: Some(environment),
            status: Some(Status::Active),
            ..NumberQuery::default()
        };
        let found = self.store.number_list(ask.organization()?, &query, &Page::first(LOOK_MAX));
        let mut numbers = found.map_err(of_read)?.items;
        numbers.retain(|number| number.allow_outbound && number.is_for(ask.caller.mode));
        let oldest = numbers.into_iter().min_by_key(|number| number.id);
        oldest.ok_or_else(|| {
            let words = format!(
                "The agent has no number in {} that calls out. Give it one, and set its `allow_outbound` to true.",
                environment.as_str()
            );
            Error::new(Kind::Conflict, What::Number, words).at("allow_outbound")
        })
    }

    /// Who answers for the number: the endpoint that is named, or the agent's default, or the number's.
    fn answering(&self, ask: Ask<'_>, asked: &Originate, number: &Number) -> Result<Arc<Endpoint>> {
        let organization = number.organization_id;
        let environment = match asked.from {
            CallingNumber::OfAgent(environment) => environment,
            CallingNumber::Named(_) => number.environment,
        };
        let found = match (asked.endpoint_id, &asked.agent_id) {
            (Some(id), _) => {
                let found = self.store.endpoint_get(organization, id).map_err(of_read)?;
                Some(found.ok_or_else(|| Error::not_found(What::Endpoint).at("endpoint_id"))?)
            }
            (None, Some(agent)) => {
                let known = self.store.agent_get(organization, agent).map_err(of_read)?;
                known.ok_or_else(|| Error::not_found(What::Agent).at("agent_id"))?;
                self.store.endpoint_default(organization, agent, environment).map_err(of_read)?
            }
            (None, None) => match number.endpoint_id {
                Some(id) => self.store.endpoint_get(organization, id).map_err(of_read)?,
                None => None,
            },
        };
        let endpoint = found.ok_or_else(|| {
            let words = "Nobody answers for the number: it has no endpoint, or its agent has no default endpoint in this environment.";
            Error::new(Kind::NotFound, What::Endpoint, words).at("number_endpoint")
        })?;
        if ask.caller.mode == domain::key::Mode::Test && endpoint.environment != Environment::Sandbox {
            return Err(Error::not_found(What::Endpoint).at("endpoint_id"));
        }
        let route = routing::EndpointRoute::from(&endpoint);
        let why = if route.status != domain::endpoint::EndpointStatus::Active {
            "The endpoint is inactive. Set its status to active."
        } else if route.kind == domain::endpoint::EndpointKind::Webhook {
            "The endpoint is a webhook, which takes no calls by SIP. Use another endpoint."
        } else if route.targets_on == 0 {
            "The endpoint has no target that is switched on."
        } else {
            return Ok(Arc::new(endpoint));
        };
        Err(Error::new(Kind::Conflict, What::Endpoint, why).at("endpoint_id"))
    }

    /// One call, decided.
    fn placement(
        &self,
        asked: &Originate,
        (number, endpoint): (&Number, &Arc<Endpoint>),
        to: &CallTo,
    ) -> Result<Placement> {
        let metadata = serde_json::to_string(&to.metadata).unwrap_or_default();
        if metadata.len() > METADATA_MAX {
            let words = format!("`metadata` must have at most {METADATA_MAX} bytes as JSON.");
            return Err(Error::invalid(What::Call, "metadata", words));
        }
        let owners: [OrganizationId; 1] = [number.organization_id];
        let dialled = match to.country {
            Some(country) => {
                let read = E164::national(&to.number, country).map(|(e164, _)| e164.to_string());
                read.ok_or_else(|| no_number("to"))?
            }
            None => to.number.clone(),
        };
        let call = |offer| CallOut {
            party: Party::Organizations(&owners),
            shown: Shown::Number(number.e164),
            to: &dialled,
            // what the agent is asked for, and so what it answers with
            offer: Some(offer),
            // how its agent is reached is looked at with the endpoint
            tls: None,
        };
        let (route, trail, sound) = self.placed(endpoint, call)?;
        let ids = CallIds { call: clock::id(), organization: number.organization_id.0, number: number.id.0 };
        let mut headers = vec![format!("X-Call-ID: {}", ids.call)];
        if !to.metadata.is_empty() {
            headers.push(format!("X-Call-Metadata: {}", in_header(metadata.as_bytes())));
        }
        let environment = match asked.from {
            CallingNumber::OfAgent(environment) => environment,
            CallingNumber::Named(_) => number.environment,
        };
        let agent_id = asked.agent_id.clone().or_else(|| endpoint.agent_id.clone());
        let origin = Origin {
            agent_id: agent_id.or_else(|| number.agent_id.clone()),
            environment: Some(environment),
            metadata: to.metadata.clone(),
            max_seconds: asked.max_seconds,
        };
        let (endpoint, ring) = (Arc::clone(endpoint), asked.ring());
        Ok(Placement { ids, route, endpoint, origin, trail, ring, headers, sound })
    }

    /// The decision, with plain sound where that may be, else encrypted: what an endpoint or a trunk requires is offered to both
    /// sides, and its keys travel by TLS only.
    fn placed<'a>(
        &self,
        endpoint: &Endpoint,
        call: impl Fn(Offer) -> CallOut<'a>,
    ) -> Result<(RouteOut, Trail, Sound)> {
        let place = |offer| {
            let mut trail = Trail::default();
            self.live.place(call(offer), |rule| trail.see(rule)).map(|route| (route, trail))
        };
        let there = EndpointMedia::of(endpoint);
        if there.encryption != MediaEncryption::Required {
            match place(Offer::Plain) {
                Ok((route, trail)) => return Ok((route, trail, Sound::Plain)),
                Err(refused) if refused.why == Refusal::MediaPlain => {}
                Err(refused) => return Err(of_refusal(&refused)),
            }
        }
        let (route, trail) = place(Offer::Secure).map_err(|refused| match refused.why {
            Refusal::MediaSecure => {
                let words = "The endpoint requires encrypted sound, which the number's trunk has disabled. Set the trunk's `outbound.media_encryption` to allowed, or the endpoint's.";
                Error::new(Kind::Conflict, What::Endpoint, words).at("endpoint_id")
            }
            _ => of_refusal(&refused),
        })?;
        let tls = route.ways.iter().all(|way| way.outbound.transport.secure());
        match there.refuses(Offer::Secure, MediaEncryption::Required, Some(tls)) {
            None => Ok((route, trail, Sound::Encrypted)),
            Some(routing::Refusal::MediaKeysOpen) => {
                let words = "Encrypted sound is required, and its keys would not travel by TLS on both sides. Give the trunk's `outbound` and the endpoint's targets the transport tls, or set `media_encryption` of both to allowed.";
                Err(Error::new(Kind::Conflict, What::Endpoint, words).at("endpoint_id"))
            }
            Some(_) => {
                let words = "The number's trunk requires encrypted sound, which the endpoint has disabled. Set the endpoint's `media_encryption` to allowed, or the trunk's.";
                Err(Error::new(Kind::Conflict, What::Endpoint, words).at("endpoint_id"))
            }
        }
    }
}

/// Calls that are on record, and what goes into the store with them.
struct Recorded {
    told: Vec<Fact>,
    commit: Commit,
    placements: Vec<Placement>,
}

fn withdrawn(control: &Control, placements: &[Placement]) {
    for placement in placements {
        control.withdraw(placement.ids, "The call was not begun: its request failed.");
    }
}

/// Text of any kind as a header has it: base64url without padding.
fn in_header(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn unkept() -> Error {
    let words = "The call was not begun: its record could not be kept now, or the service is about to stop. Try again.";
    let mut error = Error::new(Kind::Unavailable, What::Call, words);
    error.retry_after = Some(Duration::from_secs(5));
    error
}

fn no_number(field: &'static str) -> Error {
    let words = format!("`{field}` must be a phone number in E.164 form, such as +14155550100.");
    Error::invalid(What::Call, field, words)
}

/// What a rule that refuses a call out is to who asked for it.
fn of_refusal(refused: &Refused) -> Error {
    let why = refused.why;
    let (kind, what, field) = match why {
        Refusal::NotANumber => (Kind::Invalid, What::Call, Some("to")),
        Refusal::Emergency | Refusal::CountryClosed | Refusal::TrunkCountry => {
            (Kind::Forbidden, What::Call, Some("to"))
        }
        Refusal::Balance | Refusal::Unpaid => (Kind::Balance, What::Call, None),
        Refusal::OutboundOff => (Kind::Forbidden, What::Number, Some("allow_outbound")),
        Refusal::UnknownSource | Refusal::NotProven | Refusal::CallerNotHeld | Refusal::CallerNotProven => {
            (Kind::Forbidden, What::Number, Some("from"))
        }
        Refusal::Pending
        | Refusal::Inactive
        | Refusal::NoVoice
        | Refusal::TrunkOneWay
        | Refusal::AccountOneWay
        | Refusal::NoTrunk
        | Refusal::MediaPlain
        | Refusal::MediaSecure
        | Refusal::MediaKeysOpen => (Kind::Conflict, What::Number, Some("from")),
        Refusal::TooManyCalls
        | Refusal::NumberFull
        | Refusal::TrunkFull
        | Refusal::NumberMinute
        | Refusal::NumberDay
        | Refusal::OrganizationMinute
        | Refusal::OrganizationDay
        | Refusal::TrunkPace => (Kind::Limit, What::Call, None),
    };
    let mut error = Error::new(kind, what, why.words());
    error.field = field;
    error.retry_after = refused.retry_after.map(|seconds| Duration::from_secs(u64::from(seconds)));
    error
}
