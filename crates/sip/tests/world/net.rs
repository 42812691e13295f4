//! What goes over the network: what each sends, what is lost, doubled or late of it, and what comes to whom.

use super::told::short;
use super::*;

impl World {
    pub(super) fn post(&mut self, from: SocketAddr, to: SocketAddr, stream: bool, bytes: &[u8]) {
        let first: String =
            String::from_utf8_lossy(bytes).chars().take_while(|c| *c != '\r').take(60).collect();
        let at = (self.now - self.start).as_millis();
        self.trace.push(format!("{at:>7} {from} > {to} {first}"));
        *self
            .sent
            .entry(format!("{from} {}", first.split(" sip").next().unwrap_or_default()))
            .or_default() += 1;
        let net = self.net;
        let copies = match () {
            () if stream => 1,
            () if self.chance(net.loss) => 0,
            () if self.chance(net.twice) => 2,
            () => 1,
        };
        for _ in 0..copies {
            let late = !stream && self.chance(self.net.late);
            let delay = match (stream, late) {
                (true, _) => 10,
                (false, true) => 100 + self.next_random() % 900,
                (false, false) => 5 + self.next_random() % 20,
            };
            self.count += 1;
            let packet = Packet { from, to, stream, bytes: bytes.to_vec() };
            let held = self.hold.get(&from).map_or(self.start, |after| self.start + *after);
            self.queue.push(Reverse((held.max(self.now) + ms(delay), self.count, packet)));
        }
    }

    pub(super) fn drain_edge(&mut self) {
        while let Some(output) = self.edge.poll() {
            match output {
                Output::Send(send) => {
                    self.check_order(&send);
                    if self.faulty.contains(&send.to.remote) {
                        self.edge.handle(self.now, Input::Fault { send: send.id, why: Fault::Unreachable });
                        continue;
                    }
                    self.post(addr(EDGE), send.to.remote, send.to.transport.stream(), &send.bytes);
                }
                Output::Ask(ask) => {
                    self.asks += usize::from(!matches!(ask.kind, AskKind::Malformed { .. }));
                    let invite = ask.kind == AskKind::Invite;
                    let challenge =
                        self.gate.as_mut().filter(|_| invite).and_then(|gate| gate.challenge(&ask, self.now));
                    let verdict = match (&ask.kind, self.refuse) {
                        _ if challenge.is_some() => challenge.expect("just looked at"),
                        (AskKind::Invite, None) => self.route(&ask),
                        (AskKind::Options, _) => {
                            Verdict::Answer { headers: vec!["Accept: application/sdp".into()] }
                        }
                        (AskKind::Malformed { status, reason }, _) => Verdict::Refuse {
                            status: *status,
                            reason,
                            reason_header: None,
                            retry_after: None,
                            fact_call: None,
                        },
                        (_, status) => refuse(status.unwrap_or(405), "Refused"),
                    };
                    self.edge.handle(self.now, Input::Verdict { ask: ask.id, verdict });
                }
                Output::Login(ask) => {
                    assert_eq!((ask.call, ask.owner), (ids().call, OWNER));
                    self.edge.handle(self.now, Input::Login { ask, login: Some(login()) });
                }
                Output::Probed(probed) => self.probed.push(probed),
                Output::Fact(fact) => {
                    self.trace.push(format!("        fact {}", short(&fact)));
                    self.facts.push(*fact);
                }
            }
        }
    }

    pub(super) fn route(&mut self, ask: &Ask) -> Verdict {
        assert_eq!(ask.flow.remote, addr(CALLER), "what the eavesdropper sends lets nobody in");
        self.routed += 1;
        Verdict::Route {
            call: ids(),
            direction: Direction::Inbound,
            trust: Trust::Untrusted,
            transfer: Transfer::Allowed,
            targets: self.targets.clone(),
            legs: self.legs.clone(),
        }
    }

    pub(super) fn drain_agents(&mut self) {
        while let Some(output) = self.caller.poll() {
            match output {
                AgentOutput::Send { to, bytes } => {
                    self.heard(&bytes);
                    self.post(addr(CALLER), to, self.caller_stream, &bytes);
                }
                AgentOutput::Event { event, .. } => {
                    self.trace.push(format!("        caller {event:?}"));
                    self.events.push(event);
                }
            }
        }
        for index in 0..self.agents.len() {
            let (from, transport, _) = self.agents[index];
            while let Some(output) = self.agents[index].2.poll() {
                match output {
                    AgentOutput::Send { to, bytes } => {
                        if let Some(tag) = own_tag(&bytes, true) {
                            self.tags.insert(tag, index);
                        }
                        self.post(from, to, transport.stream(), &bytes);
                    }
                    AgentOutput::Event { event, .. } => self.agent_events.push((index, event)),
                }
            }
        }
    }

    pub(super) fn deliver(&mut self, packet: &Packet) {
        if self.deaf.get(&packet.to).is_some_and(|after| self.start + *after <= self.now) {
            return;
        }
        let input = AgentInput::Message { from: packet.from, bytes: &packet.bytes };
        if packet.to == addr(EDGE) {
            if packet.from == addr(CALLER) {
                self.came(&packet.bytes);
            }
            let transport = if packet.stream { Transport::Tcp } else { Transport::Udp };
            let connection = packet.stream.then_some(1);
            let flow =
                Flow { listener: u16::from(packet.stream), transport, remote: packet.from, connection };
            self.edge.handle(self.now, Input::Message { flow, bytes: &packet.bytes });
        } else if packet.to == addr(CALLER) {
            self.check_number(&packet.bytes);
            self.caller.handle(self.now, input);
        } else if packet.to == addr(EAVESDROPPER) {
            // it hears that it is nobody
        } else {
            match self.doors.get_mut(&packet.to).map_or(Passed::In, |door| door.pass(&packet.bytes)) {
                Passed::In => {}
                Passed::Answered(bytes) => return self.post(packet.to, packet.from, packet.stream, &bytes),
                Passed::Nothing => return,
            }
            let whose = own_tag(&packet.bytes, false).and_then(|tag| self.tags.get(&tag).copied());
            let here = |(index, one): &(usize, &mut (SocketAddr, Transport, Answerer))| {
                one.0 == packet.to && whose.is_none_or(|whose| whose == *index)
            };
            for (_, (_, _, agent)) in self.agents.iter_mut().enumerate().filter(here) {
                agent.handle(self.now, input);
            }
        }
    }
}

/// The tag of an agent in a message that it sends or gets.
fn own_tag(bytes: &[u8], sends: bool) -> Option<Vec<u8>> {
    let message = Message::parse(bytes).ok()?;
    let core = Core::read(&message).ok()?;
    // in its requests and their answers it is in From
    let tag = if message.status().is_some() == sends { core.to_tag } else { Some(core.from_tag) };
    tag.map(<[u8]>::to_vec)
}
