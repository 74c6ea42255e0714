//! What another implementation has made of the same words.

use super::*;
use crate::token::TokenId;

#[test]
fn the_vectors_are_made_and_accepted_as_they_are_written() {
    let (mut blocks, mut refused) = (0, 0);
    for block in VECTORS.split("\n\n") {
        let mut vector = Vector::default();
        for line in block.lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').unwrap();
            match word {
                "key" => vector.key = hex(rest),
                "salt" => vector.salt = hex(rest),
                "id" => vector.id = Some(rest.parse().unwrap()),
                "caveat" => vector.caveats.push(caveat(rest)),
                "link" => vector.link = Some(rest.parse().unwrap()),
                "text" => {
                    vector.holds(rest);
                    blocks += 1;
                }
                "malformed" => {
                    let (why, text) = rest.split_once(' ').unwrap();
                    let error = PresentedGrant::parse(text.as_bytes()).unwrap_err();
                    assert_eq!(format!("{error:?}"), why, "{text}");
                    refused += 1;
                }
                _ => panic!("{line}"),
            }
        }
    }
    assert_eq!((blocks, refused), (14, 70));
}

#[derive(Default)]
struct Vector {
    key: Vec<u8>,
    salt: Vec<u8>,
    id: Option<TokenId>,
    caveats: Vec<Caveat>,
    link: Option<LinkId>,
}

impl Vector {
    fn holds(&self, text: &str) {
        let rng = Given(self.id.unwrap(), self.salt.clone());
        let keys = KeyRing::new(Pepper::new(7, &self.key).unwrap(), []).unwrap();
        let minted = mint(&keys, &rng).unwrap();
        let mut token = GrantToken::new(minted.token().parts());
        for caveat in &self.caveats {
            token = token.attenuate(caveat).unwrap();
        }
        assert_eq!(token.expose(), text);
        assert_eq!(Some(token.link()), self.link);

        let read = GrantToken::parse(text).unwrap();
        assert_eq!(Some(read.id()), self.id);
        let written: Vec<_> = self.caveats.iter().map(Caveat::restriction).collect();
        assert_eq!(read.restrictions().collect::<Vec<_>>(), written);
    }
}

/// Hands out an id, and then a salt.
struct Given(TokenId, Vec<u8>);

impl Rng for Given {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RngError> {
        let given = match buffer.len() {
            16 => &self.0.as_bytes()[..],
            _ => &self.1,
        };
        buffer.copy_from_slice(given);
        Ok(())
    }
}

fn caveat(text: &str) -> Caveat {
    let words: Vec<_> = text.split(' ').collect();
    let caveat = match words[..] {
        ["audience", name] => Caveat::audience(name),
        ["certificate", digits] => {
            let bytes = hex(digits).try_into().unwrap();
            Ok(Caveat::certificate(Thumbprint::from_bytes(bytes)))
        }
        ["holder", kind, subject] => Caveat::holder(kind, subject),
        ["max_uses", count] => Caveat::max_uses(count.parse().unwrap()),
        ["methods", methods] => Caveat::methods(methods.split('|')),
        ["not_after", seconds] => Caveat::not_after(at(seconds.parse().unwrap())),
        ["path_prefix", path] => Caveat::path_prefix(path),
        ["rpc", service, method] => Caveat::rpc(service, method),
        _ => panic!("{text}"),
    };
    caveat.unwrap()
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const VECTORS: &str = include_str!("../vectors.txt");
