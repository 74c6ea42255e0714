//! Every store, from the first token to the last, in order and out of order; keys and passwords as well as
//! tokens.

use std::{fmt::Debug, fs, sync::Arc, time::Duration};

use tempfile::TempDir;
use tower_plugin_auth::{
    MemoryStore, NewToken, Principal, TokenStore, Tokens,
    store::{
        CachedStore, EncryptedFileStore, EncryptedFileStoreBuilder, FileKey, FileKeyRing, List,
        RedisStore, SharedStore,
    },
    token::{KeyRing, Pepper, TokenKind},
};
use tower_plugin_tests::{redis::RedisServer, told::Told};

use crate::seen::{Log, Seen};

/// F09: what a store was given, and what it was opened with, is seen nowhere.
#[tokio::test]
async fn f09_no_store_shows_a_secret() {
    let (log, _alone) = Log::install().await;
    let told = Told::default();
    // The only one of this process: layers are not asked for metrics here.
    metrics::set_global_recorder(told.clone()).unwrap();
    let mut seen = Seen::default();

    let memory = MemoryStore::new(20).unwrap();
    live(&mut seen, memory).await;
    live(&mut seen, SharedStore::new(MemoryStore::new(20).unwrap())).await;
    redis(&mut seen).await;
    file(&mut seen).await;

    let told = told.all();
    for name in ["tokens_total event=issued kind=grant", "cache_live store="] {
        let found = |(told, _): &(String, f64)| told.contains(name);
        assert!(told.iter().any(found), "{name}: {told:?}");
    }
    // Whatever was done, and to however many tokens, there are these and no more.
    assert!(told.len() < 60, "{told:#?}");
    seen.show(&told);
    seen.text.push_str(&log.take());
    seen.check();
}

/// Everything that can be done with tokens, and everything that can go wrong with them.
async fn live<S: TokenStore + Debug>(seen: &mut Seen, store: S) {
    let pepper = seen.secret();
    seen.show(&Pepper::new(2, pepper.as_bytes()));
    seen.show(&Pepper::new(2, &pepper.as_bytes()[..20]));
    let active = Pepper::new(1, pepper.as_bytes()).unwrap();
    let retired = Pepper::new(0, seen.secret().as_bytes()).unwrap();
    let events = Arc::new(parking_lot::Mutex::new(String::new()));
    let tokens = Tokens::builder(store, KeyRing::new(active, [retired]).unwrap())
        .with_overlap(Duration::ZERO)
        .with_observer({
            let events = Arc::clone(&events);
            move |event| {
                tracing::info!("{event:?}");
                events.lock().push_str(&format!("{event:?} {event:#?}"));
            }
        });
    seen.show(&tokens);
    let tokens = tokens.build().unwrap();
    seen.show(&tokens);

    let owner = || Principal::new("plugin", "cache").with_attribute("plan", "gold");
    let kinds = [TokenKind::Runtime, TokenKind::Grant, TokenKind::OneTime];
    let mut texts = Vec::new();
    let mut first = None;
    // More than there is room for, and of each kind.
    for number in 0..30 {
        let kind = kinds[number % kinds.len()];
        match tokens.issue(NewToken::for_principal(kind, owner())).await {
            Ok(issued) => {
                let text = issued.token().expose().to_owned();
                // The id is public; what follows is not.
                seen.secrets.push(text[4 + 23..].to_owned());
                seen.show(&issued);
                first.get_or_insert(issued.token().id());
                texts.push((kind, text));
            }
            Err(error) => seen.error(&error),
        }
        if number == 3
            && let Some(first) = first
        {
            for _ in 0..2 {
                match tokens.rotate(&first).await {
                    Ok(next) => {
                        let text = next.token().expose().to_owned();
                        seen.secrets.push(text[4 + 23..].to_owned());
                        texts.push((TokenKind::Runtime, text));
                    }
                    Err(error) => seen.error(&error),
                }
            }
        }
    }
    for (kind, text) in &texts {
        let mut near = text.clone();
        near.replace_range(40..41, if &text[40..41] == "A" { "B" } else { "A" });
        for text in [text, &near, &text[1..].to_owned()] {
            for expected in kinds {
                match tokens.verify(expected, text.as_bytes()).await {
                    Ok(verified) => seen.show(&verified),
                    Err(error) => seen.error(&error),
                }
            }
            if *kind == TokenKind::OneTime {
                for _ in 0..2 {
                    match tokens.consume(text.as_bytes()).await {
                        Ok(verified) => seen.show(&verified),
                        Err(error) => seen.error(&error),
                    }
                }
            }
        }
    }
    match tokens.list(&List::all()).await {
        Ok(page) => seen.show(&page),
        Err(error) => seen.error(&error),
    }
    for outcome in [
        tokens.revoke_subject("plugin", "cache").await,
        tokens.sweep().await,
    ] {
        match outcome {
            Ok(count) => seen.show(&count),
            Err(error) => seen.error(&error),
        }
    }
    seen.show(&tokens);
    let events = events.lock();
    seen.text.push_str(&events);
}

async fn redis(seen: &mut Seen) {
    let mut server = RedisServer::start().await;
    let (password, wrong) = (seen.secret(), seen.secret());
    server
        .cli(&["CONFIG", "SET", "requirepass", &password])
        .await;
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port());
    let builder = |url: &str| {
        let quick = Duration::from_millis(500);
        let builder = RedisStore::builder(url).with_capacity(20);
        builder.with_deadline(quick).with_connect_timeout(quick)
    };
    let (right, wrong) = (url(&password), url(&wrong));
    for url in [&right, &wrong, &format!("no address: {right}")] {
        seen.show(&builder(url));
        match builder(url).build() {
            Ok(store) => {
                live(seen, store.clone()).await;
                let cached = store.cached(CachedStore::builder()).unwrap();
                live(seen, cached.clone()).await;
                seen.show(&cached.stats());
                cached.stats().record("tokens");
            }
            Err(error) => seen.error(&error),
        }
    }
    let store = builder(&right).build().unwrap();
    server.kill();
    live(seen, store.clone()).await;
    live(seen, store.cached(CachedStore::builder()).unwrap()).await;
}

async fn file(seen: &mut Seen) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("tokens");
    let (secret, other) = (seen.secret(), seen.secret());
    let keys = |secret: &str| {
        let key = FileKey::new(1, secret.as_bytes()).unwrap();
        FileKeyRing::new(key, []).unwrap()
    };
    let builder = |secret: &str| -> EncryptedFileStoreBuilder {
        EncryptedFileStore::builder(&path, keys(secret)).with_capacity(20)
    };
    seen.show(&keys(&secret));
    seen.show(&FileKey::new(1, &secret.as_bytes()[..20]));
    seen.show(&builder(&secret));
    live(seen, builder(&secret).create().unwrap()).await;
    // There already, of another key, and damaged.
    let kept = fs::read(&path).unwrap();
    seen.show(&builder(&secret).create());
    seen.show(&builder(&other).open());
    fs::write(&path, &kept[..kept.len() - 1]).unwrap();
    match builder(&secret).open() {
        Ok(_) => panic!("what was cut off does not open"),
        Err(error) => seen.error(&error),
    }
    match builder(&other).import(secret.as_bytes()) {
        Ok(_) => panic!("no JSON"),
        Err(error) => seen.error(&error),
    }
}
