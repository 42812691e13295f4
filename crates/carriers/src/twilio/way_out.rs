//! The way out of an account: the termination side of the trunk that was made for us (twilio.com/docs/sip-trunking, Termination).
//!
//! ```text
//! Open:   read the trunk ─▶ a domain? ─no─▶ set one
//!                                │yes          │
//!                                ▼◀────────────┘
//!           list credential lists ─▶ ours? ─no─▶ make one
//!                                │yes               │
//!                                ▼◀─────────────────┘
//!              list its names ─▶ ours? ─no─▶ make it; yes ─▶ set its password
//!                                ▼
//!         list the trunk's lists ─▶ ours? ─no─▶ add it
//! ```
//!
//! A domain that the trunk has already is kept: somebody chose it. The password is set again each time, so that whoever
//! changed it, or an installation of ours with another secret, does not leave calls refused.

use super::talk::PAGES_MAX;
use super::wire::{self, Credentials, List, Lists, Trunk};
use crate::account::{Access, Outcome, Talk, Trouble, Turn, WayOut};
use crate::{Reply, Request};

/// The domain of all termination domains.
pub(super) const DOMAIN: &str = ".pstn.twilio.com";

/// See the module's head.
pub(super) struct Opening {
    access: Access,
    way: WayOut,
    state: State,
    host: String,
    pages: u32,
}

/// What was asked last.
enum State {
    Begin,
    Trunk,
    Domain,
    Lists,
    ListCreate,
    Credentials(String),
    Credential(String),
    TrunkLists(String),
    TrunkList,
}

impl Talk for Opening {
    fn turn(&mut self, reply: Option<Reply<'_>>) -> Result<Turn, Trouble> {
        let state = std::mem::replace(&mut self.state, State::Begin);
        match (state, reply) {
            (State::Begin, _) => {
                let request = wire::trunk(&self.access, &self.way.attachment)?;
                Ok(self.ask(State::Trunk, request))
            }
            (_, None) => Err(without_reply()),
            (State::Trunk, Some(reply)) => self.trunk(reply),
            (State::Domain, Some(reply)) => {
                let trunk = wire::read::<Trunk>(reply)?;
                self.host = host(trunk.domain_name).ok_or_else(unreadable)?;
                self.ask_lists(None)
            }
            (State::Lists, Some(reply)) => self.lists(reply),
            (State::ListCreate, Some(reply)) => {
                let list = wire::read::<List>(reply)?.sid;
                self.ask_credentials(list)
            }
            (State::Credentials(list), Some(reply)) => self.credentials(list, reply),
            (State::Credential(list), Some(reply)) => match reply.status {
                200 | 201 => {
                    let request = wire::trunk_lists(&self.access, &self.way.attachment)?;
                    Ok(self.ask(State::TrunkLists(list), request))
                }
                _ => Err(wire::trouble(reply)),
            },
            (State::TrunkLists(list), Some(reply)) => {
                if wire::read::<Lists>(reply)?.credential_lists.iter().any(|known| known.sid == list) {
                    return Ok(self.done());
                }
                let request = wire::trunk_list_add(&self.access, &self.way.attachment, &list)?;
                Ok(self.ask(State::TrunkList, request))
            }
            (State::TrunkList, Some(reply)) => match reply.status {
                200 | 201 => Ok(self.done()),
                _ => Err(wire::trouble(reply)),
            },
        }
    }
}

impl Opening {
    pub(super) fn new(way: WayOut, access: Access) -> Self {
        Self { access, way, state: State::Begin, host: String::new(), pages: 0 }
    }

    fn ask(&mut self, state: State, request: Request) -> Turn {
        self.state = state;
        Turn::Send(request)
    }

    fn done(&mut self) -> Turn {
        Turn::Done(Outcome::Opened(std::mem::take(&mut self.host)))
    }

    fn trunk(&mut self, reply: Reply<'_>) -> Result<Turn, Trouble> {
        let trunk = wire::read::<Trunk>(reply)?;
        if let Some(name) = trunk.domain_name.filter(|name| !name.is_empty()) {
            self.host = host(Some(name)).ok_or_else(unreadable)?;
            return self.ask_lists(None);
        }
        let domain = format!("{}{DOMAIN}", self.way.domain);
        let request = wire::trunk_domain(&self.access, &self.way.attachment, &domain)?;
        Ok(self.ask(State::Domain, request))
    }

