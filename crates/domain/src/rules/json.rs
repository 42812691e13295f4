//! The JSON form of rules: read with errors that name the field and the entry, written as it is read.

use jiff::civil::Date;
use serde_json::{Value, json};

use super::schedule::DAYS;
use super::{
    ANSWER_SECONDS_MAX, CallerIs, CallerRule, Cause, Causes, Day, EndpointRules, Goal, HealthCheck, Hours,
    NumberRules, REFUSALS, Rank, Schedule, Share, Step, Then, Window,
};
use crate::error::{Error, Result, What};
use crate::ids::EndpointId;
use crate::{Bag, E164};

/// Whose field it is, and its name.
type Field = (What, &'static str);

fn bad((what, field): Field, words: &str) -> Error {
    Error::invalid(what, field, format!("`{field}`: {words}."))
}

/// Stands for the field itself among the names of its parts.
const WHOLE: &str = "it";

fn shape((what, field): Field, at: &str, must: &str) -> Error {
    if at == WHOLE {
        return Error::invalid(what, field, format!("`{field}` must be {must}."));
    }
    bad((what, field), &format!("{at} must be {must}"))
}

/// An object's fields, each taken once; what is left at the end is no field.
struct Fields<'a> {
    bag: Bag,
    field: Field,
    at: &'a str,
}

impl<'a> Fields<'a> {
    fn of(value: &Value, field: Field, at: &'a str) -> Result<Self> {
        match value {
            Value::Object(bag) => Ok(Self { bag: bag.clone(), field, at }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(shape(field, at, "an object"))
            }
        }
    }

    /// A field that may be left out or null.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.bag.remove(name).filter(|value| !value.is_null())
    }

    fn bad(&self, name: &str, must: &str) -> Error {
        bad(self.field, &format!("`{name}` of {} must be {must}", self.at))
    }

    fn optional<T>(
        &mut self,
        name: &str,
        must: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        self.take(name).map(|value| read(&value).ok_or_else(|| self.bad(name, must))).transpose()
    }

    fn required<T>(&mut self, name: &str, must: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<T> {
        self.optional(name, must, read)?.ok_or_else(|| self.bad(name, must))
    }

    fn close(self) -> Result<()> {
        match self.bag.keys().next() {
            None => Ok(()),
            Some(name) => {
                Err(bad(self.field, &format!("`{}` is not a field of {}", name.escape_debug(), self.at)))
            }
        }
    }
}

fn entries(value: &Value, field: Field) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| shape(field, WHOLE, "a list"))
}

fn each<T>(value: &Value, field: Field, read: impl Fn(Fields<'_>) -> Result<T>) -> Result<Vec<T>> {
    let one = |(at, entry): (usize, &Value)| read(Fields::of(entry, field, &format!("entry {at}"))?);
    entries(value, field)?.iter().enumerate().map(one).collect()
}

/// A whole number, also written as `30.0`.
fn whole(value: &Value) -> Option<u16> {
    let exact = value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=65_535.0).contains(n))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just now")]
    Some(exact as u16)
}

fn endpoint(value: &Value) -> Option<EndpointId> {
    value.as_str().and_then(EndpointId::parse)
}

fn refusal(value: &Value) -> Option<u16> {
    whole(value).filter(|status| REFUSALS.contains(status))
}

const ENDPOINT: &str = "the id of an endpoint";
const STATUS: &str = "one of 403, 404, 480, 486, 503, 603";

