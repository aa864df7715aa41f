//! The functions of the language: names, signatures and limits (docs/protocol/rules-language.md#functions). What they
//! compute is the program's.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::request::Type;

/// What a function takes and gives.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// As written in an expression.
    pub name: &'static str,
    /// The parameters in order.
    pub parameters: &'static [Parameter],
    /// How many of them must be given.
    pub required: usize,
    /// How many arguments there may be at most; beyond [`Signature::parameters`] the last of them is repeated.
    pub maximum: usize,
    /// What the function gives.
    pub result: Result,
    /// One line for people.
    pub doc: &'static str,
}

/// One parameter of a function.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// For messages.
    pub name: &'static str,
    /// Of which type the argument must be.
    pub accepts: Accepts,
    /// Whether the argument may or must be a literal.
    pub source: Source,
}

/// The types that a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepts {
    /// A byte string.
    Bytes,
    /// A number.
    Int,
    /// An address.
    Ip,
    /// A byte string or a number.
    BytesOrInt,
    /// A byte string or an array.
    BytesOrArray,
    /// A byte string, an array or a map.
    Sized,
    /// A number, a Bool or an address.
    Printable,
    /// Anything but an array or map.
    Scalar,
    /// Anything.
    Any,
    /// An array of byte strings.
    ArrayOfBytes,
    /// A map.
    Map,
    /// An array or map.
    Collection,
    /// The type of the first argument.
    SameAsFirst,
    /// The type of the first argument's elements.
    ElementOfFirst,
    /// A regular expression.
    Pattern,
}

/// Whether an argument may or must be a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Both a literal and a field or call.
    Either,
    /// A field or call, not a literal.
    Field,
    /// A literal only.
    Literal,
}

/// The type of a function's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Result {
    /// True or false.
    Bool,
    /// A number.
    Int,
    /// An address.
    Ip,
    /// A byte string.
    Bytes,
    /// An array of byte strings.
    ArrayOfBytes,
    /// The type of the first argument.
    SameAsFirst,
}

impl Signature {
    /// The parameter for the argument at `position`; the last one repeats.
    pub fn parameter(&self, position: usize) -> Option<&'static Parameter> {
        if position >= self.maximum {
            return None;
        }
        self.parameters.get(position).or(self.parameters.last())
    }

    /// The type of the result, given the type of the first argument.
    pub fn result_type(&self, first: &Type) -> Type {
        match self.result {
            Result::Bool => Type::Bool,
            Result::Int => Type::Int,
            Result::Ip => Type::Ip,
            Result::Bytes => Type::Bytes,
            Result::ArrayOfBytes => Type::Bytes.array(),
            Result::SameAsFirst => first.clone(),
        }
    }
}

impl Accepts {
    /// Whether an argument of this type will do; `first` is the type of the first argument.
    pub fn takes(self, given: &Type, first: Option<&Type>) -> bool {
        match self {
            Accepts::Bytes | Accepts::Pattern => *given == Type::Bytes,
            Accepts::Int => *given == Type::Int,
            Accepts::Ip => *given == Type::Ip,
            Accepts::BytesOrInt => matches!(given, Type::Bytes | Type::Int),
            Accepts::BytesOrArray => matches!(given, Type::Bytes | Type::Array(_)),
            Accepts::Sized => matches!(given, Type::Bytes | Type::Array(_) | Type::Map(_)),
            Accepts::Printable => matches!(given, Type::Int | Type::Bool | Type::Ip),
            Accepts::Scalar => !matches!(given, Type::Array(_) | Type::Map(_)),
            Accepts::Any => true,
            Accepts::ArrayOfBytes => *given == Type::Bytes.array(),
            Accepts::Map => matches!(given, Type::Map(_)),
            Accepts::Collection => matches!(given, Type::Array(_) | Type::Map(_)),
            Accepts::SameAsFirst => first.is_none_or(|first| first == given),
            Accepts::ElementOfFirst => match first {
                Some(Type::Array(of) | Type::Map(of)) => **of == *given,
                _ => true,
            },
        }
    }

    /// The types a literal may have here, the likeliest first.
    pub(super) fn literals(self, first: Option<&Type>) -> Vec<Type> {
        [Type::Bytes, Type::Int, Type::Ip].into_iter().filter(|of| self.takes(of, first)).collect()
    }

