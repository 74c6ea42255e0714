//! Engine: reading a text once, octet by octet, by a table of classes.

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// Takes the octet, if it is the next one.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        step(1);
        match self.rest {
            [first, rest @ ..] if *first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes the octet, if it is of a class.
    pub(super) fn eat_one(&mut self, class: u16) -> bool {
        step(1);
        match self.rest {
            [first, rest @ ..] if is(*first, class) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes the octets of a class, as many as there are.
    pub(super) fn take(&mut self, class: u16) -> &'a [u8] {
        let end = self.rest.iter().position(|&b| !is(b, class));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        step(taken.len() + 1);
        self.rest = rest;
        taken
    }

    /// Takes octets of a class and well-formed escapes; how many.
    pub(super) fn take_escaped(&mut self, class: u16) -> Option<usize> {
        let before = self.rest.len();
        loop {
            self.take(class);
            if !self.eat(b'%') {
                return Some(before - self.rest.len());
            }
            if !(self.eat_one(HEX) && self.eat_one(HEX)) {
                return None;
            }
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Whether an octet is of one of the classes.
#[inline]
pub(super) fn is(octet: u8, class: u16) -> bool {
    CLASSES
        .get(usize::from(octet))
        .is_some_and(|of| of & class != 0)
}

/// Whether every octet is of one of the classes.
#[inline]
pub(super) fn all(text: &[u8], class: u16) -> bool {
    step(text.len());
    text.iter().fold(true, |all, &b| all & is(b, class))
}

/// Counts the octets that are looked at, so that tests can say how often that is.
#[inline]
pub(super) fn step(octets: usize) {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + octets));
    #[cfg(not(test))]
    let _ = octets;
}

#[cfg(test)]
std::thread_local! {
    pub(super) static STEPS: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
}

pub(super) const ALPHA: u16 = 1;
pub(super) const DIGIT: u16 = 1 << 1;
pub(super) const HEX: u16 = 1 << 2;
pub(super) const HYPHEN: u16 = 1 << 3;
pub(super) const DOT: u16 = 1 << 4;
pub(super) const UNDERSCORE: u16 = 1 << 5;
pub(super) const TILDE: u16 = 1 << 6;
/// `atext` of RFC 5322, section 3.2.3.
pub(super) const ATEXT: u16 = 1 << 7;
/// `pchar` of RFC 3986, section 3.3, without escapes.
pub(super) const PCHAR: u16 = 1 << 8;
pub(super) const SLASH: u16 = 1 << 9;
pub(super) const QUESTION: u16 = 1 << 10;
pub(super) const ALNUM: u16 = ALPHA | DIGIT;

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
static CLASSES: [u16; 256] = {
    const fn add(table: &mut [u16; 256], octets: &[u8], class: u16) {
        let mut i = 0;
        while i < octets.len() {
            table[octets[i] as usize] |= class;
            i += 1;
        }
    }
    let mut table = [0; 256];
    let mut b = 0;
    while b < 128 {
        let octet = b as u8;
        if octet.is_ascii_alphabetic() {
            table[b] |= ALPHA | ATEXT | PCHAR;
        }
        if octet.is_ascii_digit() {
            table[b] |= DIGIT | ATEXT | PCHAR;
        }
        if octet.is_ascii_hexdigit() {
            table[b] |= HEX;
        }
        b += 1;
    }
    add(&mut table, b"-", HYPHEN);
    add(&mut table, b".", DOT);
    add(&mut table, b"_", UNDERSCORE);
    add(&mut table, b"~", TILDE);
    add(&mut table, b"/", SLASH);
    add(&mut table, b"?", QUESTION);
    add(&mut table, b"!#$%&'*+-/=?^_`{|}~", ATEXT);
    add(&mut table, b"-._~!$&'()*+,;=:@", PCHAR);
    table
};