/// Reads a list of rules by caller.
pub fn callers(value: &Value) -> Result<Vec<CallerRule>> {
    each(value, (What::Number, "caller_rules"), |mut fields| {
        let must = "a number (`+12125550100`), a prefix (`+1212*`), `anonymous` or `all`";
        let from = fields.required("from", must, |v| v.as_str().and_then(CallerIs::parse))?;
        let actions = "`allow`, `refuse` or `endpoint`";
        let action = fields.required("action", actions, |v| v.as_str().map(str::to_owned))?;
        let status = fields.optional("status", STATUS, refusal)?;
        let to = fields.optional("endpoint_id", ENDPOINT, endpoint)?;
        let then = match (action.as_str(), status, to) {
            ("allow", None, None) => Then::Allow,
            ("refuse", status, None) => Then::Refuse(status.unwrap_or(603)),
            ("endpoint", None, Some(id)) => Then::Endpoint(id),
            ("endpoint", None, None) => return Err(fields.bad("endpoint_id", ENDPOINT)),
            ("allow" | "refuse" | "endpoint", ..) => {
                let must = "alone with what it needs: `status` with `refuse`, `endpoint_id` with `endpoint`";
                return Err(fields.bad("action", must));
            }
            _ => return Err(fields.bad("action", actions)),
        };
        fields.close()?;
        Ok(CallerRule { from, then })
    })
}

/// Writes it.
pub fn callers_value(rules: &[CallerRule]) -> Value {
    let one = |rule: &CallerRule| match rule.then {
        Then::Allow => json!({"from": rule.from.text(), "action": "allow"}),
        Then::Refuse(status) => json!({"from": rule.from.text(), "action": "refuse", "status": status}),
        Then::Endpoint(id) => {
            json!({"from": rule.from.text(), "action": "endpoint", "endpoint_id": id.to_string()})
        }
    };
    rules.iter().map(one).collect()
}

/// Reads a split.
pub fn split(value: &Value) -> Result<Vec<Share>> {
    let field = (What::Number, "split");
    let shares = each(value, field, |mut fields| {
        let endpoint_id = fields.required("endpoint_id", ENDPOINT, endpoint)?;
        let percent =
            |v: &Value| whole(v).and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=100).contains(n));
        let percent = fields.required("percent", "a whole number from 1 to 100", percent)?;
        fields.close()?;
        Ok(Share { endpoint_id, percent })
    })?;
    if shares.is_empty() {
        return Err(bad(field, "it needs at least one entry; null takes it away"));
    }
    Ok(shares)
}

/// Writes it.
pub fn split_value(split: &[Share]) -> Value {
    split
        .iter()
        .map(|share| json!({"endpoint_id": share.endpoint_id.to_string(), "percent": share.percent}))
        .collect()
}

fn causes(value: &Value, field: Field, passes: impl Fn(Rank) -> bool + Copy) -> Result<Causes> {
    let must = format!("`on` must be a list of causes, some of {}", Cause::names(passes).join(", "));
    let names = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    let names = names.ok_or_else(|| bad(field, &must))?;
    Causes::read(names, passes).map_err(|_| bad(field, &must))
}

/// Reads a chain of fallbacks.
pub fn steps(value: &Value, what: What) -> Result<Vec<Step>> {
    let field = (what, "fallback");
    each(value, field, |mut fields| {
        let on = causes(&fields.take("on").unwrap_or(Value::Null), field, |_| true)?;
        if on.is_empty() {
            return Err(fields.bad("on", "a list of at least one cause"));
        }
        let to = fields.take("to").unwrap_or(Value::Null);
        let mut goal = Fields::of(&to, field, "`to`")?;
        let must = "a phone number in E.164 form";
        let number = |v: &Value| v.as_str()?.strip_prefix('+').and_then(E164::from_digits);
        let goals = (
            goal.optional("endpoint_id", ENDPOINT, endpoint)?,
            goal.optional("e164", must, number)?,
            goal.optional("refuse", STATUS, refusal)?,
        );
        goal.close()?;
        let to = match goals {
            (Some(id), None, None) => Goal::Endpoint(id),
            (None, Some(number), None) => Goal::Number(number),
            (None, None, Some(status)) => Goal::Refuse(status),
            _ => return Err(fields.bad("to", "one of `endpoint_id`, `e164` and `refuse`")),
        };
        fields.close()?;
        Ok(Step { on, to })
    })
}