    /// In words.
    pub(super) fn describe(self, first: Option<&Type>) -> String {
        let fixed = match self {
            Accepts::Bytes => "String",
            Accepts::Int => "Int",
            Accepts::Ip => "Ip",
            Accepts::BytesOrInt => "String or Int",
            Accepts::BytesOrArray => "String or Array",
            Accepts::Sized => "String, Array or Map",
            Accepts::Printable => "Int, Bool or Ip",
            Accepts::Scalar => "a single value",
            Accepts::Any => "any type",
            Accepts::ArrayOfBytes => "Array<String>",
            Accepts::Map => "a Map",
            Accepts::Collection => "an Array or Map",
            Accepts::Pattern => "a regular expression",
            Accepts::SameAsFirst => return first.map_or("any type".to_owned(), Type::to_string),
            Accepts::ElementOfFirst => match first {
                Some(Type::Array(of) | Type::Map(of)) => return of.to_string(),
                _ => "any type",
            },
        };
        fixed.to_owned()
    }
}

macro_rules! functions {
    ($( $variant:ident = $name:literal
        ($( $parameter:ident: $accepts:ident $source:ident ),*), $required:literal..=$maximum:expr, $result:ident,
        $doc:literal; )*) => {
        /// A function of the language. `any` and `all` are syntax, not functions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum Function { $( #[doc = $doc] $variant, )* }

        impl Function {
            /// Every function, in alphabetical order.
            pub const ALL: &'static [Function] = &[ $( Function::$variant, )* ];

            /// Name, parameters and result.
            pub const fn signature(self) -> Signature {
                match self { $( Function::$variant => Signature {
                    name: $name,
                    parameters: &[ $( Parameter {
                        name: stringify!($parameter), accepts: Accepts::$accepts, source: Source::$source,
                    } ),* ],
                    required: $required,
                    maximum: $maximum,
                    result: Result::$result,
                    doc: $doc,
                }, )* }
            }
        }
    };
}

/// Where the documentation names no maximum; more do not fit into an expression anyway.
const ANY_NUMBER: usize = usize::MAX;

