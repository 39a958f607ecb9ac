//! The running kernel in the place of an engine: programs are loaded there and run by BPF_PROG_TEST_RUN.
//!
//! The maps of an instance stay the ones that users see. Before the runs their content goes to the kernel's maps, afterwards
//! it comes back. What a program prints goes to the kernel's trace, and events of perf event arrays have no reader: neither
//! comes back. Not there either: where a packet was redirected, and copies of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ring3_linux::{LoadOptions, Map as KernelMap, Prog, RingReader, TestRun, Types};
use ring3_platform::{MapType, ProgType};
use ring3_vm::maps::{self, BPF_ANY, Batch, Map};

use crate::given::XDP_MD;
use crate::instance::Slot;
use crate::{Error, Executable, Input, Output, has_values, takes_packet};

/// Bytes of an Ethernet header.
const ETH_HLEN: usize = 14;

/// A program in a slot of a program array: which map (by index of the instance's), which slot, which program.
pub(crate) type Placed = (usize, u32, String);

/// What an instance has in the kernel.
#[derive(Debug, Default)]
pub(crate) struct KernelSide {
    /// By index of the instance's maps.
    maps: BTreeMap<usize, KernelMap>,
    rings: BTreeMap<usize, RingReader>,
    programs: BTreeMap<String, Prog>,
}

/// Wraps an error of the kernel.
fn wrap(program: &str) -> impl Fn(ring3_linux::Error) -> Error {
    move |source| Error::Kernel { program: program.to_owned(), source: Box::new(source) }
}

impl KernelSide {
    /// Brings all these programs and their maps to the kernel, as far as they are not there yet, and the maps' content.
    pub(crate) fn prepare(
        &mut self,
        slots: &[Slot],
        programs: &BTreeMap<String, Arc<Executable>>,
        placed: &[Placed],
    ) -> Result<(), Error> {
        for (name, executable) in programs {
            if self.programs.contains_key(name) {
                continue;
            }
            let program = executable.program();
            // Maps with locks, timers or objects in their values have to have types.
            let types = ring3_linux::load_types(program).map_err(wrap(name))?;
            let mut at = Vec::with_capacity(program.maps.len());
            for def in &program.maps {
                let found = slots.iter().position(|slot| Arc::ptr_eq(&slot.def, def));
                let missing = || Error::NoSuchMap { file: name.as_str().into(), map: def.name.clone() };
                let index = found.ok_or_else(missing)?;
                self.make(slots, index, name, types.as_deref())?;
                at.push(index);
            }
            let maps: Vec<&KernelMap> = at.iter().filter_map(|index| self.maps.get(index)).collect();
            let loaded = ring3_linux::load_with(program, &maps, &LoadOptions::default()).map_err(wrap(name))?;
            self.programs.insert(name.clone(), loaded.prog);
        }
        for (map, index, name) in placed {
            if let (Some(map), Some(prog)) = (self.maps.get(map), self.programs.get(name)) {
                map.put(&index.to_ne_bytes(), prog).map_err(wrap(name))?;
            }
        }
        self.push(slots)
    }

    /// Creates a map, and those that are to be in it.
    fn make(&mut self, slots: &[Slot], index: usize, program: &str, types: Option<&Types>) -> Result<(), Error> {
        if self.maps.contains_key(&index) {
            return Ok(());
        }
        let def = &slots[index].def;
        let map = KernelMap::create_typed(def, types.map(|types| &**types)).map_err(wrap(program))?;
        if def.kind == MapType::Ringbuf {
            self.rings.insert(index, RingReader::open(&map).map_err(wrap(program))?);
        }
        if def.kind.is_map_of_maps() {
            for init in &def.slots {
                let Some(inner) = slots.iter().position(|slot| slot.def.name == init.symbol) else { continue };
                // The kernel has no maps of maps of maps.
                if slots[inner].def.kind.is_map_of_maps() {
                    continue;
                }
                self.make(slots, inner, program, types)?;
                if let Some(inner) = self.maps.get(&inner) {
                    map.put(&init.index.to_ne_bytes(), inner).map_err(wrap(program))?;
                }
            }
        }
        self.maps.insert(index, map);
        Ok(())
    }

