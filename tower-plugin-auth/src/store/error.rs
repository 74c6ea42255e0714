use std::{error::Error, fmt, sync::Arc, time::Duration};

/// A store could not answer: nothing is known about the token, least of all that it is invalid.
///
/// A clone shares the cause.
#[derive(Clone, Debug)]
pub struct StoreError {
    retry_after: Option<Duration>,
    source: Arc<dyn Error + Send + Sync>,
}

impl StoreError {
    /// Wraps the store's own complaint, which only logs will show.
    #[must_use]
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            retry_after: None,
            source: Arc::from(source.into()),
        }
    }

    /// Says when asking again makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// When asking again makes sense, where the store knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("token store is unavailable")
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// A record was not kept.
#[derive(Debug)]
#[non_exhaustive]
pub enum InsertError {
    /// There is a record under this id, and it stays.
    AlreadyExists,
    /// As many live tokens as the store may hold.
    Full,
    /// The store could not be asked.
    Unavailable(StoreError),
}

impl From<StoreError> for InsertError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error)
    }
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists => f.write_str("token id already exists"),
            Self::Full => f.write_str("token store is full"),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl Error for InsertError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::AlreadyExists | Self::Full => None,
            Self::Unavailable(error) => error.source(),
        }
    }
}
