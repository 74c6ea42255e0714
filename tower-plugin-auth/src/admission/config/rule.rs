use serde::Deserialize;

use crate::admission::{BootstrapSecret, Peers, Rule};

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RuleConfig {
    Closed,
    Open,
    Secret,
    Peer,
    Manifest,
    AllOf(Vec<Self>),
    AnyOf(Vec<Self>),
}

impl RuleConfig {
    pub(super) fn asks_for(&self, is_it: &impl Fn(&Self) -> bool) -> bool {
        match self {
            Self::AllOf(rules) | Self::AnyOf(rules) => {
                rules.iter().any(|rule| rule.asks_for(is_it))
            }
            rule => is_it(rule),
        }
    }

    /// A secret that is asked for and not there leaves nobody in; configurations are checked for that before.
    pub(super) fn build(&self, secret: Option<&BootstrapSecret>, peers: &Peers) -> Rule {
        let all = |rules: &[Self]| rules.iter().map(|rule| rule.build(secret, peers)).collect();
        match self {
            Self::Closed => Rule::Closed,
            Self::Open => Rule::Open,
            Self::Secret => secret.map_or(Rule::Closed, |secret| Rule::Secret(secret.clone())),
            Self::Peer => Rule::Peer(peers.clone()),
            Self::Manifest => Rule::Manifest,
            Self::AllOf(rules) => Rule::AllOf(all(rules)),
            Self::AnyOf(rules) => Rule::AnyOf(all(rules)),
        }
    }
}
