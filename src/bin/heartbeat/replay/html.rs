//! The report: one page, nothing loaded from elsewhere.

use core::fmt::Write;

use heartbeat_proto::replay::Score;

use super::against::Parts;
use super::plot;
use super::race::Race;
use super::table::{self, Rows};

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}\
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums;font-size:13px}\
td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid #ddd}\
td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}";

pub(crate) fn of_detectors(
    races: &[Race],
    score: Option<&Score>,
    timeline: Option<String>,
) -> anyhow::Result<String> {
    let mut body = String::new();
    if let Some(score) = score {
        let _ = write!(body, "<h2>Score over {} cells</h2>", score.cells.len());
        body += &of_rows(&table::score_rows(score));
        body += "<h2>Cells</h2>";
        body += &of_rows(&table::cell_rows(score, races));
    }
    add_timeline(&mut body, timeline);
    for race in races {
        let _ = write!(body, "<h2>{}</h2>", escaped(&table::head(race)));
        body += &plot::front(race)?;
        body += &of_rows(&table::rows(race));
    }
    Ok(page("Detectors over traces", &body))
}

pub(crate) fn of_rules(parts: &Parts, timeline: Option<String>) -> String {
    let mut body = of_rows(&parts.rows());
    if parts.names.len() == 2 {
        let _ = write!(body, "<p>Changed: {}</p>", escaped(&parts.changes.join(", ")));
        body += "<h2>What became better and worse</h2>";
        body += &of_rows(&parts.differences());
    }
    add_timeline(&mut body, timeline);
    page("Configurations over traces", &body)
}

fn add_timeline(body: &mut String, timeline: Option<String>) {
    if let Some(picture) = timeline {
        *body += "<h2>Timeline</h2><p>Green: trusted, orange: suspected, red: suspected or given up; \
                  thin lines: deadlines; red strokes above: lost.</p>";
        *body += &picture;
    }
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
}

fn of_rows(rows: &Rows) -> String {
    let mut text = String::from("<table>");
    for (index, row) in rows.iter().enumerate() {
        let tag = if index == 0 { "th" } else { "td" };
        text += "<tr>";
        for cell in row {
            let _ = write!(text, "<{tag}>{}</{tag}>", escaped(cell));
        }
        text += "</tr>\n";
    }
    text + "</table>"
}

/// Names of files and segments are not ours.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
