//! Which trace a client's request belongs to: W3C's `traceparent` header, read strictly.

use http::HeaderMap;

/// The span of the client's that a call is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: u128,
    pub span_id: u64,
    /// Whether the client's trace is kept.
    pub sampled: bool,
}

const HEADER: &str = "traceparent";

impl TraceParent {
    /// None when the request names no trace, or not in exactly the form of the recommendation: then the call begins a
    /// trace of its own.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut told = headers.get_all(HEADER).iter();
        match (told.next(), told.next()) {
            (Some(one), None) => Self::parse(one.to_str().ok()?),
            _ => None,
        }
    }

    /// `00-<32 hex>-<16 hex>-<2 hex>` in small letters. A later version may hold more behind another dash.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let span_id = u64::try_from(hex(parts.next()?, 16)?).ok()?;
        let flags = hex(parts.next()?, 2)?;
        let is_longer = parts.next().is_some();
        let is_known = version != 0xff && !(version == 0 && is_longer);
        (is_known && trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }
}

/// A number of exactly so many small hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn only_the_form_of_the_recommendation_is_read() {
        let read = |text: &str| TraceParent::parse(text).map(|parent| parent.sampled);
        assert_eq!(read(&format!("00-{TRACE}-{SPAN}-01")), Some(true));
        assert_eq!(read(&format!("00-{TRACE}-{SPAN}-00")), Some(false));
        assert_eq!(read(&format!("00-{TRACE}-{SPAN}-03")), Some(true));
        assert_eq!(read(&format!("01-{TRACE}-{SPAN}-01-more")), Some(true));
        let zeros = ["0".repeat(32), "0".repeat(16)];
        for wrong in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", zeros[0]),
            format!("00-{TRACE}-{}-01", zeros[1]),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-+7ad6b7169203331-01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}0-{SPAN}-01"),
        ] {
            assert_eq!(read(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let mut headers = HeaderMap::new();
        let value = format!("00-{TRACE}-{SPAN}-01")
            .parse::<http::HeaderValue>()
            .unwrap();
        headers.append(HEADER, value.clone());
        assert!(TraceParent::of(&headers).is_some());
        headers.append(HEADER, value);
        assert!(TraceParent::of(&headers).is_none());
    }
}