    fn ask_lists(&mut self, page: Option<&str>) -> Result<Turn, Trouble> {
        let request = wire::lists(&self.access, page)?;
        Ok(self.ask(State::Lists, request))
    }

    fn lists(&mut self, reply: Reply<'_>) -> Result<Turn, Trouble> {
        match named(reply, &self.way.name, &mut self.pages)? {
            Looked::Found(list) => self.ask_credentials(list),
            Looked::More(next) => self.ask_lists(Some(&next)),
            Looked::Absent => {
                let request = wire::list_create(&self.access, &self.way.name)?;
                Ok(self.ask(State::ListCreate, request))
            }
        }
    }

    fn ask_credentials(&mut self, list: String) -> Result<Turn, Trouble> {
        let request = wire::credentials(&self.access, &list)?;
        Ok(self.ask(State::Credentials(list), request))
    }

    fn credentials(&mut self, list: String, reply: Reply<'_>) -> Result<Turn, Trouble> {
        let WayOut { username, password, .. } = &self.way;
        let known = wire::read::<Credentials>(reply)?.credentials;
        let ours = known.into_iter().find(|one| one.username.as_deref() == Some(username));
        let request = match ours {
            Some(one) => wire::credential_update(&self.access, &list, (&one.sid, password))?,
            None => wire::credential_create(&self.access, &list, (username, password))?,
        };
        Ok(self.ask(State::Credential(list), request))
    }
}

/// Takes down the credential list of ours; that of a trunk that is gone opens nothing.
pub(super) struct Closing {
    access: Access,
    name: String,
    state: Look,
    pages: u32,
}

/// What was asked last.
enum Look {
    Begin,
    Lists,
    Delete,
}

impl Talk for Closing {
    fn turn(&mut self, reply: Option<Reply<'_>>) -> Result<Turn, Trouble> {
        let state = std::mem::replace(&mut self.state, Look::Begin);
        let (state, request) = match (state, reply) {
            (Look::Begin, _) => (Look::Lists, wire::lists(&self.access, None)?),
            (_, None) => return Err(without_reply()),
            (Look::Lists, Some(reply)) => match named(reply, &self.name, &mut self.pages)? {
                Looked::Found(list) => (Look::Delete, wire::list_delete(&self.access, &list)?),
                Looked::More(next) => (Look::Lists, wire::lists(&self.access, Some(&next))?),
                Looked::Absent => return Ok(Turn::Done(Outcome::Fine)),
            },
            (Look::Delete, Some(reply)) => match reply.status {
                200..=204 | 404 => return Ok(Turn::Done(Outcome::Fine)),
                _ => return Err(wire::trouble(reply)),
            },
        };
        self.state = state;
        Ok(Turn::Send(request))
    }
}

impl Closing {
    pub(super) fn new(name: String, access: Access) -> Self {
        Self { access, name, state: Look::Begin, pages: 0 }
    }
}

/// What a page of credential lists tells of one.
enum Looked {
    Found(String),
    /// The query of the next page.
    More(String),
    Absent,
}

fn named(reply: Reply<'_>, name: &str, pages: &mut u32) -> Result<Looked, Trouble> {
    let page = wire::read::<Lists>(reply)?;
    let next = page.next();
    let ours = page.credential_lists.into_iter().find(|list| list.friendly_name.as_deref() == Some(name));
    *pages += 1;
    match (ours, next) {
        (Some(list), _) => Ok(Looked::Found(list.sid)),
        (None, Some(_)) if *pages >= PAGES_MAX => {
            Err(Trouble::Refused("the account's lists are longer than this service reads".to_owned()))
        }
        (None, Some(next)) => Ok(Looked::More(next)),
        (None, None) => Ok(Looked::Absent),
    }
}

/// A host that may stand in a SIP URI.
fn host(name: Option<String>) -> Option<String> {
    name.filter(|name| domain::provider::HostName::parse(name).is_some())
}

fn unreadable() -> Trouble {
    Trouble::Unavailable("a trunk without a domain that can be read".to_owned(), None)
}

