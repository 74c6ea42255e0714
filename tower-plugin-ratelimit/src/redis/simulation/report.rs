//! What leases buy.
