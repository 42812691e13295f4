//! One attempt: the body in the form of the webhook's API, signed, sent, and what came back of it.

use domain::Webhook;
use domain::webhook::{Answer, ERROR_MAX, Happening};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Response;
use sha2::Sha256;
use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use crate::app::App;

/// How long a receiver may take, from the connection to the end of its answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Sends an event. Whatever goes wrong is an answer too: it is told to the tenant, without the address or the secret.
pub(super) async fn send(app: &App, webhook: &Webhook, happening: &Happening) -> Answer {
    let failure = |words: &str| Answer::Failure(words.to_owned());
    let url = match app.outgoing.check(&webhook.url) {
        Ok(url) => url,
        Err(words) => return Answer::Failure(words),
    };
    let dialect = dialects::by_name(&webhook.dialect.0);
    let Some((dialect, body)) = dialect.and_then(|dialect| Some((dialect, dialect.hook_body(happening)?)))
    else {
        return failure("Its API sends no events.");
    };
    let Some(secret) = app.vault.open(&webhook.secret, webhook.id.0.as_bytes()) else {
        return failure("Its secret cannot be read; make a new webhook.");
    };
    let mut request = app.outgoing.post(url).timeout(DEADLINE).header("content-type", "application/json");
    for (name, value) in dialect.hook_headers(&mac(&secret, &body)) {
        request = request.header(name, value);
    }
    match request.body(body).send().await {
        Ok(response) => read(response).await,
        Err(error) => Answer::Failure(words(&error)),
    }
}

/// HMAC-SHA256 (RFC 2104) in hexadecimal digits.
fn mac(secret: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key length");
    mac.update(body);
    mac.finalize().into_bytes().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

/// The status, and of an answer that is no success its beginning. No more than that is read.
async fn read(mut response: Response) -> Answer {
    let status = response.status().as_u16();
    let mut text = Vec::new();
    while text.len() < ERROR_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk[..chunk.len().min(ERROR_MAX)]),
            // The status is what counts; that the rest did not come changes nothing.
            Ok(None) | Err(_) => break,
        }
    }
    let answer = Answer::Status(status, None);
    if answer.is_success() {
        return answer;
    }
    let shown: String =
        String::from_utf8_lossy(&text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Answer::Status(status, Some(shown.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("No answer within {} s.", DEADLINE.as_secs());
    }
    // The error's own words name the address; those of its causes do not.
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    let what = if error.is_connect() { "No connection" } else { "No answer" };
    format!("{what}: {}", causes.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_signed_as_rfc_4231_has_it() {
        // Test case 2.
        let mac = mac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
