use proptest::prelude::*;

use super::*;

mod hostile;
mod oracles;
mod urls;

fn is(format: Format) -> impl Fn(&str) -> bool {
    move |text| format.check(text).is_ok()
}

struct Table {
    format: Format,
    accepted: &'static [&'static str],
    refused: &'static [&'static str],
}

/// F48: the pattern of the reference took these for versions of semver, and left out what semver has.
#[test]
fn f48_a_version_is_one_of_semver_and_not_of_the_old_pattern() {
    for wrong in ["01.02.03", "1.0.0-..", "1.0.0-a..b", "1.0.0-01"] {
        assert!(
            semver::is_lenient(wrong.as_bytes()),
            "{wrong:?} used to pass"
        );
        assert!(!semver::is_exact(wrong.as_bytes()), "{wrong:?}");
    }
    assert!(semver::is_exact(b"1.0.0+build.5") && !semver::is_lenient(b"1.0.0+build.5"));
}

#[test]
fn what_has_the_form_passes_and_nothing_else_does() {
    for table in TABLES {
        for text in table.accepted {
            assert!(
                is(table.format)(text),
                "{:?} refuses {text:?}",
                table.format
            );
        }
        for text in table.refused {
            assert!(!is(table.format)(text), "{:?} takes {text:?}", table.format);
        }
        assert!(!is(table.format)(""), "{:?}", table.format);
        assert!(table.format.check(b"\xff\xfe").is_err());
    }
}

