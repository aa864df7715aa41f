//! One room's line: who waits, in which order, and who is inside. Pure: time is an argument.

use std::collections::{HashMap, VecDeque};

/// How fast a room lets visitors in, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Visitors let in per minute; 0 lets nobody in.
    pub per_minute: u32,
    /// Visitors with a session at the same time; the next is let in when one ends.
    pub max_active: usize,
    /// How long a session counts as active, in seconds. The session itself is the connector's.
    pub session_seconds: u32,
    /// How long a place is kept for a visitor who does not come back, in seconds.
    pub hold_seconds: u32,
    /// The least time everybody waits, in seconds, so that the page can be seen; for demonstrations.
    pub least_wait_seconds: u32,
    /// How many may wait; who comes then is told to come back later.
    pub max_waiting: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            per_minute: 200,
            max_active: 200,
            session_seconds: 20 * 60,
            hold_seconds: 5 * 60,
            least_wait_seconds: 0,
            max_waiting: 1_000_000,
        }
    }
}

/// A place's secret name, which the visitor's cookie holds.
pub(super) type PlaceId = [u8; 16];

/// What a visitor with a place is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not yet.
    Waiting {
        /// 1 is the next.
        position: usize,
        /// `None` where nobody can tell.
        wait_seconds: Option<u64>,
    },
    /// Come in; the text is the queue id, under which the session is known from now on.
    Admitted(String),
}

struct Place {
    queue_id: String,
    arrived_ms: i64,
    seen_ms: i64,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    /// With a number; those of all who wait are consecutive.
    Waiting(u64),
    Inside {
        since_ms: i64,
        /// Whether the visitor has been told.
        claimed: bool,
    },
}

/// First in, first out.
pub(super) struct Line {
    pace: Pace,
    places: HashMap<PlaceId, Place>,
    /// In order; the number of the first is `first_number`.
    waiting: VecDeque<PlaceId>,
    first_number: u64,
    /// When each session began, oldest first; sessions that were cancelled are still in here until they are due.
    inside: VecDeque<(PlaceId, i64)>,
    active: usize,
    next_admission_ms: i64,
    swept_ms: i64,
}

/// Abandoned places are looked for at most this often: it takes a look at everybody.
const SWEEP_MS: i64 = 1_000;

impl Line {
    pub(super) fn new(pace: Pace) -> Line {
        Line {
            pace,
            places: HashMap::new(),
            waiting: VecDeque::new(),
            first_number: 0,
            inside: VecDeque::new(),
            active: 0,
            next_admission_ms: 0,
            swept_ms: i64::MIN,
        }
    }

    /// The same line at another pace from now on.
    pub(super) fn at(self, pace: Pace) -> Line {
        Line { pace, ..self }
    }

    /// Lets in whoever is due, and forgets who went away.
    pub(super) fn advance(&mut self, now_ms: i64) {
        self.end_sessions(now_ms);
        if now_ms.saturating_sub(self.swept_ms) >= SWEEP_MS {
            self.swept_ms = now_ms;
            self.forget_abandoned(now_ms);
        }
        self.admit(now_ms);
    }

    /// What the visitor with this place is told, if there is such a place.
    pub(super) fn visit(&mut self, id: &PlaceId, now_ms: i64) -> Option<Standing> {
        let place = self.places.get_mut(id)?;
        place.seen_ms = now_ms;
        match &mut place.state {
            State::Waiting(number) => {
                let index = usize::try_from(number.saturating_sub(self.first_number)).unwrap_or(usize::MAX);
                let arrived_ms = place.arrived_ms;
                let wait_seconds = self.estimate(index, arrived_ms, now_ms);
                Some(Standing::Waiting { position: index.saturating_add(1), wait_seconds })
            }
            State::Inside { claimed, .. } => {
                *claimed = true;
                Some(Standing::Admitted(place.queue_id.clone()))
            }
        }
    }

    /// Gives a new visitor the last place; false where the line is full.
    pub(super) fn arrive(&mut self, id: PlaceId, queue_id: String, now_ms: i64) -> bool {
        if self.waiting.len() >= self.pace.max_waiting {
            return false;
        }
        let number = self.first_number + self.waiting.len() as u64;
        self.waiting.push_back(id);
        let state = State::Waiting(number);
        self.places.insert(id, Place { queue_id, arrived_ms: now_ms, seen_ms: now_ms, state });
        self.admit(now_ms);
        true
    }

