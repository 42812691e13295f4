//! The rows: how each thing of the domain is written and read, in statements that every engine understands ([`crate::db`]).

pub(crate) mod agent;
pub(crate) mod answer;
pub(crate) mod apply;
pub(crate) mod call;
pub(crate) mod change_log;
pub(crate) mod delivery;
pub(crate) mod doctor;
pub(crate) mod endpoint;
pub(crate) mod event;
pub(crate) mod index;
pub(crate) mod intent;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod list;
pub(crate) mod number;
pub(crate) mod organization;
pub(crate) mod provider;
pub(crate) mod rate;
pub(crate) mod search;
mod sql;
pub(crate) mod stock;
pub(crate) mod trace;
pub(crate) mod turn;
pub(crate) mod uses;
pub(crate) mod webhook;
