//! Two boards on a UART, as firmware would do it: no allocation, no threads, fixed buffers, and a
//! tick counter for a clock.
//!
//! The line is bad: a byte is garbled now and then, and nobody dies of it. Then it is cut, and both
//! boards know in time; it is mended, and both go on. It ends by itself.
//!
//! Firmware without a global allocator must name one all the same, if it uses the feature `codec`:
//! the crate `bytes` below it asks for one. It is never called, as the last line shows.

use core::time::Duration;

use allocation_counter::measure;
use heartbeat_proto::codec::{Decoder, Item, Link, MAX_FRAME};
use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Liveness, Timestamp, Transition};

/// Milliseconds since power-on: the tick counter.
type Ticks = u64;

/// Every second, lost after four. A bad configuration fails to compile.
const CONFIG: Config = Config::lan();
/// 115200 baud: this many bytes a millisecond.
const BYTES_A_TICK: usize = 11;
/// A frame that stops half way for this long will not go on.
const GAP: Ticks = 20;

fn time(ticks: Ticks) -> Timestamp {
    Timestamp::from_nanos(ticks * 1_000_000)
}

/// A ring of bytes: what an interrupt fills and the loop empties, or the other way round.
struct Ring<const N: usize> {
    bytes: [u8; N],
    first: usize,
    len: usize,
}

impl<const N: usize> Ring<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], first: 0, len: 0 }
    }

    /// False: there is no room.
    fn push(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > N - self.len {
            return false;
        }
        for &byte in bytes {
            self.bytes[(self.first + self.len) % N] = byte;
            self.len += 1;
        }
        true
    }

    fn pop(&mut self) -> Option<u8> {
        let byte = self.bytes[self.first];
        (self.first, self.len) = ((self.first + 1) % N, self.len.checked_sub(1)?);
        Some(byte)
    }
}

struct Board {
    machine: HeartbeatMachine,
    link: Link,
    decoder: Decoder,
    receive: Ring<256>,
    send: Ring<256>,
    heard_at: Ticks,
    /// How often the decoder began anew.
    resyncs: u32,
    /// The newest change of liveness, and when.
    change: Option<(Ticks, Transition)>,
}

impl Board {
    fn new(seed: u64) -> Self {
        let mut board = Self {
            machine: HeartbeatMachine::new(CONFIG, seed, time(0)),
            link: Link::new(seed, seed),
            decoder: Decoder::new(),
            receive: Ring::new(),
            send: Ring::new(),
            heard_at: 0,
            resyncs: 0,
            change: None,
        };
        board.handle(Event::Start, 0);
        board
    }

    /// One turn of the main loop.
    fn turn(&mut self, now: Ticks) {
        // Read before you judge.
        while let Some(byte) = self.receive.pop() {
            if now - self.heard_at > GAP {
                // Silence on the line: a new frame begins, whatever was left of the last one.
                self.resyncs += u32::from(self.decoder.finish().is_err());
                self.decoder = Decoder::new();
            }
            self.heard_at = now;
            // After a bad frame the decoder refuses everything until the line has been silent.
            if let Ok((_, Some(Item::Frame(frame)))) = self.decoder.feed(&[byte]) {
                if let Some(event) = self.link.event(&frame, time(now)) {
                    self.handle(event, now);
                }
            }
        }
        if self.machine.next_deadline().is_some_and(|due| due <= time(now)) {
            self.handle(Event::Tick, now);
        }
    }

    fn handle(&mut self, event: Event, now: Ticks) {
        for action in self.machine.handle(event, time(now)) {
            if let Some(frame) = self.link.frame(&action, time(now)) {
                let mut buf = [0; MAX_FRAME];
                if let Ok(len) = frame.encode_into(&mut buf) {
                    // No room: the frame is lost, as on the line. There are more attempts.
                    let _ = self.send.push(&buf[..len]);
                }
            } else if let Action::Notify(change) = action {
                self.change = Some((now, change));
            }
        }
    }

    /// The line works again, after a loss: the same peer, another epoch.
    fn reconnect(&mut self, now: Ticks) {
        self.machine = self.machine.reconnected(time(now));
    }
}

/// What the UART does in a millisecond.
fn transmit(from: &mut Board, to: &mut Board, cut: bool, noise: &mut u32) {
    for _ in 0..BYTES_A_TICK {
        let Some(mut byte) = from.send.pop() else { return };
        *noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if *noise >> 22 == 0 {
            byte ^= 0x10; // One byte of a thousand: a frame of thirty.
        }
        if !cut {
            to.receive.push(&[byte]);
        }
    }
}

/// Runs both boards, and says how many milliseconds were simulated when `done`.
fn run(
    boards: &mut [Board; 2],
    from: Ticks,
    cut: bool,
    done: impl Fn(&[Board; 2]) -> bool,
) -> Ticks {
    let mut noise = from as u32;
    let mut now = from;
    while !done(boards) && now < from + 600_000 {
        now += 1;
        let [a, b] = boards;
        transmit(a, b, cut, &mut noise);
        transmit(b, a, cut, &mut noise);
        a.turn(now);
        b.turn(now);
    }
    now
}

fn show(scene: &str, boards: &[Board; 2]) {
    for (name, board) in ["a", "b"].iter().zip(boards) {
        let stats = board.machine.stats();
        let (sent, answered, resyncs) = (stats.pings_sent, stats.pongs_received, board.resyncs);
        print!("{scene}: board {name}: {sent} pings, {answered} pongs, {resyncs} resyncs; ");
        match board.change {
            Some((at, change)) => println!("{change} at {at} ms"),
            None => println!("{}", board.machine.liveness()),
        }
    }
}

fn main() {
    let mut boards = [Board::new(0x5eed_0001), Board::new(0x5eed_0002)];
    let all = |liveness| {
        move |boards: &[Board; 2]| boards.iter().all(|it| it.machine.liveness() == liveness)
    };
    let mut now = 0;

    let allocated = measure(|| now = run(&mut boards, 0, false, |_| false));
    show("10 minutes on a bad line", &boards);
    assert!(boards.iter().all(|board| board.resyncs > 0 && board.machine.liveness().is_live()));

    let cut_at = now;
    let more = measure(|| now = run(&mut boards, now, true, all(Liveness::Lost)));
    show("the line is cut", &boards);
    println!("both know after {} ms; promised: {:?}", now - cut_at, CONFIG.worst_case_detection());
    assert!(Duration::from_millis(now - cut_at) <= CONFIG.worst_case_detection());

    let mended = measure(|| {
        for board in &mut boards {
            board.reconnect(now);
        }
        now = run(&mut boards, now, false, all(Liveness::Alive));
    });
    show("the line is mended", &boards);
    assert!(all(Liveness::Alive)(&boards));
    let total = allocated.count_total + more.count_total + mended.count_total;
    println!("{} ms simulated, {total} allocations, {} bytes a board", now, size_of::<Board>());
    assert_eq!(total, 0);
}