const TABLES: &[Table] = &[
    Table {
        format: Format::Uuid,
        accepted: &[
            "00000000-0000-0000-0000-000000000000",
            "7B0A9A3E-8a86-4f4f-9D1F-0d6d3c1c8d11",
        ],
        refused: &[
            "7b0a9a3e8a864f4f9d1f0d6d3c1c8d11",
            "{7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11}",
            "urn:uuid:7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11",
            "7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d1g",
            "7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d1",
            "7b0a9a3e-8a86-4f4f-9d1f-0d6d3c1c8d11\n",
            "7b0a9a3e-8a864-f4f-9d1f-0d6d3c1c8d11",
        ],
    },
    // F48: what the pattern of connect-plugin took for a version, and what it did not.
    Table {
        format: Format::Semver,
        accepted: &[
            "0.0.0",
            "1.0.0+build.5",
            "1.0.0-rc.1+sha.0001",
            "1.0.0-alpha-a.b-c.0",
            "1.0.0--",
            "18446744073709551615.0.0",
        ],
        refused: &[
            "01.02.03",
            "1.0.0-..",
            "1.0.0-",
            "1.0.0+",
            "1.0.0-01",
            "1.0",
            "1.0.0.0",
            "v1.0.0",
            " 1.0.0",
            "1.0.0\0",
            "18446744073709551616.0.0",
            "12345678901234567890123.0.0",
        ],
    },
    Table {
        format: Format::SemverLenient,
        accepted: &[
            "1.0.0",
            "10.20.30",
            "1.0.0-beta",
            "2.1.3-rc.1",
            "01.02.03",
            "1.0.0-..",
        ],
        refused: &[
            "1.0",
            "v1.0.0",
            "1.0.0+build.5",
            "1.0.0-",
            "1.0.0\0",
            "1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-1.2.3-",
        ],
    },
    Table {
        format: Format::Fqdn,
        accepted: &[
            "a.b",
            "api.example.com",
            "xn--bcher-kva.example",
            "0-9.Example",
            "1.a",
        ],
        refused: &[
            "localhost",
            "example.com.",
            ".example.com",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b.c",
            "1.2.3.4",
            "0x7f.0x1",
            "a.1b",
            "bücher.example",
            "a.b:80",
            "a.b/",
        ],
    },
    Table {
        format: Format::Email,
        accepted: &[
            "a@b.c",
            "first.last+tag@sub.example.com",
            "!#$%&'*+-/=?^_`{|}~@a.b",
        ],
        refused: &[
            "a@x\r\nBcc: y[127.0.0.1]",
            "a@<script>alert(1)</script>[127.0.0.1]",
            "a@evil[127.0.0.1]",
            "a@[127.0.0.1]",
            "a@localhost",
            "a@b",
            "a@1.2.3.4",
            "@b.c",
            "a@",
            "a@@b.c",
            ".a@b.c",
            "a.@b.c",
            "a..b@c.d",
            "\"a b\"@c.d",
            "a b@c.d",
            "a@b.c,d@e.f",
            "a@b.c ",
            "é@b.c",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.c",
        ],
    },
    Table {
        format: Format::Urn,
        accepted: &[
            "urn:isbn:0451450523",
            "URN:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "urn:example:a/b;c=%20,d",
            "urn:example:weather?=op=map&lat=39.56",
            "urn:example:foo?+CCResolve:cc=uk?=x#part",
            "urn:example:x#",
        ],
        refused: &[
            "urn:",
            "urn:a:b",
            "urn:-ab:c",
            "urn:ab-:c",
            "urn:abc:",
            "urn:abc:/x",
            "urn:abc:%2",
            "urn:abc:%zz",
            "urn:abc:a b",
            "urn:abc:a?b",
            "urn:abc:a?=",
            "urn:abc:a\n",
            "urx:abc:a",
            "urn:abcdefghijklmnopqrstuvwxyz0123456:a",
        ],
    },
    Table {
        format: Format::DisplayName,
        accepted: &[
            "A",
            "Jörg Müller",
            "日本語",
            "O'Neill, Jr.",
            "می\u{200c}خواهم",
            "👩\u{200d}🚀",
        ],
        refused: &[
            " a",
            "a ",
            "\u{3000}a",
            "a\tb",
            "a\r\nb",
            "a\0",
            "\u{1b}[31m",
            "a\u{9b}b",
            "\u{202e}txt.exe",
            "a\u{2066}b",
            "a\u{200b}b",
            "\u{feff}a",
            "a\u{200d}",
            "a \u{200d}b",
            "a\u{2028}b",
            "\u{3164}",
            "a\u{e0041}",
            "a\u{fffe}",
            "a\u{1fffe}",
            "a\u{e000}",
        ],
    },
    Table {
        format: Format::ServiceType,
        accepted: SERVICE_TYPES,
        refused: &[
            "../secrets",
            "service/admin",
            "service\\admin",
            "service\0admin",
            "1service",
            "service@admin",
            "my service",
            "a..b",
            "a.",
            "é",
        ],
    },
    Table {
        format: Format::SelfId,
        accepted: &[
            "my-plugin",
            "cache",
            "logger_v2",
            "api.service",
            "Plugin-Name",
        ],
        // F49.
        refused: &[
            "a..b",
            "a...",
            "1plugin",
            "plugin\0",
            "plugin@123",
            "../../m\n-33f3",
        ],
    },
    Table {
        format: Format::MetadataKey,
        accepted: &["base_url", "k", "a.b-c"],
        refused: &["key@invalid", "key\0admin", "k ", "_k", "1"],
    },
    // F45.
    Table {
        format: Format::EndpointPath,
        accepted: &[
            "/",
            "/api",
            "/cache.v1.Cache/",
            "/logger.v1.Logger/Get",
            "/a~b/c-d_e",
            "/.a",
        ],
        refused: &[
            "api",
            "/../admin",
            "/x?y=1",
            "/x#f",
            "//evil",
            "/a//b",
            "/a//",
            "/\\x",
            "/a/..",
            "/a/./b",
            "/a/.",
            "/%2e%2e/a",
            "/a%2fb",
            "/a..b",
            "/a;b",
            "/x\r\n",
            "/api\0",
            "/é",
        ],
    },
    Table {
        format: Format::FilePath,
        accepted: &[
            "a",
            "a/b.txt",
            ".profile",
            "größe/日本.json",
            "a..b",
            "~x",
            "com/lpt",
        ],
        refused: &[
            "../../etc/passwd",
            "/etc/passwd",
            "a/../b",
            "a/./b",
            "a//b",
            "a/",
            ".",
            "..",
            "...",
            "a\\b",
            "C:/x",
            "c:x",
            "a.",
            "a ",
            " a",
            "a /b",
            "NUL",
            "con.txt",
            "a/Com1.log",
            "lpt\u{b9}",
            "aux .txt",
            "a\0b",
            "a\nb",
            "a\u{202e}b",
            "a*",
            "file:stream",
        ],
    },
];

