//! Engine: text for people.

use super::scan::step;

#[inline(never)]
pub(super) fn is_display_name(text: &[u8]) -> bool {
    step(text.len());
    let Ok(text) = core::str::from_utf8(text) else {
        return false;
    };
    let mut count = 0;
    let mut previous = ' ';
    for c in text.chars() {
        step(c.len_utf8());
        count += 1;
        let joins = is_joiner(c) && (previous == ' ' || is_joiner(previous));
        if count > MAX_CHARACTERS || is_hidden(c) || joins || count == 1 && c.is_whitespace() {
            return false;
        }
        previous = c;
    }
    count > 0 && !previous.is_whitespace() && !is_joiner(previous)
}

const fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// What is not seen, or changes how other characters are seen.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Soft hyphen, combining grapheme joiner, Arabic letter mark, fillers.
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180e}'
        // Zero-width space, direction marks, separators, overrides, invisible operators, isolates.
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        // Private use, tags, and what is beside them.
        | '\u{e000}'..='\u{f8ff}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..
    ) || (c as u32) & 0xfffe == 0xfffe
}

const MAX_CHARACTERS: usize = 128;
