//! The functions of the language: names, signatures and limits (section 6). What they compute is the program's.

/// A function of the language. `any` and `all` are syntax, not functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named as in the language, documented in one table")]
pub enum Function {
    Cidr,
    Cidr6,
    Coalesce,
    Concat,
    DecodeBase64,
    EncodeBase64,
    EndsWith,
    HasKey,
    HasValue,
    HashInRange,
    IsTimedHmacValidV0,
    Join,
    Len,
    LookupJsonInteger,
    LookupJsonString,
    Lower,
    RegexReplace,
    RemoveBytes,
    RemoveQueryArgs,
    Sha256,
    Split,
    StartsWith,
    Substring,
    ToString,
    Upper,
    /// Full Unicode upper-casing, in the scheme of triggers only.
    UpperUnicode,
    UrlDecode,
    WildcardReplace,
}
