//! Cookies as the rules language reads them.

/// Every name and value as the rules language sees them (RFC 6265, section 5.4 backwards): split on `;`, at the first
/// `=`, white space around both removed. Names are not decoded yet.
pub fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty()).map(|piece| {
        match memchr::memchr(b'=', piece) {
            Some(at) => (piece[..at].trim_ascii_end(), piece[at + 1..].trim_ascii_start()),
            None => (piece, &piece[piece.len()..]),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_language_keeps_values_whole() {
        let found: Vec<_> = cookies(b" a=1=2 ;; b ; =c;d = e ").collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1=2"), (b"b", b""), (b"", b"c"), (b"d", b"e")];
        assert_eq!(found, expected);
    }
}
