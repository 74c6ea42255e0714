use http::{HeaderMap, Response, StatusCode};
use tower_plugin_core::Code;

/// What a call says about the service that was called.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "for, against, or nothing; a fourth would have no meaning"
)]
pub enum Outcome {
    /// The service could not answer: a breaker counts it, a retry may help.
    Failure,
    /// Nothing, e.g. because the call was cancelled.
    Neutral,
    /// The service answered, be it that the request was wrong.
    Success,
}

/// Judges the outcome of a call.
///
/// Implemented for [`ByStatus`] and for closures from `Result<Head<'_>, &E>` to [`Outcome`], where `E`
/// is the error of the inner service.
pub trait Classify<E> {
    /// Judges by the head of the response, or by the error there is instead.
    fn classify(&self, result: Result<Head<'_>, &E>) -> Outcome;
}

impl<E, F> Classify<E> for F
where
    F: Fn(Result<Head<'_>, &E>) -> Outcome,
{
    fn classify(&self, result: Result<Head<'_>, &E>) -> Outcome {
        self(result)
    }
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    /// A head of its parts; for gRPC the `headers` may be trailers.
    #[must_use]
    pub const fn new(status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self { status, headers }
    }

    /// The head of `response`.
    #[must_use]
    pub fn of<B>(response: &'a Response<B>) -> Self {
        Self::new(response.status(), response.headers())
    }

    /// The HTTP status, which gRPC callers find to be 200 in any case.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.status
    }

    /// The headers.
    #[must_use]
    pub const fn headers(self) -> &'a HeaderMap {
        self.headers
    }

    /// The gRPC code of `grpc-status`: `None` where there is no such header, or it says `OK`.
    ///
    /// What is no code of gRPC is [`Code::Unknown`]. A gRPC server may answer with a head that says
    /// nothing and state its code in the trailers, after the body.
    #[must_use]
    pub fn code(self) -> Option<Code> {
        let stated = self.headers.get("grpc-status")?.as_bytes();
        if stated == b"0" {
            return None;
        }
        let known = std::str::from_utf8(stated)
            .ok()
            .and_then(|text| text.parse().ok())
            .and_then(|number: u8| Code::ALL.into_iter().find(|code| code.number() == number));
        Some(known.unwrap_or(Code::Unknown))
    }
}

/// Judges by the gRPC code, or else by the HTTP status; every error of the inner service is a failure.
///
/// By default these are failures: `unavailable`, `resource_exhausted`, `internal`,
/// `deadline_exceeded`, `unknown`; 429 and all 5xx but 501, which Connect pairs with `unimplemented`.
/// `cancelled` and 499 are neutral: they tell of the caller. Everything else is a success, also 400
/// and 404: a service that can say so is there.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use tower_plugin_ratelimit::client::{ByStatus, Classify, Head, Outcome};
///
/// let headers = HeaderMap::new();
/// let head = |status| Ok::<_, &()>(Head::new(status, &headers));
/// let by_status = ByStatus::default();
/// assert_eq!(by_status.classify(head(StatusCode::BAD_GATEWAY)), Outcome::Failure);
/// assert_eq!(by_status.classify(head(StatusCode::NOT_FOUND)), Outcome::Success);
///
/// let only_429 = by_status.with_statuses([StatusCode::TOO_MANY_REQUESTS]);
/// assert_eq!(only_429.classify(head(StatusCode::BAD_GATEWAY)), Outcome::Success);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct ByStatus {
    /// Bit n is the code of that number.
    codes: u32,
    /// Bit n is the status 400 + n; statuses below are never failures.
    statuses: [u64; WORDS],
}

impl ByStatus {
    /// Counts exactly these gRPC codes as failures.
    pub fn with_codes(mut self, codes: impl IntoIterator<Item = Code>) -> Self {
        self.codes = codes
            .into_iter()
            .fold(0, |bits, code| bits | 1 << code.number());
        self
    }

