//! `ring3 run`: a program on packets.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ring3::btf::{Btf, Kind, TypeId, format_value};
use ring3::jit::symbols::{JitDump, PerfMap, Symbols};
use ring3::platform::maps::Pinning;
use ring3::platform::return_name;
use ring3::sim::{self, Event as SimEvent, Fired, Sim};
use ring3::vm::StateReport;
use ring3::vm::maps::{Event, Map};
use ring3::{
    Backend, Engine, Error, Input, Instance, KernelVersion, LogLevel, MapType, Object, Options, Output, ProgType,
    TraceLog,
};
use serde_json::{Value as Json, json};

use crate::Outcome;
use crate::args::{EngineArg, RunArgs, RunFormat};
use crate::capture::{self, Capture};
use crate::diff::diff;
use crate::error::CliError;
use crate::fields::Fields;
use crate::input;
use crate::output::{Ink, Out, hex, printable};
use crate::table::{Column, line};
use crate::types::with_types;
use crate::value;
use crate::verify::duration;

/// Bytes of a capture from which on a bar shows how far the run is.
const LONG_CAPTURE: u64 = 4 << 20;
/// Events that are kept; what comes later is counted.
const MAX_EVENTS: usize = 1 << 18;
/// The longest context file, in bytes.
const MAX_CTX: u64 = 1 << 20;
/// Bytes of a hexadecimal line.
const HEX_LINE: usize = 16;
/// Arrays with more elements than this show only those that are not zero.
const SHORT_ARRAY: usize = 16;
/// From this many elements on, JSON has only those of an array that are not zero, too.
const LONG_ARRAY: u32 = 1 << 16;

/// Runs a program once for each packet.
pub fn run(args: &RunArgs, out: &mut Out) -> Result<Outcome, CliError> {
    check_engine(args)?;
    if !args.event.is_empty() {
        return fire(args, out);
    }
    let (mut instance, name, object) = load(args)?;
    if let Err(error) = instance.program(&name) {
        return rejected(args, &object, &name, error);
    }
    if let Some(folder) = &args.pin {
        if !instance.maps().any(|map| map.def().pinning == Pinning::ByName) {
            return Err(CliError::Input(format!("--pin: {}: no map is pinned by name", args.object.display())));
        }
        instance.restore_pins(folder)?;
    }
    fill_maps(args, &mut instance)?;
    let mut feed = Feed::open(args)?;
    let writer =
        args.write_pcap.as_deref().map(|path| capture::create(path, capture::ETHERNET).map(|writer| (path, writer)));
    let mut writer = writer.transpose()?;
    let mut events = Events::of(&instance);
    let mut session = Session::new(args, out);
    session.event_type = event_type(args, &object)?;
    {
        let mut runner = match instance.runner(&name) {
            Ok(runner) => runner,
            Err(error) => return rejected(args, &object, &name, error),
        };
        let program = runner.program().clone();
        let kind = program.program().kind;
        check_input(args, kind, &name)?;
        let _named = name_code(args, &program)?;
        let fields = (!args.field.is_empty()).then(|| Fields::of(kind, &args.field)).transpose()?;
        session.begin(&name, &program)?;
        if fields.is_some() {
            runner.keep_contexts();
        }
        while let Some(piece) = feed.next()? {
            let input = match &fields {
                Some(fields) => fields.input(&piece.data),
                None if args.ctx.is_some() => Input::Context(&piece.data),
                None => Input::Packet(&piece.data),
            };
            let result = runner.repeat(input, args.repeat);
            events.collect();
            session.packet(&piece.data, fields.as_ref(), &result)?;
            if let (Some((path, writer)), Ok(output)) = (&mut writer, &result)
                && ring3::passes(kind, output.retval)
            {
                let kept = if kind == ProgType::SocketFilter { output.retval as usize } else { usize::MAX };
                let data = &output.packet[..output.packet.len().min(kept)];
                writer.packet(piece.time_ns, data, data.len() as u32).map_err(|e| CliError::file(path, e))?;
            }
        }
        session.states = program.states();
        runner.finish()?;
    }
    events.collect();
    feed.finish();
    if let Some((path, writer)) = writer {
        writer.finish().map_err(|e| CliError::file(path, e))?;
    }
    if let Some(folder) = &args.pin {
        instance.save_pins(folder)?;
    }
    session.end(&mut instance, &events)
}

