//! The way to a simulated carrier in a process of its own. What cannot be had of it is told as with any carrier: it could not say,
//! and is asked again.

use anyhow::bail;
use dialects::Reply;
use domain::{Error, Kind, Result, What};
use http::{Method, StatusCode};

/// The largest reply that is read: a carrier's whole books are a simulation's.
const REPLY_MAX: usize = 64 << 20;

/// See the module's head.
pub(crate) struct Remote {
    client: reqwest::Client,
    /// Without a slash at its end.
    url: String,
}

impl Remote {
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        if !url.starts_with("http://") {
            bail!("--sim-carrier {url}: begin with http://");
        }
        Ok(Self { client: crate::outgoing::client()?, url: url.trim_end_matches('/').to_owned() })
    }

    pub(super) async fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        match self.exchange(method, path, body).await {
            Ok((status, body)) => (status.as_u16(), body),
            Err(error) => {
                tracing::warn!(%error, "the simulated carrier cannot be reached");
                (503, Vec::new())
            }
        }
    }

    pub(super) async fn control(&self, method: &str, path: &str, body: &[u8]) -> Result<Reply> {
        let away = |error: reqwest::Error| {
            Error::new(Kind::Unavailable, What::Request, "The simulated carrier cannot be reached.")
                .because(error.to_string())
        };
        let (status, body) = self.exchange(method, path, body).await.map_err(away)?;
        let content_type = if status.is_success() { "application/json" } else { "application/problem+json" };
        Ok(Reply { body, content_type, ..Reply::empty(status) })
    }

    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> std::result::Result<(StatusCode, Vec<u8>), reqwest::Error> {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        // Digits and a plus sign in a path, and behind `after=`, where a plus sign means itself: the other side reads it so.
        let request = self.client.request(method, format!("{}{path}", self.url)).body(body.to_vec());
        let mut reply = request.send().await?;
        let (status, mut whole) = (reply.status(), Vec::new());
        while let Some(chunk) = reply.chunk().await? {
            if whole.len() + chunk.len() > REPLY_MAX {
                return Ok((StatusCode::BAD_GATEWAY, Vec::new()));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok((status, whole))
    }
}
