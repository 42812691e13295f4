//! Pages of lists. Lists are ordered by id, newest first; ids are time-ordered (UUID version 7), so a page starts at a key and a list
//! stays stable while rows come and go. The order is the same in both directions.

/// Where a page starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start<K> {
    /// At the newest.
    #[default]
    First,
    /// Behind this key (older rows).
    After(K),
    /// The rows just before this key (newer rows), still newest first.
    Before(K),
    /// After this many rows: only for dialects whose contract has offsets.
    Offset(u32),
}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K> {
    /// At most this many rows. Dialects check their own limits.
    pub limit: u32,
    /// Where to start.
    pub start: Start<K>,
}

impl<K> Page<K> {
    /// The first `limit` rows.
    pub fn first(limit: u32) -> Self {
        Self { limit, start: Start::First }
    }
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// Whether there are more in the direction of paging.
    pub more: bool,
}

impl<T> Paged<T> {
    /// The same page with each row converted.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(f).collect(), more: self.more }
    }
}
