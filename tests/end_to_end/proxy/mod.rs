//! The reverse proxy end to end, over real sockets.

mod answers;
#[cfg(feature = "front-tests")]
mod behind;
mod delivery;
mod endurance;
mod fronts;
mod hardness;
mod passing;
pub mod support;
mod waiting;