const SERVICE_TYPES: &[&str] = &[
    "cache",
    "logger",
    "auth",
    "Cache-Service",
    "my_service",
    "service-v2",
    "api.v1",
];

#[test]
fn the_longest_value_passes_and_one_byte_more_does_not() {
    let of = |unit: &str, bytes: usize| unit.repeat(bytes / unit.len());
    let cases = [
        (Format::ServiceType, of("a", 128)),
        (Format::SelfId, of("a", 128)),
        (Format::MetadataKey, of("a", 256)),
        (Format::SemverLenient, format!("1.0.0-{}", of("a", 58))),
        (Format::Semver, format!("1.0.0-{}", of("a", 250))),
        (Format::EndpointPath, format!("/{}", of("a", 255))),
        (Format::Fqdn, format!("{}b", of("a.", 252))),
        (Format::Urn, format!("urn:ab:{}", of("c", 505))),
        (Format::FilePath, format!("{}bbcd", of("ab/c", 1020))),
        (Format::Email, format!("{}@{}b", of("a", 64), of("a.", 188))),
        (Format::DisplayName, of("😀", 512)),
    ];
    for (format, text) in cases {
        assert_eq!(text.len(), format.max_bytes(), "{format:?}");
        assert!(is(format)(&text), "{format:?}");
        assert!(!is(format)(&format!("{text}a")), "{format:?}");
    }
    // A label of 63 bytes, and a name of 255.
    assert!(fqdn(&format!("{}.b", of("a", 63))).is_ok());
    assert!(fqdn(&format!("{}.b", of("a", 64))).is_err());
    assert!(file_path(&of("a", 255)).is_ok());
    assert!(file_path(&of("a", 256)).is_err());
    assert!(display_name(&of("a", 128)).is_ok());
    assert!(display_name(&of("a", 129)).is_err());
}

#[test]
fn reasons_are_those_a_client_library_accepts_and_values_are_not_kept() {
    for table in TABLES {
        let reason = table.format.reason();
        assert!(reason.len() <= 63 && reason.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        assert!(table.format.description().starts_with("must be "));
    }
    let invalid = email("s3cr3t@").unwrap_err();
    assert!(!format!("{invalid} {invalid:?}").contains("s3cr3t"));
}

#[test]
fn files_stay_below_their_root() {
    let directory = std::env::temp_dir().join(format!("tower-plugin-root-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("in")).unwrap();
    std::fs::write(directory.join("in/a.txt"), "a").unwrap();
    let root = FileRoot::new(directory.join("in")).unwrap();
    let kind = |result: std::io::Result<_>| result.map_err(|e| e.kind());

    let path = root.directory().join("a.txt");
    assert_eq!(kind(root.join("a.txt")), Ok(path.clone()));
    assert_eq!(kind(root.existing("a.txt")), Ok(path));
    for name in ["../in/a.txt", "/etc/passwd", "", "a/../../b"] {
        assert_eq!(
            kind(root.join(name)),
            Err(std::io::ErrorKind::InvalidInput),
            "{name}"
        );
    }
    assert_eq!(
        kind(root.existing("b.txt")),
        Err(std::io::ErrorKind::NotFound)
    );
    #[cfg(unix)]
    {
        let _ = std::os::unix::fs::symlink("/", directory.join("in/out"));
        assert!(root.join("out/etc").is_ok(), "the text alone is in order");
        assert_eq!(
            kind(root.existing("out/tmp")),
            Err(std::io::ErrorKind::PermissionDenied)
        );
    }
    assert_eq!(
        kind(FileRoot::new(directory.join("in/a.txt")).map(|r| r.directory().into())),
        Err(std::io::ErrorKind::NotADirectory)
    );
    std::fs::remove_dir_all(directory).unwrap();
}
