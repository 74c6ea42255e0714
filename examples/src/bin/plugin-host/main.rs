//! The plugin host: see [`tower_plugin_examples::host`].

use std::{env, error::Error, io::Write, process::ExitCode, sync::Arc, time::Duration};

use axum::Router;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch};
use tower_plugin_core::SystemClock;
use tower_plugin_examples::host::{
    Banner, Bounds, Config, HostState, Listener, Managed, Options, Readiness,
    admin::{self, AdminParts},
    build,
    config::{Settings, SettingsError},
    options::{
        ADMIN_TOKEN_VARIABLE, AUDIT_KEYS_VARIABLE, AdminConfig, AdminToken, REDIS_VARIABLE,
        RedisUrl, SECRET_VARIABLE, SecretText, TOKEN_KEYS_VARIABLE,
    },
    serve,
    tls::{DISABLE_TLS_WARNING, Tls, warn_of_clear},
};
use zeroize::Zeroizing;

mod end;
mod logs;
mod signals;

fn main() -> ExitCode {
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let work = async { begin().await.unwrap_or_else(|error| fail(&*error)) };
    end::run_to_the_end(runtime, work, LAST_MOMENT)
}

fn fail(error: &dyn Error) -> ExitCode {
    eprintln!("plugin-host: {error}");
    ExitCode::FAILURE
}

async fn begin() -> Result<ExitCode, Box<dyn Error>> {
    let mut settings = match Settings::of(env::args_os()) {
        Ok(settings) => settings,
        // Help, too, is one of these.
        Err(SettingsError::Arguments(error)) => error.exit(),
        Err(error) => return Err(error.into()),
    };
    let secret = variable(SECRET_VARIABLE)?;
    let options = &mut settings.options;
    options.redis.environment = variable(REDIS_VARIABLE)?
        .map(|url| url.parse::<RedisUrl>())
        .transpose()?;
    options.tokens.environment = variable(TOKEN_KEYS_VARIABLE)?
        .map(|keys| keys.parse::<SecretText>())
        .transpose()?;
    options.audit.environment = variable(AUDIT_KEYS_VARIABLE)?
        .map(|keys| keys.parse::<SecretText>())
        .transpose()?;
    options.admin.environment = variable(ADMIN_TOKEN_VARIABLE)?
        .map(|token| token.parse::<AdminToken>())
        .transpose()?;

    if settings.options.print_config {
        let secrets = [
            SECRET_VARIABLE,
            REDIS_VARIABLE,
            TOKEN_KEYS_VARIABLE,
            AUDIT_KEYS_VARIABLE,
            ADMIN_TOKEN_VARIABLE,
        ];
        let set: Vec<_> = secrets
            .into_iter()
            .filter(|name| env::var_os(name).is_some())
            .collect();
        print(&settings.print(&set)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if settings.options.check {
        let problems = settings.problems(secret.as_deref().cloned());
        for problem in &problems {
            eprintln!("plugin-host: {problem}");
        }
        if !problems.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
        print("plugin-host: the configuration is good\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    logs::init(settings.options.log_format);
    run(settings.options, secret.as_deref().cloned()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn run(options: Options, secret: Option<String>) -> Result<(), Box<dyn Error>> {
    let (listen, bounds) = (options.listen, options.bounds());
    let reload = options.tls.reload.0;
    let (tls, admin) = (options.load_tls()?, options.load_admin()?);
    let (config, secret) = options.into_config(secret)?;
    let (redis, bound_grants) = (config.redis.clone(), config.grants.bound);
    let state = host(config)?;
    let _upkeep = state.telemetry().install();
    state.meet_redis().await;
    state.warn_of_what_is_missing();
    let app = build(&state);

    // Before anyone is told where the host is: a signal must not end it the hard way from then on.
    let (mut shutdown, reloading) = (
        signals::shutdown()?,
        signals::reload(tls.clone(), Arc::clone(&state))?,
    );
    let _looking = tls.as_ref().map(|tls| tls.reload_every(reload));
    let listener = state.listener(bind("--listen", listen).await?)?;
    let admin = match admin {
        Some(config) => Some(Administration::new(&state, &config, tls.clone()).await?),
        None => None,
    };
    let address = listener.address();
    if tls.is_none() {
        warn_of_clear(
            address,
            variable(DISABLE_TLS_WARNING)?
                .as_deref()
                .map(String::as_str),
        );
    }
    let banner = Banner {
        address,
        secret: &secret,
        redis: redis.as_ref(),
        tls: tls.as_ref(),
        bound_grants,
        is_script_allowed: state.allows_script(),
        admin: admin
            .as_ref()
            .map(|admin| (admin.listener.address(), admin.tls)),
    };
    print(&banner.to_string())?;
    drop((secret, redis));

    let managed = Managed::start(&state, address, tls.is_some(), bounds.drain);
    let (stop, stopped) = watch::channel(());
    let told = |mut stopped: watch::Receiver<()>| async move {
        let _anyway = stopped.changed().await;
    };
    let listener = listener
        .with_tls(tls)
        .with_connections(state.telemetry().connections());
    let main = serve(
        listener,
        app,
        state.readiness(),
        bounds,
        told(stopped.clone()),
    );
    let aside = async {
        if let Some(admin) = admin {
            admin.serve(bounds, told(stopped)).await;
        }
    };
    let signals = async {
        shutdown.next().await;
        // Fails if nobody is left to be told.
        let _nobody = stop.send(());
        shutdown.next().await;
    };
    tokio::select! {
        // Plugins may have been asked by what was still in hand.
        () = async { tokio::join!(main, aside); managed.shut_down().await; } => {}
        () = signals => tracing::warn!("told again to end: what is in hand is cut off"),
        () = reloading => {}
    }
    let flushed = tokio::task::spawn_blocking(move || state.flush_audit());
    if !flushed.await? {
        tracing::error!("not all that was recorded is in the audit log");
    }
    Ok(())
}

fn host(config: Config) -> Result<Arc<HostState>, Box<dyn Error>> {
    Ok(Arc::new(HostState::new(
        config,
        Arc::new(SystemClock::new()),
    )?))
}

/// The listener for who runs the host.
struct Administration {
    listener: Listener,
    app: Router,
    tls: bool,
}

impl Administration {
    async fn new(
        state: &Arc<HostState>,
        config: &AdminConfig,
        tls: Option<Tls>,
    ) -> Result<Self, Box<dyn Error>> {
        let tls = tls.filter(|_| config.tls);
        let listener = bind("--admin-listen", config.listen).await?;
        Ok(Self {
            app: admin::build(state, config, AdminParts::default())?,
            tls: tls.is_some(),
            listener: state.listener(listener)?.with_tls(tls),
        })
    }

    async fn serve(self, bounds: Bounds, shutdown: impl Future<Output = ()>) {
        let bounds = Bounds {
            connections: ADMIN_CONNECTIONS,
            connections_per_client: ADMIN_CONNECTIONS / 2,
            ..bounds
        };
        let readiness = Readiness::default();
        serve(self.listener, self.app, readiness, bounds, shutdown).await;
    }
}

async fn bind(flag: &str, address: std::net::SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("{flag} {address}: {error}"))
}

fn print(text: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn variable(name: &str) -> Result<Option<Zeroizing<String>>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(Zeroizing::new(value))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error @ env::VarError::NotUnicode(_)) => {
            // Its own message would print the value.
            drop(error);
            Err(format!("{name} is not UTF-8"))
        }
    }
}

const ADMIN_CONNECTIONS: usize = 64;
const LAST_MOMENT: Duration = Duration::from_secs(1);
