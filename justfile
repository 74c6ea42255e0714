# The commands CI runs, and those that take long to install.

# What every change must pass.
ci:
    .ci/run

# Every test and doctest.
test:
    ./test

# Property tests with many more cases.
test-long:
    PROPTEST_CASES=100000 cargo nextest run --workspace --all-features --release

# Every interleaving of the table's lock, with the loom model checker; two minutes.
loom:
    RUSTFLAGS="--cfg loom" cargo test --package tower-plugin-ratelimit --test loom --release --target-dir target/loom

# All 100,000 rounds of the races, of which `./test` runs a part.
stress:
    STRESS_ROUNDS=100000 cargo test --package tower-plugin-ratelimit --all-features --release --test 'stress*'
    STRESS_ROUNDS=100000 cargo test --package tower-plugin-tests --release --test concurrency

# A million plays and programs of replicas that share one limit; a quarter of an hour.
simulate:
    SIMULATION_RUNS=1000000 cargo test --release --package tower-plugin-ratelimit --features redis --lib simulation::tests::no_window

# Ten minutes of one fuzz target (`ls fuzz/fuzz_targets`); cargo install cargo-fuzz, and a nightly toolchain.
fuzz target:
    cargo +nightly fuzz run {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} -- -max_total_time=600

# What is wrong with a request, read by clients in Python; python3 with venv, and a package registry.
clients:
    cargo build --package tower-plugin-examples --bin axum-validate --bin tonic-validate
    python3 -m venv target/clients
    target/clients/bin/pip install --quiet 'grpcio>=1.60' 'grpcio-status>=1.60'
    target/clients/bin/python examples/clients/violations.py target/debug

# The host's status page in a real browser; python3, and apt-get install chromium.
page:
    cargo build --package tower-plugin-examples --bin plugin-host
    examples/tests/status-page.py

# Ours against the peers; figures to believe need a quiet machine.
compare *args:
    cargo run --release --package tower-plugin-benches --bin compare -- {{args}}

# Whether secrets can be told from how long checks of them take; ten minutes, on a machine with little else to do.
dudect *args:
    cargo run --release --package tower-plugin-benches --bin dudect -- {{args}}

# All layers under a minute of 1,000 connections and 100,000 principals.
load *args:
    cargo run --release --package tower-plugin-benches --bin load -- {{args}}

# The documentation as docs.rs builds it.
docs:
    RUSTDOCFLAGS="--cfg docsrs -D warnings" cargo +nightly doc --no-deps --all-features --package tower-plugin-core --package tower-plugin-auth --package tower-plugin-ratelimit --package tower-plugin-validate

# cargo install cargo-hack
hack:
    cargo hack check --each-feature --no-dev-deps --package tower-plugin-core --package tower-plugin-auth --package tower-plugin-ratelimit --package tower-plugin-validate

# cargo install cargo-deny
deny:
    cargo deny check

# Lines of the four crates that the tests run, 90 % at least; cargo install cargo-llvm-cov
coverage:
    cargo llvm-cov nextest --workspace --exclude tower-plugin-benches --all-features --ignore-filename-regex '/(benches|examples|tests)/|/tests\.rs$' --fail-under-lines 90

# Changes that break callers, since the commit `base`; cargo install cargo-semver-checks
semver base="origin/main":
    cargo semver-checks --baseline-rev {{base}} --package tower-plugin-core --package tower-plugin-auth --package tower-plugin-ratelimit --package tower-plugin-validate

# Other crates' types in the public API are those listed in the manifests; cargo install cargo-check-external-types, and its nightly
external-types toolchain="nightly":
    for crate in core auth ratelimit validate; do cargo +{{toolchain}} check-external-types --all-features --manifest-path tower-plugin-$crate/Cargo.toml || exit 1; done

# The oldest versions that the manifests allow.
minimal-versions:
    cargo +nightly update -Z direct-minimal-versions
    cargo check --all-features --package tower-plugin-core --package tower-plugin-auth --package tower-plugin-ratelimit --package tower-plugin-validate
    git checkout Cargo.lock

# What would be published, built from the packages.
package:
    cargo package --package tower-plugin-core --package tower-plugin-auth --package tower-plugin-ratelimit --package tower-plugin-validate
