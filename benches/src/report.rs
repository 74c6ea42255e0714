//! What a run has to say.

use serde::Serialize;

/// One case, measured. This is the form of `target/compare.json`.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The case.
    pub id: &'static str,
    /// The median of ours.
    pub ours: f64,
    /// The median of the peer; where the target is absolute, the target.
    pub peer: f64,
    /// The unit of both.
    pub unit: &'static str,
    /// How many times better ours is: the median over the turns, each compared with its neighbour.
    pub ratio: f64,
    /// How many times better it has to be; where the target is absolute, what ours may be at most.
    pub target: f64,
    /// Whether it is.
    pub met: bool,
    /// Whether the target is a figure of its own rather than a multiple of the peer's.
    pub absolute: bool,
    /// Who the peer is.
    pub peer_name: &'static str,
    /// The smallest and largest ratio of a turn.
    pub spread: [f64; 2],
}

impl Row {
    /// Compares two series of the same length.
    pub fn compare(
        id: &'static str,
        unit: &'static str,
        peer_name: &'static str,
        times: f64,
        ours: &[f64],
        peer: &[f64],
    ) -> Self {
        let ratios = peer.iter().zip(ours).map(|(peer, ours)| peer / ours);
        let (ratio, spread) = middle_and_ends(ratios.collect());
        Self {
            id,
            ours: median(ours),
            peer: median(peer),
            unit,
            ratio,
            target: times,
            met: ratio >= times,
            absolute: false,
            peer_name,
            spread,
        }
    }

    /// Holds a series to what it may be at most.
    pub fn hold(id: &'static str, unit: &'static str, at_most: f64, ours: &[f64]) -> Self {
        let ratios = ours.iter().map(|&ours| within(at_most, ours));
        let (ratio, spread) = middle_and_ends(ratios.collect());
        let ours = median(ours);
        Self {
            id,
            ours,
            peer: at_most,
            unit,
            ratio,
            target: at_most,
            met: ours <= at_most,
            absolute: true,
            peer_name: "target",
            spread,
        }
    }

    /// The ratio from which on the target is met.
    pub fn needed(&self) -> f64 {
        if self.absolute { 1.0 } else { self.target }
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
            absolute,
            peer_name,
            spread: [low, high],
        } = self;
        let met = if *met { "met" } else { "MISSED" };
        let figures = format!("{id:<28} ours {ours:>9.1} {unit:<6}");
        if *absolute {
            format!("{figures} target at most {target} {unit}: {met}")
        } else {
            format!(
                "{figures} {peer_name} {peer:>9.1} {unit:<6} {ratio:>6.2}x ({low:.2} to {high:.2}), \
                 target {target}x: {met}"
            )
        }
    }
}

/// How many times `ours` fits into what it may be at most. None of nothing is exactly enough.
fn within(at_most: f64, ours: f64) -> f64 {
    if ours == at_most { 1.0 } else { at_most / ours }
}

fn median(series: &[f64]) -> f64 {
    middle_and_ends(series.to_vec()).0
}

/// Sorts, and takes the middle, the smallest and the largest.
fn middle_and_ends(mut series: Vec<f64>) -> (f64, [f64; 2]) {
    series.sort_by(f64::total_cmp);
    let at = |index: usize| series.get(index).copied().unwrap_or(f64::NAN);
    let last = series.len().saturating_sub(1);
    (at(series.len() / 2), [at(0), at(last)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_says_how_many_times_better_ours_is() {
        let (ours, peer) = ([10.0, 30.0, 10.0], [20.0, 90.0, 40.0]);
        let row = Row::compare("x", "ns", "p", 2.5, &ours, &peer);
        assert_eq!((row.ours, row.peer), (10.0, 40.0));
        assert_eq!((row.ratio, row.spread, row.met), (3.0, [2.0, 4.0], true));
        assert!(row.line().contains("p      40.0 ns       3.00x"));

        assert!(!Row::compare("x", "ns", "p", 3.5, &ours, &peer).met);
    }

    #[test]
    fn an_absolute_target_is_met_up_to_itself() {
        let row = |at_most, ours| Row::hold("x", "bytes", at_most, &[ours]);
        let within = row(40.0, 20.0);
        assert_eq!(
            (within.peer, within.target, within.ratio),
            (40.0, 40.0, 2.0)
        );
        assert!(within.met && row(40.0, 40.0).met && !row(40.0, 40.1).met);

        let (none, one) = (row(0.0, 0.0), row(0.0, 1.0));
        assert_eq!((none.ratio, none.met), (1.0, true));
        assert_eq!((one.ratio, one.met), (0.0, false));
        assert_eq!(one.needed(), 1.0);
    }
}
