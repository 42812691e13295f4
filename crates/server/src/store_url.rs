//! How a store is named: `sqlite:PATH`, or `postgres://…`. The latter may hold a password, so that only the scheme is ever shown.

use std::fmt;
use std::path::Path;

/// See the module's head.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StoreUrl(String);

impl StoreUrl {
    pub(crate) fn new(url: String) -> Self {
        Self(url)
    }

    /// All of it, for who opens it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The file, where the store is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        let path = self.0.strip_prefix("sqlite:")?;
        Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
    }

    /// Whether nodes on other machines can use it too.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.0.split_once(':'), Some(("postgres" | "postgresql", _)))
    }
}

/// As errors name it.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once(':') {
            Some(("sqlite", _)) | None => f.write_str(&self.0),
            Some((scheme, _)) => write!(f, "{scheme}:…"),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_url_holds_no_password() {
        let url = StoreUrl::new("postgres://me:pa/ss@host/db?sslmode=require".to_owned());
        assert_eq!((url.to_string().as_str(), url.is_shared(), url.file()), ("postgres:…", true, None));
        assert!(!format!("{url:?}").contains("pa/ss"));
        assert!(StoreUrl::new("postgresql://h/d".to_owned()).is_shared());
        let file = StoreUrl::new("sqlite:///var/a.db".to_owned());
        assert_eq!((file.file(), file.is_shared()), (Some(Path::new("/var/a.db")), false));
        assert_eq!(file.to_string(), "sqlite:///var/a.db");
        assert_eq!(StoreUrl::new("sqlite:./a.db".to_owned()).file(), Some(Path::new("./a.db")));
    }
}
