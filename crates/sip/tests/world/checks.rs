//! What holds in every call, whatever is lost: the order of facts and messages, numbers, repeats.

use super::*;

impl World {
    /// How many BYEs the edge made of its own, repeats aside.
    pub(crate) fn own_byes(&self) -> usize {
        let own = |bytes: &&Vec<u8>| {
            let message = Message::parse(bytes).expect("the edge sends SIP");
            message.method() == Some(Method::Bye) && message.values(Name::Via).count() == 1
        };
        self.requests.keys().filter(own).count()
    }

    /// How many answers to other requests than INVITE and BYE went on within a dialog.
    pub(crate) fn carried(&self) -> usize {
        self.carried
    }

    /// What has a transaction here is sent no more often than its timers say.
    pub(crate) fn check_repeats(&self) {
        for (bytes, count) in &self.requests {
            let message = Message::parse(bytes).expect("the edge sends SIP");
            let own = message.values(Name::Via).count() == 1;
            let most = match message.method() {
                Some(Method::Bye | Method::Cancel) if own => 11,
                Some(Method::Invite) if Core::read(&message).is_ok_and(|core| core.to_tag.is_none()) => 7,
                _ => continue,
            };
            assert!(*count <= most, "sent {count} times: {}", String::from_utf8_lossy(bytes));
        }
    }

    /// A fact stands before what depends on it.
    pub(super) fn check_order(&mut self, send: &Send) {
        let message = Message::parse(&send.bytes).expect("the edge sends SIP");
        let core = Core::read(&message).expect("the edge sends valid SIP");
        let replaced = self.replacements() > 0;
        self.note(send, &message, &core);
        let asked = matches!(message.status(), Some(407)) && self.gate.is_some();
        if send.to.remote == addr(CALLER) && !replaced && !asked && self.is_first(&message, &core) {
            match message.status() {
                Some(200..=299) => assert!(self.answered() > 0, "a 2xx without its fact"),
                Some(300..) => {
                    assert!(self.failed().is_some() || self.refuse.is_some(), "a final without its fact");
                }
                _ => {}
            }
        }
        // one of our own that ends a late answer has no fact: there is no call that it ends
        let none_of_ours = self.hung_up.iter().all(|(_, sides)| *sides == 0);
        let late = message.values(Name::Via).count() == 1 && none_of_ours;
        let ours = replaced || late || self.failed().is_some() || self.answered() > 0;
        if message.method() == Some(Method::Bye) && !ours {
            let end = |fact: &Fact| matches!(fact, Fact::Ended { .. } | Fact::HungUp { .. });
            let told = self.facts.iter().any(end);
            assert!(told, "a BYE without its fact");
        }
    }

    /// Whether an answer is to the caller's first INVITE, or the one with its password.
    fn is_first(&self, message: &Message<'_>, core: &Core<'_>) -> bool {
        let first = if self.gate.is_some() { 2 } else { 1 };
        message.status().is_some() && core.method == Method::Invite && core.cseq <= first
    }

    fn note(&mut self, send: &Send, message: &Message<'_>, core: &Core<'_>) {
        if message.status().is_some() {
            let within = !matches!(core.method, Method::Invite | Method::Bye | Method::Cancel);
            self.carried += usize::from(within);
            return;
        }
        *self.requests.entry(send.bytes.clone()).or_default() += 1;
        if core.method == Method::Invite && core.to_tag.is_none() {
            let own =
                message.values(Name::RecordRoute).map(|value| String::from_utf8_lossy(value).into_owned());
            self.routes.insert(send.to.remote, own.collect());
        }
    }

    /// What the caller sends, for who holds answers against it.
    pub(super) fn heard(&mut self, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("the caller sends SIP");
        let core = Core::read(&message).expect("valid SIP");
        if message.status().is_none() {
            self.numbers.insert(core.via.branch.unwrap_or_default().to_vec(), core.cseq);
        }
    }

    /// Whatever numbers its requests have on the other side: the caller hears its own.
    pub(super) fn check_number(&self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let Ok(core) = Core::read(&message) else { return };
        let Some(own) = core.via.branch.and_then(|branch| self.numbers.get(branch)) else { return };
        assert!(message.status().is_none() || core.cseq == *own, "an answer to {own} says {}", core.cseq);
    }

    pub(super) fn check_idle(&self) {
        let trace = || self.trace.join("\n");
        assert!(self.edge.idle(), "the edge is not idle:\n{}", trace());
        assert!(self.caller.finished(), "the caller is not finished:\n{}", trace());
        for (at, _, agent) in &self.agents {
            assert!(agent.idle(), "agent {at} is not idle:\n{}", trace());
        }
    }
}
