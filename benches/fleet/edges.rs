//! The moments at which a fleet has much to do at once: it grows, all of its peers fall silent
//! together, many come and go. What counts is the longest call.

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Result, ensure};
use heartbeat_proto::fleet::{Fleet, Handle, Progress};
use heartbeat_proto::{Action, Actions, Config, Event, Liveness, Mode, Timestamp};

use crate::drive::live_heap;
use crate::stopwatch::Stopwatch;
use crate::work::share;

/// Peers for which one call of `advance` works.
const BUDGET: usize = 256;
const STEP: Duration = Duration::from_millis(10);

struct Calls {
    watch: Stopwatch,
    nanos: Vec<u32>,
}

impl Calls {
    fn new() -> Self {
        Self { watch: Stopwatch::new(), nanos: Vec::new() }
    }

    fn time<T>(&mut self, subject: &mut T, call: impl FnOnce(&mut T)) {
        let [nanos, _] = self.watch.time(subject, call, |_| {});
        self.nanos.push(u32::try_from(nanos).unwrap_or(u32::MAX));
    }

    fn tell(mut self, peers: u32, what: &str) {
        self.nanos.sort_unstable();
        let at = |part: f64| {
            let nth = (self.nanos.len() as f64 * part) as usize;
            self.nanos.get(nth.min(self.nanos.len().saturating_sub(1))).copied().unwrap_or(0)
        };
        let calls = self.nanos.len();
        println!(
            "edge {peers:9} {what:22} {calls:9} calls: median {:6} ns, 99.9 % {:7.1} us, worst {:7.1} us",
            at(0.5),
            f64::from(at(0.999)) / 1e3,
            f64::from(at(1.0)) / 1e3,
        );
    }
}

pub(crate) fn measure(peers: u32, churned: u32) -> Result<()> {
    let config = Config::builder()
        .mode(Mode::Initiator)
        .interval(Duration::from_secs(30))
        .timeout(Duration::from_secs(90))
        .build()?;
    let mut now = Timestamp::EPOCH;
    let mut fleet = Fleet::new(config, 7, now)?;
    let profile = fleet.profiles().next().expect("the one above");
    let mut handles = Vec::with_capacity(peers as usize);

    let mut growth = Calls::new();
    growth.nanos.reserve(peers as usize);
    for _ in 0..peers {
        growth.time(&mut fleet, |fleet| {
            let handle = fleet.insert(profile, now).expect("there is room");
            let _ = fleet.handle(handle, Event::Start, now).expect("just inserted");
            handles.push(handle);
        });
    }
    growth.tell(peers, "insert, start");
    start_backwards(config, peers)?;

    let mut churn = Calls::new();
    churn.nanos.reserve(churned as usize);
    let heap = live_heap();
    for nth in 0..churned {
        let at = share(u64::from(peers), u64::from(nth)) as usize;
        churn.time(&mut fleet, |fleet| {
            let _ = fleet.remove(handles[at]).expect("it is there");
            handles[at] = fleet.insert(profile, now).expect("there is room");
            let _ = fleet.handle(handles[at], Event::Start, now).expect("just inserted");
        });
    }
    ensure!(fleet.len() == peers as usize, "peers were lost");
    println!("edge {peers:9} heap by churn: {:+} bytes", live_heap() as i64 - heap as i64);
    churn.tell(peers, "remove, insert, start");

    // Nobody ever answers: all are given up.
    let mut silence = Calls::new();
    silence.nanos.reserve(peers as usize / 16);
    let (mut lost, mut pings) = (0, 0);
    let mut sink = |_: Handle, actions: Actions| {
        lost += u32::from(actions.transition().is_some_and(|to| to.to == Liveness::Lost));
        pings += actions.filter(|action| matches!(action, Action::SendPing { .. })).count();
        ControlFlow::Continue(())
    };
    let mut longest = Duration::ZERO;
    let end = Duration::from_secs(200);
    while Duration::from_nanos(now.as_nanos()) < end {
        now = Timestamp::from_nanos(now.as_nanos() + STEP.as_nanos() as u64);
        let (mut progress, first) = (Progress::Pending, silence.nanos.len());
        while progress == Progress::Pending {
            silence.time(&mut fleet, |fleet| progress = fleet.advance(now, BUDGET, &mut sink));
        }
        let step = silence.nanos[first..].iter().map(|nanos| u64::from(*nanos)).sum();
        longest = longest.max(Duration::from_nanos(step));
    }
    ensure!(lost == peers, "{lost} of {peers} were given up");
    println!("edge {peers:9} all fall silent: {pings} pings, longest step of 10 ms: {longest:.1?}");
    silence.tell(peers, "advance by 256");
    Ok(())
}

/// All come at one moment, so they wait in one step, and are put forward one by one: what they leave
/// there cannot be taken back, as one stays, and lies together.
fn start_backwards(config: Config, peers: u32) -> Result<()> {
    let now = Timestamp::EPOCH;
    let mut fleet = Fleet::new(config, 7, now)?;
    let profile = fleet.profiles().next().expect("the one above");
    let handles = (0..peers).map(|_| fleet.insert(profile, now)).collect::<Result<Vec<_>, _>>()?;
    let mut starts = Calls::new();
    starts.nanos.reserve(peers as usize);
    for handle in handles.iter().rev().skip(1) {
        starts.time(&mut fleet, |fleet| {
            let _ = fleet.handle(*handle, Event::Start, now).expect("it is there");
        });
    }
    starts.tell(peers, "start, last come first");
    Ok(())
}
