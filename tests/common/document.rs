//! Documents that are generated from the code, or are held to it.

use std::{env, fs};

/// Compares `docs/{path}` with what it must be, or writes it (`UPDATE_DOCS=1`).
pub(crate) fn keep(path: &str, new: &str) {
    let path = format!("{}/docs/{path}", env!("CARGO_MANIFEST_DIR"));
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, new).expect("a writable document");
    } else {
        let old = fs::read_to_string(&path).expect("a readable document");
        assert!(old == new, "{path} is stale: run the test with UPDATE_DOCS=1");
    }
}

/// The same for what stands in it between two marks.
pub(crate) fn keep_between(path: &str, begin: &str, end: &str, new: &str) {
    let page = fs::read_to_string(format!("{}/docs/{path}", env!("CARGO_MANIFEST_DIR")));
    let page = page.expect("a readable document");
    let (head, rest) = page.split_once(begin).expect("the begin mark");
    let (_, tail) = rest.split_once(end).expect("the end mark");
    keep(path, &format!("{head}{begin}{new}{end}{tail}"));
}
