//! The report as a page.

use serde_json::Value;

/// The page; all of it is in the one file.
pub fn page(report: &Value) -> String {
    format!(
        "<!doctype html><title>ring3 beside the kernel</title><pre>{}</pre>\n",
        escape(&report["totals"].to_string())
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
