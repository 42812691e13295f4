//! Which operation a path names. Literal segments win over parameters; parameters are percent-decoded after the match, so a
//! `%2F` or `%2B` within one stays within it.

use dialects::{Dialect, Endpoint};
use domain::{Error, Kind, Result, What};
use http::Method;
use percent_encoding::percent_decode_str;

use super::service::Meter;

/// The endpoints that share a path, each with its meter.
struct Mounted {
    dialect: &'static dyn Dialect,
    endpoints: Vec<(&'static Endpoint, Meter)>,
}

/// The mounted tables.
pub(super) struct Routes {
    paths: matchit::Router<Mounted>,
}

/// What a path names.
pub(super) enum Found<'a> {
    /// An operation, with its path parameters.
    Endpoint(&'static dyn Dialect, (&'static Endpoint, &'a Meter), Vec<(&'static str, String)>),
    /// A path with other methods: these.
    Method(&'static dyn Dialect, String),
    /// Nothing; the dialect that refuses it.
    Nothing(&'static dyn Dialect),
}

impl Routes {
    /// Mounts every dialect's table.
    pub(super) fn mount() -> Self {
        let mut by_path: Vec<(&'static str, Mounted)> = Vec::new();
        for dialect in dialects::all() {
            for endpoint in dialect.endpoints() {
                let mounted = (endpoint, Meter::new(dialect.name(), endpoint.verb));
                match by_path.iter_mut().find(|(path, _)| *path == endpoint.path) {
                    Some((_, path)) => path.endpoints.push(mounted),
                    None => by_path.push((endpoint.path, Mounted { dialect, endpoints: vec![mounted] })),
                }
            }
        }
        let mut paths = matchit::Router::new();
        for (path, mounted) in by_path {
            paths
                .insert(path, mounted)
                .expect("the dialects' tables do not contradict each other (a test mounts them)");
        }
        Self { paths }
    }

    /// What a path names.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Ok(matched) = self.paths.at(path) else {
            return Found::Nothing(owner(path));
        };
        let Mounted { dialect, endpoints } = matched.value;
        let Some((endpoint, meter)) = endpoints.iter().find(|(e, _)| e.method == *method) else {
            let methods: Vec<_> = endpoints.iter().map(|(e, _)| e.method.as_str()).collect();
            return Found::Method(*dialect, methods.join(", "));
        };
        let mut parameters = Vec::new();
        for segment in endpoint.path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}')) {
            // The name must be the table's own, which lives as long as the program.
            let Some(raw) = matched.params.get(segment) else { continue };
            match percent_decode_str(raw).decode_utf8() {
                Ok(text) => parameters.push((segment, text.into_owned())),
                Err(_) => return Found::Nothing(*dialect),
            }
        }
        Found::Endpoint(*dialect, (endpoint, meter), parameters)
    }
}

/// The dialect that refuses an unknown path: the one that claims most of it; the native one where none does.
fn owner(path: &str) -> &'static dyn Dialect {
    let claim = dialects::all().into_iter().filter_map(|d| d.claims(path).map(|n| (n, d)));
    claim.max_by_key(|(n, _)| *n).map_or(&dialects::native::Native, |(_, d)| d)
}

/// Reads a query string; `+` is a space in it.
pub(super) fn query(text: &str, max: usize) -> Result<Vec<(String, String)>> {
    let malformed = |words: &str| Error::new(Kind::Malformed, What::Request, words);
    if text.len() > max {
        return Err(malformed("The query string is too long."));
    }
    let decode = |part: &str| {
        let part = part.replace('+', " ");
        percent_decode_str(&part).decode_utf8().map(std::borrow::Cow::into_owned)
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let read = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (decode(name), decode(value)) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            _ => Err(malformed("The query string is not UTF-8.")),
        }
    };
    pairs.map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_mount_and_each_row_finds_itself() {
        let routes = Routes::mount();
        for dialect in dialects::all() {
            for endpoint in dialect.endpoints() {
                let path: Vec<_> =
                    endpoint.path.split('/').map(|s| if s.starts_with('{') { "zz" } else { s }).collect();
                match routes.find(&endpoint.method, &path.join("/")) {
                    Found::Endpoint(d, (e, _), _) => {
                        assert_eq!((d.name(), e.verb), (dialect.name(), endpoint.verb));
                    }
                    Found::Method(..) | Found::Nothing(_) => {
                        panic!("{} {} is not mounted", endpoint.method, endpoint.path)
                    }
                }
            }
        }
    }

    #[test]
    fn parameters_are_decoded_once_and_pluses_kept() {
        let routes = Routes::mount();
        for (raw, clear) in
            [("+14155550100", "+14155550100"), ("%2B14155550100", "+14155550100"), ("%252B1", "%2B1")]
        {
            match routes.find(&Method::GET, &format!("/api/v1/numbers/{raw}")) {
                Found::Endpoint(_, _, path) => assert_eq!(path[0].1, clear),
                Found::Method(..) | Found::Nothing(_) => panic!("not found"),
            }
        }
        assert!(matches!(routes.find(&Method::GET, "/api/v1/numbers/%FF"), Found::Nothing(_)));
    }

    #[test]
    fn unknown_paths_have_owners() {
        let name = |path| owner(path).name();
        let rows = [
            ("/v1/agents/x", "polyai"),
            ("/v1/accounts/x", "polyai"),
            ("/agents/x/y", "cartesia"),
            ("/v1/other", "krosai"),
            ("/public-api/x", "neo"),
            ("/api/v1/x", "native"),
            ("/", "native"),
        ];
        for (path, dialect) in rows {
            assert_eq!(name(path), dialect, "{path}");
        }
    }

    #[test]
    fn queries_are_read() {
        assert_eq!(
            query("a=1%2B&b=x+y&c", 99).unwrap(),
            [("a", "1+"), ("b", "x y"), ("c", "")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        assert!(query("a=%FF", 99).is_err());
        assert!(query("aaaa", 3).is_err());
    }
}
