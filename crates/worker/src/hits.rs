//! By what name the counter knows a bypass rule.

/// Its room, in any case, and its id, as JSON: that is one line, whatever a policy calls them.
pub(super) fn name(room: &str, id: &str) -> String {
    // Texts are JSON.
    serde_json::to_string(&[&*room.to_lowercase(), id]).unwrap_or_default()
}
