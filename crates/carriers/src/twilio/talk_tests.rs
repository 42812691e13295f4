//! Whole conversations, as request lines and the replies to them.

use super::super::played::{self, access};
use super::*;

const NUMBER: &str =
    r#"{"incoming_phone_numbers":[{"sid":"PN1","phone_number":"+14155550100","trunk_sid":TRUNK}]}"#;

fn number() -> E164 {
    E164::from_u64(14_155_550_100).unwrap()
}

fn attach(attachment: Option<&str>) -> Task {
    let attachment = attachment.map(str::to_owned);
    Task::Attach(number(), Place { name: "ours".into(), sip_url: "sip:h:5060".into(), attachment })
}

fn play(wanted: Task, lines: &[(&str, u16, &str)]) -> Result<Outcome, Trouble> {
    played::play(Conversation::new(wanted, access()), lines)
}

const FIND: &str = "GET IncomingPhoneNumbers.json?PhoneNumber=%2B14155550100&PageSize=20";
const TRUNKS: &str = "GET Trunks?PageSize=1000";
const URLS: &str = "GET Trunks/TK1/OriginationUrls?PageSize=1000";
const URL: &str = "POST Trunks/TK1/OriginationUrls FriendlyName=Trunkline&SipUrl=sip%3Ah%3A5060&Priority=10&Weight=10&Enabled=true";
const OURS: &str = r#"{"origination_urls":[{"sip_url":"sip:h:5060","enabled":true}]}"#;
const ATTACH: &str = "POST Trunks/TK1/PhoneNumbers PhoneNumberSid=PN1";

fn held_by(trunk: &str) -> String {
    NUMBER.replace("TRUNK", trunk)
}

