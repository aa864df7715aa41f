//! Connections of which some are waited for, so that those who take their time keep nobody else out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Up to so many connections that are waited for, whatever they take their time with. Where there is one more, the one
/// that has been waited for longest has to go.
pub(super) struct Attended {
    max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// The one that has been waited for longest is the first.
    all: BTreeMap<u64, CancellationToken>,
}

/// The place of one connection.
pub(super) struct Place {
    attended: Arc<Attended>,
    /// Says when to go.
    pub gone: CancellationToken,
    number: Mutex<Option<u64>>,
}

impl Attended {
    pub fn new(max: usize) -> Arc<Attended> {
        Arc::new(Attended { max, waiting: Mutex::default() })
    }

    /// A place for one connection, which is waited for.
    pub fn place(self: &Arc<Self>) -> Arc<Place> {
        let place = Place { attended: Arc::clone(self), gone: CancellationToken::new(), number: Mutex::new(None) };
        place.wait();
        Arc::new(place)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The connection is waited for from now on.
    pub fn wait(&self) {
        let mut waiting = self.attended.waiting();
        let mut number = self.number();
        if number.is_none() {
            let own = waiting.next;
            waiting.next += 1;
            waiting.all.insert(own, self.gone.clone());
            *number = Some(own);
        }
        if waiting.all.len() > self.attended.max
            && let Some((_, longest)) = waiting.all.pop_first()
        {
            longest.cancel();
        }
    }

    /// Something is done for the connection: it is no longer it that is waited for.
    pub fn work(&self) {
        let mut waiting = self.attended.waiting();
        if let Some(number) = self.number().take() {
            waiting.all.remove(&number);
        }
    }

    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_been_waited_for_longest_goes_first_and_nobody_who_is_worked_for() {
        let attended = Attended::new(2);
        let [worked_for, first, second] = [(), (), ()].map(|()| {
            let place = attended.place();
            if attended.waiting().next == 1 {
                place.work();
            }
            place
        });
        let gone = || [&worked_for, &first, &second].map(|place| place.gone.is_cancelled());
        assert_eq!(gone(), [false, false, false]);
        let third = attended.place();
        assert_eq!(gone(), [false, true, false]);
        drop(third);
        worked_for.wait();
        assert_eq!(gone(), [false, true, false]);
        second.work();
        second.wait();
        let _fourth = attended.place();
        assert_eq!(gone(), [true, true, false], "who was answered meanwhile is waited for anew");
    }
}
