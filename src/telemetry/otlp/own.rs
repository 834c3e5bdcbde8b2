//! The program's own spans (how it started, how it drained): made with `tracing`, a handful in a life, on the same queue and with the same counts as
//! those of exchanges. Nothing that is done for each request, and nothing of other crates, becomes one: no telemetry about telemetry.

use std::{sync::Arc, time::Duration};

use opentelemetry::{Context, trace::TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::{Item, Otlp, Shared};

impl Otlp {
    /// Has this program's spans, from info on, exported; its events within them are told there too.
    pub(in crate::telemetry) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let provider =
            SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_span_processor(Own { shared: Arc::clone(&self.shared) }).build();
        let tracer = provider.tracer_with_scope(self.shared.spans.scope().clone());
        // Where in the source and on which thread says nothing to whoever reads a trace.
        let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false).with_target(false);
        let layer = layer.with_tracked_inactivity(false).with_context_activation(false);
        layer.with_filter(Targets::new().with_target(env!("CARGO_PKG_NAME"), LevelFilter::INFO))
    }
}

/// Puts what has ended on the queue.
#[derive(Debug)]
struct Own {
    shared: Arc<Shared>,
}

impl SpanProcessor for Own {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.shared.queue.push(Item::Own(Box::new(span)), 1).is_err() {
            self.shared.counts.dropped.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        // The queue has an end of its own.
        Ok(())
    }
}
