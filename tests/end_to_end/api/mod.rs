//! The API, the dashboard, the store behind both and the way between policies and stores, without a network: every request goes through
//! `Manager::answer` in a transaction of its own, in a real SQLite file.

mod access;
mod dashboard;
mod lists;
mod policies;
mod rooms;
mod rules;
mod slips;
mod support;
