//! Measures ours against the peers: `cargo run --release -p tower-plugin-benches --bin compare -- --help`.

use std::{error::Error, fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use tower_plugin_benches::{
    cases, plot,
    report::Row,
    runner::{self, Effort},
};

/// Runs ours and the peers in turns, and says how many times better ours is.
#[derive(Parser)]
struct Arguments {
    /// Take short slices: enough to see that everything runs, not to believe the figures.
    #[arg(long)]
    quick: bool,
    /// Run only the cases whose id contains this.
    #[arg(long, value_name = "ID")]
    filter: Option<String>,
    /// Draw the ratios into this folder, a file for each group of cases: ratios-mem.svg and so on.
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    /// Fail when a target is missed, and list those.
    #[arg(long)]
    strict: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let effort = if arguments.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };
    let wanted = cases::id_of(arguments.filter.as_deref().unwrap_or_default());

    let mut rows: Vec<Row> = Vec::new();
    for case in cases::all() {
        if case.id.contains(wanted) {
            let row = runner::run(&case, effort);
            println!("{}", row.line());
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return Err(format!("no case has {wanted:?} in its id").into());
    }

    fs::create_dir_all("target")?;
    fs::write("target/compare.json", serde_json::to_vec_pretty(&rows)?)?;
    if let Some(folder) = arguments.plot {
        fs::create_dir_all(&folder)?;
        for (group, rows) in plot::groups(&rows) {
            let file = folder.join(format!("ratios-{group}.svg"));
            fs::write(file, plot::ratios(&rows))?;
        }
    }
    let missed: Vec<_> = rows.iter().filter(|row| !row.met).collect();
    if arguments.strict && !missed.is_empty() {
        eprintln!("{} of {} targets missed:", missed.len(), rows.len());
        for row in missed {
            eprintln!("{}", row.line());
        }
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
