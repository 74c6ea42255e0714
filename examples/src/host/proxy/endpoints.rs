//! Engine: where a provider is.

use http::{Uri, uri::Authority};

use super::{
    options::ProviderUrl,
    reach::{Reach, is_sound},
};

/// Where the providers are: as the operator says, or as the plugin says where the operator allows it.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    own: Box<[ProviderUrl]>,
    reach: Reach,
}

/// Where one provider is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Endpoint {
    pub(super) authority: Authority,
    /// Without a slash at its end.
    pub(super) path: Box<str>,
}

impl Endpoints {
    pub(super) fn new(own: Vec<ProviderUrl>, reach: Reach) -> Self {
        Self {
            own: own.into(),
            reach,
        }
    }

    /// Where this provider is. What the operator says counts, whatever the plugin says.
    pub(super) fn of(&self, runtime_id: &str, metadata: &[(String, String)]) -> Option<Endpoint> {
        let name = runtime_id.rsplit_once('-').map_or("", |(name, _)| name);
        if let Some(own) = self.own.iter().find(|own| own.self_id.as_str() == name) {
            return Some(own.endpoint.clone());
        }
        let (_, url) = metadata.iter().find(|(key, _)| key == BASE_URL)?;
        if !self.reach.takes(url) {
            return None;
        }
        Endpoint::parse(url)
    }
}

impl Endpoint {
    /// Reads `http://host:port/path`; no query. TLS is not spoken.
    pub(super) fn parse(url: &str) -> Option<Self> {
        if !is_sound(url) {
            return None;
        }
        let url = url.parse::<Uri>().ok()?;
        if url.scheme_str() != Some("http") || url.query().is_some() {
            return None;
        }
        Some(Self {
            authority: url.authority()?.clone(),
            path: url.path().trim_end_matches('/').into(),
        })
    }
}

/// Where in its metadata a plugin says where it is.
const BASE_URL: &str = "base_url";

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "log-000102030405060708090a0b0c0d0e0f";

    fn said(url: &str) -> [(String, String); 1] {
        [(BASE_URL.to_owned(), url.to_owned())]
    }

    fn found(endpoints: &Endpoints, id: &str, url: &str) -> Option<String> {
        let endpoint = endpoints.of(id, &said(url))?;
        Some(format!("{}{}", endpoint.authority, endpoint.path))
    }

    #[test]
    fn f55_the_operators_word_counts_and_the_plugins_only_where_it_is_let() {
        let own = "Log=http://10.0.0.5:80/base/".parse().unwrap();
        let reach = Reach::new(&[], &["127.0.0.0/8".parse().unwrap()], &["10.0.0.5"]).unwrap();
        let endpoints = Endpoints::new(vec![own], reach);
        let at = |id: &str, url: &str| found(&endpoints, id, url);
        assert_eq!(
            at(ID, "http://127.0.0.1:1/"),
            Some("10.0.0.5:80/base".to_owned())
        );
        // Whose name only begins the same is someone else.
        let other = "log-2-000102030405060708090a0b0c0d0e0f";
        assert_eq!(
            at(other, "http://127.0.0.1:1/x"),
            Some("127.0.0.1:1/x".to_owned())
        );
        for url in [
            "http://10.0.0.5/",
            "https://127.0.0.1/",
            "http://127.0.0.1/?x=1",
            "http://127.0.0.1/../admin",
        ] {
            assert_eq!(at(other, url), None, "{url}");
        }
        assert_eq!(endpoints.of(other, &[]), None);
    }
}
