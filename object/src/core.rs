//! CO-RE: instructions that depend on a kernel's types get the numbers of one kernel.

use ring3_btf::{CoreAccess, CoreAnswer, CoreError, CoreRelo, CoreResolver, CoreTarget, CoreValue, describe_core_relo};
use ring3_isa::RawInsn;

use crate::error::ObjectError;
use crate::object::{Function, Object, Options, in_range};

/// Call of a helper that no kernel has: what stands for an instruction whose relocation has no answer. Where such code is
/// dead the program loads; elsewhere verifiers say `invalid func unknown#195896080`. The number is libbpf's.
pub const UNRESOLVED_CALL: i32 = 0x0bad_2310;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// The bits of an opcode that say how wide an access is.
const SIZE_MASK: u8 = 0x18;
/// The bits that say what kind of instruction it is.
const CLASS_MASK: u8 = 0x07;
/// Bytes of an access, and the bits that say so.
const SIZES: [(u32, u8); 4] = [(4, 0x00), (2, 0x08), (1, 0x10), (8, 0x18)];
/// What libbpf says of an access whose size does not fit.
const BAD_SIZE: &str = "accesses field incorrectly. Make sure you are accessing pointers, unsigned integers, or fields of matching \
                        type and size.";
/// Bytes of a slot.
const SLOT: u64 = RawInsn::BYTES as u64;

/// Relocates the functions of one program.
pub(crate) struct Core<'o> {
    object: &'o Object,
    program: &'o str,
    target: Option<&'o CoreTarget>,
    by_kernel: bool,
    resolver: Option<CoreResolver<'o>>,
    /// Slot in the linked program, and the relocation that has no answer.
    pub unresolved: Vec<(u32, String)>,
    /// Slot in the linked program, and the relocation that the kernel is to resolve.
    pub pending: Vec<(u32, CoreRelo)>,
    /// What libbpf would log, if it is wanted.
    pub log: Option<Vec<String>>,
}

impl<'o> Core<'o> {
    pub fn new(object: &'o Object, program: &'o str, options: &'o Options) -> Core<'o> {
        let (target, by_kernel) = (options.core.as_deref(), options.core_by_kernel);
        let resolver = object.btf.as_deref().map(|btf| CoreResolver::new(btf, target));
        let (unresolved, pending) = (Vec::new(), Vec::new());
        Core { object, program, target, by_kernel, resolver, unresolved, pending, log: None }
    }

    /// The kernel's types.
    pub fn target(&self) -> Option<&'o CoreTarget> {
        self.target
    }

    /// Relocates the instructions of a function, whose first slot is slot `base` of the program.
    pub fn apply(&mut self, function: &Function, code: &mut [RawInsn], base: u32) -> Result<(), ObjectError> {
        let (Some(resolver), Some(btf)) = (&mut self.resolver, &self.object.btf) else { return Ok(()) };
        let section = &self.object.code[&function.section];
        let first = section.core.partition_point(|r| u64::from(r.insn_off) < function.offset);
        for (number, relo) in (first..).zip(in_range(&section.core, |r| r.insn_off, &function.range())) {
            let slot = base + ((u64::from(relo.insn_off) - function.offset) / SLOT) as u32;
            if self.by_kernel {
                self.pending.push((slot, *relo));
                continue;
            }
            let at = || self.object.at(function.section, u64::from(relo.insn_off));
            let (program, relocation) = (|| self.program.to_owned(), || describe_core_relo(btf, relo));
            let refused = |source| match source {
                CoreError::NoTarget => {
                    ObjectError::NeedsCoRe { at: at(), program: program(), relocation: relocation() }
                }
                source => {
                    let source = Box::new(source);
                    ObjectError::CoRe { at: at(), program: program(), relocation: relocation(), source }
                }
            };
            let tried = self.log.is_some().then(|| resolver.log(relo)).transpose().map_err(refused)?;
            let answer = resolver.resolve(relo).map_err(refused)?;
            let slots = slots_of(function, relo, code);
            let before: Vec<RawInsn> = slots.iter().take(2).copied().collect();
            let patched = patch(slots, answer);
            if let (Some(log), Some(tried)) = (&mut self.log, tried) {
                let insn = (u64::from(relo.insn_off) - function.offset) / SLOT;
                log.extend(tried.found);
                let lines = [vec![relocation()], tried.tried, changes(insn, answer, &before, slots)].concat();
                log.extend(lines.iter().map(|line| format!("prog '{}': relo #{number}: {line}", function.name)));
            }
            let patched = patched.map_err(|problem| {
                let relocation = relocation();
                ObjectError::CoRePatch { at: at(), program: program(), relocation, problem }
            })?;
            if let Patched::Unresolved = patched {
                self.unresolved.push((slot, relocation()));
            }
        }
        Ok(())
    }
}

/// The instruction of a relocation and all after it; empty if no instruction starts there.
fn slots_of<'c>(function: &Function, relo: &CoreRelo, code: &'c mut [RawInsn]) -> &'c mut [RawInsn] {
    let offset = u64::from(relo.insn_off) - function.offset;
    match code.get_mut((offset / SLOT) as usize..) {
        Some(slots) if offset.is_multiple_of(SLOT) => slots,
        Some(_) | None => &mut [],
    }
}

