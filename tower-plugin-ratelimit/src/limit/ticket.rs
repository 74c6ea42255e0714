//! What a request has to do with its quota, from before the decision until after the response.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use http::{HeaderMap, Response};
use tower_plugin_core::{Answer, Rejection, RequestHead};

use super::{
    counters::Event,
    headers::{self, RateLimitHeaders},
    refusal,
    settings::{Charging, Mode, OnMissingKey, Settings},
};
use crate::{Cost, Decision, Limiter, Operation, Policy, Unavailable, key::Key};

/// Whom to ask about a request, and how.
pub(super) struct Account<L: Limiter> {
    settings: Arc<Settings>,
    limiter: L,
    policy: Policy,
    key: L::Hasher,
    cost: Cost,
}

/// An [`Account`] and what was decided: kept only where something follows from it.
pub(super) struct Ticket<L: Limiter> {
    account: Account<L>,
    decision: Decision,
}

/// What happens to a request.
pub(super) enum Next<L: Limiter> {
    /// It goes on, and that is all.
    Call,
    /// It goes on, and something is to be done with the response.
    Follow(Box<Ticket<L>>),
    /// It goes on when its time has come.
    Wait(Box<Ticket<L>>),
    /// It goes no further.
    Refuse(Rejection),
    /// The limiter has to be waited for.
    Ask(Box<Ask<L>>),
}

/// An answer that takes time.
pub(super) type Pending<L> = Pin<Box<<L as Limiter>::Future>>;

/// A question to the limiter. Boxed, as all that takes time is, so that a request that goes on at once
/// moves little memory.
pub(super) struct Ask<L: Limiter> {
    pub(super) decision: Pending<L>,
    pub(super) account: Account<L>,
}

/// Decides about a request, as far as that can be done at once.
#[inline]
pub(super) fn plan<L: Limiter + Clone>(
    settings: &Arc<Settings>,
    limiter: &L,
    key: &impl Key,
    request: &RequestHead<'_>,
) -> Next<L> {
    if !settings.applies_to(request) {
        return Next::Call;
    }
    settings.source.with(request, |policy| {
        let mut hasher = limiter.hasher(policy);
        if let Err(missing) = key.key(request, &mut hasher) {
            settings.without_key(policy, missing);
            match settings.on_missing_key {
                OnMissingKey::Refuse => return Next::Refuse(refusal::missing_key()),
                OnMissingKey::Skip => return Next::Call,
                // A half-written key must not depend on which half.
                OnMissingKey::Share => hasher = limiter.hasher(policy),
            }
        }
        let cost = settings.cost_of(request);
        let account = |hasher| Account {
            settings: Arc::clone(settings),
            limiter: limiter.clone(),
            policy: policy.clone(),
            key: hasher,
            cost,
        };
        let operation = match settings.charging {
            Charging::AfterIf(_) => Operation::Peek(cost),
            Charging::Always | Charging::RefundIf(_) => Operation::Check(cost),
        };
        match limiter.apply(policy, hasher.clone(), operation) {
            Answer::Pending(decision) => Next::Ask(Box::new(Ask {
                decision: Box::pin(decision),
                account: account(hasher),
            })),
            Answer::Ready(Ok(decision)) if decision.is_allowed() && !decision.has_to_wait() => {
                settings.allowed(policy, &decision);
                if settings.follows_up() {
                    follow(account(hasher), decision)
                } else {
                    Next::Call
                }
            }
            Answer::Ready(answer) => judge(settings, policy, answer, || account(hasher)),
        }
    })
}

