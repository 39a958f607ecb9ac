//! `ring3 filter`: classic BPF on packets and system calls.

use std::io::{Read, Write};
use std::path::Path;

use ring3::classic::{self, Action, Arch, ClassicError, Filter, Op, Place, SeccompData, Style};
use ring3::isa::NoNames;
use ring3::{Backend, Engine, Input, Instance, Runner};
use serde_json::json;

use crate::Outcome;
use crate::args::{FilterArgs, FilterEngine, FilterForm, RunFormat};
use crate::capture::{self, ETHERNET, Links, Packet};
use crate::error::CliError;
use crate::output::{Ink, Out};
use crate::run::Feed;
use crate::table::{Column, line};

/// The longest file with a filter, in bytes. 4096 instructions with long comments are far shorter.
const MAX_FILE: u64 = 4 << 20;

/// Reads a filter, and runs or shows it.
pub fn filter(args: &FilterArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let (place, insns) = read(args)?;
    let checked = if args.seccomp { Filter::seccomp(insns) } else { Filter::socket(insns) };
    let filter = match checked {
        Ok(filter) => filter,
        Err(error @ (ClassicError::Refused { .. } | ClassicError::Length { .. })) => {
            writeln!(std::io::stderr(), "ring3: {place}: Linux refuses this filter: {error} (EINVAL)")?;
            return Ok(Outcome::Rejected);
        }
        Err(error) => return Err(CliError::Input(format!("{place}: {error}"))),
    };
    let located = |error: ring3::Error| CliError::Input(format!("{place}: {error}"));
    if let Some(form) = args.dump {
        return dump(&filter, form, out).map_err(|error| match error {
            CliError::Input(text) => CliError::Input(format!("{place}: {text}")),
            error @ CliError::Output(_) => error,
        });
    }
    let mut instance = match engine(args) {
        Some(backend) => Some(Engine::new().backend(backend).load_filter(&filter).map_err(located)?),
        None => None,
    };
    let mut machine = Machine::new(&filter, instance.as_mut())?;
    match filter.place() {
        Place::Socket => packets(args, &filter, &mut machine, out),
        Place::Seccomp => calls(args, &mut machine, out),
    }
}

/// The filter's instructions, and what to call their place in errors.
fn read(args: &FilterArgs) -> Result<(String, Vec<classic::Insn>), CliError> {
    let (place, insns) = match (&args.bytecode, &args.ddd) {
        (Some(path), _) if path == Path::new("-") => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes);
            read.map_err(|error| CliError::Input(format!("standard input: {error}")))?;
            if bytes.len() as u64 > MAX_FILE {
                return Err(CliError::Input(format!("standard input has more than {MAX_FILE} bytes")));
            }
            ("standard input".to_owned(), classic::parse_any(&bytes))
        }
        (Some(path), _) => (path.display().to_string(), classic::parse_any(&ring3::read(path, MAX_FILE)?)),
        (None, text) => ("--ddd".to_owned(), classic::parse(text.as_deref().unwrap_or_default())),
    };
    match insns {
        Ok(insns) => Ok((place, insns)),
        Err(error) => Err(CliError::Input(format!("{place}: {error}"))),
    }
}

/// `None`: the interpreter of classic BPF.
fn engine(args: &FilterArgs) -> Option<Backend> {
    match args.engine {
        None => Some(Backend::best()),
        Some(FilterEngine::Interp) => Some(Backend::Interpreter),
        Some(FilterEngine::Jit) => Some(Backend::Jit),
        Some(FilterEngine::Classic) => None,
    }
}

fn dump(filter: &Filter, form: FilterForm, out: &mut Out) -> Result<Outcome, CliError> {
    match form {
        FilterForm::Listing => write!(out, "{}", classic::Listing(filter.insns()))?,
        FilterForm::Ddd => write!(out, "{}", classic::ddd(filter.insns()))?,
        FilterForm::Ebpf => {
            let program = filter.translate(Style::Plain).map_err(CliError::input)?;
            for slot in 0..program.code.len() {
                if let Some(text) = program.code.text(slot, &NoNames) {
                    writeln!(out, "{slot:4}: {text}")?;
                }
            }
        }
    }
    Ok(Outcome::Good)
}

/// What runs the filter.
enum Machine<'a> {
    Translated { runner: Box<Runner<'a>>, slots: usize, engine: &'static str },
    Classic(&'a Filter),
}