functions! {
    Cidr = "cidr"(address: Ip Field, ipv4_bits: Int Either, ipv6_bits: Int Either), 3..=3, Ip,
        "The network that an address lies in: its first 1 to 32 (IPv4) or 1 to 128 (IPv6) bits, the others zero.";
    Cidr6 = "cidr6"(address: Ip Field, ipv6_bits: Int Either), 2..=2, Ip,
        "The network that an IPv6 address lies in; an IPv4 address is left as it is.";
    Coalesce = "coalesce"(first: Any Either, others: SameAsFirst Either), 2..=ANY_NUMBER, SameAsFirst,
        "The first value that is not missing.";
    Concat = "concat"(first: BytesOrArray Either, others: SameAsFirst Either), 2..=32, SameAsFirst,
        "Texts or arrays joined; missing ones are left out, and the result is missing if all are.";
    DecodeBase64 = "decode_base64"(source: Bytes Field), 1..=1, Bytes,
        "The bytes that a base64 text stands for.";
    EncodeBase64 = "encode_base64"(source: Bytes Either, flags: Bytes Literal), 1..=2, Bytes,
        "Base64; flags: `u` URL-safe alphabet, `p` padding.";
    EndsWith = "ends_with"(source: Bytes Field, suffix: Bytes Either), 2..=2, Bool,
        "Whether a text ends with another, byte for byte.";
    HasKey = "has_key"(map: Map Field, key: Bytes Either), 2..=2, Bool,
        "Whether a map has an entry of this key.";
    HasValue = "has_value"(collection: Collection Field, value: ElementOfFirst Either), 2..=2, Bool,
        "Whether an array or map holds this value.";
    HashInRange = "hash_in_range"(minimum: Int Either, maximum: Int Either, values: Scalar Field), 3..=32, Int,
        "A number from minimum to maximum that depends on the values only: the same values, the same number.";
    IsTimedHmacValidV0 = "is_timed_hmac_valid_v0"(
            key: Bytes Literal, message_mac: Bytes Either, ttl: Int Literal, now: Int Either,
            separator_length: Int Literal, flags: Bytes Literal
        ), 4..=6, Bool,
        "Whether a text of message, separator, time stamp, `-` and base64 HMAC-SHA256 is genuine and not too old.";
    Join = "join"(items: ArrayOfBytes Field, separator: Bytes Either), 2..=2, Bytes,
        "The texts of an array with a separator between them.";
    Len = "len"(source: Sized Field), 1..=1, Int,
        "How many bytes or elements there are.";
    LookupJsonInteger = "lookup_json_integer"(source: Bytes Field, key: BytesOrInt Either), 2..=ANY_NUMBER, Int,
        "The number at a path of keys and positions in a JSON text; missing if there is none.";
    LookupJsonString = "lookup_json_string"(source: Bytes Field, key: BytesOrInt Either), 2..=ANY_NUMBER, Bytes,
        "The text at a path of keys and positions in a JSON text; missing if there is none.";
    Lower = "lower"(source: Bytes Field), 1..=1, Bytes,
        "The text with the ASCII letters in lower case.";
    RegexReplace = "regex_replace"(source: Bytes Either, pattern: Pattern Literal, replacement: Bytes Literal),
        3..=3, Bytes,
        "The text with the first match of a regular expression replaced; `${1}` to `${8}` are its groups, `$$` is `$`.";
    RemoveBytes = "remove_bytes"(source: Bytes Field, bytes: Bytes Literal), 2..=2, Bytes,
        "The text without any of the listed bytes.";
    RemoveQueryArgs = "remove_query_args"(query: Bytes Field, names: Bytes Either), 2..=ANY_NUMBER, Bytes,
        "The query without the arguments of these names.";
    Sha256 = "sha256"(source: Bytes Either), 1..=1, Bytes,
        "The SHA-256 digest, 32 bytes.";
    Split = "split"(source: Bytes Field, separator: Bytes Literal, limit: Int Literal), 2..=3, ArrayOfBytes,
        "The text cut at each separator into at most limit (1 to 128) parts; the last one keeps the rest.";
    StartsWith = "starts_with"(source: Bytes Field, prefix: Bytes Either), 2..=2, Bool,
        "Whether a text starts with another, byte for byte.";
    Substring = "substring"(source: Bytes Field, start: Int Either, end: Int Either), 2..=3, Bytes,
        "The bytes from start up to (not including) end; negative positions count from the end.";
    ToString = "to_string"(value: Printable Field), 1..=1, Bytes,
        "A number, Bool or address as text.";
    Upper = "upper"(source: Bytes Field), 1..=1, Bytes,
        "The text with the ASCII letters in upper case.";
    UpperUnicode = "upper_unicode"(source: Bytes Either), 1..=1, Bytes,
        "Full Unicode upper-casing; in triggers only.";
    UrlDecode = "url_decode"(source: Bytes Field, options: Bytes Literal), 1..=2, Bytes,
        "The text with %XX decoded and `+` as space; options: `r` until nothing is left to decode, `u` also %uXXXX.";
    WildcardReplace = "wildcard_replace"(
            source: Bytes Field, pattern: Bytes Literal, replacement: Bytes Literal, flags: Bytes Literal
        ), 3..=4, Bytes,
        "The text, if it matches a wildcard pattern, replaced; `${1}` to `${8}` are its stars; flag `s`: case matters.";
}

impl Function {
    /// The function of this name.
    pub fn by_name(name: &str) -> Option<Function> {
        static NAMES: LazyLock<HashMap<&str, Function>> = LazyLock::new(|| {
            let named = |&function: &Function| (function.signature().name, function);
            Function::ALL.iter().map(named).collect()
        });
        NAMES.get(name).copied()
    }

    /// The name as it is written.
    pub const fn name(self) -> &'static str {
        self.signature().name
    }

    /// Whether only the scheme of triggers has it.
    pub fn is_of_triggers(self) -> bool {
        self == Function::UpperUnicode
    }

    /// The arguments as they are written, for messages: `(source, prefix)`.
    pub fn usage(self) -> String {
        let signature = self.signature();
        let mut names: Vec<String> = signature.parameters.iter().map(|parameter| parameter.name.to_owned()).collect();
        for optional in names.iter_mut().skip(signature.required) {
            optional.push('?');
        }
        if signature.maximum > signature.parameters.len() {
            names.push("…".to_owned());
        }
        format!("{}({})", signature.name, names.join(", "))
    }
}