    /// The pairs of maps whose elements are data that may change.
    fn pairs<'a>(&'a self, slots: &'a [Slot]) -> impl Iterator<Item = (&'a Arc<dyn Map>, &'a KernelMap)> {
        let pair = |(index, kernel): (&usize, &'a KernelMap)| Some((slots.get(*index)?.map.as_ref().ok()?, kernel));
        self.maps.iter().filter_map(pair).filter(|(ours, _)| has_values(ours.def().kind) && !ours.def().frozen)
    }

    /// The content of our maps to the kernel's, as far as they differ.
    fn push(&self, slots: &[Slot]) -> Result<(), Error> {
        for (ours, kernel) in self.pairs(slots) {
            let error = wrap(kernel.name());
            let (ours, theirs) = (Content::ours(ours.as_ref())?, Content::theirs(kernel)?);
            let change = theirs.towards(&ours);
            for key in change.stale {
                kernel.delete(key).map_err(&error)?;
            }
            let (keys, values): (Vec<&[u8]>, Vec<&[u8]>) = change.new.into_iter().unzip();
            kernel.update_all(&keys.concat(), &values.concat()).map_err(&error)?;
        }
        Ok(())
    }

    /// The content of the kernel's maps to ours, as far as they differ, and what was sent through ring buffers.
    pub(crate) fn pull(&mut self, slots: &[Slot]) -> Result<(), Error> {
        for (map, kernel) in self.pairs(slots) {
            let error = |errno| Error::Map { map: kernel.name().to_owned(), errno };
            let (ours, theirs) = (Content::ours(map.as_ref())?, Content::theirs(kernel)?);
            let change = ours.towards(&theirs);
            for key in change.stale {
                map.delete(key).map_err(error)?;
            }
            for (key, value) in change.new {
                map.copy_in(key, value, BPF_ANY).map_err(error)?;
            }
        }
        for (index, reader) in &mut self.rings {
            let Some(Ok(ours)) = slots.get(*index).map(|slot| &slot.map) else { continue };
            for record in reader {
                // One that finds no room is lost, as in the kernel.
                let _ = maps::send(ours.as_ref(), &record);
            }
        }
        Ok(())
    }

    /// Runs a program as it is said, and looks at nothing.
    pub(crate) fn test_run(&self, name: &str, run: &crate::TestRun<'_>) -> Result<crate::TestRunOutput, Error> {
        let missing = || Error::NoSuchProgram { file: "".into(), program: name.to_owned() };
        let prog = self.programs.get(name).ok_or_else(missing)?;
        let crate::TestRun { data, ctx, wants_ctx, repeat, flags, cpu, batch_size } = *run;
        let output =
            prog.test_run(&TestRun { data, ctx, wants_ctx, repeat, flags, cpu, batch_size }).map_err(wrap(name))?;
        let (retval, duration_ns) = (output.retval, output.duration_ns);
        Ok(crate::TestRunOutput { retval, duration_ns, data: output.data, ctx: output.ctx.unwrap_or_default() })
    }

    /// Runs a program so often on this input. With `contexts`, metadata and context come back, too.
    pub(crate) fn run(
        &self,
        name: &str,
        kind: ProgType,
        input: Input<'_>,
        times: u32,
        contexts: bool,
    ) -> Result<Output, Error> {
        let missing = || Error::NoSuchProgram { file: "".into(), program: name.to_owned() };
        let prog = self.programs.get(name).ok_or_else(missing)?;
        let framed;
        let (data, ctx) = match input {
            // The kernel takes the Ethernet header away from socket filters. They are to see it, as on a packet socket.
            Input::Packet(frame) | Input::Captured { data: frame, .. } if kind == ProgType::SocketFilter => {
                framed = with_header(frame);
                (Some(framed.as_slice()), None)
            }
            Input::Packet(frame) | Input::Captured { data: frame, .. } => (Some(frame), None),
            Input::Parts { context, data, socket: _ } if takes_packet(kind) => {
                let context = Some(context).filter(|context| !context.is_empty());
                if kind == ProgType::SocketFilter {
                    framed = with_header(data);
                    (Some(framed.as_slice()), context)
                } else {
                    (Some(data), context)
                }
            }
            // The kernel has no test run for types with such a context, and says so.
            Input::Context(ctx) | Input::Parts { context: ctx, .. } | Input::Setting { context: ctx, .. } => {
                (None, Some(ctx))
            }
        };
        // Raw tracepoints run once; the kernel refuses any number.
        let repeat = if takes_packet(kind) { times } else { 0 };
        // Of XDP the context says how many bytes of what comes back are metadata.
        let wants_ctx = kind == ProgType::Xdp
            || contexts && (takes_packet(kind) && kind != ProgType::Netfilter || kind == ProgType::Syscall);
        let md = data.filter(|_| wants_ctx && kind == ProgType::Xdp).map(xdp_md);
        let ctx = ctx.or(md.as_ref().map(<[u8; XDP_MD]>::as_slice));
        let run = TestRun { data, ctx, wants_ctx, repeat, ..TestRun::default() };
        let output = prog.test_run(&run).map_err(wrap(name))?;
        let (mut packet, context) = (output.data, output.ctx.unwrap_or_default());
        if kind == ProgType::SocketFilter {
            packet.drain(..ETH_HLEN.min(packet.len()));
        }
        let duration = Duration::from_nanos(output.duration_ns.into());
        // The metadata come in front of the packet; where that begins, the context says.
        let meta = match context.first_chunk() {
            Some(data) if kind == ProgType::Xdp => (u32::from_ne_bytes(*data) as usize).min(packet.len()),
            Some(_) | None => 0,
        };
        let meta = packet.drain(..meta).collect();
        let context = match kind {
            ProgType::Xdp | ProgType::FlowDissector => Vec::new(),
            ProgType::Syscall => context,
            _ => crate::run::given_back(&context, &context),
        };
        Ok(Output::of_kernel(kind, output.retval, (meta, packet, context), duration))
    }
}