/// Fires events: each runs the programs that are attached there.
fn fire(args: &RunArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let (instance, object) = load_whole(args)?;
    let mut sim = Sim::new(instance)?;
    fill_maps(args, sim.instance())?;
    let mut events = Events::of(sim.instance());
    let mut session = Session::new(args, out);
    session.kind = ProgType::Tracing;
    session.engine = EngineArg::backend(args.engine).name();
    session.event_type = event_type(args, &object)?;
    session.begin_events(&object)?;
    let mut kept = TraceLog::default();
    for text in &args.event {
        let event: SimEvent = text.parse().map_err(|error| CliError::Input(format!("--event {error}")))?;
        let fired = match sim.fire_event(&event) {
            Ok(fired) => fired,
            Err(Error::Rejected { program, rejection }) => {
                return rejected(args, &object, &program.clone(), Error::Rejected { program, rejection });
            }
            Err(Error::Sim(error)) => return Err(CliError::Input(format!("--event {text}: {error}"))),
            Err(error) => return Err(error.into()),
        };
        events.collect();
        let trace = sim.instance().take_trace();
        let (who, cpu) = (sim.task_name(), sim.cpu());
        kept.lines.extend(trace.lines.iter().map(|line| format!("{who} [{cpu:03}]: {line}")));
        kept.dropped += trace.dropped;
        let signals = sim.take_signals();
        session.fired(&fired, &signals)?;
    }
    session.kept = Some(kept);
    session.end(sim.instance(), &events)
}

/// The struct that events are to be shown as.
fn event_type(args: &RunArgs, object: &Object) -> Result<Option<(Arc<Btf>, TypeId)>, CliError> {
    let Some(name) = &args.event_type else { return Ok(None) };
    let found = object.btf().and_then(|btf| Some((Arc::clone(btf), btf.find(name, Kind::Struct)?)));
    let missing = || CliError::Input(format!("--event-type: {} has no struct '{name}' in its types", object.file()));
    found.map(Some).ok_or_else(missing)
}

/// What is for machine code needs that engine, and the kernel has no budget.
fn check_engine(args: &RunArgs) -> Result<(), CliError> {
    let backend = if args.check_states { Backend::States } else { EngineArg::backend(args.engine) };
    if backend != Backend::Jit && (!args.jit.is_empty() || args.perf.is_some()) {
        let name = backend.name();
        return Err(CliError::Input(format!(
            "--jit-blind, --jit-retpolines and --perf are for machine code, not for {name}"
        )));
    }
    if backend == Backend::Kernel && args.budget.is_some() {
        return Err(CliError::input("--budget is for ring3's own engines"));
    }
    Ok(())
}

/// Tells profilers of the machine code. What comes back is to be kept until they have seen it.
fn name_code(args: &RunArgs, program: &ring3::Executable) -> Result<Option<JitDump>, CliError> {
    let (Some(place), Some(compiled)) = (&args.perf, program.compiled()) else { return Ok(None) };
    let symbols = Symbols::new(compiled, program.program());
    match place {
        None => {
            let failed = |error| CliError::file(&PerfMap::default_path(), error);
            PerfMap::open().and_then(|mut map| map.add(compiled, &symbols)).map_err(failed)?;
            Ok(None)
        }
        Some(folder) => {
            let mut dump = JitDump::create(folder).map_err(|error| CliError::file(folder, error))?;
            dump.add(compiled, &symbols).map_err(|error| CliError::file(folder, error))?;
            Ok(Some(dump))
        }
    }
}

/// The object with its globals set and its maps created, and the program's name.
fn load(args: &RunArgs) -> Result<(Instance, String, Object), CliError> {
    let (mut object, name) = object_and_program(args)?;
    set_globals(args, &mut object)?;
    input::configure(&mut object, KernelVersion::V6_18, &args.kconfig)?;
    let engine = typed(args, engine(args))?;
    let instance = engine.load_with(&object, &Options { kind: args.kind, ..Options::default() })?;
    Ok((instance, name, object))
}

/// The same for events: with the types of the running kernel unless others are named, and of all programs.
fn load_whole(args: &RunArgs) -> Result<(Instance, Object), CliError> {
    let mut object = input::object(&args.object)?;
    set_globals(args, &mut object)?;
    input::configure(&mut object, KernelVersion::V6_18, &args.kconfig)?;
    Ok((typed(args, engine(args))?.load(&object)?, object))
}