    /// Ends the session, or gives up the place, with this queue id.
    pub(super) fn leave(&mut self, queue_id: &str) {
        let found = self.places.iter().find(|(_, place)| place.queue_id == queue_id).map(|(id, _)| *id);
        let Some(id) = found else { return };
        let Some(place) = self.places.remove(&id) else { return };
        match place.state {
            State::Inside { .. } => self.active -= 1,
            State::Waiting(_) => self.renumber(),
        }
    }

    /// How many wait, and how many are inside.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.waiting.len(), self.active)
    }

    /// Seconds until the last in line is let in, as far as anybody can tell.
    pub(super) fn longest_wait(&self, now_ms: i64) -> Option<u64> {
        match self.waiting.back().and_then(|id| self.places.get(id)) {
            Some(last) => self.estimate(self.waiting.len() - 1, last.arrived_ms, now_ms),
            None => Some(0),
        }
    }

    fn end_sessions(&mut self, now_ms: i64) {
        while let Some(&(id, since_ms)) = self.inside.front() {
            if now_ms < since_ms + self.session_ms() {
                break;
            }
            self.inside.pop_front();
            if self.places.remove(&id).is_some() {
                self.active -= 1;
            }
        }
    }

    fn forget_abandoned(&mut self, now_ms: i64) {
        let hold_ms = i64::from(self.pace.hold_seconds) * 1000;
        let before = self.places.len();
        let mut ended = 0;
        self.places.retain(|_, place| {
            let gone = place.seen_ms + hold_ms < now_ms;
            match place.state {
                State::Waiting(_) => !gone,
                State::Inside { since_ms, claimed } => {
                    let never_came = !claimed && since_ms.max(place.seen_ms) + hold_ms < now_ms;
                    ended += usize::from(never_came);
                    !never_came
                }
            }
        });
        self.active -= ended;
        if self.places.len() != before {
            self.renumber();
        }
    }

    /// Closes the gaps that those who left have left.
    fn renumber(&mut self) {
        let places = &mut self.places;
        self.waiting.retain(|id| places.contains_key(id));
        for (number, id) in (self.first_number..).zip(&self.waiting) {
            if let Some(place) = places.get_mut(id) {
                place.state = State::Waiting(number);
            }
        }
    }

    fn admit(&mut self, now_ms: i64) {
        let Some(interval_ms) = self.interval_ms() else { return };
        while let Some(&id) = self.waiting.front() {
            let Some(place) = self.places.get_mut(&id) else { break };
            let due_ms = self.next_admission_ms.max(place.arrived_ms + least_wait_ms(&self.pace));
            if due_ms > now_ms {
                return;
            }
            if self.active >= self.pace.max_active {
                // The time during which the room was full is not made up for.
                self.next_admission_ms = now_ms;
                return;
            }
            place.state = State::Inside { since_ms: now_ms, claimed: false };
            self.waiting.pop_front();
            self.first_number += 1;
            self.inside.push_back((id, now_ms));
            self.active += 1;
            self.next_admission_ms = due_ms + interval_ms;
        }
    }

    /// Seconds until the visitor with this index (0 is the next) is let in, as far as anybody can tell.
    fn estimate(&self, index: usize, arrived_ms: i64, now_ms: i64) -> Option<u64> {
        let interval_ms = self.interval_ms()?;
        let ahead = i64::try_from(index).ok()?;
        let by_rate = self.next_admission_ms.max(now_ms).saturating_add(ahead.saturating_mul(interval_ms));
        let due_ms = by_rate.max(arrived_ms + least_wait_ms(&self.pace)).max(self.due_by_capacity(index, now_ms)?);
        u64::try_from((due_ms - now_ms + 999) / 1000).ok()
    }

    /// When enough sessions have ended for the visitor with this index, if none is cancelled before.
    fn due_by_capacity(&self, index: usize, now_ms: i64) -> Option<i64> {
        let needed = (self.active + index + 1).saturating_sub(self.pace.max_active);
        if needed == 0 {
            return Some(now_ms);
        }
        let slots = self.inside.len();
        let oldest = (needed - 1).checked_rem(slots)?;
        let rounds = i64::try_from((needed - 1) / slots).ok()? + 1;
        let (_, since_ms) = self.inside.get(oldest)?;
        Some(since_ms.saturating_add(rounds.saturating_mul(self.session_ms())))
    }

    fn interval_ms(&self) -> Option<i64> {
        60_000_i64.checked_div(i64::from(self.pace.per_minute)).map(|interval| interval.max(1))
    }

    fn session_ms(&self) -> i64 {
        i64::from(self.pace.session_seconds) * 1000
    }
}