impl<'a> Machine<'a> {
    fn new(filter: &'a Filter, instance: Option<&'a mut Instance>) -> Result<Machine<'a>, CliError> {
        let Some(instance) = instance else { return Ok(Machine::Classic(filter)) };
        let runner = instance.runner("filter")?;
        let slots = runner.program().program().code.len();
        let engine = runner.program().backend().name();
        Ok(Machine::Translated { runner: Box::new(runner), slots, engine })
    }

    fn engine(&self) -> &'static str {
        match self {
            Machine::Translated { engine, .. } => engine,
            Machine::Classic(_) => "classic",
        }
    }

    fn packet(&mut self, packet: &Packet) -> Result<u32, CliError> {
        let (data, length) = (packet.snapped(), packet.length);
        match self {
            Machine::Translated { runner, .. } => Ok(runner.run(Input::Captured { data, length })?.retval),
            Machine::Classic(filter) => {
                let mut packet = classic::Packet::ethernet(data);
                packet.length = packet.length.max(length);
                filter.run(&packet).map_err(CliError::input)
            }
        }
    }

    fn call(&mut self, call: &SeccompData) -> Result<u32, CliError> {
        match self {
            Machine::Translated { runner, .. } => Ok(runner.run(Input::Context(&call.to_bytes()))?.retval),
            Machine::Classic(filter) => Ok(filter.run_seccomp(call)),
        }
    }

    /// How many instructions there are, and what runs them.
    fn title(&self, filter: usize) -> String {
        let plural = if filter == 1 { "" } else { "s" };
        let translated = match self {
            Machine::Translated { slots, .. } => format!(", {slots} of eBPF"),
            Machine::Classic(_) => String::new(),
        };
        format!("{filter} instruction{plural}{translated}, runs by {}", self.engine())
    }
}

fn packets(args: &FilterArgs, filter: &Filter, machine: &mut Machine<'_>, out: &mut Out) -> Result<Outcome, CliError> {
    let Some(path) = &args.capture else { return Err(CliError::Input("which capture?".to_owned())) };
    let mut feed = Feed::capture(path, Links::OfOneKind)?;
    let mut writer = None;
    let mut rows = Rows::begin(args, machine.title(filter.insns().len()), out)?;
    let ethernet = needs_ethernet(filter);
    while let Some(packet) = feed.next()? {
        let link = packet.interface.link;
        if let (Some(slot), true) = (ethernet, link != ETHERNET) {
            let why = "loads what is known of Ethernet frames alone";
            return Err(CliError::Input(format!("{}: link type {link}: instruction {slot} {why}", path.display())));
        }
        let retval = machine.packet(&packet)?;
        let kept = &packet.snapped()[..packet.snapped().len().min(retval as usize)];
        if let (Some(to), None) = (&args.write_pcap, &writer) {
            writer = Some((to, capture::create(to, link)?));
        }
        if let (Some((to, writer)), true) = (&mut writer, retval != 0) {
            writer.packet(packet.time_ns, kept, packet.length).map_err(|error| CliError::file(to, error))?;
        }
        rows.packet(&packet, retval, kept.len(), machine.engine())?;
    }
    feed.finish();
    if let (Some(to), None) = (&args.write_pcap, &writer) {
        writer = Some((to, capture::create(to, ETHERNET)?));
    }
    if let Some((to, writer)) = writer {
        writer.finish().map_err(|error| CliError::file(to, error))?;
    }
    rows.end()?;
    Ok(Outcome::Good)
}

/// The first instruction that loads something else than bytes at an offset or the length.
fn needs_ethernet(filter: &Filter) -> Option<usize> {
    let loads = |op| matches!(op, Op::LoadAbs(_) | Op::LoadInd(_) | Op::LoadXMsh);
    filter.insns().iter().position(|insn| insn.op().is_some_and(loads) && insn.k.cast_signed() < 0)
}

struct Rows<'a> {
    out: &'a mut Out,
    format: RunFormat,
    columns: [Column; 4],
    packets: u64,
    kept: u64,
}

