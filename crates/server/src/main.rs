//! The binary `trunkline`: sockets, HTTP, the live table, the command line. What a command does is in `cli`.

mod app;
mod carriage;
mod cli;
mod clock;
mod edge;
mod files;
mod hep;
mod http;
mod identity;
mod journal;
mod key_uses;
mod lease;
mod live;
mod meter;
mod outgoing;
mod rental;
mod service;
mod settings;
mod sim;
mod store_url;
mod trace;
mod vault;
mod webhooks;

use std::process::ExitCode;

/// The system's allocator spends a seventh of the call path's time, much of it in system calls that grow a thread's arena.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    outgoing::choose_cryptography();
    cli::main()
}