/// Writes it.
pub fn steps_value(steps: &[Step]) -> Value {
    let goal = |to: Goal| match to {
        Goal::Endpoint(id) => json!({"endpoint_id": id.to_string()}),
        Goal::Number(number) => json!({"e164": number.to_string()}),
        Goal::Refuse(status) => json!({"refuse": status}),
    };
    steps.iter().map(|step| json!({"on": step.on.names(), "to": goal(step.to)})).collect()
}

/// Minutes after midnight of `HH:MM`, up to `24:00`.
fn clock(value: &Value) -> Option<u16> {
    let (hours, minutes) = value.as_str()?.split_once(':')?;
    let two =
        |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse());
    let (hours, minutes): (u16, u16) = (two(hours)?.ok()?, two(minutes)?.ok()?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= 24 * 60).then_some(total)
}

fn clock_text(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

fn hours(fields: &mut Fields<'_>) -> Result<Hours> {
    let must = "a time of day, such as `09:00`, up to `24:00`";
    let (from, to) = (fields.required("from", must, clock)?, fields.required("to", must, clock)?);
    if from >= to {
        let must = "later than `from`; a window over midnight is two, one to `24:00` and one from `00:00`";
        return Err(fields.bad("to", must));
    }
    Ok(Hours { from, to, endpoint_id: fields.optional("endpoint_id", ENDPOINT, endpoint)? })
}

fn hours_value(hours: &Hours) -> Bag {
    let Hours { from, to, endpoint_id } = hours;
    let mut bag = Bag::new();
    bag.insert("from".into(), clock_text(*from).into());
    bag.insert("to".into(), clock_text(*to).into());
    bag.insert("endpoint_id".into(), endpoint_id.map(|id| id.to_string()).into());
    bag
}

impl Schedule {
    /// Reads one.
    pub fn read(value: &Value, field: Field) -> Result<Self> {
        let mut fields = Fields::of(value, field, WHOLE)?;
        let zone =
            fields.required("time_zone", "the name of a time zone", |v| v.as_str().map(str::to_owned))?;
        let windows = each(&fields.take("windows").unwrap_or_else(|| json!([])), field, |mut fields| {
            let day = |v: &Value| DAYS.iter().find(|(_, name)| v.as_str() == Some(name)).map(|(day, _)| *day);
            let days = |v: &Value| v.as_array()?.iter().map(day).collect::<Option<Vec<_>>>();
            let must = "a list of days, some of `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`";
            let named = fields.required("days", must, days)?;
            let days: Vec<_> = DAYS.iter().map(|(day, _)| *day).filter(|day| named.contains(day)).collect();
            if days.is_empty() {
                return Err(fields.bad("days", must));
            }
            let hours = hours(&mut fields)?;
            fields.close()?;
            Ok(Window { days, hours })
        })?;
        let dates = each(&fields.take("dates").unwrap_or_else(|| json!([])), field, |mut fields| {
            let date = |v: &Value| v.as_str().filter(|text| text.len() == 10)?.parse::<Date>().ok();
            let date = fields.required("date", "a date, such as `2026-12-25`", date)?;
            let hours = each(&fields.take("windows").unwrap_or_else(|| json!([])), field, |mut fields| {
                let hours = hours(&mut fields)?;
                fields.close()?;
                Ok(hours)
            })?;
            fields.close()?;
            Ok(Day { date, hours })
        })?;
        fields.close()?;
        Self::new(&zone, windows, dates, &|words| bad(field, &words))
    }

    /// Writes it.
    pub fn value(&self) -> Value {
        let window = |window: &Window| {
            let mut bag = hours_value(&window.hours);
            let names = DAYS.iter().filter(|(day, _)| window.days.contains(day)).map(|(_, name)| *name);
            bag.insert("days".into(), names.collect());
            Value::Object(bag)
        };
        let date = |day: &Day| {
            let windows: Vec<Bag> = day.hours.iter().map(hours_value).collect();
            json!({"date": day.date.to_string(), "windows": windows})
        };
        json!({
            "time_zone": self.zone(),
            "windows": self.windows.iter().map(window).collect::<Vec<_>>(),
            "dates": self.dates.iter().map(date).collect::<Vec<_>>(),
        })
    }
}

/// Reads after which causes the next target is tried.
pub fn failover(value: &Value) -> Result<Causes> {
    let field = (What::Endpoint, "failover");
    let mut fields = Fields::of(value, field, WHOLE)?;
    let on = causes(&fields.take("on").unwrap_or(Value::Null), field, may_move_on)?;
    fields.close()?;
    Ok(on)
}

fn may_move_on(rank: Rank) -> bool {
    matches!(rank, Rank::MovesOn | Rank::MayMoveOn)
}

/// Writes it.
pub fn failover_value(on: Causes) -> Value {
    json!({"on": on.names()})
}

/// Reads how a target's health is looked at.
pub fn health(value: &Value) -> Result<HealthCheck> {
    let mut fields = Fields::of(value, (What::Endpoint, "health"), WHOLE)?;
    let enabled = fields.required("enabled", "true or false", Value::as_bool)?;
    let (shortest, longest) = (HealthCheck::INTERVAL.start(), HealthCheck::INTERVAL.end());
    let must = format!("a whole number from {shortest} to {longest}");
    let within = |v: &Value| whole(v).filter(|seconds| HealthCheck::INTERVAL.contains(seconds));
    let seconds = fields.optional("interval_seconds", &must, within)?;
    fields.close()?;
    let standard = HealthCheck::default();
    Ok(HealthCheck { enabled, interval_seconds: seconds.unwrap_or(standard.interval_seconds) })
}

/// Writes it.
pub fn health_value(check: HealthCheck) -> Value {
    json!({"enabled": check.enabled, "interval_seconds": check.interval_seconds})
}

/// Reads how long a target may ring.
pub fn answer_seconds(value: &Value) -> Result<u16> {
    let within = whole(value).filter(|seconds| (1..=ANSWER_SECONDS_MAX).contains(seconds));
    within.ok_or_else(|| {
        let words = format!("`answer_seconds` must be a whole number from 1 to {ANSWER_SECONDS_MAX}.");
        Error::invalid(What::Endpoint, "answer_seconds", words)
    })
}

/// Reads a limit on calls at a time.
pub fn calls_max(value: &Value, what: What) -> Result<u32> {
    limit(value, 1_000_000, (what, "max_concurrent_calls"))
}

/// Reads a limit on calls out that a number begins, by the field's name.
pub fn begun_max(value: &Value, field: &'static str) -> Result<u32> {
    limit(value, 10_000_000, (What::Number, field))
}

fn limit(value: &Value, most: u32, (what, field): (What, &'static str)) -> Result<u32> {
    let exact = value.as_f64().filter(|n| n.fract() == 0.0 && (0.0..=f64::from(most)).contains(n));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just now")]
    exact.map(|n| n as u32).ok_or_else(|| {
        Error::invalid(what, field, format!("`{field}` must be a whole number from 0 to {most}."))
    })
}

/// The name of [`NumberRules::minute_max`] in APIs.
pub const MINUTE_MAX: &str = "outbound_calls_per_minute";
/// That of [`NumberRules::day_max`].
pub const DAY_MAX: &str = "outbound_calls_per_day";

impl NumberRules {
    /// Reads what [`NumberRules::bag`] wrote.
    pub fn read(bag: &Bag) -> Result<Self> {
        let get = |name: &str| bag.get(name).filter(|value| !value.is_null());
        Ok(Self {
            callers: get("caller_rules").map_or(Ok(Vec::new()), callers)?,
            schedule: get("schedule").map(|v| Schedule::read(v, (What::Number, "schedule"))).transpose()?,
            split: get("split").map_or(Ok(Vec::new()), split)?,
            fallback: get("fallback").map_or(Ok(Vec::new()), |v| steps(v, What::Number))?,
            calls_max: get("max_concurrent_calls").map(|v| calls_max(v, What::Number)).transpose()?,
            minute_max: get(MINUTE_MAX).map(|v| begun_max(v, MINUTE_MAX)).transpose()?,
            day_max: get(DAY_MAX).map(|v| begun_max(v, DAY_MAX)).transpose()?,
        })
    }

    /// What is said, by the names of the API; empty where nothing is.
    pub fn bag(&self) -> Bag {
        let Self { callers, schedule, split, fallback, calls_max, minute_max, day_max } = self;
        let mut bag = Bag::new();
        if !callers.is_empty() {
            bag.insert("caller_rules".into(), callers_value(callers));
        }
        if let Some(schedule) = schedule {
            bag.insert("schedule".into(), schedule.value());
        }
        if !split.is_empty() {
            bag.insert("split".into(), split_value(split));
        }
        if !fallback.is_empty() {
            bag.insert("fallback".into(), steps_value(fallback));
        }
        let limits = [("max_concurrent_calls", calls_max), (MINUTE_MAX, minute_max), (DAY_MAX, day_max)];
        for (name, limit) in limits {
            if let Some(most) = limit {
                bag.insert(name.into(), (*most).into());
            }
        }
        bag
    }
}

impl EndpointRules {
    /// Reads what [`EndpointRules::bag`] wrote.
    pub fn read(bag: &Bag) -> Result<Self> {
        let get = |name: &str| bag.get(name).filter(|value| !value.is_null());
        Ok(Self {
            failover: get("failover").map(failover).transpose()?,
            answer_seconds: get("answer_seconds").map(answer_seconds).transpose()?,
            health: get("health").map(health).transpose()?.unwrap_or_default(),
            fallback: get("fallback").map_or(Ok(Vec::new()), |v| steps(v, What::Endpoint))?,
        })
    }

    /// What is said, by the names of the API; empty where nothing is.
    pub fn bag(&self) -> Bag {
        let Self { failover, answer_seconds, health, fallback } = self;
        let mut bag = Bag::new();
        if let Some(on) = failover {
            bag.insert("failover".into(), failover_value(*on));
        }
        if let Some(seconds) = answer_seconds {
            bag.insert("answer_seconds".into(), (*seconds).into());
        }
        if *health != HealthCheck::default() {
            bag.insert("health".into(), health_value(*health));
        }
        if !fallback.is_empty() {
            bag.insert("fallback".into(), steps_value(fallback));
        }
        bag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190b5b0-1111-7222-8333-444455556666";

    #[test]
    fn what_is_written_is_read_back() {
        let bag = json!({
            "caller_rules": [
                {"from": "+12125550100", "action": "refuse", "status": 486},
                {"from": "+1212*", "action": "endpoint", "endpoint_id": ID},
                {"from": "anonymous", "action": "refuse", "status": 603},
                {"from": "all", "action": "allow"},
            ],
            "schedule": {
                "time_zone": "Europe/Berlin",
                "windows": [{"days": ["mon", "fri"], "from": "09:00", "to": "24:00", "endpoint_id": ID}],
                "dates": [{"date": "2026-12-25", "windows": [{"from": "10:00", "to": "11:30", "endpoint_id": null}]}],
            },
            "split": [{"endpoint_id": ID, "percent": 100}],
            "fallback": [
                {"on": ["busy", "closed"], "to": {"endpoint_id": ID}},
                {"on": ["failed"], "to": {"e164": "+14155550100"}},
                {"on": ["no_answer"], "to": {"refuse": 486}},
            ],
            "max_concurrent_calls": 7,
            "outbound_calls_per_minute": 8,
            "outbound_calls_per_day": 9,
        });
        let rules = NumberRules::read(bag.as_object().unwrap()).unwrap();
        assert_eq!(Value::Object(rules.bag()), bag);
        assert_eq!(rules.endpoints().count(), 4);
        assert!(NumberRules::default().bag().is_empty() && NumberRules::default().is_empty());
        let bag = json!({"failover": {"on": ["busy", "failed"]}, "answer_seconds": 20,
            "health": {"enabled": true, "interval_seconds": 5}, "fallback": [{"on": ["all_down"], "to": {"refuse": 503}}]});
        let rules = EndpointRules::read(bag.as_object().unwrap()).unwrap();
        assert_eq!(Value::Object(rules.bag()), bag);
        assert!(EndpointRules::default().bag().is_empty());
    }

    #[test]
    fn half_rules_are_refused_by_their_field() {
        let day = json!({"days": ["mon"], "from": "09:00", "to": "17:00"});
        let week = |windows: Value| json!({"time_zone": "UTC", "windows": windows});
        let rows = [
            ("caller_rules", json!({})),
            ("caller_rules", json!([{"from": "nobody", "action": "allow"}])),
            ("caller_rules", json!([{"from": "all"}])),
            ("caller_rules", json!([{"from": "all", "action": "smoke"}])),
            ("caller_rules", json!([{"from": "all", "action": "endpoint"}])),
            ("caller_rules", json!([{"from": "all", "action": "allow", "status": 403}])),
            ("caller_rules", json!([{"from": "all", "action": "refuse", "status": 200}])),
            ("caller_rules", json!([{"from": "all", "action": "allow", "x": 1}])),
            ("split", json!([])),
            ("split", json!([{"endpoint_id": ID, "percent": 0}])),
            ("split", json!([{"endpoint_id": "x", "percent": 100}])),
            ("fallback", json!([{"on": [], "to": {"refuse": 486}}])),
            ("fallback", json!([{"on": ["smoke"], "to": {"refuse": 486}}])),
            ("fallback", json!([{"on": ["busy"], "to": {}}])),
            ("fallback", json!([{"on": ["busy"], "to": {"refuse": 486, "endpoint_id": ID}}])),
            ("fallback", json!([{"on": ["busy"], "to": {"refuse": 302}}])),
            ("fallback", json!([{"on": ["busy"]}])),
            ("schedule", json!({"time_zone": "Mars/Olympus"})),
            ("schedule", json!({"windows": []})),
            ("schedule", week(json!([{"days": [], "from": "09:00", "to": "17:00"}]))),
            ("schedule", week(json!([{"days": ["mon"], "from": "17:00", "to": "09:00"}]))),
            ("schedule", week(json!([{"days": ["mon"], "from": "9:00", "to": "24:01"}]))),
            ("schedule", json!({"time_zone": "UTC", "dates": [{"date": "2026-02-30"}]})),
            (
                "schedule",
                json!({"time_zone": "UTC", "dates": [{"date": "2026-02-20"}, {"date": "2026-02-20"}]}),
            ),
            ("schedule", week(Value::from(vec![day; 65]))),
            ("max_concurrent_calls", json!(-1)),
            ("max_concurrent_calls", json!(1.5)),
            ("outbound_calls_per_minute", json!("5")),
            ("outbound_calls_per_day", json!(10_000_001)),
        ];
        for (name, value) in rows {
            let bag = [(name.to_owned(), value.clone())].into_iter().collect();
            assert_eq!(NumberRules::read(&bag).unwrap_err().field, Some(name), "{value}");
        }
        for (name, value) in [
            ("failover", json!({"on": ["declined"]})),
            ("failover", json!({"on": ["closed"]})),
            ("failover", json!({})),
            ("answer_seconds", json!(0)),
            ("answer_seconds", json!(111)),
            ("health", json!({})),
            ("health", json!({"enabled": true, "interval_seconds": 1})),
        ] {
            let bag = [(name.to_owned(), value.clone())].into_iter().collect();
            assert_eq!(EndpointRules::read(&bag).unwrap_err().field, Some(name), "{value}");
        }
    }
}
