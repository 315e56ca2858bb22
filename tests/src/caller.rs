//! Callers of the benchmarks: signed requests sent to a running server, one after the other and many at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::case::Request;
use crate::measure::Sample;

/// How many requests [`Caller::send_together`] has under way.
pub const AT_ONCE: usize = 16;

/// A client that keeps its connections, so that none is opened inside a measurement.
#[derive(Debug, Clone)]
pub struct Caller(Client<HttpConnector, Full<Bytes>>);

impl Default for Caller {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Caller {
    /// Sends `request` and reads the whole answer; how long that took.
    ///
    /// # Errors
    ///
    /// When the answer is not 200, or there is none.
    pub async fn send(&self, address: SocketAddr, request: &Request) -> Result<Duration> {
        let uri = format!("http://{address}{}", request.target);
        let mut builder =
            http::Request::builder().method(request.method.as_str()).uri(uri).header("host", &request.host);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Full::new(Bytes::copy_from_slice(request.body.as_bytes())))?;
        let started = Instant::now();
        let answer = self.0.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let elapsed = started.elapsed();
        ensure!(status == http::StatusCode::OK, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(elapsed)
    }

    /// Sends all of `requests`, [`AT_ONCE`] at a time, and adds how long each took to `sample`.
    ///
    /// # Errors
    ///
    /// When one of them fails.
    pub async fn send_together(&self, address: SocketAddr, requests: &[Request], sample: &mut Sample) -> Result<()> {
        let share = requests.len().div_ceil(AT_ONCE);
        let callers = requests.chunks(share).map(|requests| async move {
            let mut sample = Sample::default();
            for request in requests {
                sample.push(self.send(address, request).await?);
            }
            anyhow::Ok(sample)
        });
        for caller in join_all(callers).await {
            sample.merge(caller?);
        }
        Ok(())
    }
}
