//! The binary `trunkline`: sockets, HTTP, the live table, the command line. What a command does is in `cli`.

mod app;
mod cli;
mod clock;
mod edge;
mod http;
mod journal;
mod live;
mod meter;
mod service;
mod settings;
mod vault;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
