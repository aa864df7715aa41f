//! Waiting rooms in the process that sends visitors to them.

use std::collections::BTreeMap;

use super::now_ms;
use velvetrope::internal::policy::Policy;
use velvetrope::internal::room::{Answer, Occupancy, Pace, Room, RoomConfig, Visit};

/// The waiting rooms of a policy. They come and go with it, and let visitors in as it says.
pub struct OwnRooms {
    room: Room,
    pace: Pace,
}

impl OwnRooms {
    /// None before the first policy comes into force. What it does not say of a room is as in `pace`.
    pub fn new(config: RoomConfig, pace: Pace) -> OwnRooms {
        OwnRooms { room: Room::new(config, BTreeMap::new()), pace }
    }

    /// Answers one request.
    pub fn answer(&self, visit: &Visit<'_>) -> Answer {
        self.room.answer(visit)
    }

    /// A policy is about to come into force.
    pub(crate) fn follow(&self, policy: &Policy) {
        let published = policy.integrations().all.iter().filter_map(|integration| integration.event_id.clone());
        let mut rooms: BTreeMap<String, Pace> = published.map(|id| (id, self.pace)).collect();
        rooms.extend(policy.rooms().iter().map(|room| {
            let pace = Pace {
                per_minute: room.new_users_per_minute.unwrap_or(self.pace.per_minute),
                max_active: room.total_active_users.map_or(self.pace.max_active, |users| users as usize),
                session_seconds: room.session_duration * 60,
                ..self.pace
            };
            (room.event_id().to_owned(), pace)
        }));
        self.room.open(rooms);
    }

    /// How full the room with this id is, if there is one.
    pub(crate) fn occupancy(&self, event_id: &str) -> Option<Occupancy> {
        self.room.occupancy(event_id, now_ms())
    }
}
