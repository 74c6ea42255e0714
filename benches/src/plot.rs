//! The rows of a run as bars, in SVG.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::report::Row;

/// The rows by the first word of their ids: a plot of every case would be too tall to read.
pub fn groups(rows: &[Row]) -> BTreeMap<&'static str, Vec<&Row>> {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        let group = row.id.split('-').next().unwrap_or(row.id);
        groups.entry(group).or_default().push(row);
    }
    groups
}

/// Draws how many times better ours is, case by case, with the spread and the target.
pub fn ratios(rows: &[&Row]) -> String {
    let widest = rows
        .iter()
        .map(|row| drawable(row).max(row.needed()))
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
            (x(drawable(row)) - LEFT).max(1.0),
            y - 2.0,
            y + 16.0,
            x(drawable(row).max(row.needed())) + 6.0,
            y + 12.0,
            row.ratio,
            t = x(row.needed()),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Nothing of something is infinitely better: as far as the axis goes.
fn drawable(row: &Row) -> f64 {
    if row.ratio.is_finite() {
        row.ratio.min(LONGEST)
    } else {
        LONGEST
    }
}

const LEFT: f64 = 300.0;
const LONGEST: f64 = 1000.0;
const STEP: f64 = 24.0;
const TOP: f64 = 32.0;
const WIDTH: f64 = 480.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &'static str, ours: f64) -> Row {
        Row::compare(id, "ns", "p", 1.0, &[ours], &[10.0])
    }

    #[test]
    fn each_group_has_a_plot_of_its_own() {
        let rows = [row("mem-a", 1.0), row("layer-a", 2.0), row("mem-b", 3.0)];
        let groups: Vec<_> = groups(&rows)
            .into_iter()
            .map(|(group, rows)| (group, rows.iter().map(|row| row.id).collect::<Vec<_>>()))
            .collect();
        let expected = [("layer", vec!["layer-a"]), ("mem", vec!["mem-a", "mem-b"])];
        assert_eq!(groups, expected);
    }

    #[test]
    fn a_bar_ends_where_the_axis_does() {
        let (nothing, twice) = (row("a", 0.0), row("b", 5.0));
        let svg = ratios(&[&nothing, &twice]);
        let bars: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect"))
            .map(|line| {
                let (_, width) = line.split_once("width=\"").unwrap();
                width.split('"').next().unwrap().parse().unwrap()
            })
            .collect();
        assert_eq!(bars.len(), 2);
        assert_eq!(bars[0], WIDTH);
        assert!(bars[1] > 1.0 && bars[1] < WIDTH, "{bars:?}");
    }
}
