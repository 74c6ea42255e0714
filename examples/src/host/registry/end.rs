//! Engine: how what a plugin has left behind lives on, and how it ends.

use std::time::SystemTime;

use tower_plugin_auth::token::TokenId;

use super::Registry;

impl Registry {
    /// Lets what a plugin left behind live as long as this token, its newest. Does nothing for one that
    /// left nothing.
    pub fn renew(&mut self, runtime_id: &str, token_id: TokenId, expires_at: SystemTime) {
        if let Some(plugin) = self.plugins.get_mut(runtime_id) {
            plugin.renew(token_id, expires_at);
        }
    }

    /// Drops everything of one plugin, its health too; the services that changes.
    pub fn remove(&mut self, runtime_id: &str) -> Vec<Box<str>> {
        let Some(plugin) = self.plugins.remove(runtime_id) else {
            return Vec::new();
        };
        plugin
            .registrations
            .iter()
            .filter_map(|id| self.withdraw(id))
            .collect()
    }

    /// Drops what has expired; the services that changes.
    pub fn sweep(&mut self, now: SystemTime) -> Vec<Box<str>> {
        let gone: Vec<_> = self
            .plugins
            .extract_if(|_, plugin| plugin.expires_at <= now)
            .collect();
        self.first_expiry = self.plugins.values().map(|plugin| plugin.expires_at).min();
        gone.iter()
            .flat_map(|(_, plugin)| &plugin.registrations)
            .filter_map(|id| self.withdraw(id))
            .collect()
    }

    /// Who has left something behind, and the newest token each has called with.
    #[must_use]
    pub fn owners(&self) -> Vec<(Box<str>, TokenId)> {
        self.plugins
            .iter()
            .map(|(runtime_id, plugin)| (runtime_id.clone(), plugin.token_id))
            .collect()
    }
}
