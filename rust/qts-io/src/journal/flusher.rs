//! The thread that ends groups and syncs them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::retain::Pin;
use super::shared::Shared;
use super::status::{Stage, now};

/// Quiet time after which a commit of nothing proves the last group.
const QUIET: Duration = Duration::from_millis(50);
/// A look around though nobody called.
const IDLE: Duration = Duration::from_secs(1);

pub(super) fn run(shared: &Arc<Shared>) {
    while shared.status.stage() == Stage::Running {
        let is_asked = gather(shared);
        shared.row.call_never();
        let asked = shared.wants_room.swap(false, Ordering::AcqRel).then(|| shared.rotation().asked);
        let mut committer = shared.committer();
        // Errors stand in the status; whoever waits or appends is told.
        if shared.status.wants_close.load(Ordering::Acquire) {
            let _ = committer.close(shared);
            return;
        }
        let is_short = shared.wants_ahead.swap(false, Ordering::AcqRel);
        if is_asked || asked.is_some() || is_short {
            let committed = committer.commit(shared);
            if let Some(asked) = asked {
                let made = committed.and_then(|()| shared.make_room(&mut committer));
                drop(committer);
                shared.answer(asked, made.unwrap_or(Some(Pin::InUse)));
            } else {
                drop(committer);
                if shared.prepare_ahead() {
                    // What could not go now goes with the next one, or when the quota asks for it.
                    let _ = shared.committer().retire_old(shared);
                }
            }
        } else {
            let _ = committer.prove(shared);
        }
    }
}

/// Waits until a group is complete; `false` if there was none for a while.
fn gather(shared: &Shared) -> bool {
    let group = u64::from(shared.config.group_records.max(1));
    let mut first_seen = None;
    loop {
        let is_wanted = [&shared.status.wants_close, &shared.wants_room, &shared.wants_ahead];
        if is_wanted.into_iter().any(|wish| wish.load(Ordering::Acquire)) {
            return true;
        }
        let (seq, is_unproven) = {
            let committer = shared.committer();
            (committer.seq, committer.is_unproven)
        };
        // Told first, looked at afterwards: an appender that comes too late for the look sees what it is told.
        let behind = if first_seen.is_some() { group.saturating_sub(1) } else { 0 };
        shared.row.call_at(seq.saturating_add(behind));
        let (waiting, is_over) = shared.committer().waiting(shared);
        if is_over || waiting >= group {
            return true;
        }
        let Some(since) = first_seen.or_else(|| (waiting != 0).then(now)) else {
            let quiet = if is_unproven { QUIET } else { IDLE };
            let began = now();
            thread::park_timeout(quiet);
            if began.elapsed() >= quiet {
                return shared.committer().waiting(shared) != (0, false);
            }
            continue;
        };
        if first_seen.replace(since).is_none() {
            // Now wait for the rest of the group.
            continue;
        }
        let left = Duration::from_millis(u64::from(shared.config.group_ms)).saturating_sub(since.elapsed());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left);
    }
}