/// What libbpf logs of an instruction that it changed.
fn changes(insn: u64, answer: CoreAnswer, before: &[RawInsn], after: &[RawInsn]) -> Vec<String> {
    let ([was, ..], [is, ..]) = (before, after) else { return Vec::new() };
    if is.code == CALL && is.imm == UNRESOLVED_CALL {
        let of_size = matches!(answer, CoreAnswer::Value(CoreValue { access: CoreAccess::Unsafe, .. }));
        let why = of_size.then(|| format!("insn #{insn} (LDX/ST/STX) {BAD_SIZE}"));
        let slots = (0..=u64::from(was.is_wide())).rev();
        let bad = slots.map(|slot| format!("substituting insn #{} w/ invalid insn", insn + slot));
        return why.into_iter().chain(bad).collect();
    }
    let wide = |slots: &[RawInsn]| {
        let half = |at: usize| slots.get(at).map_or(0, |slot| u64::from(slot.imm.cast_unsigned()));
        half(1) << 32 | half(0)
    };
    match was.code & CLASS_MASK {
        0x00 => vec![format!("patched insn #{insn} (LDIMM64) imm64 {} -> {}", wide(before), wide(after))],
        0x01..=0x03 => {
            let mut lines = vec![format!("patched insn #{insn} (LDX/ST/STX) off {} -> {}", was.off, is.off)];
            let bytes = |insn: &RawInsn| SIZES.iter().find(|row| row.1 == insn.code & SIZE_MASK).map_or(0, |row| row.0);
            if bytes(was) != bytes(is) {
                lines.push(format!("patched insn #{insn} (LDX/ST/STX) mem_sz {} -> {}", bytes(was), bytes(is)));
            }
            lines
        }
        _ => vec![format!("patched insn #{insn} (ALU/ALU64) imm {} -> {}", was.imm, is.imm)],
    }
}

/// What became of an instruction.
enum Patched {
    Done,
    Unresolved,
}

fn patch(slots: &mut [RawInsn], answer: CoreAnswer) -> Result<Patched, &'static str> {
    let Some((insn, rest)) = slots.split_first_mut() else { return Err("is not at the start of an instruction") };
    let value = match answer {
        CoreAnswer::Value(value) => value,
        CoreAnswer::Missing => return poison(insn, rest),
    };
    match insn.code & CLASS_MASK {
        // ALU and ALU64.
        0x04 | 0x07 => {
            if insn.code & 0x08 != 0 {
                return Err("is at an instruction without an immediate");
            }
            check(value, |local| local as u32 == insn.imm.cast_unsigned())?;
            insn.imm = value.target as i32;
        }
        // LDX, ST, STX.
        0x01..=0x03 => {
            check(value, |local| i64::from(insn.off).cast_unsigned() == local)?;
            let off = i16::try_from(value.target).map_err(|_| "has an offset beyond 16 bits")?;
            match value.access {
                CoreAccess::Same => {}
                CoreAccess::Resize { from, to } => insn.code = resized(insn.code, from, to)?,
                CoreAccess::Unsafe => return poison(insn, rest),
            }
            insn.off = off;
        }
        // LD: a 64-bit immediate.
        0x00 => {
            let (true, Some(high)) = (insn.is_wide(), rest.first_mut()) else {
                return Err("is at an instruction that it cannot change");
            };
            let imm = u64::from(high.imm.cast_unsigned()) << 32 | u64::from(insn.imm.cast_unsigned());
            check(value, |local| local == imm)?;
            insn.imm = value.target as i32;
            high.imm = (value.target >> 32) as i32;
        }
        _ => return Err("is at an instruction that it cannot change"),
    }
    Ok(Patched::Done)
}

fn check(value: CoreValue, is_there: impl FnOnce(u64) -> bool) -> Result<(), &'static str> {
    match value.local {
        Some(local) if !is_there(local) => Err("is at an instruction that does not hold what its type says"),
        Some(_) | None => Ok(()),
    }
}

/// The opcode of an access with as many bytes as the kernel's field has.
fn resized(opcode: u8, from: u32, to: u32) -> Result<u8, &'static str> {
    if !SIZES.contains(&(from, opcode & SIZE_MASK)) {
        return Err("is at an access of another size than its type has");
    }
    let to = SIZES.iter().find(|(bytes, _)| *bytes == to).ok_or("leads to a field that no load can read")?;
    Ok(opcode & !SIZE_MASK | to.1)
}

/// Puts calls of [`UNRESOLVED_CALL`] in the place of an instruction, one for each of its slots.
fn poison(insn: &mut RawInsn, rest: &mut [RawInsn]) -> Result<Patched, &'static str> {
    let bad = RawInsn { code: CALL, dst: 0, src: 0, off: 0, imm: UNRESOLVED_CALL };
    if insn.is_wide() {
        *rest.first_mut().ok_or("is at an instruction that it cannot change")? = bad;
    }
    *insn = bad;
    Ok(Patched::Unresolved)
}
