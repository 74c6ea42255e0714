use std::net::SocketAddr;

/// The variable that silences the warning about an unencrypted listener: `1`, `true` or `yes`, in any case,
/// as in connect-plugin-go. It silences, and allows nothing.
pub const DISABLE_TLS_WARNING: &str = "CONNECTPLUGIN_DISABLE_TLS_WARNING";

/// Says once, in the log, that what is served here in clear can be read on the way.
///
/// Not of loopback, and not where `silenced`, the value of [`DISABLE_TLS_WARNING`], says so.
pub fn warn_of_clear(address: SocketAddr, silenced: Option<&str>) {
    if is_due(address, silenced) {
        tracing::warn!(
            %address,
            impact = "tokens and data can be read and changed on the way",
            risk = "whoever reads a token can use it until it expires or is revoked",
            resolution = "serve TLS with --tls-cert and --tls-key; --require-tls insists on it",
            suppress = "set CONNECTPLUGIN_DISABLE_TLS_WARNING=1",
            "serving without TLS where other machines can connect"
        );
    }
}

fn is_due(address: SocketAddr, silenced: Option<&str>) -> bool {
    let is_silenced = silenced.is_some_and(|value| {
        ["1", "true", "yes"]
            .iter()
            .any(|yes| value.eq_ignore_ascii_case(yes))
    });
    !is_silenced && !address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_of_what_others_can_reach_unless_silenced() {
        for (address, silenced, expected) in [
            ("127.0.0.1:80", None, false),
            ("[::1]:80", None, false),
            ("[::ffff:127.0.0.1]:80", None, false),
            ("0.0.0.0:80", None, true),
            ("[::]:80", None, true),
            ("10.0.0.1:80", None, true),
            ("10.0.0.1:80", Some("0"), true),
            ("10.0.0.1:80", Some(""), true),
            ("10.0.0.1:80", Some("no"), true),
            ("10.0.0.1:80", Some("1"), false),
            ("10.0.0.1:80", Some("TRUE"), false),
            ("10.0.0.1:80", Some("Yes"), false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(
                is_due(address, silenced),
                expected,
                "{address} {silenced:?}"
            );
        }
    }
}
