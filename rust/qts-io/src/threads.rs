//! How the dispatcher's threads are scheduled: P0 in real time, P1 above the rest, each on a core of its own if asked.
//!
//! Only a thread that sleeps whenever it has nothing to do may run in real time: one that spins would freeze its core.
//! The P0 thread does; the system still keeps a share of each second for everybody else (`sched_rt_runtime_us`).

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use qts_core::dispatch::live::Role;
use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// Real-time priority of the P0 thread, 1 to 99: above what is normal, below what a kernel runs for its devices.
const P0_REAL_TIME: u8 = 10;
/// Steps on the scale of nice values where real time is not permitted.
const P0_NICE_STEPS: i32 = 10;
const P1_NICE_STEPS: i32 = 5;

/// How a thread is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Scheduling {
    /// Like any other thread.
    #[default]
    Normal = 0,
    /// Before others by its nice value.
    High = 1,
    /// Before everything that is not in real time (`SCHED_FIFO`).
    RealTime = 2,
}

impl Scheduling {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::High => "high",
            Self::RealTime => "real-time",
        }
    }
}

/// Cores to which threads are bound; None = the system chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cores {
    /// Of the P0 thread.
    pub p0: Option<usize>,
    /// Of the P1 threads.
    pub p1: Option<usize>,
}

/// What could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortfall {
    /// The permission for a priority (`CAP_SYS_NICE` or a limit on real-time priority); told once.
    Priority,
    /// This core: the host has none of that number, or does not let this process use it.
    Core(usize),
}

/// Schedules threads as they start and remembers how.
#[derive(Debug, Default)]
pub struct Threads {
    cores: Cores,
    /// Of P0 and of P1.
    scheduling: [AtomicU8; 2],
    told: AtomicBool,
}

impl Threads {
    /// Threads of P0 and P1 on these cores.
    pub fn new(cores: Cores) -> Self {
        Self { cores, ..Self::default() }
    }

    /// Schedules the calling thread by its role; returns what could not be had. The rest is had all the same.
    pub fn started(&self, role: Role) -> Vec<Shortfall> {
        let (at, core, wanted) = match role {
            Role::P0 => (0, self.cores.p0, Scheduling::RealTime),
            Role::P1 { .. } => (1, self.cores.p1, Scheduling::High),
            Role::Worker | Role::Monitor => return Vec::new(),
        };
        let had = match role {
            Role::P0 if real_time() => Scheduling::RealTime,
            Role::P0 => nice(P0_NICE_STEPS),
            _ => nice(P1_NICE_STEPS),
        };
        if let Some(cell) = self.scheduling.get(at) {
            cell.store(had as u8, Ordering::Relaxed);
        }
        let mut shortfalls = Vec::new();
        if had != wanted && !self.told.swap(true, Ordering::Relaxed) {
            shortfalls.push(Shortfall::Priority);
        }
        if let Some(core) = core
            && !bind(core)
        {
            shortfalls.push(Shortfall::Core(core));
        }
        shortfalls
    }

    /// How the threads of P0 and of P1 are scheduled: normally, before they have started.
    pub fn scheduling(&self) -> [Scheduling; 2] {
        [&self.scheduling[0], &self.scheduling[1]].map(|cell| match cell.load(Ordering::Relaxed) {
            0 => Scheduling::Normal,
            1 => Scheduling::High,
            _ => Scheduling::RealTime,
        })
    }
}

fn real_time() -> bool {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let Ok(priority) = P0_REAL_TIME.try_into() else { return false };
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(priority), policy)
        .is_ok()
}

fn nice(steps: i32) -> Scheduling {
    // On Linux the nice value belongs to the thread of that id.
    let thread = Some(gettid());
    let is_set = getpriority_process(thread)
        .and_then(|nice| setpriority_process(thread, nice.saturating_sub(steps).max(-20)));
    if is_set.is_ok() { Scheduling::High } else { Scheduling::Normal }
}

fn bind(core: usize) -> bool {
    if core >= CpuSet::MAX_CPU {
        return false;
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use rustix::thread::sched_getaffinity;

    use super::*;

    /// What the system says about the calling thread: nice value, real-time priority, policy (1 = `SCHED_FIFO`).
    fn told_by_the_system() -> (i64, i64, i64) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let field = |number: usize| fields[number.saturating_sub(3)].parse().unwrap();
        (field(19), field(40), field(41))
    }

    /// Starts a thread of that role for each of `roles`; what each could not have and what the system says.
    fn start(threads: &Arc<Threads>, role: Role) -> (Vec<Shortfall>, (i64, i64, i64), CpuSet) {
        let threads = Arc::clone(threads);
        let run = move || (threads.started(role), told_by_the_system(), sched_getaffinity(None).unwrap());
        thread::spawn(run).join().unwrap()
    }

    #[test]
    fn what_is_reported_is_what_the_system_does_and_a_refusal_is_told_once() {
        let threads = Arc::new(Threads::default());
        let (nice_here, ..) = told_by_the_system();
        assert_eq!(threads.scheduling(), [Scheduling::Normal; 2]);
        let (first, p0, _) = start(&threads, Role::P0);
        let (second, p1, _) = start(&threads, Role::P1 { shard: 0 });
        let [p0_had, p1_had] = threads.scheduling();
        assert_eq!(p0_had == Scheduling::RealTime, p0 == (p0.0, i64::from(P0_REAL_TIME), 1), "{p0:?}");
        assert_eq!(p0_had == Scheduling::High, p0.2 == 0 && p0.0 < nice_here, "{p0:?}");
        assert_eq!(p1_had == Scheduling::High, p1.0 < nice_here, "{p1:?}");
        assert_eq!(p1.2, 0, "P1 looks away for microseconds before it sleeps: never in real time");
        let is_short = p0_had != Scheduling::RealTime || p1_had != Scheduling::High;
        let told: Vec<_> = first.into_iter().chain(second).collect();
        assert_eq!(told, if is_short { vec![Shortfall::Priority] } else { vec![] });
    }

    #[test]
    fn other_threads_are_left_as_they_are() {
        let threads = Arc::new(Threads::new(Cores { p0: Some(0), p1: Some(0) }));
        let (_, before, cores) = start(&threads, Role::Monitor);
        for role in [Role::Worker, Role::Monitor] {
            let (told, after, bound) = start(&threads, role);
            assert_eq!((told, after), (vec![], before));
            assert_eq!(bound.count(), cores.count());
        }
    }

    #[test]
    fn a_thread_is_bound_to_its_core_and_a_core_that_is_not_there_is_told() {
        let here = sched_getaffinity(None).unwrap();
        let core = (0..CpuSet::MAX_CPU).rev().find(|core| here.is_set(*core)).unwrap();
        let threads = Arc::new(Threads::new(Cores { p0: Some(core), p1: Some(CpuSet::MAX_CPU) }));
        let (told, _, bound) = start(&threads, Role::P0);
        assert!(!told.contains(&Shortfall::Core(core)));
        assert_eq!((bound.count(), bound.is_set(core)), (1, true));
        let (told, _, bound) = start(&threads, Role::P1 { shard: 0 });
        assert!(told.contains(&Shortfall::Core(CpuSet::MAX_CPU)));
        assert_eq!(bound.count(), here.count(), "it runs all the same");
    }
}