/// What follows from an answer of the limiter.
fn judge<L: Limiter>(
    settings: &Settings,
    policy: &Policy,
    answer: Result<Decision, Unavailable>,
    account: impl FnOnce() -> Account<L>,
) -> Next<L> {
    let enforces = settings.mode == Mode::Enforce;
    let decision = match answer {
        Ok(decision) => decision,
        Err(unavailable) => {
            settings.count(Event::Undecided, policy);
            tracing::debug!(policy = policy.name(), "no decision about a request");
            return if enforces {
                Next::Refuse(refusal::unavailable(unavailable))
            } else {
                Next::Call
            };
        }
    };
    if !decision.is_allowed() {
        settings.denied(policy, &decision);
        return if enforces {
            Next::Refuse(settings.over_quota(policy, &decision, decision.retry_after()))
        } else {
            Next::Call
        };
    }
    if decision.has_to_wait() && enforces {
        let ticket = Ticket {
            account: account(),
            decision,
        };
        if !settings.account.may_wait(settings.max_waiting) {
            settings.denied(policy, &decision);
            ticket.refund();
            let wait = Some(decision.wait());
            return Next::Refuse(settings.over_quota(policy, &decision, wait));
        }
        settings.count(Event::Waited, policy);
        settings.allowed(policy, &decision);
        return Next::Wait(Box::new(ticket));
    }
    settings.allowed(policy, &decision);
    if settings.follows_up() {
        follow(account(), decision)
    } else {
        Next::Call
    }
}

#[inline(never)]
fn follow<L: Limiter>(account: Account<L>, decision: Decision) -> Next<L> {
    Next::Follow(Box::new(Ticket { account, decision }))
}

impl<L: Limiter> Account<L> {
    /// What follows from an answer that had to be waited for.
    pub(super) fn judge(self, answer: Result<Decision, Unavailable>) -> Next<L> {
        let (settings, policy) = (Arc::clone(&self.settings), self.policy.clone());
        judge(&settings, &policy, answer, || self)
    }

    pub(super) fn share_settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings)
    }

    fn apply(&self, operation: Operation) -> Answer<Result<Decision, Unavailable>, L::Future> {
        self.limiter
            .apply(&self.policy, self.key.clone(), operation)
    }
}

impl<L: Limiter> Ticket<L> {
    pub(super) fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Whether something has to be done with the response.
    pub(super) fn follows_up(&self) -> bool {
        self.account.settings.follows_up()
    }

    /// Takes the cost back. A limiter that has to be asked may not hear of it: then the cost is
    /// lost, which is the safe side.
    fn refund(&self) {
        let _ = self.account.apply(Operation::Refund {
            cost: self.account.cost,
            debited_at: self.decision.made_at(),
        });
    }

    /// Gives up waiting, before its turn or with it.
    pub(super) fn stop_waiting(&self, has_come: bool) {
        self.account.settings.account.waiting.fetch_sub(1, Relaxed);
        if !has_come {
            self.refund();
        }
    }

    /// Writes headers and settles the cost now that the response is known. What the limiter has to be
    /// asked for is returned.
    #[inline(never)]
    pub(super) fn settle<B>(&self, response: Response<B>) -> (Response<B>, Option<Pending<L>>) {
        let Account { settings, cost, .. } = &self.account;
        let (mut head, body) = response.into_parts();
        let operation = match &settings.charging {
            Charging::RefundIf(matches) if matches(&head) => Some(Operation::Refund {
                cost: *cost,
                debited_at: self.decision.made_at(),
            }),
            Charging::AfterIf(matches) if matches(&head) => Some(Operation::Charge(*cost)),
            Charging::Always | Charging::RefundIf(_) | Charging::AfterIf(_) => None,
        };
        let mut decision = self.decision;
        let mut pending = None;
        match operation.map(|operation| self.account.apply(operation)) {
            Some(Answer::Ready(Ok(after))) => decision = after,
            Some(Answer::Pending(asking)) => pending = Some(Box::pin(asking)),
            // It could not be settled; the request was served all the same.
            Some(Answer::Ready(Err(_))) | None => {}
        }
        if settings.headers == RateLimitHeaders::Always {
            // Appended, so that every limiter of a stack is heard.
            let (policy, legacy) = (&self.account.policy, settings.legacy);
            let append = |mut headers: HeaderMap, name, value| {
                headers.append(name, value);
                headers
            };
            let headers = mem::take(&mut head.headers);
            head.headers = headers::tell(policy, &decision, legacy, headers, append);
        }
        (Response::from_parts(head, body), pending)
    }
}

impl<L: Limiter> fmt::Debug for Ticket<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("decision", &self.decision)
            .finish_non_exhaustive()
    }
}
