//! When a number takes calls: windows of a week and of single dates, on the clock of a time zone. The zones' rules are part of the
//! program, so that every node decides alike whatever its system knows.

use crate::Timestamp;
use crate::error::{Error, Result};
use crate::ids::EndpointId;
use jiff::civil::{Date, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The most windows of a week, and of one date.
pub(super) const WINDOWS_MAX: usize = 64;
/// The most single dates.
pub(super) const DATES_MAX: usize = 366;

/// The names of a week's days, in order.
pub(super) const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "mon"),
    (Weekday::Tuesday, "tue"),
    (Weekday::Wednesday, "wed"),
    (Weekday::Thursday, "thu"),
    (Weekday::Friday, "fri"),
    (Weekday::Saturday, "sat"),
    (Weekday::Sunday, "sun"),
];

/// Part of a day, in minutes of the clock: from the first to before the last. A day that the clock makes shorter or longer has
/// the parts that its clock shows, one that it shows twice both times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Minutes after midnight.
    pub from: u16,
    /// Minutes after midnight; 1440 is the day's end.
    pub to: u16,
    /// Where calls go then; none: where they go anyway.
    pub endpoint_id: Option<EndpointId>,
}

/// Such a part on some days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// On which days.
    pub days: Vec<Weekday>,
    /// When.
    pub hours: Hours,
}

/// One date, such as a holiday: its parts stand in place of the week's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    /// Which.
    pub date: Date,
    /// When it takes calls; empty: not at all.
    pub hours: Vec<Hours>,
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    zone: TimeZone,
    /// The windows of a week.
    pub windows: Vec<Window>,
    /// Single dates.
    pub dates: Vec<Day>,
}

impl Schedule {
    /// A schedule in a time zone by its IANA name; `bad` makes the error of a sentence.
    pub(super) fn new(
        zone: &str,
        windows: Vec<Window>,
        mut dates: Vec<Day>,
        bad: &impl Fn(String) -> Error,
    ) -> Result<Self> {
        let known = TimeZoneDatabase::bundled().get(zone);
        let zone = known.map_err(|_| {
            bad("`time_zone` must be the name of an IANA time zone, such as `America/New_York`".to_owned())
        })?;
        let days_full = dates.iter().any(|day| day.hours.len() > WINDOWS_MAX);
        if windows.len() > WINDOWS_MAX || days_full || dates.len() > DATES_MAX {
            let words = format!("at most {WINDOWS_MAX} windows and {DATES_MAX} dates are kept");
            return Err(bad(words));
        }
        dates.sort_by_key(|day| day.date);
        if dates.windows(2).any(|pair| pair[0].date == pair[1].date) {
            return Err(bad("`dates` names a date twice; give it all its windows at once".to_owned()));
        }
        Ok(Self { zone, windows, dates })
    }

    /// The name of its time zone.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The window that a moment is in; none: it is closed.
    pub fn open_at(&self, at: Timestamp) -> Option<Hours> {
        let local = self.zone.to_datetime(at);
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or(0);
        let within = |hours: &Hours| (hours.from..hours.to).contains(&minute);
        if let Ok(found) = self.dates.binary_search_by_key(&local.date(), |day| day.date) {
            return self.dates[found].hours.iter().copied().find(within);
        }
        let today = local.weekday();
        let windows = self.windows.iter().filter(|window| window.days.contains(&today));
        windows.map(|window| window.hours).find(within)
    }

    /// Every endpoint that is named.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointId> + '_ {
        let dates = self.dates.iter().flat_map(|day| &day.hours);
        self.windows.iter().map(|window| &window.hours).chain(dates).filter_map(|hours| hours.endpoint_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::What;
    use serde_json::json;

    fn schedule(value: &serde_json::Value) -> Schedule {
        Schedule::read(value, (What::Number, "schedule")).unwrap()
    }

    fn open(schedule: &Schedule, at: &str) -> bool {
        schedule.open_at(at.parse().unwrap()).is_some()
    }

    #[test]
    fn office_hours_keep_the_clock_over_both_changes() {
        // New York went to summer time on 8 March 2026 and leaves it on 1 November 2026.
        let office = schedule(&json!({"time_zone": "America/New_York",
            "windows": [{"days": ["fri", "mon"], "from": "09:00", "to": "17:00"}]}));
        let rows = [
            // Friday before: nine is 14:00 UTC; Monday after: 13:00 UTC.
            ("2026-03-06T13:59:59Z", false),
            ("2026-03-06T14:00:00Z", true),
            ("2026-03-09T12:59:59Z", false),
            ("2026-03-09T13:00:00Z", true),
            ("2026-03-09T20:59:59Z", true),
            ("2026-03-09T21:00:00Z", false),
            ("2026-10-30T13:00:00Z", true),
            ("2026-11-02T13:00:00Z", false),
            ("2026-11-02T14:00:00Z", true),
            // A Tuesday.
            ("2026-11-03T15:00:00Z", false),
        ];
        for (at, wanted) in rows {
            assert_eq!(open(&office, at), wanted, "{at}");
        }
    }

    #[test]
    fn an_hour_that_the_clock_skips_is_never_and_one_that_it_shows_twice_is_twice() {
        let night = schedule(&json!({"time_zone": "Europe/Berlin",
            "windows": [{"days": ["sun"], "from": "02:00", "to": "03:00"}]}));
        // 29 March 2026: the clock goes from 01:59:59 (00:59:59 UTC) to 03:00 (01:00 UTC).
        assert!(!open(&night, "2026-03-29T00:59:59Z") && !open(&night, "2026-03-29T01:00:00Z"));
        assert!(!open(&night, "2026-03-29T01:30:00Z"));
        // 25 October 2026: 02:00 to 03:00 is shown from 00:00 UTC and again from 01:00 UTC.
        for (at, wanted) in [
            ("2026-10-24T23:59:59Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T01:30:00Z", true),
            ("2026-10-25T01:59:59Z", true),
            ("2026-10-25T02:00:00Z", false),
        ] {
            assert_eq!(open(&night, at), wanted, "{at}");
        }
    }

    #[test]
    fn a_date_stands_in_place_of_its_weekday() {
        let all = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let office = schedule(&json!({"time_zone": "Asia/Kolkata",
            "windows": [{"days": all, "from": "00:00", "to": "24:00"}],
            "dates": [{"date": "2026-12-25"}, {"date": "2026-12-24", "windows": [{"from": "09:00", "to": "12:00"}]}]}));
        for (at, wanted) in [
            // Half past five ahead of UTC: the 25th begins there at 18:30 UTC of the 24th.
            ("2026-12-24T03:30:00Z", true),
            ("2026-12-24T06:30:00Z", false),
            ("2026-12-24T18:30:00Z", false),
            ("2026-12-25T18:29:59Z", false),
            ("2026-12-25T18:30:00Z", true),
        ] {
            assert_eq!(open(&office, at), wanted, "{at}");
        }
    }
}
