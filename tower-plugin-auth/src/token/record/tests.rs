use proptest::prelude::*;

use super::*;
use crate::token::{InvalidReason, KeyRing, Pepper, Rng, RngError, mint};

const MINUTE: Duration = Duration::from_secs(60);
const NANO: Duration = Duration::from_nanos(1);

/// Repeats one byte.
struct Fixed(u8);

impl Rng for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        buffer.fill(self.0);
        Ok(())
    }
}

fn minted(byte: u8) -> Minted {
    let keys = KeyRing::new(Pepper::new(3, &[1; 32]).unwrap(), []).unwrap();
    mint(TokenKind::Runtime, &keys, &Fixed(byte)).unwrap()
}

fn minute(minutes: u32) -> SystemTime {
    UNIX_EPOCH + MINUTE * minutes
}

/// Lives from minute 0 to minute 60.
fn record() -> Record {
    let principal = Principal::new("runtime", "cache").with_attribute("plan", "gold");
    Record::new(&minted(1), principal, minute(0), minute(60))
}

fn cause(record: &Record, now: SystemTime) -> Option<InvalidReason> {
    (!record.is_live(now)).then(|| record.cause_of_death(now))
}

#[test]
fn a_record_dies_at_the_first_of_its_ends() {
    let other = TokenId::from_bytes([9; 16]);
    struct Case {
        name: &'static str,
        record: Record,
        end: SystemTime,
        cause: InvalidReason,
    }
    use InvalidReason::{Expired, Idle, Reused};
    for Case {
        name,
        record,
        end,
        cause: expected,
    } in [
        Case {
            name: "expiry",
            record: record(),
            end: minute(60),
            cause: Expired,
        },
        Case {
            name: "idle",
            record: record().with_idle_timeout(MINUTE * 10),
            end: minute(10),
            cause: Idle,
        },
        Case {
            name: "used once, then idle",
            record: record().with_idle_timeout(MINUTE * 10).touched(minute(9)),
            end: minute(19),
            cause: Idle,
        },
        Case {
            name: "used to the end",
            record: record().with_idle_timeout(MINUTE * 10).touched(minute(55)),
            end: minute(60),
            cause: Expired,
        },
        Case {
            name: "deadline",
            record: record().with_deadline(minute(30)),
            end: minute(30),
            cause: Expired,
        },
        Case {
            name: "superseded",
            record: record().superseded(other, minute(5)),
            end: minute(5),
            cause: Reused,
        },
        Case {
            name: "superseded, yet never prolonged",
            record: record().superseded(other, minute(90)),
            end: minute(60),
            cause: Expired,
        },
        Case {
            name: "superseded and idle",
            record: record()
                .with_idle_timeout(MINUTE * 2)
                .superseded(other, minute(5)),
            end: minute(2),
            cause: Idle,
        },
    ] {
        assert_eq!(record.live_until(), end, "{name}");
        assert_eq!(cause(&record, end - NANO), None, "{name}");
        assert_eq!(cause(&record, end), Some(expected), "{name}");
    }
}

#[test]
fn a_use_is_written_down_once_in_an_eighth_of_the_idle_timeout() {
    let record = record().with_idle_timeout(MINUTE * 8);
    assert!(!record.is_touch_due(minute(1) - NANO));
    assert!(record.is_touch_due(minute(1)));
    let touched = record.touched(minute(1));
    assert!(!touched.is_touch_due(minute(2) - NANO));
    assert!(touched.is_touch_due(minute(2)));

    // A clock that went backwards shortens no life.
    assert!(!touched.is_touch_due(minute(0)));
    assert_eq!(touched.touched(minute(0)).last_used(), minute(1));

    let superseded = record.superseded(record.id(), minute(8));
    assert!(!superseded.is_touch_due(minute(7)), "its life is over soon");
    assert!(!self::record().is_touch_due(minute(59)), "no timeout");
}

