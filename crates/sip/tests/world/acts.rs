//! What happens to a call from outside: doors, replays, requests within it, its end from here.

use super::*;

impl World {
    /// A door before an agent, whose answers the edge has the password for.
    pub(crate) fn door(&mut self, index: usize, asking: Asking) {
        let at = agent_addr(index);
        self.doors.insert(at, Door::new(asking));
        let manner = Arc::new(Manner { login: Some(login()), ..Manner::default() });
        for target in self.targets.iter_mut().filter(|target| target.hops.iter().any(|hop| hop.addr == at)) {
            target.manner = Some(Arc::clone(&manner));
        }
    }

    /// The caller is asked by us, and knows the password.
    pub(crate) fn gate(&mut self) {
        self.gate = Some(Gate::new(1, self.now));
    }

    /// Another agent at the place of the first: what comes there without a tag reaches both, as through a fork.
    pub(crate) fn fork(&mut self, twin: AnswererConfig) {
        self.agents.push((twin.local.addr, twin.local.transport, Answerer::new(twin)));
    }

    /// What came from the caller, for who repeats it. Whoever is quicker than the caller itself is not stopped by digest: its
    /// answer is taken once, whoever brings it.
    pub(super) fn came(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        let first =
            Core::read(&message).is_ok_and(|core| core.method == Method::Invite && core.to_tag.is_none());
        if message.status().is_none() && first {
            self.invite = bytes.to_vec();
        }
    }

    /// Somebody who heard the caller's INVITE sends it as a call of their own.
    pub(super) fn replay(&mut self) {
        let Ok(text) = std::str::from_utf8(&self.invite) else { return };
        if text.is_empty() {
            return;
        }
        self.count += 1;
        let fresh = |line: &str| match line.split(": ").next() {
            Some("Via") => {
                format!("Via: SIP/2.0/UDP {EAVESDROPPER};branch=z9hG4bKreplay{};rport", self.count)
            }
            Some("Call-ID") => format!("Call-ID: replay-{}", self.count),
            _ => line.to_owned(),
        };
        let text: Vec<_> = text.split("\r\n").map(fresh).collect();
        self.post(addr(EAVESDROPPER), addr(EDGE), false, text.join("\r\n").as_bytes());
    }

    /// A request within the dialog, from one of its sides.
    pub(super) fn within(&mut self, side: Side, method: &str) {
        let Some(dialog) = self.dialog() else { return };
        let (Some(callee), Some(near)) = (dialog.callee_hop, dialog.caller_hop) else { return };
        let mut routes = self.routes.get(&callee.addr).cloned().unwrap_or_default();
        let (from, hop, target, ends) = match side {
            Side::Caller => {
                routes.reverse();
                (addr(CALLER), near, dialog.callee_contact, (&dialog.from, &dialog.to))
            }
            Side::Callee => (callee.addr, callee, dialog.caller_contact, (&dialog.to, &dialog.from)),
        };
        self.count += 1;
        let lines: String = routes.iter().flat_map(|route| ["Route: ", route, "\r\n"]).collect();
        let text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{} {};branch=z9hG4bKwithin{};rport\r\n{lines}From: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} {method}\r\nMax-Forwards: 70\r\nRAck: 1 1 INVITE\r\nSupported: timer\r\nSession-Expires: 600\r\nContent-Length: 0\r\n\r\n",
            target.unwrap_or_default(),
            hop.transport.via(),
            hop.addr,
            self.count,
            ends.0,
            ends.1,
            dialog.call_id,
            500 + self.within_at.len(),
        );
        self.post(from, addr(EDGE), hop.transport.stream(), text.as_bytes());
    }

    /// Ends the call as the shell does: by the facts alone.
    pub(super) fn hang_up(&mut self) {
        self.trace.push("        hang up".into());
        let stopped = self.edge.stop(self.now, ids().call);
        let sides = match self.dialog() {
            Some(dialog) if !stopped => self.edge.hang_up(self.now, (ids(), 7), &dialog, "Q.850;cause=16"),
            _ => 0,
        };
        self.hung_up.push((stopped, sides));
    }
}
