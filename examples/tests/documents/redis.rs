//! What runs on Redis.

use std::net::TcpListener;

use tower_plugin_tests::{
    documents::{blocks, read},
    redis::RedisServer,
};

use crate::terminal::Terminal;

#[tokio::test]
async fn two_servers_share_a_quota() {
    let [readme] = blocks("README.md", "One limit for many replicas");
    let [guide] = blocks("docs/distributed.md", "See it work");
    let server = RedisServer::start().await;
    let elsewhere = format!("--bin distributed -- --redis {} ", server.url());
    // "a quota of 1,000 a second with a burst of 2,000, and 10,000 requests to each server at once"
    for (block, requests, fewer) in [(guide, 10_000, ""), (readme, 2_000, "--requests 2000")] {
        let elsewhere = format!("{elsewhere}{fewer} ");
        let mut terminal = Terminal::new().meaning("--bin distributed", &elsewhere);
        terminal.types(&block.text);
        let said = terminal.prints().await;
        let first = format!(
            "Two servers, one quota: 1000/s:2000. {requests} requests to each, all at once."
        );
        assert!(said.starts_with(&first), "{said}");
        let rows: Vec<_> = said.lines().filter(|line| line.starts_with("| ")).collect();
        let [head, exact, leased] = rows[..] else {
            panic!("{said}");
        };
        // The same table as in the guide, with the figures of another run.
        assert!(read("docs/distributed.md").contains(head), "{head}");
        for (row, mode) in [(exact, "| exact |"), (leased, "| leased |")] {
            assert!(row.starts_with(mode), "{said}");
            let cells = row.split('|').map(str::trim).skip(2);
            let number = |cell: &str| cell.split(' ').next()?.parse::<u64>().ok();
            let cells: Vec<_> = cells.filter_map(number).collect();
            let (one, two, together, most) = (cells[0], cells[1], cells[2], cells[3]);
            assert_eq!(one + two, together, "{row}");
            assert!(one > 0 && two > 0 && together <= most, "{row}");
        }
    }
    // "else redis://127.0.0.1:6379"
    let mut terminal = Terminal::new();
    terminal.adds("distributed --help | grep -o 'default: redis.*6379'");
    let said = terminal.prints().await;
    assert_eq!(said, "default: redis://127.0.0.1:6379\n");
}

#[tokio::test]
async fn a_server_says_what_a_decision_costs_it() {
    let [block] = blocks("docs/distributed.md", "Sizing");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut terminal = Terminal::new()
        .meaning("--port 7777", "--bind 127.0.0.1 --port 7777")
        .meaning("--save '' &", "--save '' > redis.log & await_redis $!")
        .meaning("--sizing", "--sizing --requests 2000")
        .meaning("7777", &port.to_string());
    terminal.adds(&format!(
        "await_redis() {{ hosts=$1; until redis-cli -p {port} ping > /dev/null 2>&1; do kill -0 $1; sleep 0.05; done; }}"
    ));
    terminal.types(&block.text);
    let said = terminal.prints().await;
    let rows = said.lines().filter(|line| line.starts_with("| "));
    let keys: Vec<_> = rows.filter_map(|row| row.split(" | ").nth(1)).collect();
    let expected = ["1.0", "16.0", "64.0", "128.0"];
    assert_eq!(
        keys,
        [&["keys in a batch"], &expected[..], &expected].concat()
    );
}

#[tokio::test]
async fn a_token_of_one_copy_is_good_at_the_other_and_so_is_its_quota() {
    let [block] = blocks("examples/README.md", "Copies that behave as one");
    let server = RedisServer::start().await;
    let mut terminal = Terminal::new()
        .meaning("127.0.0.1:8080", "127.0.0.1:0")
        .meaning("127.0.0.1:8081", "127.0.0.1:0")
        .meaning("redis://127.0.0.1:6379", &server.url());
    // Nothing comes back while this runs.
    terminal.adds("export PLUGIN_HOST_REGISTER_QUOTA=5/h PLUGIN_HOST_REDIS_ON_UNAVAILABLE=deny");
    terminal.types(&block.text);
    // What the first copy prints is typed, but for who calls, at the second as well.
    terminal.adds(". ./host-1.out > pasted; tail -n 2 pasted");
    terminal.adds(&format!(
        "{AGAIN}\nregister $RUNTIME_TOKEN; register tpr_nonsense"
    ));
    let said = terminal.prints().await;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "HTTP/1.1 429 Too Many Requests", "{said}");
    assert!(lines[1].starts_with("retry-after: "), "{said}");
    assert_eq!(lines[2..], ["429", "401"], "{said}");
}

/// One more registration, at the copy that was started last.
const AGAIN: &str = r#"
register() {
    curl -sS -o /dev/null -w '%{http_code}\n' -H 'Content-Type: application/json' -H "X-Plugin-Runtime-ID: $RUNTIME_ID" -H "Authorization: Bearer $1" --data '{"serviceType":"logger","version":"1.0.0","endpointPath":"/logger.v1.Logger/"}' "$URL/connectplugin.v1.ServiceRegistry/RegisterService"
}
"#;
