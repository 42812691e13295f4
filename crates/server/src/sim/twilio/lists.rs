//! Credential lists of the simulated Twilio: who may let calls out by a trunk.

use http::Method;
use serde_json::{Value, json};

use super::api::{Answer, Form, MADE, MADE_RFC2822, Session, gone, lacks, trunk};
use super::{Account, Credential, List};

/// The operation of a request's path.
pub(super) fn operation(method: &str, path: &[&str]) -> Option<&'static str> {
    let (get, post, delete) = (Method::GET.as_str(), Method::POST.as_str(), Method::DELETE.as_str());
    match path {
        ["2010-04-01", "Accounts", _, "SIP", "CredentialLists.json"] if method == get => {
            Some("credential_lists.list")
        }
        ["2010-04-01", "Accounts", _, "SIP", "CredentialLists.json"] if method == post => {
            Some("credential_lists.create")
        }
        ["2010-04-01", "Accounts", _, "SIP", "CredentialLists", _] if method == delete => {
            Some("credential_lists.delete")
        }
        ["2010-04-01", "Accounts", _, "SIP", "CredentialLists", _, "Credentials.json"] if method == get => {
            Some("credentials.list")
        }
        ["2010-04-01", "Accounts", _, "SIP", "CredentialLists", _, "Credentials.json"] if method == post => {
            Some("credentials.create")
        }
        ["2010-04-01", "Accounts", _, "SIP", "CredentialLists", _, "Credentials", _] if method == post => {
            Some("credentials.update")
        }
        ["v1", "Trunks", _, "CredentialLists"] if method == get => Some("trunk_credential_lists.list"),
        ["v1", "Trunks", _, "CredentialLists"] if method == post => Some("trunk_credential_lists.create"),
        _ => None,
    }
}

/// Carries an operation out.
pub(super) fn answer(
    account: &mut Account,
    session: &Session,
    operation: &str,
    (path, form, new): (&[&str], &Form, String),
) -> Answer {
    let field = |name: &str| form.get(name).cloned().ok_or_else(|| lacks(name));
    let named = |at: usize| path[at].trim_end_matches(".json");
    match operation {
        "credential_lists.list" => {
            let rows: Vec<Value> =
                account.lists.iter().map(|(sid, list)| list_out(session, sid, list)).collect();
            Ok((200, page("credential_lists", &rows)))
        }
        "credential_lists.create" => {
            let list = List { name: field("FriendlyName")?, credentials: Vec::new() };
            let out = list_out(session, &new, &list);
            account.lists.insert(new, list);
            Ok((201, out))
        }
        "credential_lists.delete" => {
            let sid = named(5);
            account.lists.remove(sid).ok_or_else(gone)?;
            for trunk in account.trunks.values_mut() {
                trunk.lists.retain(|list| list != sid);
            }
            Ok((204, Value::Null))
        }
        "credentials.list" => {
            let list = account.lists.get(path[5]).ok_or_else(gone)?;
            let rows = list.credentials.iter().map(|one| credential_out(session, path[5], one));
            Ok((200, page("credentials", &rows.collect::<Vec<_>>())))
        }
        "credentials.create" => {
            let one = Credential { sid: new, username: field("Username")?, password: password(form)? };
            let list = account.lists.get_mut(path[5]).ok_or_else(gone)?;
            if list.credentials.iter().any(|known| known.username == one.username) {
                return Err((400, 21_239, "Username already exists".to_owned()));
            }
            let out = credential_out(session, path[5], &one);
            list.credentials.push(one);
            Ok((201, out))
        }
        "credentials.update" => {
            let list = account.lists.get_mut(path[5]).ok_or_else(gone)?;
            let one = list.credentials.iter_mut().find(|one| one.sid == named(7)).ok_or_else(gone)?;
            one.password = password(form)?;
            Ok((200, credential_out(session, path[5], one)))
        }
        "trunk_credential_lists.list" => {
            let sids = trunk(account, session, path[2])?.lists.clone();
            let rows = sids.iter().map(|sid| trunk_list_out(account, session, path[2], sid));
            let rows: Vec<Value> = rows.collect();
            let meta = json!({"key": "credential_lists", "next_page_url": null, "page": 0});
            Ok((200, json!({"credential_lists": rows, "meta": meta})))
        }
        "trunk_credential_lists.create" => {
            let sid = field("CredentialListSid")?;
            account.lists.get(&sid).ok_or_else(gone)?;
            let trunk = trunk(account, session, path[2])?;
            if trunk.lists.contains(&sid) {
                return Err((409, 21_240, "The list is on the trunk already".to_owned()));
            }
            trunk.lists.push(sid.clone());
            Ok((201, trunk_list_out(account, session, path[2], &sid)))
        }
        _ => Err(gone()),
    }
}

/// A password as Twilio takes it: twelve characters, both cases, a digit.
fn password(form: &Form) -> Result<String, (u16, u64, String)> {
    let password = form.get("Password").cloned().ok_or_else(|| lacks("Password"))?;
    let has = |kind: fn(&u8) -> bool| password.bytes().any(|b| kind(&b));
    let strong = password.len() >= 12
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase);
    if strong { Ok(password) } else { Err((400, 21_232, "Invalid password".to_owned())) }
}

fn page(key: &str, rows: &[Value]) -> Value {
    json!({key: rows, "next_page_uri": null, "uri": "/2010-04-01", "page": 0, "page_size": rows.len()})
}

fn list_out(session: &Session, sid: &str, list: &List) -> Value {
    json!({
        "sid": sid, "account_sid": session.account, "friendly_name": list.name, "subresource_uris": {},
        "date_created": MADE_RFC2822, "date_updated": MADE_RFC2822,
        "uri": format!("/2010-04-01/Accounts/{}/SIP/CredentialLists/{sid}.json", session.account),
    })
}

fn credential_out(session: &Session, list: &str, one: &Credential) -> Value {
    let Credential { sid, username, password: _ } = one;
    json!({
        "sid": sid, "account_sid": session.account, "credential_list_sid": list, "username": username,
        "date_created": MADE_RFC2822, "date_updated": MADE_RFC2822,
        "uri": format!("/2010-04-01/Accounts/{}/SIP/CredentialLists/{list}/Credentials/{sid}.json", session.account),
    })
}

fn trunk_list_out(account: &Account, session: &Session, trunk: &str, sid: &str) -> Value {
    json!({
        "sid": sid, "account_sid": session.account, "trunk_sid": trunk,
        "friendly_name": account.lists.get(sid).map(|list| list.name.as_str()),
        "date_created": MADE, "date_updated": MADE,
        "url": format!("https://trunking.twilio.com/v1/Trunks/{trunk}/CredentialLists/{sid}"),
    })
}
