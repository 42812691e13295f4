//! What one call to an endpoint wears: header lines, To, and what the edge does for its targets. Most endpoints want nothing, and
//! cost nothing here.

use domain::Endpoint;
use domain::manner::{Header, ToForm};
use domain::provider::{MediaEncryption, Offer};
use domain::routing::EndpointMedia;
use sip::MediaRule;
use std::sync::Arc;
use uuid::Uuid;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Dress {
    /// Shared by all calls to the endpoint.
    pub(super) manner: Option<Arc<sip::Manner>>,
    /// Whole lines.
    pub(super) headers: Vec<String>,
    to_form: ToForm,
    /// Which offers are refused.
    pub(super) media: MediaRule,
}

/// The call, as header lines may tell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// Our id of it.
    pub(super) call: Uuid,
    /// The number that the caller shows.
    pub(super) caller: &'a str,
    /// The dialled number.
    pub(super) number: &'a str,
    /// Whether it came by TLS.
    pub(super) tls: bool,
}

impl Dress {
    /// None for an endpoint that wants nothing.
    pub(super) fn of(
        endpoint: &Endpoint,
        manner: Option<Arc<sip::Manner>>,
        trunk: MediaEncryption,
        told: Told<'_>,
    ) -> Option<Self> {
        let wants = &endpoint.manner;
        let media = rule(trunk, endpoint, told.tls);
        if manner.is_none() && wants.headers.is_empty() && wants.to_form == ToForm::AsReceived && !media.any()
        {
            return None;
        }
        let headers = wants.headers.iter().map(|header| line(header, told)).collect();
        Some(Self { manner, headers, to_form: wants.to_form, media })
    }

    /// What stands in To at a target, where that is not what the caller wrote: the dialled number, if it is one.
    pub(super) fn to(&self, request_uri: &str, number: &str) -> Option<String> {
        let wanted = self.to_form == ToForm::E164 && number.starts_with('+');
        host(request_uri).filter(|_| wanted).map(|host| format!("sip:{number}@{host}"))
    }
}

/// Which later offers within the call are refused: as the first one was judged.
pub(super) fn rule(trunk: MediaEncryption, endpoint: &Endpoint, tls: bool) -> MediaRule {
    let there = EndpointMedia::of(endpoint);
    let refuses = |offer| trunk.refuses(offer) || there.refuses(offer, trunk, Some(tls)).is_some();
    let bits =
        [(Offer::Plain, MediaRule::PLAIN), (Offer::Secure, MediaRule::SDES), (Offer::Dtls, MediaRule::DTLS)];
    let all = bits.into_iter().filter(|(offer, _)| refuses(*offer));
    all.fold(MediaRule::default(), |rule, (_, bit)| rule.and(bit))
}

/// The host of a SIP URI, with its brackets.
fn host(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once(':')?;
    let rest = rest.split(';').next()?;
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let end = place.rfind(']').map_or_else(|| place.find(':').unwrap_or(place.len()), |at| at + 1);
    place.get(..end).filter(|host| !host.is_empty())
}

/// A header line with what it names filled in; what a caller writes of itself may not end the line.
fn line(Header { name, value }: &Header, told: Told<'_>) -> String {
    let plain = |text: &str| text.chars().filter(char::is_ascii_graphic).take(64).collect::<String>();
    let mut value = value.clone();
    if value.contains('{') {
        value = value
            .replace("{call_id}", &told.call.to_string())
            .replace("{caller}", &plain(told.caller))
            .replace("{number}", &plain(told.number));
    }
    format!("{name}: {value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_addresses() {
        for (uri, wanted) in [
            ("sip:a@h.example;transport=tls", Some("h.example")),
            ("sip:h.example:5061;transport=tls", Some("h.example")),
            ("sips:a@[2001:db8::1]:5061", Some("[2001:db8::1]")),
            ("sip:", None),
        ] {
            assert_eq!(host(uri), wanted, "{uri}");
        }
    }

    #[test]
    fn a_line_tells_the_call_and_stays_one_line() {
        let told = Told { call: Uuid::nil(), caller: "+12015550123\r\nVia: x", number: "+1", tls: false };
        let header = |value: &str| Header { name: "X-A".into(), value: value.into() };
        assert_eq!(line(&header("{caller}/{number}"), told), "X-A: +12015550123Via:x/+1");
        assert_eq!(line(&header("{call_id}"), told), format!("X-A: {}", Uuid::nil()));
        assert_eq!(line(&header("{other}"), told), "X-A: {other}");
    }
}
