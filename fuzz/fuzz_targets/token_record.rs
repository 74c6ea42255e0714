//! The bytes of a record, as a store may hand them back: nothing panics, and what is read is written the same
//! way again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_plugin_auth::{store::Cursor, token::Record};

fuzz_target!(|input: &[u8]| {
    if let Ok(record) = Record::from_bytes(input) {
        let again = Record::from_bytes(&record.to_bytes()).expect("what was written is read");
        assert_eq!(format!("{record:?}"), format!("{again:?}"));
        assert!(record.live_until() <= record.expires_at());
        assert!(record.live_until() <= record.forget_at());
        let cursor = Cursor::of(&record);
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    if let Ok(text) = str::from_utf8(input)
        && let Ok(cursor) = text.parse::<Cursor>()
    {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
});
