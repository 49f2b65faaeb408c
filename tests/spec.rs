//! The specification, traced: every rule of `docs/SPEC.md` is cited where it is implemented and
//! where it is tested, every citation names a rule that exists, and every invariant is carried by
//! rules and has a property of its name.
//!
//! A citation is the rule's id in a comment: in `src/` anywhere, in `tests/` in the comment right
//! above a test. `J6 to J8` cites three. `cargo test --test spec -- --nocapture` prints the trace.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The families of rules, in the order of the text; those of the invariants follow it.
const RULES: [&str; 22] = [
    "T", "CF", "E", "P", "J", "LC", "A", "RP", "BO", "SV", "FO", "PL", "DT", "QL", "QS", "AD",
    "RY", "FL", "GD", "SN", "GW", "AS",
];
const INVARIANTS: [&str; 5] = ["S", "R", "L", "M", "C"];

type Trace = BTreeMap<Id, BTreeSet<String>>;

/// `J6`: the place of its family, and the number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id(usize, u32);

impl Id {
    fn parse(word: &str, families: &[&str]) -> Option<Self> {
        let digits = word.trim_start_matches(|c: char| c.is_ascii_uppercase());
        let family = families.iter().position(|f| *f == &word[..word.len() - digits.len()])?;
        Some(Self(family, digits.parse().ok()?))
    }

    fn name(self, families: &[&str]) -> String {
        format!("{}{}", families[self.0], self.1)
    }
}

/// The ids in a text, ranges written out.
fn ids(text: &str, families: &[&str]) -> Vec<Id> {
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let id = |at: usize| words.get(at).and_then(|word| Id::parse(word, families));
    let mut found = Vec::new();
    for at in 0..words.len() {
        let Some(first) = id(at) else { continue };
        let last = match (words.get(at + 1), id(at + 2)) {
            (Some(&"to"), Some(last)) if last.0 == first.0 => last.1,
            _ => first.1,
        };
        found.extend((first.1..=last).map(|number| Id(first.0, number)));
    }
    found
}

/// The items of the specification, `- **id ...** text`, each with its whole text.
fn items(spec: &str) -> Vec<(String, String)> {
    let mut items: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in spec.lines() {
        if let Some((title, text)) = line.strip_prefix("- **").and_then(|l| l.split_once("**")) {
            items.push((title.to_owned(), text.to_owned()));
            open = true;
        } else if open && line.starts_with("  ") {
            let (_, text) = items.last_mut().expect("an item is open");
            text.push(' ');
            text.push_str(line.trim());
        } else {
            open = false;
        }
    }
    items
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn spec() -> String {
    fs::read_to_string(root().join("docs/SPEC.md")).expect("the specification")
}

fn rules() -> BTreeMap<Id, String> {
    let items = items(&spec());
    items.into_iter().filter_map(|(id, text)| Some((Id::parse(&id, &RULES)?, text))).collect()
}

/// Invariants with the rules that carry them: the last parenthesis.
fn invariants() -> BTreeMap<Id, (String, Vec<Id>)> {
    let carried = |text: &str| {
        let (_, list) = text.rsplit_once('(').unwrap_or(("", ""));
        ids(list, &RULES)
    };
    let parse = |(title, text): (String, String)| {
        let (id, name) = title.split_once(' ')?;
        Some((Id::parse(id, &INVARIANTS)?, (name.to_owned(), carried(&text))))
    };
    items(&spec()).into_iter().filter_map(parse).collect()
}

fn sources(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(&root().join(folder), &mut out);
    out.sort();
    out
}

fn comment(line: &str) -> Option<&str> {
    line.split_once("//").map(|(_, comment)| comment)
}

/// Where `src/` cites each rule. The simulator is a test: its checker implements nothing.
fn implemented() -> Trace {
    let mut cited = Trace::new();
    let simulator = root().join("src/sim");
    for path in sources("src").into_iter().filter(|path| !path.starts_with(&simulator)) {
        let name = path.strip_prefix(root()).expect("below the root").display().to_string();
        let text = fs::read_to_string(&path).expect("a readable source");
        let comments: String = text.lines().filter_map(comment).collect::<Vec<_>>().join("\n");
        for id in ids(&comments, &RULES) {
            cited.entry(id).or_default().insert(name.clone());
        }
    }
    cited
}

/// Which tests cite each rule: the comment right above `#[test]` and `fn`.
fn tested() -> Trace {
    let mut citations = Trace::new();
    for path in sources("tests") {
        let file = path.strip_prefix(root().join("tests")).expect("below tests");
        let source = fs::read_to_string(&path).expect("a readable source");
        let (mut cited, mut is_test) = (Vec::new(), false);
        for line in source.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix("///") {
                cited.push(comment);
            } else if line.starts_with("#[") {
                is_test |= line == "#[test]";
            } else {
                if let Some(name) = line.strip_prefix("fn ").filter(|_| is_test) {
                    let name = name.split(['(', '<']).next().unwrap_or(name);
                    for id in ids(&cited.join("\n"), &RULES) {
                        let test = format!("{}::{name}", file.display());
                        citations.entry(id).or_default().insert(test);
                    }
                }
                (cited, is_test) = (Vec::new(), false);
            }
        }
    }
    citations
}

