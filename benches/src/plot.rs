//! The rows of a run as bars, in SVG.

use std::fmt::Write as _;

use crate::report::Row;

/// Draws how many times better ours is, case by case, with the spread and the target.
pub fn ratios(rows: &[Row]) -> String {
    let widest = rows
        .iter()
        .map(|row| row.ratio.max(row.needed()))
        .fold(1.0, f64::max);
    // Ratios range from one to hundreds: a logarithmic axis, from 0.5.
    let x = |ratio: f64| LEFT + (ratio.max(0.5) * 2.0).log2() / (widest * 2.0).log2() * WIDTH;
    let height = TOP + rows.len() as f64 * STEP + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <text x=\"8\" y=\"18\">how many times better ours is than the peer (log scale; | target)</text>\n",
        LEFT + WIDTH + 120.0
    );
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + index as f64 * STEP;
        let colour = if row.met { "#2b7a4b" } else { "#b3452c" };
        let _ = write!(
            svg,
            "<text x=\"8\" y=\"{}\">{} vs {}</text>\n\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"14\" fill=\"{colour}\"/>\n\
             <line x1=\"{t:.1}\" x2=\"{t:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"black\"/>\n\
             <text x=\"{:.1}\" y=\"{}\">{:.2}x</text>\n",
            y + 12.0,
            row.id,
            row.peer_name,
            (x(row.ratio) - LEFT).max(1.0),
            y - 2.0,
            y + 16.0,
            x(row.ratio.max(row.needed())) + 6.0,
            y + 12.0,
            row.ratio,
            t = x(row.needed()),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

const LEFT: f64 = 300.0;
const STEP: f64 = 24.0;
const TOP: f64 = 32.0;
const WIDTH: f64 = 480.0;
