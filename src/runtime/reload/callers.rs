//! The clients of `bookend reload`, which wait for the results. Pure.

use tokio::sync::oneshot;

use crate::http::ReloadAnswer;
use bookend_lifecycle::reload::ReloadNote;

/// All of them; no more than there are connections.
#[derive(Debug, Default)]
pub(super) struct ReloadCallers(Vec<ReloadCaller>);

#[derive(Debug)]
struct ReloadCaller {
    /// The entries, and whether the next result of each is one that began before.
    pending: Vec<(usize, bool)>,
    answer: ReloadAnswer,
    response: oneshot::Sender<ReloadAnswer>,
}

impl ReloadCallers {
    /// A client waits for the results of these entries, and of each for the next but one if it is marked. `answer` has what is
    /// known already.
    pub(super) fn add(
        &mut self,
        pending: Vec<(usize, bool)>,
        answer: ReloadAnswer,
        response: oneshot::Sender<ReloadAnswer>,
    ) {
        self.0.retain(|caller| !caller.response.is_closed());
        if pending.is_empty() {
            return drop(response.send(answer));
        }
        self.0.push(ReloadCaller { pending, answer, response });
    }

    /// An entry has a result. Answers the clients that wait for no other one.
    pub(super) fn take(&mut self, index: usize, line: &str, note: ReloadNote) {
        let mut at = 0;
        while let Some(caller) = self.0.get_mut(at) {
            caller.take(index, line, note);
            if caller.pending.is_empty() {
                let caller = self.0.remove(at);
                // The client may have hung up.
                let _ = caller.response.send(caller.answer);
            } else {
                at += 1;
            }
        }
    }
}

impl ReloadCaller {
    fn take(&mut self, index: usize, line: &str, note: ReloadNote) {
        let Some(at) = self.pending.iter().position(|(pending, _)| *pending == index) else { return };
        match self.pending.get_mut(at) {
            // No other result follows one that a stop ended.
            Some((_, is_of_before)) if *is_of_before && note != ReloadNote::Aborted => *is_of_before = false,
            _ => {
                self.pending.remove(at);
                self.answer.0 = if note == ReloadNote::Succeeded { self.answer.0 } else { 500 };
                self.answer.1.push_str(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_answered_when_its_last_entry_has_a_result() {
        let mut callers = ReloadCallers::default();
        let (sender, mut answer) = oneshot::channel();
        callers.add(vec![(0, false), (1, true)], (200, String::new()), sender);
        callers.take(0, "a: Succeeded\n", ReloadNote::Succeeded);
        callers.take(1, "b: of before\n", ReloadNote::Succeeded);
        assert!(answer.try_recv().is_err());
        callers.take(1, "b: Failed\n", ReloadNote::Failed(None));
        assert_eq!(answer.try_recv(), Ok((500, "a: Succeeded\nb: Failed\n".to_owned())));
    }

    #[test]
    fn a_stop_answers_also_the_client_of_the_next_reload() {
        let mut callers = ReloadCallers::default();
        let (sender, mut answer) = oneshot::channel();
        callers.add(vec![(0, true)], (200, String::new()), sender);
        callers.take(0, "a: Aborted\n", ReloadNote::Aborted);
        assert_eq!(answer.try_recv(), Ok((500, "a: Aborted\n".to_owned())));
    }

    #[test]
    fn an_entry_that_cannot_be_reloaded_holds_no_other_one() {
        let mut callers = ReloadCallers::default();
        let (sender, mut answer) = oneshot::channel();
        callers.add(vec![(0, false)], (500, "b: not reloaded\n".to_owned()), sender);
        callers.take(0, "a: Succeeded\n", ReloadNote::Succeeded);
        assert_eq!(answer.try_recv(), Ok((500, "b: not reloaded\na: Succeeded\n".to_owned())));
        let (sender, mut answer) = oneshot::channel();
        callers.add(Vec::new(), (409, "b: not reloaded\n".to_owned()), sender);
        assert_eq!(answer.try_recv(), Ok((409, "b: not reloaded\n".to_owned())));
    }
}