#[test]
fn the_first_number_makes_a_trunk() {
    let done = play(
        attach(None),
        &[
            (FIND, 200, &held_by("null")),
            (
                TRUNKS,
                200,
                r#"{"trunks":[{"sid":"TK9","friendly_name":"theirs"}],"meta":{"next_page_url":"https://x/v1/Trunks?Page=1&PageToken=PT1"}}"#,
            ),
            ("GET Trunks?Page=1&PageToken=PT1", 200, r#"{"trunks":[],"meta":{}}"#),
            ("POST Trunks FriendlyName=ours", 201, r#"{"sid":"TK1","account_sid":"AC1"}"#),
            (
                URLS,
                200,
                r#"{"origination_urls":[{"sip_url":"sip:other","enabled":true},{"sip_url":"sip:h:5060","enabled":false}]}"#,
            ),
            (URL, 201, "{}"),
            (ATTACH, 201, "{}"),
        ],
    );
    assert_eq!(done, Ok(Outcome::Attached("TK1".into())));
}

#[test]
fn what_broke_off_is_taken_up_where_it_was() {
    let trunks = r#"{"trunks":[{"sid":"TK1","friendly_name":"ours","account_sid":"AC1"}],"meta":{}}"#;
    let made = play(
        attach(None),
        &[(FIND, 200, &held_by("null")), (TRUNKS, 200, trunks), (URLS, 200, OURS), (ATTACH, 201, "{}")],
    );
    assert_eq!(made, Ok(Outcome::Attached("TK1".into())));
    let done = play(attach(Some("TK1")), &[(FIND, 200, &held_by(r#""TK1""#)), (URLS, 200, OURS)]);
    assert_eq!(done, Ok(Outcome::Attached("TK1".into())), "nothing is done twice");
}

#[test]
fn a_trunk_that_was_deleted_there_is_made_again_once() {
    let gone = (URLS, 404, r#"{"code":20404,"message":"gone"}"#);
    let none = (TRUNKS, 200, r#"{"trunks":[],"meta":{}}"#);
    let new = ("POST Trunks FriendlyName=ours", 201, r#"{"sid":"TK1"}"#);
    let find = held_by("null");
    let done = play(
        attach(Some("TK1")),
        &[(FIND, 200, &find), gone, none, new, (URLS, 200, OURS), (ATTACH, 201, "{}")],
    );
    assert_eq!(done, Ok(Outcome::Attached("TK1".into())));
    let twice = play(attach(Some("TK1")), &[(FIND, 200, &find), gone, none, new, gone]);
    assert_eq!(twice, Err(Trouble::Refused("gone (20404)".into())));
}

#[test]
fn what_is_not_in_the_account_is_not_attached() {
    let other = r#"{"incoming_phone_numbers":[{"sid":"PN2","phone_number":"+141555501001"}]}"#;
    assert_eq!(play(attach(None), &[(FIND, 200, other)]), Err(Trouble::NotOwned));
    let denied = r#"{"code":20003,"message":"Authenticate"}"#;
    assert_eq!(play(attach(None), &[(FIND, 401, denied)]), Err(Trouble::Credentials));
    let trunk = r#"{"trunks":[{"sid":"TK1","friendly_name":"ours","account_sid":"AC2"}],"meta":{}}"#;
    let other_account = play(attach(None), &[(FIND, 200, &held_by("null")), (TRUNKS, 200, trunk)]);
    assert!(matches!(other_account, Err(Trouble::Refused(_))));
}

#[test]
fn a_number_is_detached_from_our_trunk_only() {
    let task = || Task::Detach(number(), Some("TK1".into()));
    let delete = "DELETE Trunks/TK1/PhoneNumbers/PN1";
    for status in [204, 404] {
        assert_eq!(
            play(task(), &[(FIND, 200, &held_by(r#""TK1""#)), (delete, status, "")]),
            Ok(Outcome::Fine)
        );
    }
    assert_eq!(play(task(), &[(FIND, 200, &held_by(r#""TK2""#))]), Ok(Outcome::Fine));
    assert_eq!(play(task(), &[(FIND, 200, r#"{"incoming_phone_numbers":[]}"#)]), Ok(Outcome::Fine));
    assert_eq!(play(Task::Detach(number(), None), &[]), Ok(Outcome::Fine));
    assert_eq!(play(Task::Dismantle("TK1".into()), &[("DELETE Trunks/TK1", 204, "")]), Ok(Outcome::Fine));
}

#[test]
fn missing_numbers_are_sought_page_by_page_and_not_for_ever() {
    let (first, second) = (number(), E164::from_u64(14_155_550_101).unwrap());
    let list = "GET IncomingPhoneNumbers.json?PageSize=1000";
    let page = r#"{"incoming_phone_numbers":[{"sid":"PN1","phone_number":"+14155550100"}],"next_page_uri":"/x?Page=1"}"#;
    let end = ("GET IncomingPhoneNumbers.json?Page=1", 200, r#"{"incoming_phone_numbers":[]}"#);
    let missing = |numbers: &[E164], lines: &[_]| play(Task::Missing(numbers.to_vec()), lines);
    assert_eq!(missing(&[first, second], &[(list, 200, page), end]), Ok(Outcome::Missing(vec![second])));
    assert_eq!(missing(&[first], &[(list, 200, page)]), Ok(Outcome::Missing(Vec::new())));
    assert_eq!(missing(&[], &[]), Ok(Outcome::Missing(Vec::new())));
    let again = ("GET IncomingPhoneNumbers.json?Page=1", 200, page);
    let mut lines = vec![(list, 200, page)];
    lines.extend(std::iter::repeat_n(again, 99));
    assert!(matches!(missing(&[second], &lines), Err(Trouble::Refused(_))));
}

#[test]
fn a_key_is_checked_by_what_it_may_read() {
    let check = "GET IncomingPhoneNumbers.json?PageSize=1";
    assert_eq!(play(Task::Check, &[(check, 200, r#"{"incoming_phone_numbers":[]}"#)]), Ok(Outcome::Fine));
    assert_eq!(play(Task::Check, &[(check, 404, r#"{"code":20003}"#)]), Err(Trouble::Credentials));
    assert!(matches!(play(Task::Check, &[(check, 200, "<html>")]), Err(Trouble::Unavailable(..))));
    assert!(matches!(play(Task::Check, &[(check, 500, "")]), Err(Trouble::Unavailable(..))));
}
