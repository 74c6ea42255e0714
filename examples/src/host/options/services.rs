use std::{fmt, str::FromStr};

use tower_plugin_auth::token::SelfId;

use crate::host::{banner, fields};

/// Which plugins may offer which services, and which may find and call them.
///
/// By default none may: whoever was let in has no rights beyond his own tokens.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Services")]
pub struct ServiceOptions {
    /// Let plugins of this name register services of this type, as NAME=TYPE; * is any; repeatable.
    ///
    /// Without any, nobody registers a service. Only a host with no setting of these and an admission secret that is
    /// made for the run lets the plugin of the script it prints, curl, register and call logger.
    #[arg(long = "allow-register", value_name = "RULE", value_delimiter = ',')]
    pub allow_register: Vec<ServiceRule>,

    /// Let plugins of this name find, watch and call services of this type, as NAME=TYPE; * is any; repeatable.
    #[arg(long = "allow-call", value_name = "RULE", value_delimiter = ',')]
    pub allow_call: Vec<ServiceRule>,

    /// Keep plugins of this name from registering services of this type, whatever is allowed; repeatable.
    #[arg(long = "deny-register", value_name = "RULE", value_delimiter = ',')]
    pub deny_register: Vec<ServiceRule>,

    /// Keep plugins of this name from services of this type, whatever is allowed; repeatable.
    #[arg(long = "deny-call", value_name = "RULE", value_delimiter = ',')]
    pub deny_call: Vec<ServiceRule>,

    /// Whether nothing was said, and the host is one to be tried out.
    #[arg(skip)]
    pub(in crate::host) is_trial: bool,
}

/// Plugins and a type of service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceRule {
    /// `None` for all plugins.
    pub(in crate::host) plugin: Option<SelfId>,
    /// `None` for all types.
    pub(in crate::host) service_type: Option<Box<str>>,
}

impl ServiceOptions {
    /// What is in effect; `is_trial` where nobody has said who is admitted, either.
    pub(super) fn config(self, is_trial: bool) -> Self {
        let said = [
            &self.allow_register,
            &self.allow_call,
            &self.deny_register,
            &self.deny_call,
        ];
        if !is_trial || said.iter().any(|rules| !rules.is_empty()) {
            return self;
        }
        // Whoever knows the secret has read the script.
        let script: Vec<ServiceRule> = banner::RULE.parse().into_iter().collect();
        Self {
            allow_register: script.clone(),
            allow_call: script,
            is_trial: true,
            ..Self::default()
        }
    }
}

impl ServiceRule {
    pub(in crate::host) fn is_for_all(&self) -> bool {
        self.plugin.is_none() && self.service_type.is_none()
    }
}

impl FromStr for ServiceRule {
    type Err = InvalidServiceRule;

    fn from_str(text: &str) -> Result<Self, InvalidServiceRule> {
        let (plugin, service_type) = text.split_once('=').ok_or(InvalidServiceRule::Form)?;
        let plugin = match plugin {
            "*" => None,
            name => Some(name.parse().map_err(|_| InvalidServiceRule::Name)?),
        };
        let service_type = match service_type {
            "*" => None,
            service_type => {
                fields::identifier("TYPE", service_type).map_err(InvalidServiceRule::Type)?;
                Some(service_type.into())
            }
        };
        Ok(Self {
            plugin,
            service_type,
        })
    }
}

/// A rule of services that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidServiceRule {
    /// Not NAME=TYPE.
    Form,
    /// No plugin can call itself so.
    Name,
    /// No service can be of this type.
    Type(fields::InvalidField),
}

impl fmt::Display for InvalidServiceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("must have the form NAME=TYPE; * is any name, or any type"),
            Self::Name => f.write_str(
                "NAME must be *, or a letter followed by letters, digits, _, - and single dots",
            ),
            Self::Type(field) => write!(f, "{field}, or *"),
        }
    }
}

impl std::error::Error for InvalidServiceRule {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_plugins_and_a_type_and_a_star_is_a_whole_word() {
        let rule = |plugin: Option<&str>, service_type: Option<&str>| ServiceRule {
            plugin: plugin.map(|name| name.parse().unwrap()),
            service_type: service_type.map(Into::into),
        };
        for (text, expected) in [
            ("cache=kv.v1", Some(rule(Some("cache"), Some("kv.v1")))),
            // As plugins are known once they are in.
            (
                "Cache Plugin=KV",
                Some(rule(Some("cache-plugin"), Some("KV"))),
            ),
            ("*=kv", Some(rule(None, Some("kv")))),
            ("cache=*", Some(rule(Some("cache"), None))),
            ("*=*", Some(rule(None, None))),
            ("*", None),
            ("cache", None),
            ("cache=", None),
            ("=kv", None),
            ("cac*=kv", None),
            ("cache=kv*", None),
            ("cache=kv=kv", None),
            ("cache=k/v", None),
            ("cache=kv..v1", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn only_a_host_that_nobody_has_told_anything_lets_its_script_do_something() {
        let trial = ServiceOptions::default().config(true);
        let script = [rule("curl=logger")];
        assert_eq!(
            (&*trial.allow_register, &*trial.allow_call),
            (&script[..], &script[..])
        );
        let told = ServiceOptions::default().config(false);
        assert!(told.allow_register.is_empty() && told.allow_call.is_empty());
        let said = ServiceOptions {
            deny_call: vec![rule("a=b")],
            ..ServiceOptions::default()
        };
        let said = said.config(true);
        assert!(said.allow_register.is_empty() && said.allow_call.is_empty() && !said.is_trial);
    }

    fn rule(text: &str) -> ServiceRule {
        text.parse().unwrap()
    }
}
