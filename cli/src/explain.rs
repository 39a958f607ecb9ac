//! `ring3 explain`: what a code means.

use std::io::Write;

use ring3::verifier::{Code, Language};
use serde_json::json;

use crate::Outcome;
use crate::args::{ExplainArgs, RunFormat};
use crate::error::CliError;
use crate::output::{Ink, Out};

/// Columns of running text.
const WIDTH: usize = 96;

/// Explains a code, or lists all.
pub fn explain(args: &ExplainArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let codes = match args.code {
        Some(code) => vec![code],
        None => Code::ALL.to_vec(),
    };
    for (index, code) in codes.iter().enumerate() {
        match (args.output, args.code) {
            (RunFormat::Json, _) => writeln!(out, "{}", as_json(*code))?,
            (RunFormat::Table, Some(_)) => one(*code, out)?,
            (RunFormat::Table, None) => {
                let category = code.category().name();
                if index == 0 || codes[index - 1].category() != code.category() {
                    let gap = if index == 0 { "" } else { "\n" };
                    writeln!(out, "{gap}{}", out.ink(Ink::Strong, category))?;
                }
                writeln!(out, "  {code}  {}", code.title())?;
            }
        }
    }
    Ok(Outcome::Good)
}

fn as_json(code: Code) -> serde_json::Value {
    let example = code.example();
    json!({
        "code": code.to_string(),
        "rule": code.slug(),
        "category": code.category().name(),
        "title": code.title(),
        "why": code.why(),
        "fix": code.fix(),
        "example": {"language": language(example.language), "wrong": example.wrong, "right": example.right},
    })
}

fn one(code: Code, out: &mut Out) -> Result<(), CliError> {
    writeln!(
        out,
        "{}",
        out.ink(Ink::Strong, &format!("{code} ({}, {}): {}", code.slug(), code.category().name(), code.title()))
    )?;
    writeln!(out)?;
    paragraph(code.why(), out)?;
    writeln!(out, "\n{}", out.ink(Ink::Strong, "What to do"))?;
    paragraph(code.fix(), out)?;
    let example = code.example();
    for (heading, text) in [("Rejected", example.wrong), ("Accepted", example.right)] {
        writeln!(out, "\n{}", out.ink(Ink::Strong, heading))?;
        for line in text.lines() {
            writeln!(out, "{}", format!("    {line}").trim_end())?;
        }
    }
    Ok(())
}

const fn language(language: Language) -> &'static str {
    match language {
        Language::C => "c",
        Language::Text => "text",
    }
}

/// Text broken into lines.
fn paragraph(text: &str, out: &mut Out) -> Result<(), CliError> {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    Ok(writeln!(out, "{line}")?)
}
