"""All mutants in one build ("mutant schemata"): every function that has mutants becomes

    fn f(..) { match crate::mutant::chosen() { 7 => { body with mutant 7 } .. _ => { body } } }

and the environment variable MUTANT chooses, at run time, which of them lives. What stands outside
of functions (constants) or returns `impl Trait` cannot be chosen so: it needs a build of its own.
"""

import bisect
import dataclasses
import hashlib
import json
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXCLUDED = ["src/adapter*", "src/adapter/**", "src/bin/**", "src/sim*", "src/sim/**"]

CHOSEN = """
/// The mutant that lives, from the environment; none while the compiler evaluates constants.
pub(crate) mod mutant {
    use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
    use std::{env, fs, io::Write};

    const UNREAD: u32 = u32::MAX;
    /// No mutant: each function that is entered is written to the file REACHED.
    const TRACE: u32 = UNREAD - 1;
    static CHOSEN: AtomicU32 = AtomicU32::new(UNREAD);
    static REACHED: [AtomicBool; FUNCTIONS] = [const { AtomicBool::new(false) }; FUNCTIONS];

    #[inline]
    pub(crate) const fn chosen(function: usize) -> u32 {
        core::intrinsics::const_eval_select((function,), none, at_run_time)
    }

    const fn none(_: usize) -> u32 {
        0
    }

    #[inline]
    fn at_run_time(function: usize) -> u32 {
        let chosen = CHOSEN.load(Relaxed);
        if chosen >= TRACE && !REACHED[function].load(Relaxed) {
            return first(function);
        }
        chosen
    }

    #[cold]
    fn first(function: usize) -> u32 {
        let chosen = env::var("MUTANT").ok().and_then(|it| it.parse().ok()).unwrap_or(TRACE);
        CHOSEN.store(chosen, Relaxed);
        if chosen == TRACE && !REACHED[function].swap(true, Relaxed) {
            let path = env::var("REACHED").expect("a file");
            let file = fs::OpenOptions::new().append(true).create(true).open(path);
            // In one piece: other threads write, too.
            let line = std::format!("{function}\n");
            file.expect("it opens").write_all(line.as_bytes()).expect("it is written");
        }
        chosen
    }
}
"""

# What is changed in the copy of the tests: a digest or golden behaviour tells that something has
# changed, not that it is wrong; and to shrink a failure is to wait for nothing.
IN_TESTS = [
    ("tests/sim.rs", 'assert_eq!(totals.digest.to_string(), SLICE.1, "the behaviour changed");', ""),
    ("tests/reference/main.rs", "max_shrink_iters: 3_000", "max_shrink_iters: 0"),
]


@dataclasses.dataclass
class Mutant:
    name: str
    path: str
    start: int  # of what it replaces: an offset into the file
    end: int
    new: str
    function: tuple | None  # The offsets of the function around it
    layers: bool = False  # a fault made by hand: every layer of tests is asked
    number: int = 0
    place: int = 0  # the number that `weave` gave its function

    def alone(self):
        return self.function is None

    def applied(self, text):
        return text[:self.start] + self.new + text[self.end:]


class Source:
    """A file, and where its lines begin."""

    def __init__(self, path):
        self.text = (ROOT / path).read_text()
        self.lines = [0] + [match.end() for match in re.finditer("\n", self.text)]

    def offset(self, place):
        return self.lines[place["line"] - 1] + place["column"] - 1

    def span(self, span):
        return self.offset(span["start"]), self.offset(span["end"])