#[test]
fn a_superseded_record_is_remembered_until_it_would_have_expired() {
    assert_eq!(record().forget_at(), minute(60));
    let idle = record().with_idle_timeout(MINUTE);
    assert_eq!(idle.forget_at(), minute(1));
    let superseded = record().superseded(TokenId::from_bytes([9; 16]), minute(5));
    assert_eq!(superseded.forget_at(), minute(60));
    assert_eq!(superseded.successor(), Some(TokenId::from_bytes([9; 16])));
}

#[test]
fn a_successor_inherits_all_but_its_own_life() {
    let first = record()
        .with_idle_timeout(MINUTE * 10)
        .with_deadline(minute(90));
    let second = first.next_in_family(&minted(2), minute(50), minute(110));
    assert_eq!(second.family(), first.id());
    assert_eq!(second.began_at(), minute(0));
    assert_eq!(second.issued_at(), minute(50));
    assert_eq!(second.expires_at(), minute(90), "the family's deadline");
    assert_eq!(second.live_until(), minute(60), "idle from its issue on");
    assert_eq!(second.version(), 0);

    let owner = second.principal();
    assert_eq!(owner.subject(), "cache");
    assert_eq!(owner.attribute("plan"), Some("gold"));
    assert_eq!(owner.attribute(EXPIRES_AT), Some("5400"), "its own");
    assert_eq!(owner.token_id(), Some(&*second.id().to_string()));
}

fn times() -> impl Strategy<Value = SystemTime> {
    any::<u64>().prop_map(|nanos| UNIX_EPOCH + Duration::from_nanos(nanos))
}

prop_compose! {
    fn records()(
        kind in prop_oneof!["runtime", "[a-z]{0,8}"],
        subject in ".{0,16}",
        attributes in prop::collection::vec((".{0,8}", ".{0,8}"), 0..4),
        (issued_at, expires_at) in (times(), times()),
        deadline in prop::option::of(times()),
        idle in prop::option::of(any::<u64>()),
        used in prop::option::of(times()),
        successor in prop::option::of((any::<[u8; 16]>(), times())),
    ) -> Record {
        let owner = attributes.into_iter().fold(
            Principal::new(kind, subject),
            |owner, (name, value)| owner.with_attribute(name, value),
        );
        let mut record = Record::new(&minted(7), owner, issued_at, expires_at);
        if let Some(deadline) = deadline {
            record = record.with_deadline(deadline);
        }
        if let Some(nanos) = idle {
            record = record.with_idle_timeout(Duration::from_nanos(nanos));
        }
        if let Some(used) = used {
            record = record.touched(used);
        }
        if let Some((id, until)) = successor {
            record = record.superseded(TokenId::from_bytes(id), until);
        }
        record
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(record in records()) {
        let bytes = record.to_bytes();
        let read = Record::from_bytes(&bytes).unwrap();
        prop_assert_eq!(format!("{:?}", &read), format!("{:?}", &record));
        prop_assert_eq!(read.verifier().as_bytes(), record.verifier().as_bytes());
        prop_assert_eq!(read.to_bytes(), bytes);
    }

    #[test]
    fn no_part_of_a_record_is_a_record(record in records(), cut in any::<prop::sample::Index>()) {
        let mut bytes = record.to_bytes();
        prop_assert!(Record::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(Record::from_bytes(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Record::from_bytes(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        let _ = Record::from_bytes(&bytes);
    }
}

#[test]
fn times_no_record_can_hold_never_lengthen_a_life() {
    let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
    let record = Record::new(&minted(1), Principal::new("a", "b"), far, far);
    let read = Record::from_bytes(&record.to_bytes()).unwrap();
    assert!(read.expires_at() < far);

    let before = UNIX_EPOCH - MINUTE;
    let record = Record::new(&minted(1), Principal::new("a", "b"), before, minute(1));
    let read = Record::from_bytes(&record.to_bytes()).unwrap();
    assert_eq!(read.issued_at(), UNIX_EPOCH);
}
