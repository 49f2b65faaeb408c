//! The faults of a random world.

use core::time::Duration;

use super::{Plan, Timed};
use crate::config::{Config, LatePolicy};
use crate::event::Event;
use crate::sim::fault::Fault;
use crate::sim::rng::Rng;

pub(super) fn draw(rng: &mut Rng, plan: &mut Plan) {
    let mut draw = Draw { rng, plan, enabled: 0 };
    // About a third of all kinds of faults, another third each time.
    draw.starts();
    draw.enabled = draw.rng.next() & (draw.rng.next() | draw.rng.next() & draw.rng.next());
    if draw.plan.calm {
        draw.calm();
    } else {
        draw.paths();
        draw.processes();
        draw.clocks();
        draw.writers();
        draw.crashes();
        draw.news();
        draw.holds();
    }
}

struct Draw<'a> {
    rng: &'a mut Rng,
    plan: &'a mut Plan,
    /// One bit a kind of fault.
    enabled: u64,
}

impl Draw<'_> {
    /// The next kind of fault: how often it happens.
    fn times(&mut self) -> u64 {
        let enabled = self.enabled & 1 == 1;
        self.enabled >>= 1;
        if enabled { self.rng.between(1, 3) } else { 0 }
    }

    fn end(&mut self) -> usize {
        self.rng.below(2 * self.plan.links.len() as u64) as usize
    }

    fn node(&mut self) -> usize {
        self.rng.below(self.plan.nodes as u64) as usize
    }

    fn config(&self, end: usize) -> Config {
        self.plan.links[end / 2].configs[end % 2]
    }

    fn moment(&mut self) -> u64 {
        self.rng.below(self.plan.heals_at)
    }

    /// How long something lasts: from shorter than the slack to longer than any silence.
    fn span(&mut self) -> u64 {
        let end = self.end();
        let config = self.config(end);
        self.rng.span(config.slack / 2 + 1, 2 * config.ceiling)
    }

    fn at(&mut self, at: u64, fault: Fault) {
        self.plan.steps.push(Timed { at, fault });
    }

    fn during(&mut self, fault: Fault, over: Fault) {
        let (from, lasts) = (self.moment(), self.span());
        self.at(from, fault);
        self.at(from + lasts, over);
    }

    /// Nearly always at once; now and then later than the start-up limit.
    fn starts(&mut self) {
        for end in 0..2 * self.plan.links.len() {
            let late = !self.plan.calm && self.rng.one_in(24);
            let at = if late { self.rng.below(15_000_000_000) } else { 0 };
            self.at(at, Fault::Tell { end, event: Event::Start });
        }
    }

    fn paths(&mut self) {
        for _ in 0..self.times() {
            let (end, of_1024) = (self.end(), self.rng.between(20, 700) as u16);
            self.during(Fault::Lose { end, of_1024 }, Fault::Lose { end, of_1024: 0 });
        }
        for _ in 0..self.times() {
            let (end, of_1024) = (self.end(), self.rng.between(20, 700) as u16);
            self.during(Fault::Duplicate { end, of_1024 }, Fault::Duplicate { end, of_1024: 0 });
        }
        for _ in 0..self.times() {
            let (end, span, reorder) = (self.end(), self.span() / 2, self.rng.one_in(2));
            let over = Fault::Jitter { end, span: 0, reorder: false };
            self.during(Fault::Jitter { end, span, reorder }, over);
        }
        for _ in 0..self.times() {
            let (end, span) = (self.end(), self.span() / 2);
            let delay = self.plan.links[end / 2].delay;
            self.during(Fault::Delay { end, span }, Fault::Delay { end, span: delay });
        }
        for _ in 0..self.times() {
            let end = self.end();
            let frame_time = self.config(end).window / self.rng.between(4, 64);
            self.during(Fault::Narrow { end, frame_time }, Fault::Narrow { end, frame_time: 0 });
            self.traffic(end);
        }
        for _ in 0..self.times() {
            let end = self.end();
            self.during(Fault::Cut { end }, Fault::Mend { end });
        }
        for _ in 0..self.times() {
            let (end, from, lasts) = (self.end(), self.moment(), self.span());
            for end in [end, end ^ 1] {
                self.at(from, Fault::Cut { end });
                self.at(from + lasts, Fault::Mend { end });
            }
        }
        for _ in 0..self.times() {
            let end = self.end();
            self.traffic(end);
        }
    }

    fn traffic(&mut self, end: usize) {
        let interval = self.config(end).interval;
        let gap = self.rng.between(interval / 6, 2 * interval);
        self.during(Fault::Traffic { end, gap }, Fault::Traffic { end, gap: 0 });
    }

    fn processes(&mut self) {
        for _ in 0..self.times() {
            let node = self.node();
            self.during(Fault::Freeze { node }, Fault::Thaw { node });
        }
        for _ in 0..self.times() {
            // A slow process: many short stalls.
            let (node, stall) = (self.node(), self.span() / 16);
            let mut at = self.moment();
            for _ in 0..8 {
                self.at(at, Fault::Freeze { node });
                self.at(at + stall, Fault::Thaw { node });
                at += stall + self.rng.below(2 * stall + 1);
            }
        }
        for _ in 0..self.times() {
            let (node, most) = (self.node(), self.span() / 2);
            self.during(Fault::Late { node, most }, Fault::Late { node, most: 0 });
        }
        for _ in 0..self.times() {
            let node = self.node();
            self.during(Fault::TickFirst { node, on: true }, Fault::TickFirst { node, on: false });
        }
        for _ in 0..self.times() {
            let (node, told, clock_stood) = (self.node(), !self.rng.one_in(3), self.rng.one_in(2));
            let back = told || self.rng.one_in(2);
            self.during(
                Fault::Suspend { node, told },
                Fault::Wake { node, clock_stood, told: back },
            );
        }
    }

    fn clocks(&mut self) {
        for _ in 0..self.times() {
            let (node, ppm) = (self.node(), self.rng.between(1, 400) as i32 - 200);
            let at = self.moment();
            self.at(at, Fault::Drift { node, ppm });
        }
        for _ in 0..self.times() {
            let (node, at, span) = (self.node(), self.moment(), signed(self.span()));
            let by = if self.rng.one_in(2) { span } else { -span / 4 };
            self.at(at, Fault::Step { node, by });
        }
    }

    fn writers(&mut self) {
        for _ in 0..self.times() {
            let (end, span) = (self.end(), self.span() / 2);
            self.during(Fault::SlowWriter { end, span }, Fault::SlowWriter { end, span: 0 });
        }
        for _ in 0..self.times() {
            let end = self.end();
            self.during(Fault::Block { end }, Fault::Unblock { end });
        }
        for _ in 0..self.times() {
            let end = self.end();
            let after = if self.rng.one_in(2) { Some(self.span() / 4) } else { None };
            self.during(Fault::Prober { end, after }, Fault::Prober { end, after: Some(0) });
        }
    }

    fn crashes(&mut self) {
        for _ in 0..self.times().min(2) {
            let node = self.node();
            if self.rng.one_in(3) {
                let at = self.moment();
                self.plan.dead = Some(node);
                self.at(at, Fault::Crash { node });
            } else {
                self.during(Fault::Crash { node }, Fault::Restart { node });
            }
        }
        for _ in 0..self.times() {
            let (at, link) = (self.moment(), self.end() / 2);
            let fresh = self.rng.one_in(3);
            self.at(at, Fault::Reconnect { link, fresh });
        }
    }

    /// What machines are told beyond what the world brings.
    fn news(&mut self) {
        for _ in 0..self.times() {
            let (end, at, other_epoch) = (self.end(), self.moment(), self.rng.one_in(2));
            self.at(at, Fault::Stray { end, other_epoch });
        }
        for _ in 0..self.times() {
            let (end, at) = (self.end(), self.moment());
            self.at(at, Fault::Tell { end, event: Event::PingDue });
        }
        for _ in 0..self.times() {
            self.limit();
        }
        for _ in 0..self.times().min(1) {
            let ends = [Event::Drain, Event::Close, Event::GoodbyeReceived];
            let (end, at) = (self.end(), self.moment());
            let event = ends[self.rng.below(3) as usize];
            self.at(at, Fault::Tell { end, event });
        }
    }

    /// One end doubts itself, again and again.
    fn holds(&mut self) {
        for _ in 0..6 * self.times() {
            let (end, at, probe) = (self.end(), self.moment(), self.rng.one_in(2));
            self.at(at, Fault::Tell { end, event: Event::Hold { probe } });
        }
    }

    /// Who only sends beacons promised them to one who waits for them: nobody slows it.
    fn limit(&mut self) {
        let (end, at) = (self.end(), self.moment());
        let config = self.config(end);
        let min_gap = Duration::from_nanos(self.rng.span(1, config.ceiling));
        if config.probes() {
            self.at(at, Fault::Tell { end, event: Event::LimitReceived { min_gap } });
        }
    }

    /// What must not cost any peer its life.
    fn calm(&mut self) {
        for _ in 0..self.times() {
            let end = self.end();
            self.traffic(end);
        }
        for _ in 0..self.times() {
            let (end, at) = (self.end(), self.moment());
            self.at(at, Fault::Tell { end, event: Event::PingDue });
        }
        for _ in 0..self.times() {
            let (end, at, other_epoch) = (self.end(), self.moment(), self.rng.one_in(2));
            self.at(at, Fault::Stray { end, other_epoch });
        }
        for _ in 0..self.times() {
            self.limit();
        }
        for _ in 0..self.times() {
            let (node, ppm) = (self.node(), self.rng.between(1, 400) as i32 - 200);
            let at = self.moment();
            self.at(at, Fault::Drift { node, ppm });
        }
        for _ in 0..self.times() {
            let end = self.end();
            let link = &self.plan.links[end / 2];
            // A path that makes bursts of honest pings breaks the conditions of who counts them.
            let counts = link.configs.iter().any(|config| config.accept_half_gap.is_some());
            let window = link.configs[0].window.min(link.configs[1].window);
            if !counts {
                let (span, reorder) = (self.rng.below(window / 8 + 1), self.rng.one_in(2));
                let over = Fault::Jitter { end, span: 0, reorder: false };
                self.during(Fault::Jitter { end, span, reorder }, over);
                let of_1024 = self.rng.between(20, 700) as u16;
                let over = Fault::Duplicate { end, of_1024: 0 };
                self.during(Fault::Duplicate { end, of_1024 }, over);
            }
        }
        for _ in 0..self.times() {
            let end = self.end();
            let (one, other) = (self.config(end), self.config(end ^ 1));
            let most = (one.window.min(other.window) / 8).min(one.slack);
            let span = self.rng.below(most + 1);
            self.during(Fault::SlowWriter { end, span }, Fault::SlowWriter { end, span: 0 });
        }
        for _ in 0..self.times().min(1) {
            self.pause();
        }
    }

    /// A node whose machines ask before they judge may be late at will, or find its clock ahead,
    /// once.
    fn pause(&mut self) {
        let node = self.node();
        let ends = self.plan.links.iter().flat_map(|link| link.nodes.iter().zip(link.configs));
        let mut mine = ends.filter(|&(&owner, _)| owner == node);
        if !mine.all(|(_, config)| config.late_policy == LatePolicy::Reprobe) {
            return;
        }
        // A peer that counts pings counts them by its own clock.
        let links = &self.plan.links;
        let mut configs = links.iter().flat_map(|link| link.configs);
        let counts = configs.any(|config| config.accept_half_gap.is_some());
        if self.rng.one_in(2) {
            let most = self.span();
            self.during(Fault::Late { node, most }, Fault::Late { node, most: 0 });
        } else if !counts {
            let (at, by) = (self.moment(), signed(self.span()));
            self.at(at, Fault::Step { node, by });
        }
    }
}

/// The longest span is some days.
fn signed(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}
