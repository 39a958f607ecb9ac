//! The state oracle: before every instruction of an accepted program, what it has in registers and stack lies inside a state that
//! the verifier's rules have there.

use std::sync::Arc;

use ring3_platform::{ProgType, ctx};
use ring3_verifier::VerifiedProgram;
use ring3_vm::ctx::from_image;
use ring3_vm::{
    Context, DataStart, Env, Helpers, RunError, SkbContext, StateReport, TestHost, TrapKind, Watched, XdpContext, maps,
    run,
};

use crate::engines::Failure;

/// Instructions of one run, at most; what comes behind is not compared.
const MAX_INSNS: u64 = 1 << 14;

/// Bytes of an image of a context, at least.
const CONTEXT_BYTES: usize = 4096;

/// Runs a verified program on each of these packets, all on the same maps, and compares every moment. Whoever wants to know what
/// was found reads the report's violations.
pub fn check_states(proof: Arc<VerifiedProgram>, packets: &[Vec<u8>]) -> Result<StateReport, Failure> {
    let program = Arc::clone(proof.program());
    let cpus = proof.target().cpus;
    let maps = program.maps.iter().map(|def| maps::create(def, cpus).map_err(Failure::Map));
    let maps = maps.collect::<Result<Vec<_>, _>>()?;
    let watched = Watched::new(proof, &maps, &Helpers::new())?;
    let mut host = TestHost::default();
    let mut env = Env::new(&mut host);
    for packet in packets {
        env.budget = Some(MAX_INSNS);
        env.ctx = context(program.kind, packet).ok_or(Failure::NoContext)?;
        match run(&watched, &mut env) {
            Ok(_) => {}
            Err(RunError::Trap(trap)) if matches!(trap.kind, TrapKind::Budget { .. }) => {}
            Err(RunError::Trap(trap)) if trap.kind == TrapKind::OutsideStates => break,
            Err(error) => return Err(Failure::Unsound(error)),
        }
    }
    Ok(watched.report())
}

/// A context for a program of this type: a packet where it takes one, else an image that begins with these bytes.
fn context(kind: ProgType, packet: &[u8]) -> Option<Context> {
    let is_skb = ctx::layout(kind).is_some_and(|layout| layout.name == "__sk_buff");
    let context = if kind == ProgType::Xdp {
        let mut xdp = XdpContext::new()?;
        xdp.load(packet);
        Context::Xdp(xdp)
    } else if is_skb && kind != ProgType::FlowDissector {
        let mut skb = SkbContext::new()?;
        skb.load(packet, DataStart::of(kind));
        Context::Skb(skb)
    } else {
        let mut image = packet.to_vec();
        image.resize(image.len().max(CONTEXT_BYTES), 0);
        from_image(kind, &image).ok()?
    };
    context.suits(kind).then_some(context)
}
