//! `ring3 feature`: what there is of Linux's helpers, program types and map types, and where it works.

use std::io::Write;

use ring3::KernelVersion;
use ring3::platform::helpers::{self, Home};
use ring3::platform::{MapType, ProgType};
use serde_json::{Value, json};

use crate::Outcome;
use crate::args::{FeatureArgs, RunFormat};
use crate::error::CliError;
use crate::output::{Ink, Out};

/// One row.
struct Row {
    name: String,
    number: u32,
    since: Option<KernelVersion>,
    home: &'static str,
    /// Why it is there alone.
    why: Option<&'static str>,
}

impl Row {
    fn json(&self, kind: &str) -> Value {
        let since = self.since.map(|since| since.to_string());
        json!({ "kind": kind, "name": self.name, "number": self.number, "since": since, "where": self.home, "why": self.why })
    }
}

/// Prints the tables.
pub fn feature(args: &FeatureArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let tables = [("helpers", helpers()), ("program types", programs()), ("map types", map_types())];
    match args.output {
        RunFormat::Json => {
            for (name, row) in tables.iter().flat_map(|(name, rows)| rows.iter().map(move |row| (name, row))) {
                writeln!(out, "{}", row.json(name.trim_end_matches('s')))?;
            }
        }
        RunFormat::Table => {
            for (at, (name, rows)) in tables.iter().enumerate() {
                let gap = if at == 0 { "" } else { "\n" };
                writeln!(out, "{gap}{}", out.ink(Ink::Strong, &format!("{} {name}", rows.len())))?;
                for Row { name, number, since, home, why } in rows {
                    let since = since.map_or(String::new(), |since| since.to_string());
                    let why = why.map_or(String::new(), |why| format!(": {why}"));
                    writeln!(out, "  {number:>4}  {name:32} {since:6} {home}{why}")?;
                }
            }
        }
    }
    Ok(Outcome::Good)
}

fn helpers() -> Vec<Row> {
    let row = |(number, home): (u32, Home)| {
        let name = format!("bpf_{}", helpers::helper_name(number)?);
        Some(Row {
            name,
            number,
            since: helpers::helper_since(number),
            home: home.name(),
            why: helpers::kernel_only(number),
        })
    };
    (1..).map_while(|number| helpers::home(number).map(|home| (number, home))).filter_map(row).collect()
}

/// A type runs where a context can be made of what a user has: a packet, fields, or bytes. Extensions run in the place of what they
/// replace.
fn programs() -> Vec<Row> {
    let runs = |kind: ProgType| {
        if ring3::takes_packet(kind) || kind == ProgType::Ext {
            return true;
        }
        if ring3::vm::PartsContext::new(kind).is_some() {
            return true;
        }
        ring3::vm::ctx::from_image(kind, &[]).is_ok_and(|context| context.suits(kind))
    };
    let row = |kind: &ProgType| Row {
        name: kind.name().to_owned(),
        number: kind.number(),
        since: Some(kind.since()),
        home: if runs(*kind) { Home::Native.name() } else { "judged, not run" },
        why: None,
    };
    ProgType::ALL.iter().filter(|kind| kind.number() != 0).map(row).collect()
}

fn map_types() -> Vec<Row> {
    let row = |kind: &MapType| {
        let hosted = matches!(
            kind,
            MapType::CgroupArray
                | MapType::Devmap
                | MapType::DevmapHash
                | MapType::Cpumap
                | MapType::Xskmap
                | MapType::Sockmap
                | MapType::Sockhash
                | MapType::ReuseportSockarray
                | MapType::CgroupStorage
                | MapType::PercpuCgroupStorage
                | MapType::SkStorage
                | MapType::InodeStorage
                | MapType::TaskStorage
                | MapType::CgrpStorage
        );
        Row {
            name: kind.name().to_owned(),
            number: kind.number(),
            since: Some(kind.since()),
            home: if hosted { Home::Hosted.name() } else { Home::Native.name() },
            why: None,
        }
    };
    MapType::ALL.iter().filter(|kind| kind.number() != 0).map(row).collect()
}
