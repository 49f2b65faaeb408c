//! The diagram: the changes that the walks have found, each on its route. Where the routes lie is
//! drawn by hand; which there are, and why they are taken, is not.

use std::collections::BTreeSet;

use svg::Document;
use svg::node::element::{Definitions, Marker, Path, Rectangle, Style, Text};

use super::document::keep;
use super::walks::{Changes, changes};

const STYLE: &str = "
text { font: 14px sans-serif; fill: #1b1f24; text-anchor: middle }
text.reason { font-size: 12px; fill: #57606a }
text.start { text-anchor: start }
rect { fill: #ffffff; stroke: #1b1f24; stroke-width: 1.5 }
rect.page { stroke: none }
rect.group { stroke: #afb8c1; stroke-dasharray: 5 4 }
path.route { fill: none; stroke: #1b1f24; stroke-width: 1.3; marker-end: url(#head) }
";

/// The states: name, centre.
const STATES: [(&str, f64, f64); 7] = [
    ("idle", 90.0, 120.0),
    ("starting", 280.0, 120.0),
    ("alive", 520.0, 120.0),
    ("suspect", 520.0, 290.0),
    ("recovering", 720.0, 205.0),
    ("lost", 520.0, 530.0),
    ("closed", 950.0, 300.0),
];

const LIVE: [&str; 4] = ["starting", "alive", "suspect", "recovering"];

/// A route for all changes from some states to one.
struct Route {
    from: &'static [&'static str],
    to: &'static str,
    path: &'static str,
    /// Where the reasons begin, one below the other.
    label: (f64, f64),
    start: bool,
}

const fn route(
    from: &'static [&'static str],
    to: &'static str,
    path: &'static str,
    label: (f64, f64),
) -> Route {
    Route { from, to, path, label, start: false }
}

const fn left(route: &Route) -> Route {
    Route { start: true, ..*route }
}

const ROUTES: [Route; 14] = [
    route(&["idle"], "starting", "M150 120 H214", (182.0, 110.0)),
    left(&route(&["idle"], "lost", "M90 142 V530 H454", (104.0, 520.0))),
    route(&["starting"], "alive", "M340 120 H454", (400.0, 110.0)),
    route(&["starting"], "suspect", "M320 142 L454 276", (352.0, 226.0)),
    left(&route(&["alive"], "suspect", "M500 142 V262", (425.0, 190.0))),
    left(&route(&["suspect"], "alive", "M540 268 V148", (550.0, 200.0))),
    route(&["recovering"], "alive", "M690 183 L586 130", (655.0, 145.0)),
    route(&["recovering"], "suspect", "M690 227 L586 280", (690.0, 262.0)),
    left(&route(&LIVE, "lost", "M440 350 C440 430 470 470 488 502", (330.0, 384.0))),
    left(&route(&["lost"], "recovering", "M580 520 C700 490 725 330 720 233", (726.0, 330.0))),
    left(&route(&["lost"], "alive", "M570 508 C650 400 650 200 578 142", (630.0, 420.0))),
    left(&route(&["lost"], "suspect", "M520 508 V318", (526.0, 420.0))),
    left(&route(&["lost"], "closed", "M580 535 C760 545 870 420 910 326", (810.0, 500.0))),
    left(&route(
        &["idle", "starting", "alive", "suspect", "recovering"],
        "closed",
        "M830 205 C880 205 930 230 945 272",
        (850.0, 180.0),
    )),
];

/// The reasons on a route; each of its states must know them all, but for verdicts: which of those
/// are met depends on what a state lives to see.
fn reasons(route: &Route, changes: &Changes) -> BTreeSet<String> {
    let edge = |from: &str| {
        let edge = (from.to_owned(), route.to.to_owned());
        changes.get(&edge).unwrap_or_else(|| panic!("no walk found {edge:?}"))
    };
    let all: BTreeSet<String> = route.from.iter().copied().flat_map(edge).cloned().collect();
    for &from in route.from {
        let known = edge(from);
        assert!(route.to == "lost" || *known == all, "{from} to {}: {known:?}", route.to);
    }
    all
}

fn reason(text: &str, (x, y): (f64, f64), start: bool) -> Text {
    let class = if start { "reason start" } else { "reason" };
    Text::new(text).set("class", class).set("x", x).set("y", y)
}

fn frame(class: &str, x: f64, y: f64, width: f64, height: f64) -> Rectangle {
    let frame = Rectangle::new().set("class", class).set("x", x).set("y", y);
    frame.set("width", width).set("height", height).set("rx", 8)
}

fn diagram(changes: &Changes) -> String {
    let head = Path::new().set("d", "M0 0 L8 4 L0 8 z").set("fill", "#1b1f24");
    let marker = Marker::new().set("id", "head").set("viewBox", "0 0 8 8").set("refX", 7);
    let marker = marker.set("refY", 4).set("markerWidth", 7).set("markerHeight", 7);
    let marker = marker.set("orient", "auto").add(head);
    let mut svg = Document::new()
        .set("viewBox", (0, 0, 1040, 590))
        .add(Style::new(STYLE))
        .add(Definitions::new().add(marker))
        .add(frame("page", 0.0, 0.0, 1040.0, 590.0))
        .add(frame("group", 20.0, 30.0, 810.0, 335.0))
        .add(frame("group", 200.0, 50.0, 610.0, 300.0))
        .add(reason("live", (214.0, 72.0), true));
    for route in &ROUTES {
        svg = svg.add(Path::new().set("class", "route").set("d", route.path));
        let (x, mut y) = route.label;
        for text in reasons(route, changes) {
            svg = svg.add(reason(&text, (x, y), route.start));
            y += 15.0;
        }
    }
    for (name, x, y) in STATES {
        svg = svg.add(frame("state", x - 60.0, y - 22.0, 120.0, 44.0));
        svg = svg.add(Text::new(name).set("x", x).set("y", y + 5.0));
    }
    format!("{svg}\n")
}

/// Every change that the walks found has a route, and every route was found.
#[test]
fn the_diagram_in_the_documents_is_what_the_code_does() {
    let changes = changes();
    for (from, to) in changes.keys() {
        let drawn = |route: &Route| route.to == to && route.from.contains(&from.as_str());
        assert!(ROUTES.iter().any(drawn), "{from} to {to} is not in the diagram");
    }
    keep("state_machine.svg", &diagram(&changes));
}
