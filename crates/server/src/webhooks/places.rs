//! Who is sent to next, and how many at once.
//!
//! What is sent to takes a place until it has answered, or not within its deadline. So places go round: those whose organization
//! has the fewest come first, then whoever was served longest ago. Webhooks that failed or were slow last time get a part of the places
//! alone: however many of them hang, the others find room.

use domain::ids::{OrganizationId, WebhookId};
use std::collections::{HashMap, HashSet};

/// Deliveries under way at once.
const ALL_MAX: usize = 256;
/// Those of one organization.
const OF_ONE_MAX: usize = 4;
/// Those to webhooks that failed or were slow last time.
const TROUBLED_MAX: usize = 64;
/// Those of one organization among them.
const TROUBLED_OF_ONE_MAX: usize = 2;
/// Of how many webhooks it is remembered when they were served. Beyond that all are forgotten: then nobody is preferred.
const SERVED_MAX: usize = 100_000;

/// A webhook, with its organization.
pub(super) type Place = (OrganizationId, WebhookId);

/// See the module's head.
#[derive(Default)]
pub(super) struct Places {
    /// What is under way, and whether it is among the troubled.
    busy: HashMap<Place, bool>,
    /// The same of each organization: all, and the troubled among them.
    of: HashMap<OrganizationId, (usize, usize)>,
    troubled: usize,
    /// When each was served last, counted in services.
    served: HashMap<Place, u64>,
    served_of: HashMap<OrganizationId, u64>,
    services: u64,
    slow: HashSet<Place>,
}

impl Places {
    /// Whether there is no room for anybody.
    pub(super) fn are_taken(&self) -> bool {
        self.busy.len() >= ALL_MAX
    }

    /// Takes places for those that are due, as far as there is room; with each, whether its last attempt failed.
    pub(super) fn take(&mut self, due: Vec<(OrganizationId, WebhookId, bool)>) -> Vec<Place> {
        let mut waiting: Vec<(Place, bool)> = due
            .into_iter()
            .map(|(organization, webhook, failed)| ((organization, webhook), failed))
            .filter(|(place, _)| !self.busy.contains_key(place))
            .map(|(place, failed)| (place, failed || self.slow.contains(&place)))
            .collect();
        waiting.sort_by_key(|(place, troubled)| (*troubled, self.served.get(place).copied()));
        // Each organization's in its own order, one of each in turn.
        let mut ranks: HashMap<OrganizationId, usize> = HashMap::new();
        let mut ranked = Vec::with_capacity(waiting.len());
        for (place, troubled) in waiting {
            let under_way = self.of.get(&place.0).map_or(0, |(all, _)| *all);
            let rank = ranks.entry(place.0).or_insert(under_way);
            ranked.push(((troubled, *rank, self.served_of.get(&place.0).copied()), place));
            *rank += 1;
        }
        ranked.sort_by_key(|(order, _)| *order);
        ranked
            .into_iter()
            .filter(|((troubled, ..), place)| self.begin(*place, *troubled))
            .map(|(_, place)| place)
            .collect()
    }

    fn begin(&mut self, place: Place, troubled: bool) -> bool {
        let (all, bad) = self.of.get(&place.0).copied().unwrap_or_default();
        let full = self.busy.len() >= ALL_MAX || all >= OF_ONE_MAX;
        if full || troubled && (self.troubled >= TROUBLED_MAX || bad >= TROUBLED_OF_ONE_MAX) {
            return false;
        }
        if self.served.len() >= SERVED_MAX {
            self.served.clear();
            self.served_of.clear();
            self.slow.clear();
        }
        self.services += 1;
        self.served.insert(place, self.services);
        self.served_of.insert(place.0, self.services);
        self.busy.insert(place, troubled);
        self.of.insert(place.0, (all + 1, bad + usize::from(troubled)));
        self.troubled += usize::from(troubled);
        true
    }

    /// Gives a place back, and says whether its receiver was slow.
    pub(super) fn free(&mut self, place: Place, slow: bool) {
        if slow {
            self.slow.insert(place);
        } else {
            self.slow.remove(&place);
        }
        let Some(troubled) = self.busy.remove(&place) else { return };
        self.troubled -= usize::from(troubled);
        if let Some((all, bad)) = self.of.get_mut(&place.0) {
            (*all, *bad) = (*all - 1, *bad - usize::from(troubled));
            if *all == 0 {
                self.of.remove(&place.0);
            }
        }
    }

    /// Gives all places back.
    pub(super) fn free_all(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn place(organization: u128, webhook: u128) -> Place {
        (OrganizationId(Uuid::from_u128(organization)), WebhookId(Uuid::from_u128(webhook)))
    }

    fn due(places: impl IntoIterator<Item = Place>, failed: bool) -> Vec<(OrganizationId, WebhookId, bool)> {
        places.into_iter().map(|(organization, webhook)| (organization, webhook, failed)).collect()
    }

    #[test]
    fn an_organization_has_four_places_and_two_for_those_that_failed() {
        let mut places = Places::default();
        let mut all = due((0..9).map(|n| place(1, n)), true);
        all.extend(due((10..19).map(|n| place(1, n)), false));
        let taken = places.take(all.clone());
        assert_eq!(taken, (10..14).map(|n| place(1, n)).collect::<Vec<_>>(), "those that work come first");
        assert_eq!(places.take(all.clone()), []);
        for place in taken {
            places.free(place, false);
        }
        assert_eq!(places.take(due((0..9).map(|n| place(1, n)), true)).len(), 2);
        assert_eq!(places.take(all).len(), 2, "room is left for the others");
    }

    #[test]
    fn however_many_hang_there_is_room_for_the_others() {
        let mut places = Places::default();
        let hanging = |failed| due((0..1_000).flat_map(|o| (0..4).map(move |w| place(o, w))), failed);
        assert_eq!(places.take(hanging(true)).len(), TROUBLED_MAX);
        assert_eq!(places.take(due([place(5_000, 1)], false)), [place(5_000, 1)]);
        places.free(place(5_000, 1), true);
        assert_eq!(places.take(due([place(5_000, 1)], false)), [], "it was slow");
        assert!(!places.are_taken());
        places.free_all();
        assert_eq!(places.take(due([place(5_000, 1)], false)).len(), 1);
    }

    #[test]
    fn places_go_to_who_was_served_longest_ago() {
        let mut places = Places::default();
        let many = || due((0..300).flat_map(|o| (0..2).map(move |w| place(o, w))), false);
        let first = places.take(many());
        assert_eq!(first.len(), ALL_MAX);
        let organizations: HashSet<_> = first.iter().map(|place| place.0).collect();
        assert_eq!(organizations.len(), ALL_MAX, "one for each before a second for anybody");
        for place in &first[..10] {
            places.free(*place, false);
        }
        let next = places.take(many());
        assert_eq!(next.len(), 10);
        assert!(next.iter().all(|place| !organizations.contains(&place.0)), "those that had none");
        // Of one's own webhooks too.
        let mut places = Places::default();
        let own = || due((0..5).map(|w| place(1, w)), false);
        for place in places.take(own()) {
            places.free(place, false);
        }
        assert!(places.take(own()).contains(&place(1, 4)));
    }
}
