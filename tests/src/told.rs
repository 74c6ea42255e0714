//! A recorder of the `metrics` facade that keeps every name and label.

use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// Names, labels and the last or added-up value of each. Of a histogram, what was recorded is added up.
#[derive(Clone, Debug, Default)]
pub struct Told(Arc<Mutex<Vec<(String, f64)>>>);

impl Told {
    /// Everything that was told, in the order of its first time.
    ///
    /// # Panics
    ///
    /// If a thread panicked while it told something.
    #[must_use]
    pub fn all(&self) -> Vec<(String, f64)> {
        self.0.lock().unwrap().clone()
    }

    /// What is above zero, in alphabetical order: name without `prefix`, labels, value.
    #[must_use]
    pub fn lines(&self, prefix: &str) -> Vec<String> {
        let mut figures = self.all();
        figures.sort_by(|a, b| a.0.cmp(&b.0));
        let above = figures.iter().filter(|(_, value)| *value > 0.0);
        above
            .map(|(name, value)| format!("{} {value}", name.trim_start_matches(prefix)))
            .collect()
    }

    fn note(&self, key: &Key) -> Figure {
        let labels = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()));
        let name = format!("{}{}", key.name(), labels.collect::<String>());
        let mut told = self.0.lock().unwrap();
        if !told.iter().any(|(known, _)| *known == name) {
            told.push((name.clone(), 0.0));
        }
        Figure(self.clone(), name)
    }
}

struct Figure(Told, String);

impl Figure {
    fn change(&self, change: impl FnOnce(&mut f64)) {
        let mut told = self.0.0.lock().unwrap();
        let (_, value) = told.iter_mut().find(|(name, _)| *name == self.1).unwrap();
        change(value);
    }
}

impl CounterFn for Figure {
    fn increment(&self, by: u64) {
        self.change(|value| *value += by as f64);
    }

    fn absolute(&self, to: u64) {
        self.change(|value| *value = to as f64);
    }
}

impl GaugeFn for Figure {
    fn increment(&self, by: f64) {
        self.change(|value| *value += by);
    }

    fn decrement(&self, by: f64) {
        self.change(|value| *value -= by);
    }

    fn set(&self, to: f64) {
        self.change(|value| *value = to);
    }
}

impl HistogramFn for Figure {
    fn record(&self, value: f64) {
        self.change(|sum| *sum += value);
    }
}

impl Recorder for Told {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(self.note(key)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(self.note(key)))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(self.note(key)))
    }
}