/// The engine with the types that are named, for events else with those of the running kernel, or a few that are known.
fn typed(args: &RunArgs, engine: Engine) -> Result<Engine, CliError> {
    let running = Path::new(sim::RUNNING_KERNEL);
    match &args.btf {
        Some(path) => with_types(engine, Some(path)),
        None if args.event.is_empty() => Ok(engine),
        None if running.exists() => with_types(engine, Some(running)),
        None => Ok(engine.btf(sim::small_kernel())),
    }
}

fn object_and_program(args: &RunArgs) -> Result<(Object, String), CliError> {
    let object = input::object(&args.object)?;
    let name = choose(&object, args.program.as_deref())?;
    Ok((object, name))
}

fn set_globals(args: &RunArgs, object: &mut Object) -> Result<(), CliError> {
    for setting in &args.set {
        let (path, text) = ring3::text::split_pair(setting).map_err(|e| CliError::Input(format!("--set {e}")))?;
        ring3::set_global(object, path.trim(), text)?;
    }
    Ok(())
}

fn engine(args: &RunArgs) -> Engine {
    let backend = if args.check_states { Backend::States } else { EngineArg::backend(args.engine) };
    let engine = Engine::new().backend(backend).jit(args.jit.into());
    args.budget.into_iter().fold(engine, Engine::budget)
}

/// The program that is asked for, or the only one.
pub fn choose(object: &Object, wanted: Option<&str>) -> Result<String, CliError> {
    let names: Vec<&str> = object.programs().iter().map(|entry| entry.name.as_str()).collect();
    let file = object.file();
    match (wanted, &names[..]) {
        (Some(name), _) if names.contains(&name) => Ok(name.to_owned()),
        (Some(name), _) => Err(CliError::Input(input::no_such_program(object, name))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, []) => Err(CliError::Input(format!("{file}: there is no program in it"))),
        (None, _) => Err(CliError::Input(format!("{file}: which program? --program with one of {}", names.join(", ")))),
    }
}

/// A program that cannot be loaded: the verifier's log, or what else is wrong.
fn rejected(args: &RunArgs, object: &Object, name: &str, error: Error) -> Result<Outcome, CliError> {
    let (culprit, rejection) = match error {
        Error::Rejected { program, rejection } => (program, rejection),
        Error::Slot { source, map, index } => match *source {
            Error::Rejected { program, rejection } => (program, rejection),
            source => return Err(Error::Slot { source: Box::new(source), map, index }.into()),
        },
        Error::Kernel { source, .. } => return crate::load::failed(object, *source),
        other => return Err(other.into()),
    };
    let options = Options { kind: args.kind, ..Options::default() };
    let mut stderr = std::io::stderr().lock();
    let engine = typed(args, Engine::new())?;
    if let Err(Error::Rejected { rejection, .. }) = engine.verify(object, &culprit, &options, LogLevel(1)) {
        write!(stderr, "{}", rejection.log)?;
    }
    let through = if culprit == name { String::new() } else { format!(" (which '{name}' can call)") };
    let file = object.file();
    writeln!(stderr, "ring3: {file}: program '{culprit}'{through} is rejected: {rejection} ({})", rejection.errno)?;
    Ok(Outcome::Rejected)
}

fn fill_maps(args: &RunArgs, instance: &mut Instance) -> Result<(), CliError> {
    for element in &args.map {
        let form = || CliError::Input(format!("--map {element}: not of the form NAME:KEY=VALUE"));
        let (name, pair) = element.split_once(':').ok_or_else(form)?;
        let (key, text) = ring3::text::split_pair(pair).map_err(|_| form())?;
        let map = instance.map(name)?;
        if map.def().kind == MapType::ProgArray {
            let index = key.trim().parse().map_err(|_| form())?;
            instance.set_program(name, index, text.trim())?;
        } else {
            map.set_text(key, text)?;
        }
    }
    Ok(())
}

fn check_input(args: &RunArgs, kind: ProgType, name: &str) -> Result<(), CliError> {
    let advice = match (ring3::takes_packet(kind), args.ctx.is_some() || !args.field.is_empty()) {
        (true, true) => "runs on packets: give --packet or --pcap instead of --ctx or --field",
        (false, false) => "has no packet: give --ctx instead of --packet or --pcap, or --field",
        (true, false) | (false, true) => return Ok(()),
    };
    Err(CliError::Input(format!("{}: program '{name}' of type {} {advice}", args.object.display(), kind.name())))
}