impl<'a> Rows<'a> {
    fn begin(args: &FilterArgs, title: String, out: &'a mut Out) -> Result<Rows<'a>, CliError> {
        let columns = [
            Column::right("PACKET", 6),
            Column::right("BYTES", 6),
            Column::right("LENGTH", 6),
            Column::right("RETURN", 10),
        ];
        if args.output == RunFormat::Table {
            writeln!(out, "{}", out.ink(Ink::Strong, &title))?;
            let heading = line(&columns, &columns.map(|column| column.name), |_, text| text.to_owned());
            writeln!(out, "{}", out.ink(Ink::Faint, &format!("{heading}  VERDICT")))?;
        }
        Ok(Rows { out, format: args.output, columns, packets: 0, kept: 0 })
    }

    fn packet(&mut self, packet: &Packet, retval: u32, kept: usize, engine: &str) -> Result<(), CliError> {
        self.packets += 1;
        self.kept += u64::from(retval != 0);
        let bytes = packet.snapped().len();
        match self.format {
            RunFormat::Json => {
                let object = json!({
                    "packet": self.packets,
                    "bytes": bytes,
                    "length": packet.length,
                    "retval": retval,
                    "kept": retval != 0,
                    "kept_bytes": if retval == 0 { 0 } else { kept },
                    "engine": engine,
                });
                writeln!(self.out, "{object}")?;
            }
            RunFormat::Table => {
                let texts = [self.packets, bytes as u64, packet.length.into(), retval.into()].map(|n| n.to_string());
                let row = line(&self.columns, &texts.each_ref().map(String::as_str), |_, text| text.to_owned());
                let (ink, verdict) = match retval {
                    0 => (Ink::Faint, "dropped".to_owned()),
                    _ if kept < bytes => (Ink::Good, format!("kept, cut to {kept}")),
                    _ => (Ink::Good, "kept".to_owned()),
                };
                writeln!(self.out, "{row}  {}", self.out.ink(ink, &verdict))?;
            }
        }
        Ok(())
    }

    fn end(self) -> Result<(), CliError> {
        let (packets, kept, dropped) = (self.packets, self.kept, self.packets - self.kept);
        match self.format {
            RunFormat::Json => {
                writeln!(self.out, "{}", json!({ "packets": packets, "kept": kept, "dropped": dropped }))?;
            }
            RunFormat::Table if packets == 0 => writeln!(self.out, "no packets: the capture is empty")?,
            RunFormat::Table => {
                let plural = if packets == 1 { "" } else { "s" };
                writeln!(self.out, "{packets} packet{plural}: {kept} kept, {dropped} dropped")?;
            }
        }
        Ok(())
    }
}

fn calls(args: &FilterArgs, machine: &mut Machine<'_>, out: &mut Out) -> Result<Outcome, CliError> {
    let arch = args.arch.or_else(|| Arch::from_name(std::env::consts::ARCH));
    let arch = arch.ok_or_else(|| CliError::Input("which architecture? --arch".to_owned()))?;
    let mut list = Vec::new();
    for call in &args.syscall {
        list.extend(numbers(arch, call)?);
    }
    let mut data =
        SeccompData { arch: arch.audit, instruction_pointer: args.instruction_pointer, ..SeccompData::default() };
    for (index, value) in &args.arg {
        if let Some(arg) = data.args.get_mut(*index) {
            *arg = *value;
        }
    }
    let names: Vec<String> = list.iter().map(|nr| arch.syscall_name(*nr).unwrap_or("-").to_owned()).collect();
    let columns = [Column::left("SYSCALL", names.iter().map(String::as_str), 24), Column::right("NUMBER", 6)];
    if args.output == RunFormat::Table {
        let heading = line(&columns, &columns.map(|column| column.name), |_, text| text.to_owned());
        writeln!(out, "{}", out.ink(Ink::Faint, &format!("{heading}  ACTION")))?;
    }
    for (nr, name) in list.iter().zip(&names) {
        data.nr = *nr;
        let retval = machine.call(&data)?;
        let action = Action::of(retval);
        match args.output {
            RunFormat::Json => {
                let object = json!({
                    "syscall": arch.syscall_name(*nr),
                    "nr": nr,
                    "arch": arch.name,
                    "retval": retval,
                    "action": action.name(),
                    "data": action.data(),
                    "errno": action.errno_name(),
                    "engine": machine.engine(),
                });
                writeln!(out, "{object}")?;
            }
            RunFormat::Table => {
                let row = line(&columns, &[name, &nr.to_string()], |_, text| text.to_owned());
                let ink = if matches!(action, Action::Allow | Action::Log) { Ink::Good } else { Ink::Bad };
                writeln!(out, "{row}  {}", out.ink(ink, &action.to_string()))?;
            }
        }
    }
    Ok(Outcome::Good)
}

/// A system call by name or number, or all of them.
fn numbers(arch: Arch, call: &str) -> Result<Vec<i32>, CliError> {
    if call == "all" && arch.has_names() {
        return Ok(arch.syscalls().collect());
    }
    let by_number = || {
        let number = crate::args::number(call).ok()?;
        i32::try_from(number.cast_signed()).ok().or_else(|| u32::try_from(number).ok().map(u32::cast_signed))
    };
    match arch.syscall(call).or_else(by_number) {
        Some(nr) => Ok(vec![nr]),
        None if arch.has_names() => {
            Err(CliError::Input(format!("--syscall {call}: {} has no such system call", arch.name)))
        }
        None => {
            let why = "no names of system calls are known; give its number";
            Err(CliError::Input(format!("--syscall {call}: of {} {why}", arch.name)))
        }
    }
}
