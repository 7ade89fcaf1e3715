//! Spec 17, T17: a process is killed at random points; after the restart every P0 event that it had admitted is handled
//! exactly once in effect.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what is not there fails the test")]

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use qts_core::clock::Clock;
use qts_core::dispatch::live::{
    Alert, Delivery, Handler, Header, LiveConfig, LiveDispatcher, Outside, SlotEvent, State,
};
use qts_core::event::{EventPriority, EventType, PutResult, Source};
use qts_core::queue::ProducerKind;
use qts_io::clock::HostClock;
use qts_io::journal::{Journal, JournalConfig};
use qts_io::p0log::{P0Log, events_to_replay};

const CHILD: &str = "QTS_P0_CHILD";
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    log: P0Log,
}

impl Clock for World {
    fn monotonic_ns(&self) -> u64 {
        HostClock.monotonic_ns()
    }
}

impl Outside for World {
    fn alert(&self, alert: Alert) {
        assert!(
            !matches!(alert, Alert::P0DeadLetter { .. } | Alert::P0Failed { .. } | Alert::JournalFailed),
            "{alert:?}"
        );
    }

    fn journal(&self, event: &SlotEvent) -> Result<Option<u64>, String> {
        self.log.admit(event).map(Some).map_err(|error| error.to_string())
    }

    fn journal_done(&self, seq: u64) -> Result<(), String> {
        self.log.done(seq).map_err(|error| error.to_string())
    }
}

/// Writes each number it has not written yet to a file: what has an effect only once, however often it is asked for.
struct Applies {
    file: Mutex<(File, BTreeSet<u64>)>,
}

impl Applies {
    fn in_dir(dir: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(effects(dir)).unwrap();
        Self { file: Mutex::new((file, applied(dir).into_iter().collect())) }
    }
}

impl Handler for Applies {
    fn name(&self) -> &'static str {
        "applies"
    }

    fn handle(&self, event: &Delivery<'_>) -> Result<(), String> {
        let number = u64::from_le_bytes(event.payload.try_into().map_err(|_| "not a number".to_owned())?);
        let mut guard = self.file.lock().unwrap();
        let (file, known) = &mut *guard;
        if known.insert(number) {
            // One write of one line: it is there as a whole or not at all when the process is killed.
            file.write_all(format!("{number}\n").as_bytes()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn effects(dir: &Path) -> PathBuf {
    dir.join("effects")
}

fn applied(dir: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(effects(dir)).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn started(dir: &Path) -> (LiveDispatcher, Arc<Journal>) {
    let config = JournalConfig { segment_bytes: 1 << 20, ..JournalConfig::default() };
    let utc = Box::new(|| 1_750_000_000_000_000_000);
    let (journal, recovery) = Journal::open(dir.join("journal"), config, utc).unwrap();
    let journal = Arc::new(journal);
    let world = World { log: P0Log::new(Arc::clone(&journal)) };
    let live = LiveDispatcher::new(LiveConfig::default(), Box::new(world));
    live.register(EventPriority::P0Critical, Arc::new(Applies::in_dir(dir))).unwrap();
    live.start(events_to_replay(&recovery.unfinished)).unwrap();
    (live, journal)
}

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let first: u64 = std::env::var("QTS_P0_FIRST").unwrap().parse().unwrap();
    let (live, _journal) = started(&dir);
    thread::scope(|scope| {
        for lane in 0..2_u64 {
            let mut input = live.p0_input(ProducerKind::Protected).unwrap();
            scope.spawn(move || {
                for at in 0_u64.. {
                    let number = first + at * 2 + lane;
                    let header = Header::new(EventType::FillPartial, Source::System);
                    let event = SlotEvent::new(header, 0, &number.to_le_bytes()).unwrap();
                    let result = input.put(event, PATIENCE);
                    assert!(matches!(result, PutResult::Accepted | PutResult::Spilled));
                    std::io::stdout().lock().write_all(format!("admitted {number}\n").as_bytes()).unwrap();
                }
            });
        }
    });
}

#[test]
fn every_admitted_p0_event_has_its_effect_once_whenever_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut admitted: BTreeSet<u64> = BTreeSet::new();
    for round in 0..10_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, dir.path())
            .env("QTS_P0_FIRST", (round * 10_000_000).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let (began, has_begun) = channel();
        let reader = thread::spawn(move || {
            let lines = lines.lines().map_while(Result::ok).inspect(|_| {
                let _ = began.send(());
            });
            lines.collect::<Vec<_>>()
        });
        // The second line is the first event: from there on, at any moment.
        (0..3).for_each(|_| has_begun.recv_timeout(PATIENCE).expect("the process works"));
        thread::park_timeout(Duration::from_micros(round * 2_137));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap() {
            admitted.extend(line.strip_prefix("admitted ").and_then(|number| number.parse::<u64>().ok()));
        }
    }
    assert!(!admitted.is_empty(), "no round got far enough to prove anything");
    let (live, _journal) = started(dir.path());
    assert_eq!(live.state(), State::Running);
    assert_eq!(live.stop().p0_left, 0);
    let effects = applied(dir.path());
    let once: BTreeSet<u64> = effects.iter().copied().collect();
    assert_eq!(once.len(), effects.len(), "an event had its effect twice");
    let lost: Vec<_> = admitted.difference(&once).take(5).collect();
    assert!(lost.is_empty(), "admitted and not handled: {lost:?} of {}", admitted.len());
}
