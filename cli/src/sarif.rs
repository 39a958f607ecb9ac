//! Diagnoses for machines: JSON, and SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), which code scanners
//! take. <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use ring3::verifier::{Code, Diagnosis, Note, Site};
use serde_json::{Value, json};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// A diagnosis as a JSON object.
pub fn diagnosis(found: &Diagnosis) -> Value {
    let path: Vec<Value> = found.path.iter().map(|note| json!({"text": note.text, "at": site(&note.site)})).collect();
    json!({
        "code": found.code.to_string(),
        "rule": found.code.slug(),
        "category": found.category().name(),
        "title": found.code.title(),
        "reason": found.reason,
        "at": found.at.as_ref().map(site),
        "label": found.label,
        "path": path,
        "checks": found.checks,
        "suggestion": found.suggestion,
        "message": found.message,
        "errno": found.errno.name(),
    })
}

fn site(site: &Site) -> Value {
    let mut out = json!({"slot": site.slot, "insn": site.insn, "function": site.function});
    if let Some(source) = &site.source {
        out["file"] = source.file.as_str().into();
        out["line"] = source.line.into();
        out["column"] = source.column.into();
        out["text"] = source.text.as_str().into();
    }
    out
}

/// What became of a program, for a scanner.
pub struct Finding<'a> {
    /// The object.
    pub file: &'a str,
    /// The program.
    pub program: &'a str,
    /// Its section.
    pub section: &'a str,
    /// Why it was rejected.
    pub diagnosis: &'a Diagnosis,
}

/// A log of one run: the rules that were broken, and what broke them. `failures` are files and programs that could not be judged.
pub fn sarif(findings: &[Finding<'_>], failures: &[String]) -> Value {
    let mut codes: Vec<Code> = findings.iter().map(|finding| finding.diagnosis.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let notifications: Vec<Value> =
        failures.iter().map(|text| json!({"level": "error", "message": {"text": text}})).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "ring3",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": failures.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(|finding| result(finding, &codes)).collect::<Vec<_>>(),
        }]
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.to_string(),
        "name": code.slug(),
        "shortDescription": {"text": sentence(code.title())},
        "fullDescription": {"text": code.why()},
        "help": {"text": code.fix(), "markdown": format!("{}\n\n**What to do**: {}", code.why(), code.fix())},
        "defaultConfiguration": {"level": "error"},
        "properties": {"category": code.category().name()},
    })
}

fn result(finding: &Finding<'_>, codes: &[Code]) -> Value {
    let Finding { file, program, section, diagnosis } = finding;
    let mut text = format!("{}\n", diagnosis.reason);
    for check in &diagnosis.checks {
        text.push_str(&format!("{check}\n"));
    }
    text.push_str(&format!("{}\nLinux says: {}", diagnosis.suggestion, diagnosis.message));
    let location = |site: Option<&Site>, text: &str| {
        let mut location = json!({"physicalLocation": physical(site, file)});
        if let Some(function) = site.and_then(|site| site.function.as_ref()) {
            location["logicalLocations"] = json!([{"name": function, "kind": "function"}]);
        }
        if !text.is_empty() {
            location["message"] = json!({"text": text});
        }
        location
    };
    let steps: Vec<Value> = diagnosis.path.iter().map(|Note { site, text }| location(Some(site), text)).collect();
    let mut out = json!({
        "ruleId": diagnosis.code.to_string(),
        "ruleIndex": codes.iter().position(|code| *code == diagnosis.code),
        "level": "error",
        "message": {"text": text},
        "locations": [location(diagnosis.at.as_ref(), "")],
        "properties": {
            "program": program,
            "section": section,
            "object": file,
            "errno": diagnosis.errno.name(),
            "kernelMessage": diagnosis.message,
        },
    });
    if !steps.is_empty() {
        let flow: Vec<Value> = steps
            .iter()
            .cloned()
            .chain([location(diagnosis.at.as_ref(), &diagnosis.label)])
            .map(|location| json!({"location": location}))
            .collect();
        out["codeFlows"] = json!([{"threadFlows": [{"locations": flow}]}]);
        let related = steps.into_iter().zip(1..).map(|(mut step, id)| {
            step["id"] = id.into();
            step
        });
        out["relatedLocations"] = related.collect::<Vec<Value>>().into();
    }
    out
}

/// The source line, or the object where there is none.
fn physical(site: Option<&Site>, object: &str) -> Value {
    let Some(source) = site.and_then(|site| site.source.as_ref()).filter(|source| source.line > 0) else {
        return json!({"artifactLocation": {"uri": uri(object)}, "region": {"startLine": 1}});
    };
    let mut region = json!({"startLine": source.line});
    if source.column > 0 {
        region["startColumn"] = source.column.into();
    }
    if !source.text.is_empty() {
        region["snippet"] = json!({"text": source.text});
    }
    json!({"artifactLocation": {"uri": uri(&source.file)}, "region": region})
}

/// A path as a URI reference (RFC 3986): relative ones stay relative, so that scanners find them in the repository.
fn uri(path: &str) -> String {
    let plain = path.strip_prefix("./").unwrap_or(path);
    let mut out = if plain.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in plain.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'+' | b'@' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("./a b/c.c"), "a%20b/c.c");
        assert_eq!(uri("/src/x.bpf.c"), "file:///src/x.bpf.c");
    }
}
