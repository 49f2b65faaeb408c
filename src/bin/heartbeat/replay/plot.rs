//! SVG plots.

use core::ops::Range;

use anyhow::anyhow;
use heartbeat_proto::replay::{Point, Role};
use plotters::prelude::*;

use super::race::Race;

/// Mistakes an hour against mean detection time, both in logarithms: each detector is a line, the
/// front of its points; candidates are drawn thick.
pub(crate) fn front(race: &Race) -> anyhow::Result<String> {
    let (field, points) = (&race.field, &race.points);
    // What was never observed is drawn where half a mistake would be.
    let least = 0.5 / race.hours().max(1e-9);
    let place =
        |point: &Point| (point.outcome.mean / field.period, point.outcome.rate().max(least));
    let all: Vec<_> = points.0.iter().map(place).collect();
    let range = |of: fn(&(f64, f64)) -> f64| -> Range<f64> {
        let from = all.iter().map(of).fold(f64::INFINITY, f64::min);
        let to = all.iter().map(of).fold(0.0, f64::max);
        from * 0.8..(to * 1.25).max(from)
    };
    let xs = range(|place| place.0);
    let xs = xs.start..xs.end.min(xs.start * 200.0);
    let ys = range(|place| place.1);
    let names = points.names();
    draw(900, 560, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(xs.clone().log_scale(), ys.log_scale())?;
        chart
            .configure_mesh()
            .x_desc("mean detection time, periods")
            .y_desc("mistakes per hour")
            .x_label_formatter(&|x| format!("{x:.1}"))
            .y_label_formatter(&|y| super::table::short(*y))
            .light_line_style(RGBColor(240, 240, 240))
            .draw()?;
        for (index, name) in names.iter().enumerate() {
            let mut own: Vec<_> = points.of(name).collect();
            own.sort_by(|one, other| one.outcome.mean.total_cmp(&other.outcome.mean));
            let mut fewest = f64::INFINITY;
            own.retain(|point| {
                let better = point.outcome.rate() < fewest;
                fewest = fewest.min(point.outcome.rate());
                better && xs.contains(&(point.outcome.mean / field.period))
            });
            let candidate = own.first().is_some_and(|point| point.role == Role::Candidate);
            let style = ShapeStyle {
                color: color(index, names.len()).to_rgba(),
                filled: true,
                stroke_width: if candidate { 4 } else { 1 },
            };
            chart
                .draw_series(LineSeries::new(own.into_iter().map(place), style))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font(("sans-serif", 11))
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .draw()?;
        Ok(())
    })
}

/// Distinct hues.
pub(crate) fn color(index: usize, many: usize) -> HSLColor {
    let part = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    // Neighbours in the list far apart on the wheel.
    let hue = part(index * 7 % many.max(1)) / part(many.max(1));
    HSLColor(hue, 0.75, if index % 2 == 0 { 0.4 } else { 0.5 })
}

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// A picture on white.
pub(crate) fn draw(
    width: u32,
    height: u32,
    paint: impl FnOnce(&Area<'_>) -> Result<(), Box<dyn core::error::Error>>,
) -> anyhow::Result<String> {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
    let painted = area.fill(&WHITE).map_err(Into::into).and_then(|()| paint(&area));
    painted.and_then(|()| Ok(area.present()?)).map_err(|error| anyhow!("the plot: {error}"))?;
    drop(area);
    Ok(text)
}
