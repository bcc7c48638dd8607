//! What is logged, where, and in which form.
//!
//! Our own events hold no account ids, addresses or content at any level. Libraries make no such promise: QUIC's logs the
//! addresses of clients, TLS' what is in a handshake. So of theirs only warnings and errors pass, whatever `RUST_LOG` says.

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterFn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

/// Set to `json`, each event is one JSON object.
const FORMAT_VARIABLE: &str = "CONCLAVE_LOG_FORMAT";
/// Everything of ours is called so.
const OURS: &str = "conclave";

/// Logs go to standard error: errors, with `-v` what happens, with `-vv` everything of ours. `RUST_LOG` overrides it.
pub(crate) fn to_stderr(verbose: u8) {
    let default = match verbose {
        0 => "error",
        1 => "warn,conclave=info,conclave_client=info,conclave_node=info,conclave_devnet=info",
        _ => {
            "warn,conclave=trace,conclave_client=trace,conclave_node=trace,conclave_devnet=trace,conclave_transport=debug"
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let discreet = FilterFn::new(may_be_written);
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let as_json = std::env::var_os(FORMAT_VARIABLE).is_some_and(|format| format == "json");
    let layer = if as_json {
        layer.json().with_filter(discreet).boxed()
    } else {
        layer.with_filter(discreet).boxed()
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
}

/// Whether an event can be trusted to name nobody.
fn may_be_written(event: &Metadata<'_>) -> bool {
    event.target().starts_with(OURS) || *event.level() <= Level::WARN
}
