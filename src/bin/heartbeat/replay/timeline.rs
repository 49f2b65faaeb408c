//! A timeline: what was sent, what arrived, until when it was trusted, and what was believed.

use heartbeat_proto::Liveness;
use heartbeat_proto::replay::{Contender, Link, Role};
use plotters::prelude::*;

use super::Window;
use super::against::Play;
use super::plot::draw;
use super::race::Race;

/// What one detector or configuration believed: a lane of the picture.
struct Lane {
    name: String,
    /// From, until (nanoseconds from the first sample), and how bad.
    bars: Vec<(u64, u64, RGBColor)>,
    /// Deadlines.
    ticks: Vec<u64>,
}

const GOOD: RGBColor = RGBColor(120, 190, 120);
const DOUBT: RGBColor = RGBColor(240, 170, 60);
const BAD: RGBColor = RGBColor(210, 60, 60);
const UNKNOWN: RGBColor = RGBColor(200, 200, 200);

/// The knobs with which detectors meet: as much mean detection time, in periods beyond what nobody can
/// avoid.
const BUDGET: f64 = 2.0;

/// Detectors at equal mean detection time; those of all that were run, without the pause-aware.
pub(crate) fn of_detectors(
    window: &Window<'_>,
    races: &[Race],
    contenders: &[Contender],
) -> anyhow::Result<String> {
    let link = Link::new(window.segment)
        .ok_or_else(|| anyhow::anyhow!("{}: too short to judge", window.segment.name))?;
    let race = races.iter().find(|race| race.field.name == window.trace);
    let race = race.ok_or_else(|| anyhow::anyhow!("{}: too short to judge", window.trace))?;
    let budget = race.field.budget(BUDGET);
    let mut lanes = Vec::new();
    for contender in contenders.iter().filter(|one| one.role() != Role::PauseAware) {
        let best = race.points.best(contender.name(), budget, race.points.guard(budget));
        let Some(best) = best else { continue };
        if let Some(deadlines) = contender.deadlines(best.parameter, &link) {
            let name = format!("{} {}", contender.name(), knob(&best.label));
            lanes.push(trusted(name, window, &link, &deadlines));
        }
    }
    picture(window, &lanes)
}

/// Four digits of a knob.
fn knob(label: &str) -> String {
    label.parse().map_or_else(|_| label.to_owned(), |knob: f64| format!("{knob:.3}"))
}

/// Trust and suspicion between the arrivals in the window.
fn trusted(name: String, window: &Window<'_>, link: &Link, deadlines: &[u64]) -> Lane {
    // The link's clock shows something else when the first sample is sent.
    let first = window.segment.samples.first().map_or(0, |first| first.sent);
    let shift = link.arrivals.first().map_or(0, |arrival| {
        let sample = window.segment.samples.get(arrival.seq as usize);
        arrival.sent.saturating_sub(sample.map_or(0, |sample| sample.sent - first))
    });
    let mut lane = Lane { name, bars: Vec::new(), ticks: Vec::new() };
    for (pair, &deadline) in link.arrivals.windows(2).zip(deadlines) {
        let [at, next, deadline] = [pair[0].at, pair[1].at, deadline.max(pair[0].at)]
            .map(|time| time.saturating_sub(shift));
        if next < window.from || at > window.to {
            continue;
        }
        lane.ticks.push(deadline);
        lane.bars.push((at, deadline.min(next), GOOD));
        if deadline < next {
            lane.bars.push((deadline, next, BAD));
        }
    }
    lane
}

/// Configurations, as their machines saw it.
pub(crate) fn of_rules(window: &Window<'_>, play: &Play) -> anyhow::Result<String> {
    let mut lanes = Vec::new();
    for (name, played) in play.segment(window.segment, 0)? {
        let mut bars = Vec::new();
        let (mut since, mut state) = (0, UNKNOWN);
        for turn in &played.turns {
            bars.push((since, turn.at, state));
            (since, state) = (
                turn.at,
                match turn.to {
                    Liveness::Alive => GOOD,
                    Liveness::Suspect | Liveness::Recovering => DOUBT,
                    Liveness::Lost => BAD,
                    _ => UNKNOWN,
                },
            );
        }
        bars.push((since, u64::MAX, state));
        lanes.push(Lane { name: name.to_owned(), bars, ticks: Vec::new() });
    }
    picture(window, &lanes)
}

#[expect(clippy::cast_precision_loss, reason = "pixels")]
fn picture(window: &Window<'_>, lanes: &[Lane]) -> anyhow::Result<String> {
    let samples = &window.segment.samples;
    let first = samples.first().map_or(0, |first| first.sent);
    let inside = |at: u64| (window.from..=window.to).contains(&at);
    let seconds = |at: u64| at.clamp(window.from, window.to) as f64 / 1e9;
    // Lane -1 is what was sent, 0 what arrived.
    let height = u32::try_from(lanes.len()).unwrap_or(100).min(100) * 26 + 130;
    let names: Vec<_> = ["sent", "arrived"]
        .into_iter()
        .map(str::to_owned)
        .chain(lanes.iter().map(|lane| lane.name.clone()))
        .collect();
    draw(1100, height, |area| {
        let many = names.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(190)
            .build_cartesian_2d(seconds(window.from)..seconds(window.to), many..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_desc("seconds from the first sample")
            .draw()?;
        for (index, name) in names.iter().enumerate() {
            let y = index as f64 + 0.5;
            let (left, top) = chart.backend_coord(&(seconds(window.from), y));
            let font = ("sans-serif", 12).into_font().color(&BLACK);
            let style = font.pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Right,
                plotters::style::text_anchor::VPos::Center,
            ));
            area.draw(&Text::new(name.clone(), (left - 8, top), style))?;
        }
        for sample in samples {
            let sent = sample.sent - first;
            let arrived = sample.delay.map(|delay| sent.saturating_add(delay));
            if inside(sent) {
                let color = if arrived.is_none() { BAD } else { BLACK };
                chart.draw_series([PathElement::new(
                    vec![(seconds(sent), 0.15), (seconds(sent), 0.85)],
                    color,
                )])?;
            }
            if let Some(at) = arrived.filter(|&at| inside(at)) {
                // From where it was sent to where it arrived.
                chart.draw_series([PathElement::new(
                    vec![(seconds(sent), 0.85), (seconds(at), 1.15), (seconds(at), 1.85)],
                    RGBColor(60, 90, 200),
                )])?;
            }
        }
        for (index, lane) in lanes.iter().enumerate() {
            let y = index as f64 + 2.0;
            let bars = lane.bars.iter().filter(|bar| bar.0 <= window.to && bar.1 >= window.from);
            chart.draw_series(bars.map(|&(from, to, color)| {
                let corners = [(seconds(from), y + 0.15), (seconds(to), y + 0.85)];
                Rectangle::new(corners, color.mix(0.7).filled())
            }))?;
            let ticks = lane.ticks.iter().filter(|&&at| inside(at));
            chart.draw_series(ticks.map(|&at| {
                PathElement::new(
                    vec![(seconds(at), y + 0.1), (seconds(at), y + 0.9)],
                    BLACK.mix(0.5),
                )
            }))?;
        }
        Ok(())
    })
}
