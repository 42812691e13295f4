//! What is told of registrations: by the API, and in the metrics.

use domain::Timestamp;
use domain::ids::ProviderId;
use domain::trunk_status::{RegistrationState, TrunkRegistration};
use sip::{RegistrantState, Trouble};
use std::time::Instant;

use super::{RegistrantDesk, Row};
use crate::clock;
use crate::edge::facts;
use crate::live::Live;

const UNOPENED: &str = "Its password cannot be opened with this secret key. Set `register.credentials` anew.";

/// What a registration is that is about to begin.
const UNDER_WAY: TrunkRegistration = TrunkRegistration {
    state: RegistrationState::Registering,
    contact: None,
    registrar: None,
    expires_at: None,
    next_attempt_at: None,
    sip_status: None,
    problem: None,
    failures: 0,
    service_route: Vec::new(),
};

pub(super) fn describe() {
    metrics::describe_gauge!("trunkline_sip_trunk_registrations", "Trunks that are to register, by state");
    metrics::describe_counter!("trunkline_sip_trunk_registers_total", "Tries to register trunks, by result");
}

/// What is wrong, and what to do; `private`: the registrar was found where its organization's may not be.
pub(super) fn problem(trouble: Trouble, private: bool) -> &'static str {
    match trouble {
        Trouble::Fault(sip::Fault::Unresolved) if private => {
            "The registrar is at no public address (private_address). Have the operator allow that: `settings.sip_private`, --sip-private."
        }
        Trouble::Silent => {
            "The registrar does not answer. Check `register.registrar` and `register.transport`."
        }
        Trouble::Fault(sip::Fault::Unresolved) => {
            "The registrar's name cannot be looked up. Check `register.registrar`."
        }
        Trouble::Fault(sip::Fault::Unspoken) => {
            "No listener here speaks the registrar's transport. Start with --sip for it, or change `register.transport`."
        }
        Trouble::Fault(
            sip::Fault::TlsName | sip::Fault::TlsExpired | sip::Fault::TlsUntrusted | sip::Fault::Handshake,
        ) => "TLS with the registrar cannot be agreed: see its certificate, and --sip-tls-ca.",
        Trouble::Fault(_) => "The registrar cannot be reached, or the connection to it broke.",
        Trouble::Answer(_) => "The registrar cannot take it now.",
        Trouble::Refused(_) => {
            "The carrier refuses it. Check `register.user` and `register.domain` with the carrier."
        }
        Trouble::Credentials(_) => {
            "The carrier does not take the user name or the password. Set `register.credentials`."
        }
        Trouble::Challenge(_) => {
            "The carrier asks for a kind of proof that is not known here: digest with MD5 or SHA-256 is."
        }
        Trouble::Unbound => "The registrar agreed and bound nothing.",
    }
}

fn status_of(trouble: Trouble) -> Option<u16> {
    match trouble {
        Trouble::Answer(status)
        | Trouble::Refused(status)
        | Trouble::Credentials(status)
        | Trouble::Challenge(status) => Some(status),
        Trouble::Silent | Trouble::Fault(_) | Trouble::Unbound => None,
    }
}

fn state(state: RegistrantState) -> RegistrationState {
    match state {
        RegistrantState::Registering => RegistrationState::Registering,
        RegistrantState::Registered => RegistrationState::Registered,
        RegistrantState::Failing | RegistrantState::Leaving => RegistrationState::Failing,
        RegistrantState::Refused => RegistrationState::Refused,
    }
}

fn shown(row: &Row, (now, wall): (Instant, Timestamp)) -> TrunkRegistration {
    let status = row.one.status(now);
    let at = |at: Instant| wall.checked_add(at.saturating_duration_since(now)).unwrap_or(Timestamp::MAX);
    TrunkRegistration {
        state: state(status.state),
        contact: status.contact,
        registrar: status.flow.map(|flow| facts::place(flow.transport, flow.remote).to_string()),
        expires_at: status.until.map(at),
        next_attempt_at: status.next.map(at),
        sip_status: status.trouble.and_then(status_of),
        problem: status.trouble.map(|trouble| problem(trouble, row.private).to_owned()),
        failures: status.failures,
        service_route: status.service_route,
    }
}

impl RegistrantDesk {
    /// How the registration of a trunk is that is to register.
    pub(in super::super) fn shown(&self, live: &Live, trunk: ProviderId) -> TrunkRegistration {
        if !live.registering.has(trunk) {
            let problem = Some(UNOPENED.to_owned());
            return TrunkRegistration { state: RegistrationState::Failing, problem, ..UNDER_WAY.clone() };
        }
        let (table, now) = (self.lock(), clock::instant());
        let elsewhere = self.lease.is_some() && table.lease.is_none();
        let row = table.by_trunk.get(&trunk).and_then(|index| table.rows.get(index));
        match row {
            Some(row) => shown(row, (now, clock::now())),
            None if elsewhere => {
                TrunkRegistration { state: RegistrationState::Elsewhere, ..UNDER_WAY.clone() }
            }
            None => UNDER_WAY.clone(),
        }
    }

    pub(super) fn count(&self) {
        let (table, now) = (self.lock(), clock::instant());
        let mut counts = RegistrationState::NAMES.map(|(_, name)| (name, 0_u32));
        for index in table.by_trunk.values() {
            let Some(row) = table.rows.get(index) else { continue };
            let name = state(row.one.status(now).state).as_str();
            counts.iter_mut().filter(|(other, _)| *other == name).for_each(|(_, count)| *count += 1);
        }
        for (name, count) in counts {
            metrics::gauge!("trunkline_sip_trunk_registrations", "state" => name).set(f64::from(count));
        }
    }
}
