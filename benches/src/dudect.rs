//! Whether two classes of input can be told apart by how long they take.
//!
//! The method is dudect's (Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?", 2016): inputs of both
//! classes are made beforehand and measured in random order; Welch's t-test says whether the means
//! differ, once over all measurements and once for each of a hundred crops that leave out the slowest,
//! as those are the system's doing. What counts is the largest |t|.

use std::{
    hint::spin_loop,
    sync::atomic::{Ordering::SeqCst, fence},
};

use tower_plugin_auth::{Clock, SystemClock, SystemRng, token::Rng};

/// What is measured: an input is put in place, and then the work done on it.
pub trait Probe {
    /// Puts an input of this class where [`run`](Self::run) finds it. Not timed.
    fn prepare(&mut self, class: Class);

    /// Does the work. Whatever the class, it reads its input from the same place.
    fn run(&mut self);
}

/// One of two kinds of input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// The first.
    A,
    /// The second.
    B,
}

/// What was found.
#[derive(Clone, Copy, Debug)]
pub struct Finding {
    /// The largest |t|.
    pub t: f64,
    /// How many nanoseconds longer the first class took, without the slowest tenth of each.
    pub nanos: f64,
}

/// One measurement: of which class, and how many nanoseconds it took.
pub type Taken = (Class, f64);

/// Takes that many measurements.
pub fn measure(probe: &mut dyn Probe, measurements: usize) -> Vec<Taken> {
    let clock = SystemClock::new();
    let warm_up = measurements / 10;
    let mut taken = Vec::with_capacity(measurements + warm_up);
    for class in order(measurements + warm_up) {
        probe.prepare(class);
        // What preparing has left under way must not run into what is timed.
        let ready = clock.monotonic_nanos() + PAUSE;
        while clock.monotonic_nanos() < ready {
            spin_loop();
        }
        fence(SeqCst);
        let start = clock.monotonic_nanos();
        probe.run();
        let took = clock.monotonic_nanos().saturating_sub(start);
        taken.push((class, took as f64));
    }
    // What comes first meets cold caches.
    taken.split_off(warm_up)
}

impl Finding {
    /// What these measurements say.
    #[must_use]
    pub fn of(taken: &[Taken]) -> Self {
        Self {
            t: largest(taken),
            nanos: difference(taken),
        }
    }
}

/// Random classes: neither the system nor a branch predictor can know which comes next.
fn order(count: usize) -> Vec<Class> {
    let mut bits = vec![0; count];
    SystemRng.fill(&mut bits).expect("randomness");
    let class = |bits: u8| if bits & 1 == 0 { Class::A } else { Class::B };
    bits.into_iter().map(class).collect()
}

fn largest(taken: &[Taken]) -> f64 {
    let mut sorted: Vec<_> = taken.iter().map(|(_, took)| *took).collect();
    sorted.sort_by(f64::total_cmp);
    let crops = (1..=CROPS).map(|crop| {
        let share = 1.0 - 0.5_f64.powf(10.0 * f64::from(crop) / f64::from(CROPS));
        sorted[((sorted.len() - 1) as f64 * share) as usize]
    });
    crops
        .chain([f64::INFINITY])
        .map(|limit| t(taken, limit).abs())
        .fold(0.0, f64::max)
}

fn difference(taken: &[Taken]) -> f64 {
    let mean = |class| {
        let of_class = taken.iter().filter(|(of, _)| *of == class);
        let mut sorted: Vec<_> = of_class.map(|(_, took)| *took).collect();
        sorted.sort_by(f64::total_cmp);
        let kept = &sorted[..sorted.len() * 9 / 10];
        kept.iter().sum::<f64>() / kept.len() as f64
    };
    mean(Class::A) - mean(Class::B)
}

/// Welch's t of the measurements up to this limit.
fn t(taken: &[Taken], limit: f64) -> f64 {
    let (mut a, mut b) = (Moments::default(), Moments::default());
    for (class, took) in taken.iter().filter(|(_, took)| *took <= limit) {
        match class {
            Class::A => a.add(*took),
            Class::B => b.add(*took),
        }
    }
    let error = (a.variance() / a.count + b.variance() / b.count).sqrt();
    // Where nothing varies, nothing can be told from the variance.
    let t = (a.mean - b.mean) / error;
    if t.is_finite() { t } else { 0.0 }
}

/// Mean and variance, updated value by value (Welford).
#[derive(Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let before = value - self.mean;
        self.mean += before / self.count;
        self.squares += before * (value - self.mean);
    }

    fn variance(&self) -> f64 {
        self.squares / (self.count - 1.0)
    }
}

const CROPS: u32 = 100;
/// In nanoseconds.
const PAUSE: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_is_welchs() {
        let a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9];
        let b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0];
        let of = |class, values: &[f64]| -> Vec<_> {
            values.iter().map(move |value| (class, *value)).collect()
        };
        let taken = [of(Class::A, &a), of(Class::B, &b)].concat();
        // Means 21 and 23.5, variances 15.724 and 4.294 (of the sample).
        assert!(
            (t(&taken, f64::INFINITY) + 1.4069).abs() < 1e-3,
            "{}",
            t(&taken, f64::INFINITY)
        );
        assert_eq!(t(&[(Class::A, 1.0), (Class::B, 2.0)], 9.0), 0.0);
    }

    #[test]
    fn a_difference_below_the_noise_of_the_slowest_is_found() {
        // One in twenty takes a thousand times as long, whatever the class.
        let taken: Vec<_> = order(20_000)
            .into_iter()
            .enumerate()
            .map(|(index, class)| {
                let noise = if index % 20 == 0 { 100_000.0 } else { 0.0 };
                let leak = if class == Class::A { 1.0 } else { 0.0 };
                (class, 100.0 + (index % 7) as f64 + noise + leak)
            })
            .collect();
        assert!(t(&taken, f64::INFINITY).abs() < 4.5);
        assert!(largest(&taken) > 10.0);
        assert!((difference(&taken) - 1.0).abs() < 0.3);
    }

    #[test]
    fn both_classes_come_as_often_and_in_no_order() {
        let order = order(10_000);
        let count = order.iter().filter(|class| **class == Class::A).count();
        let changes = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
        for count in [count, changes] {
            assert!((4_700..5_300).contains(&count), "{count}");
        }
    }
}