fn names(ids: impl IntoIterator<Item = Id>) -> Vec<String> {
    ids.into_iter().map(|id| id.name(&RULES)).collect()
}

#[test]
fn the_specification_is_complete_in_itself() {
    let (rules, invariants) = (rules(), invariants());
    assert_eq!(rules.len(), 214, "rules were added or lost: say so here");
    assert_eq!(invariants.len(), 30, "invariants were added or lost: say so here");
    for (family, name) in RULES.iter().enumerate() {
        let numbers: Vec<u32> = rules.keys().filter(|id| id.0 == family).map(|id| id.1).collect();
        // Each part of a section may begin at a ten of its own.
        let follows = |(last, next): (u32, u32)| next == last + 1 || next % 10 == 0;
        let pairs = core::iter::once(0).chain(numbers.iter().copied()).zip(numbers.iter().copied());
        assert!(pairs.clone().all(follows), "a gap in the rules {name}: {numbers:?}");
    }
    for (id, text) in &rules {
        let unknown = ids(text, &RULES).into_iter().filter(|cited| !rules.contains_key(cited));
        assert_eq!(names(unknown), [""; 0], "{} names rules that are not", id.name(&RULES));
    }
    // A MUST outside a rule would be bound to nothing. (The head says what the word means.)
    let musts = spec().matches("MUST").count();
    let bound: usize = rules.values().map(|text| text.matches("MUST").count()).sum();
    assert_eq!(musts, bound + 1, "a MUST stands outside of all rules");
}

#[test]
fn every_rule_is_implemented_and_tested() {
    let (rules, implemented, tested) = (rules(), implemented(), tested());
    for id in rules.keys() {
        let count = |trace: &Trace| trace.get(id).map_or(0, BTreeSet::len);
        println!("{:5} {} places, {} tests", id.name(&RULES), count(&implemented), count(&tested));
        for place in implemented.get(id).into_iter().chain(tested.get(id)).flatten() {
            println!("        {place}");
        }
    }
    let missing = |trace: &Trace| names(rules.keys().filter(|id| !trace.contains_key(id)).copied());
    let unknown = |trace: &Trace| names(trace.keys().filter(|id| !rules.contains_key(id)).copied());
    let none: [&str; 0] = [];
    assert_eq!(unknown(&implemented), none, "src/ cites rules that are not");
    assert_eq!(unknown(&tested), none, "tests cite rules that are not");
    assert_eq!(missing(&implemented), none, "rules without a citation in src/");
    assert_eq!(missing(&tested), none, "rules without a test that cites them");
}

#[test]
fn every_invariant_is_carried_by_rules() {
    let rules = rules();
    for (id, (name, carried)) in invariants() {
        let codec = INVARIANTS[id.0] == "C";
        assert!(codec || !carried.is_empty(), "nothing carries {} {name}", id.name(&INVARIANTS));
        let unknown = carried.into_iter().filter(|id| !rules.contains_key(id));
        assert_eq!(names(unknown), [""; 0], "{} is carried by what is not", id.name(&INVARIANTS));
    }
}

#[test]
fn every_invariant_has_a_property_of_its_name() {
    let tests: String = sources("tests")
        .iter()
        .map(|path| fs::read_to_string(path).expect("a readable source"))
        .collect();
    let property = |id: Id, name: &str| {
        let name = name.replace([' ', '-'], "_");
        format!("fn {}_{name}", id.name(&INVARIANTS).to_lowercase())
    };
    let all = invariants().into_iter().map(|(id, (name, _))| property(id, &name));
    let missing: Vec<_> = all.filter(|name| !tests.contains(name.as_str())).collect();
    assert_eq!(missing, [""; 0], "invariants without a property");
}
