//! The reverse proxy end to end, over real sockets.

mod answers;
#[cfg(feature = "front-tests")]
mod behind;
mod delivery;
mod endurance;
mod fronts;
mod hardness;
mod passing;
mod support;
#[path = "../tls/mod.rs"]
mod tls;
mod waiting;
#[path = "../wire/mod.rs"]
mod wire;