    /// Counts exactly these HTTP statuses as failures; those below 400 are never any.
    pub fn with_statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = [0; WORDS];
        for status in statuses {
            let (word, bit) = place(status);
            if let Some(word) = self.statuses.get_mut(word) {
                *word |= bit;
            }
        }
        self
    }

    fn has_status(&self, status: StatusCode) -> bool {
        let (word, bit) = place(status);
        self.statuses.get(word).is_some_and(|word| word & bit != 0)
    }
}

impl Default for ByStatus {
    fn default() -> Self {
        let server_errors = (500..600).filter(|&status| status != 501);
        let statuses = server_errors.chain([429]);
        let none = Self {
            codes: 0,
            statuses: [0; WORDS],
        };
        none.with_codes([
            Code::Unknown,
            Code::DeadlineExceeded,
            Code::ResourceExhausted,
            Code::Internal,
            Code::Unavailable,
        ])
        .with_statuses(statuses.filter_map(|status| StatusCode::from_u16(status).ok()))
    }
}

impl<E> Classify<E> for ByStatus {
    fn classify(&self, result: Result<Head<'_>, &E>) -> Outcome {
        let Ok(head) = result else {
            return Outcome::Failure;
        };
        let (is_failure, is_cancelled) = match head.code() {
            Some(code) => (
                self.codes & 1 << code.number() != 0,
                code == Code::Cancelled,
            ),
            None => (self.has_status(head.status), head.status.as_u16() == 499),
        };
        match (is_failure, is_cancelled) {
            (true, _) => Outcome::Failure,
            (false, true) => Outcome::Neutral,
            (false, false) => Outcome::Success,
        }
    }
}

/// Where the bit of a status is; nowhere, if it is below 400.
fn place(status: StatusCode) -> (usize, u64) {
    match usize::from(status.as_u16()).checked_sub(400) {
        Some(index) => (index / 64, 1 << (index % 64)),
        None => (usize::MAX, 0),
    }
}

/// For 400 to 999, the last that `StatusCode` knows.
const WORDS: usize = 10;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn by_code(code: u16) -> Outcome {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from(code));
        ByStatus::default().classify(Ok::<_, &()>(Head::new(StatusCode::OK, &headers)))
    }

    fn by_status(status: u16) -> Outcome {
        let headers = HeaderMap::new();
        let status = StatusCode::from_u16(status).unwrap();
        ByStatus::default().classify(Ok::<_, &()>(Head::new(status, &headers)))
    }

    #[test]
    fn every_code_has_its_outcome() {
        let failures = [2, 4, 8, 13, 14];
        assert_eq!(by_code(0), Outcome::Success);
        for code in Code::ALL {
            let expected = match code.number() {
                1 => Outcome::Neutral,
                number if failures.contains(&number) => Outcome::Failure,
                _ => Outcome::Success,
            };
            assert_eq!(by_code(code.number().into()), expected, "{code:?}");
        }
        assert_eq!(by_code(17), Outcome::Failure, "no such code: unknown");
        assert_eq!(by_code(999), Outcome::Failure);
    }

    #[test]
    fn every_status_has_its_outcome() {
        for status in 100..=999 {
            let expected = match status {
                499 => Outcome::Neutral,
                501 => Outcome::Success,
                429 | 500..=599 => Outcome::Failure,
                _ => Outcome::Success,
            };
            assert_eq!(by_status(status), expected, "{status}");
        }
        let error = Err::<Head<'_>, _>(&());
        assert_eq!(ByStatus::default().classify(error), Outcome::Failure);
    }

    #[test]
    fn connect_and_grpc_callers_judge_a_code_alike() {
        for code in Code::ALL {
            let by_status = by_status(code.status().as_u16());
            // Connect says 500 for lost data too.
            if code != Code::DataLoss {
                assert_eq!(by_status, by_code(code.number().into()), "{code:?}");
            }
        }
    }

    #[test]
    fn a_chosen_list_replaces_the_default() {
        let headers = HeaderMap::new();
        let only = ByStatus::default().with_statuses([StatusCode::OK, StatusCode::CONFLICT]);
        for (status, expected) in [
            (200, Outcome::Success),
            (409, Outcome::Failure),
            (503, Outcome::Success),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let outcome = only.classify(Ok::<_, &()>(Head::new(status, &headers)));
            assert_eq!(outcome, expected, "{status}");
        }
    }
}