def body_of(text, function):
    """The offsets of a function's body without its braces."""
    start, end = function
    for match in re.finditer(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|\{', text[start:end], re.S):
        if match.group() == "{":
            return start + match.end(), end - 1
    raise ValueError(text[start:end])


def listed():
    """The mutants of cargo-mutants."""
    command = ["cargo", "mutants", "--list", "--json"]
    command += [word for pattern in EXCLUDED for word in ("--exclude", pattern)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    sources = {}
    for mutant in json.loads(out):
        path, function = mutant["file"], mutant["function"]
        source = sources.setdefault(path, Source(path))
        around = function and "impl " not in function["return_type"]
        yield Mutant(mutant["name"], path, *source.span(mutant["span"]), mutant["replacement"],
                     source.span(function["span"]) if around else None)


def digest(mutants):
    """Of the sources and of what is made of them."""
    texts = [file.read_text() for file in sorted(ROOT.glob("src/**/*.rs"))]
    return hashlib.sha256("".join(texts + list(map(repr, mutants))).encode()).hexdigest()


def functions(path, mutants):
    return sorted({mutant.function for mutant in mutants if mutant.path == path and mutant.function})


def faults(mutants):
    """The faults made by hand, in tests/mutants/faults.txt."""
    text = (ROOT / "tests/mutants/faults.txt").read_text()
    for block in text.split("\n# ")[1:]:
        title, path, old, new = block.strip().split("\n")
        old, new = old.removeprefix("- "), new.removeprefix("+ ")
        source = Source(path)
        found = list(re.finditer(rf"^ *({re.escape(old)}) *$", source.text, re.M))
        assert len(found) == 1, f"{title}: the line is there {len(found)} times"
        start, end = found[0].span(1)
        around = [it for it in functions(path, mutants) if it[0] < start and end < it[1]]
        yield Mutant(title, path, start, end, new, around[0] if around else None, layers=True)


def copy(tree):
    """Copies what git knows, with its times, so that little is built anew."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT,
                           capture_output=True, check=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() and not name.startswith("src/"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
    for path, old, new in IN_TESTS:
        text = (ROOT / path).read_text()
        assert text.count(old) == 1, f"{path}: {old}"
        write(tree / path, text.replace(old, new))


def write(path, text):
    """Leaves a file alone that is as it should be: nothing is built anew for it."""
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def weave(tree, mutants):
    """Writes `src/` with all mutants in it. Returns, for each file, the line at which each body
    begins and the number of the mutant in it (0: none), in ascending order."""
    texts, places, count = {}, {}, 0
    for file in ROOT.glob("src/**/*.rs"):
        path = str(file.relative_to(ROOT))
        text = Source(path).text
        here = [mutant for mutant in mutants if mutant.path == path and not mutant.alone()]
        woven, done, lines, numbers = "", 0, [0], [0]
        for function in functions(path, here):
            start, end = body_of(text, function)
            woven += text[done:start] + f"match crate::mutant::chosen({count}) {{\n"
            for mutant in (it for it in here if it.function == function):
                mutant.place = count
                lines.append(woven.count("\n") + 1)
                numbers.append(mutant.number)
                grown = len(mutant.new) - (mutant.end - mutant.start)
                woven += f"{mutant.number} => {{{mutant.applied(text)[start:end + grown]}}}\n"
            lines.append(woven.count("\n") + 1)
            numbers.append(0)
            woven += f"_ => {{{text[start:end]}}}\n}}"
            done, count = end, count + 1
        woven += text[done:]
        # Many bodies in one function: never to be copied into every caller.
        texts[path] = woven.replace("inline(always)", "inline(never)").replace("#[inline]\n", "\n")
        places[path] = lines, numbers
    if count:
        features = "#![feature(core_intrinsics, const_eval_select)]\n#![no_std]"
        texts["src/lib.rs"] = texts["src/lib.rs"].replace("#![no_std]", features)
        texts["src/lib.rs"] += CHOSEN.replace("FUNCTIONS", str(count))
    for path, text in texts.items():
        write(tree / path, text)
    return places


def mutant_at(places, path, line):
    """The mutant whose body has this line; 0 if none has."""
    lines, numbers = places.get(path, ([0], [0]))
    return numbers[bisect.bisect_right(lines, line) - 1]


def equivalent():
    """The mutants that equivalent.txt lists."""
    lines = (ROOT / "tests/mutants/equivalent.txt").read_text().splitlines()
    return {line for line in lines if line.startswith("src/")}
