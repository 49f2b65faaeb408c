//! `tests/mutants/faults.txt` is in step with the code: every fault names a rule that exists, and
//! the line it changes is there exactly once. (`tests/mutants/run faults` makes the faults.)

use std::collections::HashSet;
use std::fs;

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_fault_can_be_made() {
    let (list, spec) = (read("tests/mutants/faults.txt"), read("docs/SPEC.md"));
    let mut names = HashSet::new();
    for fault in list.split("\n# ").skip(1) {
        let lines: Vec<&str> = fault.trim().lines().collect();
        let [title, path, old, new] = lines[..] else { panic!("four lines: {fault}") };
        let (name, rest) = title.split_once(" (").expect("a name and a rule");
        let (rule, _) = rest.split_once("): ").expect("what is wrong");
        assert!(names.insert(name), "{name} is there twice");
        assert!(spec.contains(&format!("- **{rule}")), "{name}: no rule {rule}");
        let old = old.strip_prefix("- ").expect("the line as it is");
        assert!(new.strip_prefix("+ ").is_some_and(|new| new != old), "{name} changes nothing");
        let found = read(path).lines().filter(|line| line.trim() == old).count();
        assert_eq!(found, 1, "{name}: {path} has the line {found} times");
    }
    assert!(names.len() >= 50, "{} faults are left", names.len());
}
