use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn read(lines: &[&[u8]]) -> Vec<Headroom> {
    let mut headers = HeaderMap::new();
    for line in lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append("ratelimit", value);
        }
    }
    headroom(&headers)
}

fn seconds(remaining: u64, reset: u64) -> Headroom {
    Headroom::new(remaining, reset * 1_000_000_000)
}

#[test]
fn the_drafts_examples_are_read() {
    let cases: [(&[&str], &[Headroom]); 9] = [
        (&[r#""default";r=50;t=30"#], &[seconds(50, 30)]),
        (
            &[r#""a";r=0;t=7, "b";r=3;t=9"#],
            &[seconds(0, 7), seconds(3, 9)],
        ),
        (
            &[r#""a";r=0;t=7"#, r#""b";r=3;t=9"#],
            &[seconds(0, 7), seconds(3, 9)],
        ),
        (
            &[r#""default";r=1;pk=:dHJpYWwxMjEzMjM=:;t=2"#],
            &[seconds(1, 2)],
        ),
        (&[r#""a \"quoted\" name";r=1;t=2"#], &[seconds(1, 2)]),
        (&[r#""last counts";r=1;r=4;t=2"#], &[seconds(4, 2)]),
        (&[r#"  "spaces" ; r=1; t=2  "#], &[]),
        (&[r#""vendor";r=1;t=2;acme-x=?1"#], &[seconds(1, 2)]),
        (&[r#""no reset";r=5"#], &[]),
    ];
    for (lines, expected) in cases {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(read(&lines), expected, "{lines:?}");
    }
    let longest = read(&[br#""a";r=999999999999999;t=999999999999999"#]);
    assert_eq!(longest, [Headroom::new(999_999_999_999_999, u64::MAX)]);
}

#[test]
fn one_mistake_voids_the_field() {
    let cases: [&[u8]; 18] = [
        b"",
        b"default;r=50;t=30",
        br#""a";t=30"#,
        br#""a";r=-1;t=30"#,
        br#""a";r=1;t=-30"#,
        br#""a";r=1.5;t=30"#,
        br#""a";r="1";t=30"#,
        br#""a";r;t=30"#,
        br#""a";R=1;t=30"#,
        br#""a";r=1;t=30,"#,
        br#""a";r=1;t=30 "b";r=1"#,
        br#""a;r=1;t=30"#,
        br#"("a");r=1;t=30"#,
        br#""a";r=9999999999999999;t=1"#,
        b"limit=1, remaining=2, reset=3",
        br#""ok";r=1;t=1, bad"#,
        b"\"\xff\";r=1;t=1",
        br#""a";r=0x1;t=1"#,
    ];
    for field in cases {
        assert_eq!(read(&[field]), [], "{}", String::from_utf8_lossy(field));
    }
}

#[test]
fn a_field_too_long_is_not_read() {
    let one: &[u8] = br#""a";r=1;t=1"#;
    assert_eq!(read(&[one; 16]).len(), 16);
    assert_eq!(read(&[one; 17]), []);
    let name = "x".repeat(5000);
    assert_eq!(read(&[format!("\"{name}\";r=1;t=1").as_bytes()]), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(crate::test_cases(1000)))]

    #[test]
    fn nothing_a_server_sends_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&[&bytes]);
    }

    #[test]
    fn nothing_that_looks_like_it_panics_or_grows(field in "[\"a-c;=rt0-9,(): \\\\.-]{0,80}") {
        prop_assert!(read(&[field.as_bytes()]).len() <= MAX_QUOTAS);
    }

    #[test]
    fn what_is_written_is_read(quotas in proptest::collection::vec((0..1000_u64, 0..1000_u64), 1..8)) {
        let items: Vec<_> = quotas.iter().map(|(r, t)| format!("\"q\";r={r};t={t}")).collect();
        let expected: Vec<_> = quotas.iter().map(|&(r, t)| seconds(r, t)).collect();
        prop_assert_eq!(read(&[items.join(", ").as_bytes()]), expected);
    }
}
