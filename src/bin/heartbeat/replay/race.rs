//! Every contender with every value of its knob on every trace, in parallel.

use heartbeat_proto::replay::{Contender, Field, Points, Trace};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

/// A trace, and what became of all on it.
pub(crate) struct Race {
    pub(crate) field: Field,
    pub(crate) points: Points,
}

pub(crate) fn bar(what: &str, many: usize) -> anyhow::Result<ProgressBar> {
    let template =
        format!("{{elapsed}} [{{wide_bar}}] {{human_pos}}/{{human_len}} {what}, {{eta}} left");
    Ok(ProgressBar::new(many as u64).with_style(ProgressStyle::with_template(&template)?))
}

pub(crate) fn run(
    traces: &[Trace],
    contenders: &[Contender],
    quantile: bool,
) -> anyhow::Result<Vec<Race>> {
    let fields: Vec<_> = traces.iter().filter_map(Field::new).collect();
    anyhow::ensure!(!fields.is_empty(), "no segment has 60 samples, of which 20 arrived");
    let runs: Vec<_> = (0..fields.len())
        .flat_map(|field| contenders.iter().map(move |contender| (field, contender)))
        .flat_map(|(field, one)| one.grid().iter().map(move |&knob| (field, one, knob)))
        .collect();
    let bar = bar("runs", runs.len())?;
    let points: Vec<_> = runs
        .par_iter()
        .map(|&(field, one, knob)| {
            let point = fields[field].point(one, knob, quantile);
            bar.inc(1);
            (field, point)
        })
        .collect();
    bar.finish_and_clear();
    let mut races: Vec<_> =
        fields.into_iter().map(|field| Race { field, points: Points::default() }).collect();
    for (field, point) in points {
        races[field].points.0.extend(point);
    }
    Ok(races)
}