fn least_wait_ms(pace: &Pace) -> i64 {
    i64::from(pace.least_wait_seconds) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> PlaceId {
        [number; 16]
    }

    fn line(pace: Pace, visitors: u8) -> Line {
        let mut line = Line::new(pace);
        for number in 0..visitors {
            assert!(line.arrive(id(number), format!("q{number}"), 0));
        }
        line
    }

    fn slow() -> Pace {
        Pace { per_minute: 60, ..Pace::default() }
    }

    fn is_inside(line: &mut Line, number: u8, now_ms: i64) -> bool {
        matches!(line.visit(&id(number), now_ms), Some(Standing::Admitted(_)))
    }

    #[test]
    fn the_first_walks_in_and_the_others_follow_at_the_rate() {
        let mut line = line(slow(), 4);
        assert_eq!(line.visit(&id(0), 0), Some(Standing::Admitted("q0".into())));
        assert_eq!(line.visit(&id(1), 0), Some(Standing::Waiting { position: 1, wait_seconds: Some(1) }));
        assert_eq!(line.visit(&id(3), 0), Some(Standing::Waiting { position: 3, wait_seconds: Some(3) }));
        line.advance(999);
        assert!(!is_inside(&mut line, 1, 999));
        line.advance(2_000);
        assert!(is_inside(&mut line, 1, 2_000) && is_inside(&mut line, 2, 2_000) && !is_inside(&mut line, 3, 2_000));
        assert_eq!(line.counts(), (1, 3));
    }

    #[test]
    fn a_room_that_was_empty_does_not_save_up_admissions() {
        let mut line = Line::new(slow());
        line.advance(600_000);
        for number in 0..3 {
            line.arrive(id(number), number.to_string(), 600_000);
        }
        assert_eq!(line.counts(), (2, 1));
    }

    #[test]
    fn nobody_enters_a_full_room_before_a_session_ends_or_is_cancelled() {
        let pace = Pace { per_minute: 60_000, max_active: 2, session_seconds: 60, ..Pace::default() };
        let mut line = line(pace, 5);
        line.advance(10);
        assert_eq!(line.counts(), (3, 2));
        assert_eq!(line.visit(&id(2), 10), Some(Standing::Waiting { position: 1, wait_seconds: Some(60) }));
        assert_eq!(line.visit(&id(4), 10), Some(Standing::Waiting { position: 3, wait_seconds: Some(120) }));
        line.leave("q0");
        line.advance(20);
        assert!(is_inside(&mut line, 2, 20) && !is_inside(&mut line, 3, 20));
        line.advance(61_000);
        assert!(line.visit(&id(1), 61_000).is_none(), "its session has ended");
        assert_eq!(line.counts(), (0, 2));
    }

    #[test]
    fn abandoned_places_are_given_up_and_the_others_move_up() {
        let pace = Pace { per_minute: 1, hold_seconds: 10, ..Pace::default() };
        let mut line = line(pace, 4);
        assert!(is_inside(&mut line, 0, 0));
        line.visit(&id(2), 9_000);
        line.visit(&id(3), 9_000);
        line.advance(10_001);
        assert!(line.visit(&id(1), 10_001).is_none());
        assert!(matches!(line.visit(&id(2), 10_001), Some(Standing::Waiting { position: 1, .. })));
        assert!(matches!(line.visit(&id(3), 10_001), Some(Standing::Waiting { position: 2, .. })));
        line.leave("q2");
        assert!(matches!(line.visit(&id(3), 10_001), Some(Standing::Waiting { position: 1, .. })));
    }

    #[test]
    fn who_is_let_in_and_never_comes_back_makes_room() {
        let pace = Pace { max_active: 1, hold_seconds: 10, per_minute: 60_000, ..Pace::default() };
        let mut line = line(pace, 2);
        line.visit(&id(1), 9_000);
        line.advance(10_001);
        assert!(is_inside(&mut line, 1, 10_001));
    }

    #[test]
    fn limits_and_the_least_wait_hold() {
        let pace = Pace { least_wait_seconds: 5, max_waiting: 1, ..Pace::default() };
        let mut line = line(pace, 1);
        assert!(!line.arrive(id(9), "q9".into(), 0));
        assert_eq!(line.visit(&id(0), 0), Some(Standing::Waiting { position: 1, wait_seconds: Some(5) }));
        line.advance(5_000);
        assert!(is_inside(&mut line, 0, 5_000));
        let mut shut = Line::new(Pace { per_minute: 0, ..Pace::default() });
        shut.arrive(id(0), "q".into(), 0);
        shut.advance(i64::MAX / 2);
        assert_eq!(shut.counts(), (0, 0), "abandoned, never admitted");
    }
}
