//! A workload on ring3.

use std::sync::Arc;

use ring3_jit::{Jit, JitError};
use ring3_platform::{Errno, Target};
use ring3_verifier::{LogLevel, Rejection, VerifiedProgram, verify};
use ring3_vm::maps::{self, Map};
use ring3_vm::{
    Context, Env, Execute, Helpers, Host, Interp, LinkError, Linked, XdpContext, link, link_unverified, run,
};

use crate::workload::Workload;

/// Why a workload cannot be measured.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum EngineError {
    #[error(transparent)]
    Refused(#[from] Box<Rejection>),
    #[error("no map: {0:?}")]
    Map(Errno),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Jit(#[from] JitError),
    #[error("its instructions cannot be counted")]
    Uncounted,
}

/// What every run's random numbers start from, for ring3 and its peers alike.
pub const SEED: u64 = 0x0005_eed0_fa11;

/// The next number after a state, which changes: what an environment of ring3 gives.
pub fn next_random(state: &mut u64) -> u32 {
    let [step, first, second] = Env::RANDOM_CONSTANTS;
    *state = state.wrapping_add(step);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(first);
    z = (z ^ (z >> 27)).wrapping_mul(second);
    ((z ^ (z >> 31)) >> 32) as u32
}

/// The default surroundings, with random numbers of the environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct BenchHost;

impl Host for BenchHost {
    fn gives_random(&self) -> bool {
        false
    }
}

/// Verifies as for Linux 6.18, without a log.
pub fn judge(workload: &Workload) -> Result<VerifiedProgram, EngineError> {
    Ok(verify(Arc::clone(&workload.program), Arc::new(Target::default()), LogLevel::default())?)
}

/// Links with fresh maps.
pub fn linked(verified: &VerifiedProgram) -> Result<Arc<Linked>, EngineError> {
    let cpus = verified.target().cpus;
    let create = |def| maps::create(def, cpus).map_err(EngineError::Map);
    let maps: Vec<Arc<dyn Map>> = verified.program().maps.iter().map(create).collect::<Result<_, _>>()?;
    Ok(Arc::new(link(verified, &maps, &Helpers::new())?))
}

/// The interpreter.
pub fn interp(linked: &Arc<Linked>) -> Box<dyn Execute> {
    Box::new(Interp::new(Arc::clone(linked)))
}

/// The interpreter that checks every access, which runs the program as if nobody had verified it.
pub fn checked(workload: &Workload) -> Result<Box<dyn Execute>, EngineError> {
    let program = &workload.program;
    let create = |def| maps::create(def, Target::default().cpus).map_err(EngineError::Map);
    let maps: Vec<Arc<dyn Map>> = program.maps.iter().map(create).collect::<Result<_, _>>()?;
    let linked = link_unverified(&program.code, program.kind, &maps, &Helpers::new())?;
    Ok(Box::new(Interp::new(Arc::new(linked))))
}

/// Machine code.
pub fn jit(linked: &Arc<Linked>) -> Result<Box<dyn Execute>, EngineError> {
    Ok(Box::new(Jit::compile(Arc::clone(linked))?))
}

/// An environment with this packet.
pub fn env<'h>(host: &'h mut dyn Host, packet: &[u8]) -> Env<'h> {
    let mut env = Env::new(host);
    if let Some(mut xdp) = XdpContext::new() {
        xdp.load(packet);
        env.ctx = Context::Xdp(xdp);
    }
    env
}

/// One run: R0, `None` if it trapped. Random numbers are those of every run.
pub fn once(program: &dyn Execute, env: &mut Env<'_>) -> Option<u64> {
    env.seed(SEED);
    run(program, env).ok()
}
