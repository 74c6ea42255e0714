//! Tries to learn something about tokens from how long a check takes: `just dudect`.
//!
//! A leak shows again and again; what a busy machine makes up does not. So a comparison holds if one of
//! three attempts finds nothing, and a control that leaks must be found out by each.
//!
//! Where code, stack and heap happen to lie makes some tenths of a nanosecond between two inputs, in favour of either,
//! for as long as a process lives. So each attempt is spread over many processes.

use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use tower_plugin_benches::dudect::{Class, Finding, Probe, Taken, measure};

mod probes;

use probes::{Engine, FIRST, InMemory, Kind, LAST, Leaky};

/// Compares how long checks of tokens take that must not be told apart.
#[derive(Parser)]
struct Arguments {
    /// How often each attempt measures.
    #[arg(long, default_value_t = 500_000)]
    measurements: usize,
    /// Over how many processes an attempt is spread.
    #[arg(long, default_value_t = 2_000)]
    processes: usize,
    /// Run only the comparisons whose name contains this.
    #[arg(long, value_name = "NAME", default_value = "")]
    filter: String,
    /// Print the measurements of the comparison of this place in the list, and no more.
    #[arg(long, hide = true)]
    measure: Option<usize>,
}

struct Comparison {
    name: &'static str,
    /// What is expected of the largest |t|.
    bound: Bound,
    /// In one of how many processes it is measured.
    one_in: usize,
    set_up: fn() -> Box<dyn Probe>,
}

enum Bound {
    Above(f64),
    Below(f64),
    /// The figure is of interest, and nothing that is secret hangs on it.
    None,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(at) = arguments.measure {
        let mut probe = (comparisons()[at].set_up)();
        for (class, took) in measure(&mut *probe, arguments.measurements) {
            println!("{class:?} {took}");
        }
        return ExitCode::SUCCESS;
    }
    let mut failed = false;
    for (at, comparison) in comparisons().into_iter().enumerate() {
        let Comparison {
            name,
            bound,
            one_in,
            ..
        } = comparison;
        if !name.contains(&arguments.filter) {
            continue;
        }
        let processes = (arguments.processes / one_in).max(1);
        let attempt = |_| Finding::of(&in_many_processes(at, processes, &arguments));
        let attempts: Vec<_> = (0..ATTEMPTS).map(attempt).collect();
        let least = attempts.iter().map(|found| found.t);
        let least = least.fold(f64::INFINITY, f64::min);
        let (held, wanted) = match bound {
            Bound::Above(bound) => (least > bound, format!("above {bound}")),
            Bound::Below(bound) => (least < bound, format!("below {bound}")),
            Bound::None => (true, "told, not judged".to_owned()),
        };
        failed |= !held;
        let verdict = if held { "held" } else { "FAILED" };
        let shown = |found: &Finding| format!("{:.2} ({:+.2} ns)", found.t, found.nanos);
        let shown: Vec<_> = attempts.iter().map(shown).collect();
        println!(
            "{name:<36} |t| {:<52} {wanted}: {verdict}",
            shown.join(", ")
        );
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn in_many_processes(at: usize, processes: usize, arguments: &Arguments) -> Vec<Taken> {
    let this = std::env::current_exe().expect("a path");
    let measurements = (arguments.measurements / arguments.processes).max(1);
    let mut taken = Vec::new();
    for _ in 0..processes {
        let mut command = Command::new(&this);
        command.args(["--measure", &at.to_string()]);
        command.args(["--measurements", &measurements.to_string()]);
        let output = command.stderr(Stdio::inherit()).output().expect("started");
        assert!(output.status.success(), "{}", output.status);
        let lines = String::from_utf8(output.stdout).expect("text");
        taken.extend(lines.lines().map(|line| match line.split_once(' ') {
            Some(("A", took)) => (Class::A, took.parse().expect("a number")),
            Some(("B", took)) => (Class::B, took.parse().expect("a number")),
            _ => panic!("{line}"),
        }));
    }
    taken
}

fn comparisons() -> Vec<Comparison> {
    let alike = |name, set_up| Comparison {
        name,
        bound: Bound::Below(4.5),
        one_in: 1,
        set_up,
    };
    let told = |name, set_up| Comparison {
        name,
        bound: Bound::None,
        one_in: 1,
        set_up,
    };
    vec![
        Comparison {
            name: "control: a compare that stops early",
            bound: Bound::Above(10.0),
            one_in: 1,
            set_up: || Box::new(Leaky::new()),
        },
        alike("control: twice the same", || {
            Engine::probe([Kind::WrongAt(LAST), Kind::WrongAt(LAST)])
        }),
        alike("check: right, or last byte wrong", || {
            Engine::probe([Kind::Right, Kind::WrongAt(LAST)])
        }),
        alike("check: first or last byte wrong", || {
            Engine::probe([Kind::WrongAt(FIRST), Kind::WrongAt(LAST)])
        }),
        alike("check: digest's first or last byte", || {
            Engine::probe([Kind::DigestWrongAt(0), Kind::DigestWrongAt(31)])
        }),
        alike("tokens: twice the same", || {
            InMemory::probe([Kind::WrongAt(LAST), Kind::WrongAt(LAST)])
        }),
        alike("tokens: first or last byte wrong", || {
            InMemory::probe([Kind::WrongAt(FIRST), Kind::WrongAt(LAST)])
        }),
        // There is no branch between the two, and yet a tenth of a nanosecond or two in favour of either, which
        // changes with every build: all measurements find that. A fifth of them still finds a nanosecond, and a
        // digest that is not made is a hundred. An id is no secret: it is shown, logged and revoked by.
        Comparison {
            one_in: 5,
            ..alike("check: known or unknown id", || {
                Engine::probe([Kind::WrongAt(LAST), Kind::Unknown])
            })
        },
        // Whether a lookup finds something shows.
        told("tokens: known or unknown id", || {
            InMemory::probe([Kind::WrongAt(LAST), Kind::Unknown])
        }),
        // The answer says as much.
        told("tokens: right, or last byte wrong", || {
            InMemory::probe([Kind::Right, Kind::WrongAt(LAST)])
        }),
    ]
}

const ATTEMPTS: usize = 3;
