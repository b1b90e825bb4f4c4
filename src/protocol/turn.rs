//! Turns: an instance that claims without a pause lets the others claim.
//!
//! A claim from the ticket that an instance made itself takes one call, any other takes several ([`super::fence`]). So under
//! load one instance would win again and again, and the visitors of the others would wait. Whoever has lost a few times
//! therefore creates a file beside the ticket. The winner removes it after a few claims, and pauses.
//!
//! Nothing depends on it but how long visitors wait. A file of an instance that was killed costs one pause.

use super::claim::{Claim, Claims};
use super::directory::Directory;
use super::platform::Platform;
use std::time::Duration;

/// The file that asks for a turn.
const WAITING: &str = "waiting";

/// After how many claims in a row an instance looks whether another waits. A look costs a call.
const TURN: u32 = 4;

/// How long it then pauses: about the time of a lost claim's pause and the next attempt.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

impl<P: Platform> Claims<P> {
    /// Asks for a turn. If that fails, on a full volume for example, the instance waits for its luck.
    pub(super) async fn ask_for_turn(&self, dir: &P::Dir) {
        let _ = dir.create_file(WAITING).await;
    }

    /// Takes the request back after a claim. Others who wait ask again.
    pub(super) async fn stop_asking(&self, claim: &Claim<P>) {
        let _ = claim.found.dir.remove_file(WAITING).await;
    }

    /// Returns whether it is another instance's turn, after a claim of this one.
    pub(super) async fn is_turn_over(&self, claim: &Claim<P>) -> bool {
        let claims = self.in_a_row.get() + 1;
        self.in_a_row.set(claims % TURN);
        claims == TURN && claim.found.dir.remove_file(WAITING).await.is_ok()
    }
}