fn without_reply() -> Trouble {
    Trouble::Unavailable("a turn without its reply".to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::super::played::{access, play};
    use super::*;

    fn opening() -> Opening {
        let way = WayOut {
            attachment: "TK1".into(),
            name: "ours".into(),
            domain: "tl1".into(),
            username: "u1".into(),
            password: "Tl1secret".into(),
        };
        Opening::new(way, access())
    }

    const TRUNK: &str = "GET Trunks/TK1";
    const LISTS: &str = "GET SIP/CredentialLists.json?PageSize=1000";
    const OURS: &str = r#"{"credential_lists":[{"sid":"CL1","friendly_name":"ours"}]}"#;
    const NAMES: &str = "GET SIP/CredentialLists/CL1/Credentials.json?PageSize=1000";
    const ADDED: &str = "GET Trunks/TK1/CredentialLists?PageSize=1000";

    #[test]
    fn a_trunk_gets_a_domain_and_a_name_of_ours() {
        let done = play(
            opening(),
            &[
                (TRUNK, 200, r#"{"sid":"TK1","domain_name":null}"#),
                (
                    "POST Trunks/TK1 DomainName=tl1.pstn.twilio.com",
                    200,
                    r#"{"sid":"TK1","domain_name":"tl1.pstn.twilio.com"}"#,
                ),
                (
                    LISTS,
                    200,
                    r#"{"credential_lists":[{"sid":"CL9","friendly_name":"x"}],"next_page_uri":"/x?Page=1"}"#,
                ),
                ("GET SIP/CredentialLists.json?Page=1", 200, r#"{"credential_lists":[]}"#),
                ("POST SIP/CredentialLists.json FriendlyName=ours", 201, r#"{"sid":"CL1"}"#),
                (NAMES, 200, r#"{"credentials":[]}"#),
                (
                    "POST SIP/CredentialLists/CL1/Credentials.json Username=u1&Password=Tl1secret",
                    201,
                    r#"{"sid":"CR1"}"#,
                ),
                (ADDED, 200, r#"{"credential_lists":[],"meta":{}}"#),
                ("POST Trunks/TK1/CredentialLists CredentialListSid=CL1", 201, "{}"),
            ],
        );
        assert_eq!(done, Ok(Outcome::Opened("tl1.pstn.twilio.com".into())));
    }

    #[test]
    fn what_is_there_is_kept_and_the_password_is_set_again() {
        let named = r#"{"sid":"TK1","domain_name":"mine.pstn.twilio.com"}"#;
        let done = play(
            opening(),
            &[
                (TRUNK, 200, named),
                (LISTS, 200, OURS),
                (NAMES, 200, r#"{"credentials":[{"sid":"CR1","username":"u1"}]}"#),
                ("POST SIP/CredentialLists/CL1/Credentials/CR1.json Password=Tl1secret", 200, "{}"),
                (ADDED, 200, r#"{"credential_lists":[{"sid":"CL1"}],"meta":{}}"#),
            ],
        );
        assert_eq!(done, Ok(Outcome::Opened("mine.pstn.twilio.com".into())));
    }

    #[test]
    fn what_cannot_be_opened_is_said() {
        let none = r#"{"sid":"TK1"}"#;
        let taken = r#"{"code":21248,"message":"Domain is taken"}"#;
        let set = "POST Trunks/TK1 DomainName=tl1.pstn.twilio.com";
        let refused = play(opening(), &[(TRUNK, 200, none), (set, 400, taken)]);
        assert_eq!(refused, Err(Trouble::Refused("Domain is taken (21248)".into())));
        assert!(matches!(play(opening(), &[(TRUNK, 404, "")]), Err(Trouble::Refused(_))));
        let evil = r#"{"sid":"TK1","domain_name":"a;b@c"}"#;
        assert!(matches!(play(opening(), &[(TRUNK, 200, evil)]), Err(Trouble::Unavailable(..))));
        let page = r#"{"credential_lists":[],"next_page_uri":"/x?Page=1"}"#;
        let mut lines = vec![(TRUNK, 200, r#"{"sid":"TK1","domain_name":"a.b"}"#), (LISTS, 200, page)];
        lines.extend(std::iter::repeat_n(("GET SIP/CredentialLists.json?Page=1", 200, page), 99));
        assert!(matches!(play(opening(), &lines), Err(Trouble::Refused(_))));
    }

    #[test]
    fn what_was_made_is_taken_down() {
        let closing = || Closing::new("ours".into(), access());
        let delete = "DELETE SIP/CredentialLists/CL1.json";
        for status in [204, 404] {
            assert_eq!(play(closing(), &[(LISTS, 200, OURS), (delete, status, "")]), Ok(Outcome::Fine));
        }
        assert_eq!(play(closing(), &[(LISTS, 200, r#"{"credential_lists":[]}"#)]), Ok(Outcome::Fine));
        assert!(matches!(play(closing(), &[(LISTS, 500, "")]), Err(Trouble::Unavailable(..))));
    }
}