/// Where packets (or the context) come from.
pub struct Feed {
    source: Source,
    bar: Option<ProgressBar>,
}

enum Source {
    One(Option<capture::Packet>),
    Capture(Capture),
}

impl Feed {
    fn open(args: &RunArgs) -> Result<Feed, CliError> {
        let one = |data| Source::One(Some(capture::Packet::ethernet(data)));
        let source = if let Some(path) = &args.pcap {
            return Feed::capture(path, capture::Links::Ethernet);
        } else if let Some(path) = &args.ctx {
            one(ring3::read(path, MAX_CTX)?)
        } else {
            let option = if args.field.is_empty() { "--packet" } else { "--data" };
            let text = args.packet.as_deref().or(args.data.as_deref()).unwrap_or_default();
            let bytes = ring3::text::hex_bytes(text).filter(|bytes| bytes.len() <= capture::MAX_PACKET);
            one(bytes.ok_or_else(|| CliError::Input(format!("{option} {text}: not pairs of hexadecimal digits")))?)
        };
        Ok(Feed { source, bar: None })
    }

    /// The packets of a capture.
    pub fn capture(path: &Path, links: capture::Links) -> Result<Feed, CliError> {
        let capture = Capture::open(path, links)?;
        // On the same terminal as the rows it would only be in their way.
        let long = capture.length >= LONG_CAPTURE && !std::io::stdout().is_terminal();
        let bar = long.then(|| progress(capture.length));
        Ok(Feed { source: Source::Capture(capture), bar })
    }

