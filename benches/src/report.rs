//! What a run has to say.

use serde::Serialize;

use crate::runner::Case;

/// One case, measured. This is the form of `target/compare.json`.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The case.
    pub id: &'static str,
    /// The median of ours.
    pub ours: f64,
    /// The median of the peer.
    pub peer: f64,
    /// The unit of both.
    pub unit: &'static str,
    /// How many times better ours is: the median over the slices, each compared with its neighbour.
    pub ratio: f64,
    /// How many times better it has to be.
    pub target: f64,
    /// Whether it is.
    pub met: bool,
    /// Who the peer is.
    pub peer_name: &'static str,
    /// The smallest and largest ratio of a slice.
    pub spread: [f64; 2],
}

impl Row {
    /// Compares two series of the same length.
    pub fn compare(case: &Case, ours: &[f64], peer: &[f64]) -> Self {
        let mut ratios: Vec<f64> = peer
            .iter()
            .zip(ours)
            .map(|(peer, ours)| peer / ours)
            .collect();
        let ratio = median(&mut ratios);
        let spread = [
            ratios.first().copied().unwrap_or(f64::NAN),
            ratios.last().copied().unwrap_or(f64::NAN),
        ];
        Self {
            id: case.id,
            ours: median(&mut ours.to_vec()),
            peer: median(&mut peer.to_vec()),
            unit: case.unit,
            ratio,
            target: case.target,
            met: ratio >= case.target,
            peer_name: case.peer,
            spread,
        }
    }

    /// The line for people.
    pub fn line(&self) -> String {
        let Self {
            id,
            ours,
            peer,
            unit,
            ratio,
            target,
            met,
            peer_name,
            spread: [low, high],
        } = self;
        let met = if *met { "met" } else { "MISSED" };
        format!(
            "{id:<24} ours {ours:>9.1} {unit:<6} {peer_name} {peer:>9.1} {unit:<6} \
             {ratio:>6.2}x ({low:.2} to {high:.2}), target {target}x: {met}"
        )
    }
}

/// Sorts, and takes the middle.
fn median(series: &mut [f64]) -> f64 {
    series.sort_by(f64::total_cmp);
    series.get(series.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_says_how_many_times_better_ours_is() {
        let case = Case {
            id: "x",
            peer: "p",
            unit: "ns",
            target: 2.5,
            contest: || unreachable!(),
        };
        let row = Row::compare(&case, &[10.0, 30.0, 10.0], &[20.0, 90.0, 40.0]);
        assert_eq!((row.ours, row.peer), (10.0, 40.0));
        assert_eq!((row.ratio, row.spread, row.met), (3.0, [2.0, 4.0], true));
    }
}
