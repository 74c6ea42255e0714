use super::*;

fn keys() -> KeyRing {
    KeyRing::new(Pepper::new(7, &[7; 32]).unwrap(), []).unwrap()
}

fn line() -> (Link, Vec<u8>) {
    let mut link = Link {
        next: 10,
        tag: [3; 32],
    };
    let mut out = Vec::new();
    link.append(&mut out, keys().active_key(), b"\"event\":\"x\"");
    (link, out)
}

#[test]
fn what_was_written_is_read() {
    let (link, text) = line();
    let line = Line::parse(text.strip_suffix(b"\n").unwrap()).unwrap();
    assert_eq!((line.sequence, line.key_version), (10, 7));
    assert_eq!(line.payload, b"\"event\":\"x\"");
    assert_eq!(
        link,
        Link {
            next: 11,
            tag: line.tag
        }
    );
    assert_eq!(line.follows(&[3; 32], &keys()), Some(true));
    assert_eq!(line.follows(&[4; 32], &keys()), Some(false));
    let others = KeyRing::new(Pepper::new(8, &[7; 32]).unwrap(), []).unwrap();
    assert_eq!(line.follows(&[3; 32], &others), None);
}

#[test]
fn a_line_has_one_form() {
    let (_, text) = line();
    let text = String::from_utf8(text).unwrap();
    let text = text.trim_end();
    for (from, to) in [
        ("{\"seq\":10", "{\"seq\":010"),
        ("{\"seq\":10", "{\"seq\":+10"),
        ("{\"seq\":10", "{\"seq\": 10"),
        ("{\"seq\":10", "{\"seq\":"),
        ("{\"seq\":10", "{\"seq\":99999999999999999999"),
        ("\"key\":7", "\"key\":4294967296"),
        ("\"key\":7,", "\"key\":7"),
        ("\"}", "\"} "),
        ("\"mac\":\"", "\"mac\":\"0"),
        ("{", " {"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text);
        assert!(Line::parse(other.as_bytes()).is_none(), "{other}");
    }
    let upper = text.to_uppercase();
    let (start, _) = text.split_at(text.len() - 66);
    let other = format!("{start}{}\"}}", &upper[upper.len() - 66..upper.len() - 2]);
    assert!(Line::parse(other.as_bytes()).is_none(), "{other}");
}

#[test]
fn a_head_with_any_bit_changed_is_none() {
    let head = Head {
        log: [1; 16],
        segment: 2,
        sequence: u64::MAX,
        tag: [9; 32],
        key_version: 7,
    };
    let text = head.write(keys().active_key());
    assert_eq!(Head::open(&text, &keys()), Some(head));
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut altered = text.clone();
            altered[at] ^= 1 << bit;
            assert_eq!(
                Head::open(&altered, &keys()),
                None,
                "bit {bit} of byte {at}"
            );
        }
        assert_eq!(Head::open(&text[..at], &keys()), None);
    }
    let others = KeyRing::new(Pepper::new(7, &[8; 32]).unwrap(), []).unwrap();
    assert_eq!(Head::open(&text, &others), None);
}

#[test]
fn the_first_line_of_a_file_says_which_one_it_is() {
    let segment = Segment {
        number: 3,
        log: [0xab; 16],
        previous: [0xcd; 32],
    };
    let payload = segment.payload("2030-01-01T00:00:00.000000Z");
    assert_eq!(Segment::parse(&payload), Some(segment));
    assert_eq!(Segment::parse(b"\"time\":\"\",\"segment\":3"), None);
}
