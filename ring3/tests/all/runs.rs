//! Each packet of the examples: what programs return and leave behind is what Linux 6.18 measured, by both engines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::common::{Row, Table, object};
use ring3::jit::Jit;
use ring3::platform::helpers::Condition;
use ring3::platform::{ArgFlags, ArgKind, ArgType, ProgSet, RetKind, RetType};
use ring3::vm::Call;
use ring3::{Backend, Engine, Error, Input, Instance, KernelVersion, MapType, ProgType, Program, Proto, Target, isa};

/// One case: a fresh load, then its packets.
struct Case<'a> {
    name: &'a str,
    packets: Vec<Row<'a>>,
}

fn cases(table: &Table) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for row in table.rows() {
        match cases.last_mut() {
            Some(case) if case.name == row.get("case") => case.packets.push(row),
            _ => cases.push(Case { name: row.get("case"), packets: vec![row] }),
        }
    }
    cases
}

fn backends() -> Vec<Backend> {
    let jit = Jit::is_supported().then_some(Backend::Jit);
    [Backend::Interpreter].into_iter().chain(jit).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    ring3::text::hex_bytes(hex).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn load(case: &Case<'_>, backend: Backend) -> Instance {
    let row = case.packets[0];
    let mut object = object(row.get("file"));
    let setup: Vec<&str> = row.get("setup").split_whitespace().collect();
    for setting in setup.iter().filter(|setting| !setting.contains(':')) {
        let (name, value) = ring3::text::split_pair(setting).unwrap();
        ring3::set_global(&mut object, name, value).unwrap();
    }
    let instance = Engine::new().backend(backend).load(&object).unwrap();
    for element in setup.iter().filter_map(|setting| setting.split_once(':')) {
        let (key, value) = ring3::text::split_pair(element.1).unwrap();
        instance.map(element.0).unwrap().set_text(key, value).unwrap();
    }
    instance
}

/// Runs the packets of a case, and says where it differs.
fn run(case: &Case<'_>, instance: &mut Instance, wrong: &mut Vec<String>) -> usize {
    let program = case.packets[0].get("program");
    let mut runner = instance.runner(program).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let kind = runner.program().program().kind;
    for row in &case.packets {
        let input = bytes(row.get("input"));
        let given = if ring3::takes_packet(kind) { Input::Packet(&input) } else { Input::Context(&input) };
        let said = match runner.repeat(given, 1) {
            Ok(output) => ("0".to_owned(), output.retval.to_string(), hex(&output.packet)),
            Err(Error::Packet { errno, .. }) => ((-errno.number()).to_string(), String::new(), String::new()),
            Err(error) => panic!("{} packet {}: {error}", case.name, row.get("packet")),
        };
        // The measurement had a second Ethernet header in front, so that these frames were no longer frames; a packet
        // socket hands them to its filter.
        if kind == ProgType::SocketFilter && row.get("errno") != "0" {
            continue;
        }
        let expected = (row.get("errno").to_owned(), row.get("retval").to_owned(), row.get("output").to_owned());
        if said != expected {
            wrong.push(format!("{} packet {}: {said:?} instead of {expected:?}", case.name, row.get("packet")));
        }
    }
    case.packets.len()
}

/// What a case left behind, as the lines of `state.tsv`.
fn state(instance: &mut Instance) -> BTreeMap<(String, String), Vec<String>> {
    let mut state: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for line in instance.take_trace().lines {
        state.entry(("trace".to_owned(), String::new())).or_default().push(line.trim_end().to_owned());
    }
    for map in instance.maps() {
        let def = map.def();
        for event in map.drain() {
            state.entry(("event".to_owned(), def.name.clone())).or_default().push(hex(&event.data));
        }
        if !ring3::has_values(def.kind) || def.frozen {
            continue;
        }
        let sparse = matches!(def.kind, MapType::Array | MapType::PercpuArray) && def.max_entries > 16;
        let name = def.name.find('.').map_or(def.name.as_str(), |dot| &def.name[dot..]);
        let mut lines: Vec<String> = map
            .iter_bytes()
            .filter(|(_, value)| !(sparse && value.iter().all(|byte| *byte == 0)))
            .map(|(key, value)| format!("{} = {}", hex(&key), hex(&value)))
            .collect();
        lines.sort();
        if !lines.is_empty() {
            state.entry(("map".to_owned(), name.to_owned())).or_default().extend(lines);
        }
    }
    state
}

fn expected_state(table: &Table, case: &str) -> BTreeMap<(String, String), Vec<String>> {
    let mut state: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for row in table.rows().filter(|row| row.get("case") == case) {
        let (kind, key, value) = (row.get("kind"), row.get("key"), row.get("value"));
        let line = if kind == "map" { format!("{key} = {value}") } else { value.to_owned() };
        state.entry((kind.to_owned(), row.get("name").to_owned())).or_default().push(line);
    }
    for ((kind, _), lines) in &mut state {
        if kind == "map" {
            lines.sort();
        }
    }
    state
}

#[test]
fn runs_and_what_they_leave() {
    let (runs, states) = (Table::read("runs.tsv"), Table::read("state.tsv"));
    for backend in backends() {
        let (mut packets, mut wrong) = (0, Vec::new());
        for case in cases(&runs) {
            let mut instance = load(&case, backend);
            packets += run(&case, &mut instance, &mut wrong);
            let (left, expected) = (state(&mut instance), expected_state(&states, case.name));
            if left != expected {
                wrong.push(format!("{}: left {left:#?} instead of {expected:#?}", case.name));
            }
        }
        assert_eq!(packets, 314);
        assert!(wrong.is_empty(), "{backend:?}:\n{}", wrong.join("\n"));
    }
}

/// A helper of the embedder gets the arguments that its prototype has; in the other registers each engine may have something else.
#[test]
fn own_helpers_get_what_their_prototypes_have() {
    let arg = |kind| ArgType { kind, flags: ArgFlags::default() };
    let (number, none) = (arg(ArgKind::Anything), arg(ArgKind::None));
    let id = Target::FIRST_CUSTOM_HELPER;
    let proto = Proto {
        id,
        name: "note",
        args: [number, none, none, none, none],
        ret: RetType { kind: RetKind::Integer, maybe_null: false, rdonly: false },
        gpl_only: false,
        might_sleep: false,
        pkt_access: false,
        fastcall: false,
        progs: ProgSet::of(&[ProgType::Xdp]),
        condition: Condition::Always,
        since: KernelVersion::new(0, 0),
    };
    let code = isa::assemble(&format!("r1 = 7\nr4 = 5\ncall note#{id}\nr0 = 2\nexit")).unwrap();
    for backend in backends().into_iter().chain([Backend::Checked]) {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&noted);
        let note = move |_: &mut Call<'_, '_>, args: [u64; 5]| {
            notes.lock().unwrap().push(args);
            0
        };
        let engine = Engine::new().backend(backend).helper(proto, note).unwrap();
        let mut instance = engine.load_program(Program::new("notes", ProgType::Xdp, code.clone()));
        instance.run("notes", &[0u8; 60]).unwrap();
        assert_eq!(*noted.lock().unwrap(), [[7, 0, 0, 0, 0]], "{backend:?}");
    }
}
