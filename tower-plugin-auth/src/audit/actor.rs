//! How the layer learns who called: whoever authenticates leaves it in the response, next to the refusal,
//! if asked to. Asking and not being asked allocate nothing.

use http::{Extensions, Response};
use tower_plugin_core::{Principal, Rejection};

/// In the extensions of a request: an audit layer further out wants to know whom a refusal met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted;

/// As well, and who was let through.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlwaysWanted;

/// In the extensions of a response: who called.
#[derive(Clone, Debug)]
pub(super) struct Actor(pub(super) Principal);

/// Who called, on its way from a request to the response.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    principal: Principal,
    always: bool,
}

impl Note {
    /// Whom the request is from, if anybody wants to know.
    pub(crate) fn of(request: &Extensions) -> Option<Self> {
        request.get::<Wanted>()?;
        Some(Self {
            principal: request.get::<Principal>()?.clone(),
            always: request.get::<AlwaysWanted>().is_some(),
        })
    }

    /// As [`leave`](Self::leave), of a response that is only passed on.
    #[inline(never)]
    pub(crate) fn left_in<B>(self, mut response: Response<B>) -> Response<B> {
        self.leave(&mut response);
        response
    }

    /// Leaves it in a response that is going to be written down.
    pub(crate) fn leave<B>(self, response: &mut Response<B>) {
        let is_wanted = self.always || response.extensions().get::<Rejection>().is_some();
        // Whoever authenticated further in knew better.
        if is_wanted && response.extensions().get::<Actor>().is_none() {
            response.extensions_mut().insert(Actor(self.principal));
        }
    }
}
