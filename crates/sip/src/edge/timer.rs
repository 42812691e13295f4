//! Deadlines: repeats on unreliable transports, and the ends of waiting. One entry per context stands in the queue; one
//! that is overtaken by a later deadline is put back when it comes up.

use std::cmp::Reverse;
use std::time::Instant;

use super::Edge;
use super::api::{Cause, Output, Send, SendId};
use super::context::{Cancel, CancelSent, Context, Phase, State, Work};
use crate::message::Method;

impl Edge {
    /// Does all that is due.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(Reverse((due, at))) = self.deadlines.peek().copied() {
            if due > now {
                return;
            }
            self.deadlines.pop();
            let current = self.slab.get(at).is_some_and(|context| context.queued == Some(due));
            if current {
                self.with(now, at, |edge, context| {
                    context.queued = None;
                    edge.phase_due(context);
                    for index in 0..context.clients.len() {
                        edge.client_due(context, index);
                    }
                });
            }
        }
    }

    fn phase_due(&mut self, context: &mut Context) {
        let now = context.now;
        match context.phase {
            Phase::Asking if context.bound.is_some_and(|bound| bound <= now) => {
                if context.last.is_empty() {
                    context.phase = Phase::Done;
                } else {
                    self.refuse(context, (503, "No Decision"), b"");
                }
            }
            Phase::Proceeding if context.bound.is_some_and(|bound| bound <= now) => {
                let cause = if context.cancelled { Cause::Cancelled } else { Cause::Timeout };
                let (status, reason) = match (&context.work, context.cancelled) {
                    (_, true) => (487, "Request Terminated"),
                    (Work::Call(_), false) => (480, "No Answer in Time"),
                    (Work::Local | Work::Dialog { .. } | Work::Own | Work::Probe { .. }, false) => {
                        (408, "Request Timeout")
                    }
                };
                for index in 0..context.clients.len() {
                    self.attempt_told(context, index, None, cause);
                }
                self.fail(context, (status, reason), cause, b"");
            }
            Phase::Completed { until, .. } | Phase::Confirmed { until } | Phase::Accepted { until }
                if until <= now =>
            {
                context.phase = Phase::Done;
            }
            Phase::Completed { repeat: Some(repeat), until } if repeat.at <= now => {
                let (to, bytes) = (context.back, context.last.clone());
                self.send(to, bytes);
                let repeat = Some(repeat.again(now, self.config.timers.t2));
                context.phase = Phase::Completed { repeat, until };
            }
            _ => {}
        }
    }

    fn client_due(&mut self, context: &mut Context, index: usize) {
        let now = context.now;
        let at = context.at;
        let timers = self.config.timers;
        let invite = context.method == Method::Invite;
        let Some(client) = context.clients.get_mut(index) else { return };
        let due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if client.state == State::Dead {
            return;
        }
        if due(client.until) {
            return match client.state {
                State::Completed | State::Accepted | State::Dead => client.state = State::Dead,
                State::Calling | State::Proceeding => self.attempt_lost(context, index, Cause::Timeout),
            };
        }
        if let Cancel::Sent(sent) = &mut client.cancel
            && let CancelSent { bytes, repeat: Some(repeat) } = &mut **sent
            && repeat.at <= now
        {
            *repeat = repeat.again(now, timers.t2);
            let (to, prefer, whom) = (client.to, client.prefer, client.whom.clone());
            let bytes = bytes.clone();
            self.out.push_back(Output::Send(Send { id: SendId::NONE, to, prefer, whom, bytes }));
        }
        if let Some(repeat) = client.repeat
            && repeat.at <= now
        {
            // timer A doubles without an upper bound, timer E up to T2
            let most = if invite { timers.t1 * 64 } else { timers.t2 };
            client.repeat = Some(repeat.again(now, most));
            self.relaunch(at, index, client);
        }
        if due(client.late) {
            client.late = None;
            return self.too_late(context, index);
        }
        if due(client.timer_c) {
            client.timer_c = None;
            if client.state == State::Proceeding {
                self.cancel_client(now, client);
            } else {
                return self.attempt_lost(context, index, Cause::Timeout);
            }
        }
        if context.clients.get(index).is_some_and(|client| due(client.silence)) {
            if let Some(client) = context.clients.get_mut(index) {
                client.silence = None;
            }
            self.silent(context, index);
        }
    }
}
