//! The network: whether the addresses are free or a gateway answers there, and whether traces can be sent.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use provider::{Courier, SendFault};

use super::report::Report;
use crate::settings::Settings;

/// For an answer: whoever is asked here is near.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at the addresses that clients and operators are to reach.
pub(super) async fn listeners(settings: &Settings, report: &mut Report) {
    listener("TOLLGATE_LISTEN", settings.listen, settings, report).await;
    if let Some(address) = settings.metrics_listen {
        listener("TOLLGATE_METRICS_LISTEN", address, settings, report).await;
    }
}

async fn listener(setting: &'static str, address: SocketAddr, settings: &Settings, report: &mut Report) {
    let check = "port";
    match TcpListener::bind(address) {
        Ok(_) => report.ok(check, format!("{address} is free: no gateway runs here")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => taken(setting, address, settings, report).await,
        Err(error) => {
            let remedy =
                format!("set {setting} to an address of this machine, and a port that its user may take");
            report.problem(check, format!("{address}: {error}"), remedy);
        }
    }
}

/// Somebody listens there: is it a gateway, and does it take calls?
async fn taken(setting: &str, address: SocketAddr, settings: &Settings, report: &mut Report) {
    let check = "port";
    let answer = get(settings, &format!("http://{}/readyz", reached_at(address))).await;
    let status = answer.as_ref().ok().and_then(|(status, body)| {
        let said: serde_json::Value = serde_json::from_slice(body).ok()?;
        Some((*status, said.get("status")?.as_str()?.to_owned()))
    });
    match status {
        Some((StatusCode::OK, said)) => {
            report.ok(check, format!("a gateway answers at {address}: it is {said}"))
        }
        Some((StatusCode::SERVICE_UNAVAILABLE, said)) => {
            let what = format!("a gateway answers at {address}, but takes no calls: it is {said}");
            report.warning(check, what, "if it does not end by itself, its log says why");
        }
        _ => {
            let what = format!("{address} is taken by another program, which is no gateway");
            report.problem(
                check,
                what,
                format!("end that program, or set {setting} to another port"),
            );
        }
    }
}

/// Whether the collector takes traces, when there is to be one.
pub(super) async fn collector(settings: &Settings, report: &mut Report) {
    let Some(traces) = &settings.traces else {
        return;
    };
    let check = "traces";
    let remedy = "calls are served all the same; start the collector, or mend OTEL_EXPORTER_OTLP_ENDPOINT (OTLP over \
                  HTTP, usually port 4318)";
    // Its address may hold a password; it is not quoted.
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(traces.url())
        .header(http::header::CONTENT_TYPE, "application/x-protobuf");
    for (name, value) in &traces.headers {
        request = request.header(name, value.expose());
    }
    // Of nothing at all, in protobuf.
    let Ok(request) = request.body(Bytes::new()) else {
        return report.problem(
            check,
            "OTEL_EXPORTER_OTLP_HEADERS holds what is no header",
            remedy,
        );
    };
    match sent(settings, request).await {
        Ok((status, _)) if status.is_success() => report.ok(check, "the collector takes traces"),
        Ok((status, _)) => {
            report.warning(
                check,
                format!("the collector answers with status {}", status.as_u16()),
                remedy,
            );
        }
        Err(why) => report.warning(check, format!("the collector cannot be reached: {why}"), remedy),
    }
}

/// An address that everything is listened on is reached on loopback.
fn reached_at(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn get(settings: &Settings, url: &str) -> Result<(StatusCode, Bytes), String> {
    let request = Request::get(url).body(Bytes::new());
    sent(settings, request.map_err(|error| error.to_string())?).await
}

async fn sent(settings: &Settings, request: Request<Bytes>) -> Result<(StatusCode, Bytes), String> {
    let courier = Courier::new(&settings.upstream).map_err(|error| error.to_string())?;
    let answer = tokio::time::timeout(PATIENCE, courier.send(request)).await;
    answer
        .unwrap_or(Err(SendFault::FirstByteTimeout))
        .map(|answer| (answer.status(), answer.into_body()))
        .map_err(|fault| fault.to_string())
}
