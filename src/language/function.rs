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

impl Function {
    /// The name as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Function::Cidr => "cidr",
            Function::Cidr6 => "cidr6",
            Function::Coalesce => "coalesce",
            Function::Concat => "concat",
            Function::DecodeBase64 => "decode_base64",
            Function::EncodeBase64 => "encode_base64",
            Function::EndsWith => "ends_with",
            Function::HasKey => "has_key",
            Function::HasValue => "has_value",
            Function::HashInRange => "hash_in_range",
            Function::IsTimedHmacValidV0 => "is_timed_hmac_valid_v0",
            Function::Join => "join",
            Function::Len => "len",
            Function::LookupJsonInteger => "lookup_json_integer",
            Function::LookupJsonString => "lookup_json_string",
            Function::Lower => "lower",
            Function::RegexReplace => "regex_replace",
            Function::RemoveBytes => "remove_bytes",
            Function::RemoveQueryArgs => "remove_query_args",
            Function::Sha256 => "sha256",
            Function::Split => "split",
            Function::StartsWith => "starts_with",
            Function::Substring => "substring",
            Function::ToString => "to_string",
            Function::Upper => "upper",
            Function::UpperUnicode => "upper_unicode",
            Function::UrlDecode => "url_decode",
            Function::WildcardReplace => "wildcard_replace",
        }
    }
}
