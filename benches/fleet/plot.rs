//! What a heartbeat costs, drawn against the number of peers: one picture for each mode and
//! temperature, both axes in logarithms.

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use plotters::prelude::*;

use crate::report::{Row, Temperature, word};
use crate::structures::{Kind, Name};
use crate::work::Mode;

const SIZE: (u32, u32) = (860, 520);

/// Writes `fleet-MODE-TEMPERATURE.svg` for all there is of two sizes at least.
pub(crate) fn all(folder: &Path, rows: &[Row]) -> Result<()> {
    fs::create_dir_all(folder)?;
    for mode in Mode::value_variants() {
        for temperature in Temperature::value_variants() {
            let here = |row: &&Row| row.mode == *mode && row.temperature == *temperature;
            let rows: Vec<&Row> = rows.iter().filter(here).collect();
            let sizes = |edge: fn(u32, u32) -> u32| rows.iter().map(|row| row.peers).reduce(edge);
            let (Some(least), Some(most)) = (sizes(u32::min), sizes(u32::max)) else { continue };
            if least < most {
                let name = format!("fleet-{}-{}.svg", word(mode), word(temperature));
                let title = format!("{}, {}: time of a heartbeat", word(mode), word(temperature));
                let picture = picture(&title, &rows, least..most)
                    .map_err(|error| anyhow!("{name}: {error}"))?;
                fs::write(folder.join(name), picture)?;
            }
        }
    }
    Ok(())
}

fn picture(
    title: &str,
    rows: &[&Row],
    peers: core::ops::Range<u32>,
) -> Result<String, Box<dyn core::error::Error>> {
    let costs = || rows.iter().map(|row| row.heartbeat_ns());
    let costs = costs().fold(f64::INFINITY, f64::min) * 0.8..costs().fold(0.0, f64::max) * 1.25;
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(peers.log_scale(), costs.log_scale())?;
    chart
        .configure_mesh()
        .x_desc("peers")
        .y_desc("ns, of one core")
        .y_label_formatter(&|ns| format!("{ns:.0}"))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    for (index, name) in Name::value_variants().iter().enumerate() {
        let own: Vec<_> = rows
            .iter()
            .filter(|row| row.name == *name)
            .map(|row| (row.peers, row.heartbeat_ns()))
            .collect();
        if own.is_empty() {
            continue;
        }
        let style = ShapeStyle {
            color: color(index).to_rgba(),
            filled: true,
            stroke_width: if name.kind() == Kind::Ours { 4 } else { 1 },
        };
        chart
            .draw_series(LineSeries::new(own, style).point_size(2))?
            .label(word(name))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 11))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    area.present()?;
    drop(chart);
    drop(area);
    Ok(text)
}

/// Distinct hues: neighbours in the list far apart on the wheel.
fn color(index: usize) -> HSLColor {
    let many = Name::value_variants().len();
    let hue = (index * 5 % many) as f64 / many as f64;
    HSLColor(hue, 0.75, if index.is_multiple_of(2) { 0.4 } else { 0.5 })
}