/// A frame behind an Ethernet header, which is its own.
fn with_header(frame: &[u8]) -> Vec<u8> {
    [frame.get(..ETH_HLEN).unwrap_or(&[0; ETH_HLEN]), frame].concat()
}

/// A context of XDP for this packet: the kernel wants to be told where its end is.
fn xdp_md(packet: &[u8]) -> [u8; XDP_MD] {
    let mut md = [0; XDP_MD];
    md[4..8].copy_from_slice(&u32::try_from(packet.len()).unwrap_or(u32::MAX).to_ne_bytes());
    md
}

/// All elements of a map.
struct Content {
    keys: Vec<u8>,
    values: Vec<u8>,
    /// Bytes of a key, and of a value.
    size: (usize, usize),
    /// Whether the elements are always all there, in the order of their keys.
    is_array: bool,
}

/// What makes one content of another.
struct Change<'a> {
    /// Keys that are to go.
    stale: Vec<&'a [u8]>,
    /// Elements that are new, or have other values.
    new: Vec<(&'a [u8], &'a [u8])>,
}

impl Content {
    fn ours(map: &dyn Map) -> Result<Content, Error> {
        let (def, is_array) = (map.def(), matches!(map.def().kind, MapType::Array | MapType::PercpuArray));
        let error = |errno| Error::Map { map: def.name.clone(), errno };
        let all = if map.is_empty() {
            Batch::default()
        } else {
            map.copy_out_batch(None, map.len(), false).map_err(error)?
        };
        let value = all.values.len() / all.count.max(1);
        Ok(Content { keys: all.keys, values: all.values, size: (def.key_size as usize, value), is_array })
    }

    fn theirs(map: &KernelMap) -> Result<Content, Error> {
        let is_array = matches!(map.kind(), Some(MapType::Array | MapType::PercpuArray));
        let all = map.content(usize::MAX).map_err(wrap(map.name()))?;
        Ok(Content { keys: all.keys, values: all.values, size: (map.key_size(), map.value_size()), is_array })
    }

    fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.keys.chunks(self.size.0.max(1)).zip(self.values.chunks(self.size.1.max(1)))
    }

    /// What makes this content the other.
    fn towards<'a>(&'a self, wanted: &'a Content) -> Change<'a> {
        let mut change = Change { stale: Vec::new(), new: Vec::new() };
        if self.keys == wanted.keys && self.values == wanted.values {
            return change;
        }
        if self.is_array && self.keys == wanted.keys {
            let differ = self.pairs().zip(wanted.pairs()).filter(|((_, this), (_, that))| this != that);
            change.new.extend(differ.map(|(_, wanted)| wanted));
            return change;
        }
        let there: BTreeMap<&[u8], &[u8]> = self.pairs().collect();
        let wanted: BTreeMap<&[u8], &[u8]> = wanted.pairs().collect();
        change.stale.extend(there.keys().filter(|key| !wanted.contains_key(*key)));
        change.new.extend(wanted.into_iter().filter(|(key, value)| there.get(key) != Some(value)));
        change
    }
}