    /// The next packet.
    pub fn next(&mut self) -> Result<Option<capture::Packet>, CliError> {
        match &mut self.source {
            Source::One(packet) => Ok(packet.take()),
            Source::Capture(capture) => {
                let packet = capture.next()?;
                if let Some(bar) = &self.bar {
                    bar.set_position(capture.offset());
                }
                Ok(packet)
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What was compared with the verifier's states, as JSON.
fn states_json(report: &StateReport) -> Json {
    let violations = report.violations.iter();
    let violations: Vec<Json> = violations
        .map(|violation| json!({ "slot": violation.slot, "what": violation.what, "states": violation.states }))
        .collect();
    json!({
        "instructions": report.checked.instructions,
        "values": report.checked.values,
        "skipped": report.checked.skipped,
        "violations": violations,
    })
}

/// A bar on standard error; indicatif hides it if that is no terminal.
fn progress(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {elapsed} (ready in {eta})") {
        bar.set_style(style);
    }
    bar
}

/// What programs send to user space.
struct Events {
    rings: Vec<(String, Arc<dyn Map>)>,
    /// By index of the ring.
    all: Vec<(usize, Event)>,
    dropped: u64,
}

impl Events {
    fn of(instance: &Instance) -> Events {
        let sends = |kind| matches!(kind, MapType::Ringbuf | MapType::PerfEventArray);
        let rings = instance.maps().filter(|map| sends(map.def().kind));
        let rings = rings.map(|map| (map.name().to_owned(), map.raw().clone())).collect();
        Events { rings, all: Vec::new(), dropped: 0 }
    }

    /// Reads what there is, so that rings do not fill up over a long capture.
    fn collect(&mut self) {
        for (index, (_, map)) in self.rings.iter().enumerate() {
            for event in map.drain() {
                if self.all.len() < MAX_EVENTS {
                    self.all.push((index, event));
                } else {
                    self.dropped += 1;
                }
            }
        }
    }
}

/// One invocation's output.
struct Session<'a> {
    args: &'a RunArgs,
    out: &'a mut Out,
    kind: ProgType,
    engine: &'static str,
    columns: [Column; 4],
    packets: u64,
    refused: u64,
    returned: BTreeMap<u32, u64>,
    time: Duration,
    /// What runs and the verifier's states showed, if they were compared.
    states: Option<StateReport>,
    /// What was printed, if it was taken before.
    kept: Option<TraceLog>,
    /// What events are shown as.
    event_type: Option<(Arc<Btf>, TypeId)>,
}

impl<'a> Session<'a> {
    fn new(args: &'a RunArgs, out: &'a mut Out) -> Session<'a> {
        let columns = [
            Column::right("PACKET", 6),
            Column::right("BYTES", 6),
            Column { width: 20, ..Column::left("RETURN", std::iter::empty(), 0) },
            Column::right("TIME", 9),
        ];
        let (packets, refused, time) = (0, 0, Duration::ZERO);
        Session {
            args,
            out,
            kind: ProgType::Xdp,
            engine: "",
            columns,
            packets,
            refused,
            returned: BTreeMap::new(),
            time,
            states: None,
            kept: None,
            event_type: None,
        }
    }

    fn begin_events(&mut self, object: &Object) -> Result<(), CliError> {
        if self.args.output == RunFormat::Table {
            let title = format!("{}: runs by {}", printable(object.file()), self.engine);
            writeln!(self.out, "{}", self.out.ink(Ink::Strong, &title))?;
            self.columns = [
                Column::right("EVENT", 6),
                Column { width: 24, ..Column::left("PROGRAM", std::iter::empty(), 0) },
                Column::right("RETURN", 11),
                Column { width: 1, ..Column::left("AT", std::iter::empty(), 0) },
            ];
            let heading = line(&self.columns, &self.columns.map(|column| column.name), |_, text| text.to_owned());
            writeln!(self.out, "{}", self.out.ink(Ink::Faint, heading.trim_end()))?;
        }
        Ok(())
    }

    /// The rows of an event, all times that it came.
    fn fired(&mut self, fired: &[Fired], signals: &[u32]) -> Result<(), CliError> {
        for event in fired {
            self.packets += 1;
            for run in &event.runs {
                *self.returned.entry(run.retval.cast_unsigned()).or_default() += 1;
                let (number, retval) = (self.packets.to_string(), run.retval.to_string());
                match self.args.output {
                    RunFormat::Table => {
                        let texts = [&number, &printable(&run.program), &retval, &printable(&run.section)];
                        let row = line(&self.columns, &texts.map(|text| &text[..]), |_, text| text.to_owned());
                        writeln!(self.out, "{}", row.trim_end())?;
                    }
                    RunFormat::Json => {
                        let object = json!({
                            "event": self.packets,
                            "program": run.program,
                            "section": run.section,
                            "retval": run.retval,
                            "returned": event.returned,
                            "engine": self.engine,
                        });
                        writeln!(self.out, "{object}")?;
                    }
                }
            }
        }
        if !signals.is_empty() {
            self.signals(signals)?;
        }
        Ok(())
    }

    /// What programs sent to the current task.
    fn signals(&mut self, signals: &[u32]) -> Result<(), CliError> {
        match self.args.output {
            RunFormat::Table => {
                let numbers: Vec<String> = signals.iter().map(u32::to_string).collect();
                let text = format!("sent to the task: signal {}", numbers.join(", "));
                writeln!(self.out, "{:8}{}", "", self.out.ink(Ink::Faint, &text))?;
            }
            RunFormat::Json => writeln!(self.out, "{}", json!({ "event": self.packets, "signals": signals }))?,
        }
        Ok(())
    }

    fn begin(&mut self, name: &str, program: &ring3::Executable) -> Result<(), CliError> {
        let kind = program.program().kind;
        (self.kind, self.engine) = (kind, program.backend().name());
        if self.args.output == RunFormat::Table {
            let times = if self.args.repeat > 1 { format!(", {} times each", self.args.repeat) } else { String::new() };
            let verdict = format!("accepted after {} instructions", program.verified().stats().processed);
            let title = format!("{} ({}): {verdict}, runs by {}{times}", printable(name), kind.name(), self.engine);
            writeln!(self.out, "{}", self.out.ink(Ink::Strong, &title))?;
            let (first, changes) = if ring3::takes_packet(kind) { ("PACKET", "  CHANGES") } else { ("RUN", "") };
            self.columns[0].name = first;
            let heading = line(&self.columns, &self.columns.map(|column| column.name), |_, text| text.to_owned());
            writeln!(self.out, "{}", self.out.ink(Ink::Faint, &format!("{heading}{changes}")))?;
        }
        Ok(())
    }

    fn packet(
        &mut self,
        before: &[u8],
        fields: Option<&Fields>,
        result: &Result<Output, Error>,
    ) -> Result<(), CliError> {
        let before = fields.map_or(before, |fields| fields.data(before));
        self.packets += 1;
        match result {
            Ok(output) => {
                *self.returned.entry(output.retval).or_default() += 1;
                self.time += output.duration;
            }
            Err(_) => self.refused += 1,
        }
        match (self.args.output, result) {
            (RunFormat::Json, Ok(output)) => self.json(fields, output),
            (RunFormat::Json, Err(error)) => {
                let object = json!({ "packet": self.packets, "engine": self.engine, "error": error.to_string() });
                Ok(writeln!(self.out, "{object}")?)
            }
            (RunFormat::Table, Ok(output)) => self.table(before, fields, output),
            (RunFormat::Table, Err(error)) => {
                let number = self.packets.to_string();
                let texts = [&number, &before.len().to_string(), "-", ""];
                let row = line(&self.columns, &texts, |_, text| text.to_owned());
                Ok(writeln!(self.out, "{row}  {}", self.out.ink(Ink::Bad, &error.to_string()))?)
            }
        }
    }

    fn json(&mut self, fields: Option<&Fields>, output: &Output) -> Result<(), CliError> {
        let mut object = json!({
            "packet": self.packets,
            "retval": output.retval,
            "retval_name": output.name(),
            "data_out": hex(&output.packet),
            "duration_ns": nanoseconds(output.duration),
            "engine": self.engine,
        });
        if let Some(fields) = fields {
            let changes = fields.changes(&output.context);
            object["fields_changed"] =
                changes.into_iter().map(|(name, _, new)| (name.to_owned(), Json::from(new))).collect();
        }
        if !output.clones.is_empty() {
            let clone =
                |c: &ring3::vm::Cloned| json!({ "ifindex": c.ifindex, "ingress": c.ingress, "data": hex(&c.frame) });
            object["clones"] = output.clones.iter().map(clone).collect();
        }
        if let Some(redirect) = output.redirect {
            object["redirect"] = match redirect {
                ring3::vm::Redirect::Interface { ifindex, flags } => json!({ "ifindex": ifindex, "flags": flags }),
                ring3::vm::Redirect::Map { map, key, flags } => json!({ "map": map, "key": key, "flags": flags }),
            };
        }
        Ok(writeln!(self.out, "{object}")?)
    }

    fn table(&mut self, before: &[u8], fields: Option<&Fields>, output: &Output) -> Result<(), CliError> {
        let number = self.packets.to_string();
        let texts =
            [&number[..], &before.len().to_string(), &returned(self.kind, output.retval), &duration(output.duration)];
        let row = line(&self.columns, &texts, |_, text| text.to_owned());
        // Packets of netfilter stay as they are, and do not come back.
        let has_packet = fields.is_some() || ring3::takes_packet(self.kind) && self.kind != ProgType::Netfilter;
        let changes = if has_packet { diff(before, &output.packet) } else { crate::diff::Diff::default() };
        let summary = changes.summary();
        writeln!(self.out, "{}", if summary.is_empty() { row } else { format!("{row}  {summary}") })?;
        for run in &changes.runs {
            for (at, (old, new)) in run.old.chunks(HEX_LINE).zip(run.new.chunks(HEX_LINE)).enumerate() {
                let text = format!("{:#06x}  {} -> {}", run.offset + at * HEX_LINE, hex(old), hex(new));
                writeln!(self.out, "{:18}{}", "", self.out.ink(Ink::Faint, &text))?;
            }
        }
        for (name, old, new) in fields.map_or_else(Vec::new, |fields| fields.changes(&output.context)) {
            writeln!(self.out, "{:18}{}", "", self.out.ink(Ink::Faint, &format!("{name}  {old} -> {new}")))?;
        }
        for clone in &output.clones {
            let way = if clone.ingress { "received on" } else { "sent to" };
            let text = format!("a copy of {} bytes {way} interface {}", clone.frame.len(), clone.ifindex);
            writeln!(self.out, "{:18}{}", "", self.out.ink(Ink::Faint, &text))?;
        }
        Ok(())
    }

    fn end(mut self, instance: &mut Instance, events: &Events) -> Result<Outcome, CliError> {
        let trace = self.kept.take().unwrap_or_else(|| instance.take_trace());
        match self.args.output {
            RunFormat::Json => {
                let maps: Vec<Json> = instance.used_maps().filter_map(|map| map_json(&map)).collect();
                let listed: Vec<Json> = events
                    .all
                    .iter()
                    .map(|(ring, event)| event_json(instance, events, *ring, event, self.event_type.as_ref()))
                    .collect();
                let mut object = json!({ "maps": maps, "trace": trace.lines, "events": listed });
                for (field, dropped) in [("trace_dropped", trace.dropped), ("events_dropped", events.dropped)] {
                    if dropped > 0 {
                        object[field] = dropped.into();
                    }
                }
                if let Some(states) = &self.states {
                    object["states"] = states_json(states);
                }
                writeln!(self.out, "{object}")?;
            }
            RunFormat::Table => {
                if self.args.event.is_empty() {
                    self.totals()?;
                }
                self.compared()?;
                for map in instance.used_maps() {
                    self.map(&map)?;
                }
                self.trace(&trace)?;
                self.events(instance, events)?;
            }
        }
        Ok(if self.refused > 0 { Outcome::BadInput } else { Outcome::Good })
    }

    /// What was compared with the verifier's states.
    fn compared(&mut self) -> Result<(), CliError> {
        let Some(StateReport { runs: _, checked, violations }) = &self.states else { return Ok(()) };
        let (moments, values) = (checked.instructions, checked.values);
        let inside = if violations.is_empty() { ", all inside of the verifier's states" } else { "" };
        writeln!(self.out, "{moments} instructions with {values} registers and stack slots compared{inside}")?;
        for (why, times) in &checked.skipped {
            writeln!(self.out, "  not compared, {times} times: {why}")?;
        }
        for violation in violations {
            writeln!(self.out, "{}", self.out.ink(Ink::Bad, &violation.to_string()))?;
        }
        Ok(())
    }

    fn totals(&mut self) -> Result<(), CliError> {
        let ran = self.packets - self.refused;
        let mut parts: Vec<String> =
            self.returned.iter().map(|(retval, count)| format!("{count} × {}", short(self.kind, *retval))).collect();
        if self.refused > 0 {
            parts.push(format!("{} refused", self.refused));
        }
        // More kinds of results than fit a line say little.
        if parts.len() > 6 {
            parts = vec![format!("{} different results", parts.len())];
        }
        let what = if ring3::takes_packet(self.kind) { "packet" } else { "run" };
        let plural = if self.packets == 1 { "" } else { "s" };
        if self.packets == 0 {
            return Ok(writeln!(self.out, "no {what}s: the capture is empty")?);
        }
        let average = self.time.checked_div(u32::try_from(ran).unwrap_or(u32::MAX));
        let average = average.map_or(String::new(), |average| format!("; {} on average", duration(average)));
        Ok(writeln!(self.out, "{} {what}{plural}: {}{average}", self.packets, parts.join(", "))?)
    }

    fn heading(&mut self, text: &str) -> Result<(), CliError> {
        Ok(writeln!(self.out, "\n{}", self.out.ink(Ink::Strong, text))?)
    }

    fn map(&mut self, map: &ring3::MapRef<'_>) -> Result<(), CliError> {
        let def = map.def();
        if !ring3::has_values(def.kind) || def.frozen {
            return Ok(());
        }
        let is_array = matches!(def.kind, MapType::Array | MapType::PercpuArray);
        let hide = is_array && def.max_entries as usize > SHORT_ARRAY;
        let entries = if hide { map.nonzero_entries() } else { map.entries() };
        if let (true, Some(ring3::Value::Struct { fields, .. })) =
            (def.data.is_some(), entries.first().and_then(|entry| entry.values.first()))
        {
            self.heading(&format!("globals {}", printable(map.name())))?;
            for (name, field) in fields {
                writeln!(self.out, "  {} = {}", printable(name), printable(&value::text(field)))?;
            }
            return Ok(());
        }
        let count = if is_array { def.max_entries as usize } else { entries.len() };
        let hidden = count.saturating_sub(entries.len());
        let note = if hidden > 0 { format!(", {hidden} of them zero and not shown") } else { String::new() };
        let plural = if count == 1 { "element" } else { "elements" };
        self.heading(&format!("map {} ({}, {count} {plural}{note})", printable(map.name()), def.kind.name()))?;
        for entry in &entries {
            let values = if map.is_percpu() {
                let cpu = |(cpu, v): (usize, &ring3::Value)| format!("cpu {cpu}: {}", value::text(v));
                entry.values.iter().enumerate().map(cpu).collect::<Vec<_>>().join(", ")
            } else {
                entry.values.first().map(value::text).unwrap_or_default()
            };
            writeln!(self.out, "  {} = {}", printable(&value::text(&entry.key)), printable(&values))?;
        }
        Ok(())
    }

    fn trace(&mut self, trace: &TraceLog) -> Result<(), CliError> {
        if trace.lines.is_empty() {
            return Ok(());
        }
        self.heading(&format!("trace ({} line{})", trace.lines.len(), if trace.lines.len() == 1 { "" } else { "s" }))?;
        for text in &trace.lines {
            writeln!(self.out, "  {}", printable(text.trim_end_matches('\n')))?;
        }
        if trace.dropped > 0 {
            writeln!(self.out, "  and {} lines more", trace.dropped)?;
        }
        Ok(())
    }

    fn events(&mut self, instance: &Instance, events: &Events) -> Result<(), CliError> {
        for (index, (name, _)) in events.rings.iter().enumerate() {
            let of_ring: Vec<&Event> = events.all.iter().filter(|(ring, _)| *ring == index).map(|(_, e)| e).collect();
            if of_ring.is_empty() {
                continue;
            }
            let map = instance.map(name)?;
            let plural = if of_ring.len() == 1 { "event" } else { "events" };
            self.heading(&format!("{} ({}, {} {plural})", printable(name), map.def().kind.name(), of_ring.len()))?;
            for event in of_ring {
                let cpu = event.cpu.map_or(String::new(), |cpu| format!("cpu {cpu}: "));
                let known = self.event_type.as_ref().and_then(|(btf, ty)| format_value(btf, *ty, &event.data).ok());
                let shown = if let Some(known) = &known {
                    value::text(known)
                } else if map.def().value_type != 0 && map.def().kind == MapType::Ringbuf {
                    value::text(&map.typed_event(event))
                } else {
                    hex(&event.data)
                };
                writeln!(self.out, "  {cpu}{}", printable(&shown))?;
            }
        }
        if events.dropped > 0 {
            writeln!(self.out, "  and {} events more", events.dropped)?;
        }
        Ok(())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The return value, with its name where it has one.
fn returned(kind: ProgType, retval: u32) -> String {
    match return_name(kind, retval.cast_signed()) {
        Some(name) => format!("{name} ({})", retval.cast_signed()),
        None => retval.to_string(),
    }
}

/// The return value's name, or the value.
fn short(kind: ProgType, retval: u32) -> String {
    return_name(kind, retval.cast_signed()).map_or_else(|| retval.to_string(), str::to_owned)
}

/// A map with its elements; `None` for those that hold no data and those that nobody can change.
fn map_json(map: &ring3::MapRef<'_>) -> Option<Json> {
    let def = map.def();
    if !ring3::has_values(def.kind) || def.frozen {
        return None;
    }
    let entry = |entry: &ring3::Entry| {
        let values: Vec<Json> = entry.values.iter().map(value::json).collect();
        if map.is_percpu() {
            json!({ "key": value::json(&entry.key), "values": values })
        } else {
            json!({ "key": value::json(&entry.key), "value": values.into_iter().next() })
        }
    };
    let long = matches!(def.kind, MapType::Array | MapType::PercpuArray) && def.max_entries > LONG_ARRAY;
    let entries = if long { map.nonzero_entries() } else { map.entries() };
    let entries: Vec<Json> = entries.iter().map(entry).collect();
    Some(json!({ "name": map.name(), "type": def.kind.name(), "entries": entries }))
}

fn event_json(
    instance: &Instance,
    events: &Events,
    ring: usize,
    event: &Event,
    ty: Option<&(Arc<Btf>, TypeId)>,
) -> Json {
    let name = events.rings.get(ring).map_or("", |(name, _)| name.as_str());
    let mut object = json!({ "map": name, "data": hex(&event.data) });
    if let Some(cpu) = event.cpu {
        object["cpu"] = cpu.into();
    }
    if let Some(known) = ty.and_then(|(btf, ty)| format_value(btf, *ty, &event.data).ok()) {
        object["value"] = value::json(&known);
    } else if let Ok(map) = instance.map(name)
        && map.def().value_type != 0
        && map.def().kind == MapType::Ringbuf
    {
        object["value"] = value::json(&map.typed_event(event));
    }
    object
}
