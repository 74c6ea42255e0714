//! Links from one document to another lead somewhere.

use std::fs;

use tower_plugin_tests::documents::documents;

/// The anchor that a heading has on GitHub.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> Vec<String> {
    let mut is_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        }
        if !is_block && line.starts_with('#') {
            found.push(anchor(line.trim_start_matches('#')));
        }
    }
    found
}

#[test]
fn every_link_within_the_tree_leads_to_a_file_and_a_heading() {
    let mut count = 0;
    for document in documents() {
        let folder = document.path.parent().unwrap();
        for (number, line) in document.text.lines().enumerate() {
            for (_, rest) in line
                .match_indices("](")
                .map(|(at, _)| line.split_at(at + 2))
            {
                let target = rest.split(')').next().unwrap_or_default();
                // A crate's documentation links to items; what has a scheme is elsewhere.
                if target.contains("://") || target.contains("::") || target.is_empty() {
                    continue;
                }
                count += 1;
                let at = document.at(number + 1);
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let path = match file {
                    "" => document.path.clone(),
                    file => folder.join(file),
                };
                assert!(path.exists(), "{at}: {target} is not there");
                if !heading.is_empty() {
                    let text = fs::read_to_string(&path).unwrap();
                    assert!(
                        anchors(&text).iter().any(|known| known == heading),
                        "{at}: {target} has no such heading"
                    );
                }
            }
        }
    }
    assert!(count > 40, "{count} links were found");
}

#[test]
fn a_heading_has_the_anchor_it_has_on_github() {
    assert_eq!(
        anchor(" From tower-http's authentication"),
        "from-tower-https-authentication"
    );
    assert_eq!(anchor(" What `this` costs, in µs"), "what-this-costs-in-µs");
    assert_eq!(anchors("# A\n```\n# b\n```\n## C d\n"), ["a", "c-d"]);
}
