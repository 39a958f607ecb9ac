//! The running kernel, with all maps and types of the [`World`] made once.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring3_btf::{Kind, ProgramInfo};
use ring3_isa::{Code, Mention};
use ring3_linux::{KernelTypes, Map, Types};
use ring3_parity::{Kernel, Verdict};
use ring3_platform::{ProgType, Program, Target};

use super::World;
use crate::parity::{Pair, STATISTICS, judged, may_crash_linux, ours};

/// Who judges combinations.
#[derive(Debug)]
pub struct Referee {
    world: World,
    types: Arc<Types>,
    kernel: KernelTypes,
    target: Arc<Target>,
    /// By type and whether it sleeps: some maps belong to what uses them first.
    live: Vec<((ProgType, bool), Vec<Map>)>,
    kfuncs: BTreeMap<String, Option<i32>>,
}

impl Referee {
    /// Errors: why there is none: bpf(2) cannot be used, or another Linux runs than the one whose rules ring3 has, or it does not take the
    /// types.
    pub fn open() -> Result<Referee, String> {
        crate::parity::Referee::open(Vec::new()).ok_or("no Linux 6.18 with bpf(2) here")?;
        let target = Kernel::open().map_err(|error| error.to_string())?.target();
        let world = World::new();
        let mut sample = Program::new("types", ProgType::SocketFilter, Code::default());
        let btf = Arc::clone(&world.btf);
        sample.info = Some(Arc::new(ProgramInfo {
            funcs: Vec::new(),
            btf,
            lines: Vec::new(),
            unresolved: Vec::new(),
            pending: Vec::new(),
        }));
        let types = ring3_linux::load_types(&sample).map_err(|error| error.to_string())?.ok_or("no types")?;
        let kernel = KernelTypes::read().map_err(|error| error.to_string())?;
        Ok(Referee { world, types, kernel, target, live: Vec::new(), kfuncs: BTreeMap::new() })
    }

    /// Types and maps.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// What ring3 has to know of the kernel.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Both verdicts; `None` for a program that may crash Linux.
    ///
    /// Errors: the kernel refused a map.
    pub fn judge(&mut self, program: Program) -> Result<Option<Pair>, ring3_linux::Error> {
        if may_crash_linux(&program.code) {
            return Ok(None);
        }
        let linux = self.linux(&program)?;
        Ok(Some(Pair { linux, ring3: ours(program, &self.target) }))
    }

    fn linux(&mut self, program: &Program) -> Result<Verdict, ring3_linux::Error> {
        let owner = (program.kind, program.sleepable);
        let at = match self.live.iter().position(|(known, _)| *known == owner) {
            Some(at) => at,
            None => {
                let create = |def: &Arc<_>| Map::create_typed(def, Some(&self.types));
                let maps = self.world.maps.iter().map(create).collect::<Result<_, _>>()?;
                self.live.push((owner, maps));
                self.live.len() - 1
            }
        };
        let numbered = self.numbered(program);
        let maps: Vec<&Map> = self.live[at].1.iter().collect();
        match ring3_linux::load_variant(&numbered, &maps, Some(&self.types), &STATISTICS) {
            Ok((_, log)) => Ok(judged(0, &log.text)),
            Err(ring3_linux::Error::Program { errno, log, .. }) => Ok(judged(errno.0, &log.text)),
            Err(error) => Err(error),
        }
    }

    /// With the numbers of the kernel's functions in place of their names.
    fn numbered(&mut self, program: &Program) -> Program {
        let kernel = &self.kernel;
        let find = |name: &String| kernel.btf().find(name, Kind::Func).map(|id| id.0.cast_signed());
        let mut raw = program.code.raw_slice().to_vec();
        for insn in &mut raw {
            let Some(Mention::Kfunc { id, off }) = insn.mention() else { continue };
            let Some(named) = program.kfunc(id, off) else { continue };
            let known = self.kfuncs.entry(named.name.clone()).or_insert_with_key(find);
            if let Some(number) = *known {
                (insn.imm, insn.off) = (number, 0);
            }
        }
        Program { code: Code::decode(raw), kfuncs: Vec::new(), ..program.clone() }
    }
}
