//! What protection a configuration leaves off: it is said once, when the host starts.

use tower_plugin_auth::audit::GrantUses;
use tower_plugin_ratelimit::redis::OnUnavailable;

use super::Config;

impl Config {
    /// A sentence for each, with the setting that is to blame. Whether admission is open is not among them: the
    /// admission itself knows that.
    pub(super) fn gaps(&self) -> Vec<&'static str> {
        let uses = self.audit.as_ref().map(|audit| audit.grant_uses);
        let redis = self.redis.as_ref();
        let limits_nothing =
            redis.is_some_and(|redis| matches!(redis.on_unavailable, OnUnavailable::Allow));
        let believes_all = self
            .proxy
            .networks
            .iter()
            .any(|network| network.prefix_len() == 0);
        let of_door = self.admission.gaps().iter().copied();
        [
            (uses.is_none(), NO_AUDIT),
            (matches!(uses, Some(GrantUses::None)), NO_GRANT_USES),
            (limits_nothing, NO_LIMITS),
            (
                redis.is_some_and(|redis| redis.url.is_in_clear()),
                CLEAR_REDIS,
            ),
            (believes_all, ANY_NETWORK),
            (self.public_metrics, PUBLIC_METRICS),
        ]
        .into_iter()
        .filter_map(|(is_left_off, what)| is_left_off.then_some(what))
        .chain(of_door)
        .collect()
    }
}

const ANY_NETWORK: &str =
    "a plugin may name any address as its own: --provider-network of all addresses";
const CLEAR_REDIS: &str = "what is asked of Redis can be read and changed on the way, unless the network is closed: no rediss://";
const NO_AUDIT: &str =
    "nothing is written down that somebody may have to account for: no --audit-file";
const NO_GRANT_USES: &str = "uses of grants are not written down: --audit-grant-uses none";
const NO_LIMITS: &str =
    "nothing is limited while Redis does not answer: --redis-on-unavailable allow";
/// Of a manifest.
pub(super) const NO_WATERMARK: &str =
    "an older manifest is believed after a restart: no manifest watermark";
const PUBLIC_METRICS: &str = "everybody may read the metrics: --public-metrics";
/// Of a manifest.
pub(super) const UNTRUSTED_AUTHORS: &str =
    "the manifest may list plugins of any author: allow_untrusted";

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tempfile::TempDir;

    use super::*;
    use crate::host::Options;

    /// The public key of the first test of RFC 8032.
    const TRUSTED: &str = "k=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn gaps(arguments: &[&str]) -> Vec<&'static str> {
        let options = Options::try_parse_from([&["plugin-host"], arguments].concat()).unwrap();
        options.into_config(None).unwrap().0.gaps()
    }

    #[test]
    fn what_is_left_off_is_named_and_nothing_else_is() {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
            path.to_str().unwrap().to_owned()
        };
        let keys = write("keys", &format!("1 {}\n", "7a".repeat(32)));
        let audit = ["--audit-file", "a", "--audit-key-file", &keys];
        assert_eq!(gaps(&[]), [NO_AUDIT]);
        assert_eq!(gaps(&audit), [""; 0]);
        let lax = write(
            "lax.toml",
            "rule = \"manifest\"\nmanifest_path = \"m\"\nallow_untrusted = true\n",
        );
        let strict = write(
            "strict.toml",
            "rule = \"manifest\"\nmanifest_path = \"m\"\nmanifest_watermark_path = \"w\"\n",
        );
        let manifest = vec!["--manifest", "m", "--trusted-key", TRUSTED];
        let marked = [&manifest[..], &["--manifest-watermark", "w"]].concat();
        let redis = |url| vec!["--token-key-file", &*keys, "--redis", url];
        let without = |what| {
            [
                redis("redis://127.0.0.1:1"),
                vec!["--redis-on-unavailable", what],
            ]
            .concat()
        };
        for (arguments, expected) in [
            (vec!["--audit-grant-uses", "none"], vec![NO_GRANT_USES]),
            (vec!["--audit-grant-uses", "all"], vec![]),
            (without("allow"), vec![NO_LIMITS]),
            (without("deny"), vec![]),
            (redis("redis+unix:///r"), vec![]),
            (redis("redis://localhost"), vec![]),
            (redis("redis://[::1]:1"), vec![]),
            (redis("redis://10.0.0.1:1"), vec![CLEAR_REDIS]),
            (redis("redis://redis.example"), vec![CLEAR_REDIS]),
            (
                vec!["--provider-network", "10.0.0.0/8,0.0.0.0/0"],
                vec![ANY_NETWORK],
            ),
            (vec!["--provider-network", "::/0"], vec![ANY_NETWORK]),
            (vec!["--provider-network", "10.0.0.0/8"], vec![]),
            (vec!["--public-metrics"], vec![PUBLIC_METRICS]),
            (manifest, vec![NO_WATERMARK]),
            (marked, vec![]),
            (
                vec!["--admission-file", &lax],
                vec![NO_WATERMARK, UNTRUSTED_AUTHORS],
            ),
            (vec!["--admission-file", &strict], vec![]),
        ] {
            let all = [&audit[..], &arguments[..]].concat();
            assert_eq!(gaps(&all), expected, "{arguments:?}");
        }
    }
}
