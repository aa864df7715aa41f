//! The reverse proxy end to end, over real sockets.

mod answers;
mod delivery;
mod endurance;
mod hardness;
mod passing;
mod support;
mod waiting;
#[path = "../wire/mod.rs"]
mod wire;
