use wirefilter::{ExecutionContext, Filter, Scheme};

use super::Engine;
use crate::Visit;

/// The published crate, of 2019: no functions, lists, maps or wildcards, and 32-bit integers.
pub struct WirefilterEngine {
    scheme: &'static Scheme,
    filters: Vec<Filter<'static>>,
}

impl WirefilterEngine {
    pub fn new(rules: &[String]) -> Self {
        // Filters borrow their scheme, and there are a handful of both.
        let scheme: &'static Scheme = Box::leak(Box::new(wirefilter::Scheme! {
            http.host: Bytes,
            http.request.uri.path: Bytes,
            http.request.uri.query: Bytes,
            http.user_agent: Bytes,
            ip.src: Ip,
            ip.src.country: Bytes,
            ip.src.asnum: Int,
        }));
        let compile = |rule: &String| scheme.parse(rule).unwrap_or_else(|error| panic!("{error}")).compile();
        WirefilterEngine { scheme, filters: rules.iter().map(compile).collect() }
    }

    fn context(&self, visit: &'static Visit) -> ExecutionContext<'static> {
        let asked = &visit.asked;
        let mut context = ExecutionContext::new(self.scheme);
        let texts = [
            ("http.host", asked.host),
            ("http.request.uri.path", asked.path),
            ("http.request.uri.query", asked.query),
            ("http.user_agent", asked.agent),
            ("ip.src.country", asked.country),
        ];
        for (field, text) in texts {
            context.set_field_value(field, text).expect("it is a text");
        }
        context.set_field_value("ip.src", asked.address).expect("it is an address");
        context.set_field_value("ip.src.asnum", asked.asn as i32).expect("it is a number");
        context
    }
}

impl Engine for WirefilterEngine {
    fn name(&self) -> &'static str {
        "wirefilter 0.6"
    }

    fn first_true(&mut self, visit: &'static Visit) -> Option<usize> {
        let context = self.context(visit);
        self.filters.iter().position(|filter| filter.execute(&context) == Ok(true))
    }
}
