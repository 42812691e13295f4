//! Whole conversations in tests, as request lines and the replies to them.

use crate::Reply;
use crate::account::{Access, Outcome, Talk, Trouble, Turn};

pub(super) fn access() -> Access {
    Access {
        base_url: Some("b:".into()),
        account: "AC1".into(),
        key_id: "SK1".into(),
        key_secret: "s".into(),
        region: "us1".into(),
    }
}

/// Plays a conversation: each line is what must be sent, with the reply to it.
pub(super) fn play(mut talk: impl Talk, lines: &[(&str, u16, &str)]) -> Result<Outcome, Trouble> {
    let mut turn = talk.turn(None)?;
    for (line, status, body) in lines {
        let Turn::Send(request) = turn else { panic!("nothing is sent before {line}") };
        let form = String::from_utf8(request.body).unwrap();
        let path = request.url.trim_start_matches("b:/2010-04-01/Accounts/AC1/").trim_start_matches("b:/v1/");
        assert_eq!(format!("{} {path} {form}", request.method).trim_end(), *line);
        assert_eq!(request.headers[0], ("authorization", "Basic U0sxOnM=".to_owned()));
        turn = talk.turn(Some(Reply { status: *status, body: body.as_bytes(), retry_after: None }))?;
    }
    match turn {
        Turn::Done(outcome) => Ok(outcome),
        Turn::Send(request) => panic!("{} {} is left", request.method, request.url),
    }
}
