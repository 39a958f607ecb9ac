//! Instructions of the machine that are put together from tables, with what depends on the registers added: without branches, as nobody can
//! guess which operation comes next, and with few steps, as most of a program goes this way.
//!
//! An instruction is put together with its prefix in the lowest byte, which goes at the end if it says nothing.

use ring3_isa::{AluOp, Operand, Reg, Size, Width};

use super::regs;
use crate::words::Word;

/// For each register of BPF what it adds to an instruction. Sixteen, as of [`regs::of`].
type Adds = [u32; 16];

/// The prefix without anything that it says: with anything, it has to be there.
const REX: u32 = 0x40;
/// The prefix says that operands have 64 bits.
const WIDE: u32 = REX | 8;
/// What names two registers, and no memory.
const REGISTERS: u32 = 0xc0;

/// A register in the middle of the byte with the number `at`, which names the operands.
const fn in_middle(at: u32) -> Adds {
    adds(2, 8 * at + 3)
}

/// The same at its end.
const fn at_end(at: u32) -> Adds {
    adds(0, 8 * at)
}

/// The upper bit of a register's number is this one of the prefix, the others start there.
const fn adds(upper: u32, lower: u32) -> Adds {
    let mut adds = [0; 16];
    let mut at = 0;
    while at < Reg::COUNT {
        let machine = regs::OF[at] as u32;
        let prefix = if machine >= 8 { REX | 1 << upper } else { 0 };
        adds[at] = prefix | (machine & 7) << lower;
        at += 1;
    }
    adds
}

/// Behind an opcode of one byte, and of two.
const MIDDLE: [Adds; 2] = [in_middle(2), in_middle(3)];
const END: [Adds; 2] = [at_end(2), at_end(3)];

/// Nothing, whichever register it is.
const NOTHING: Adds = [0; 16];

/// A byte of a register: without a prefix four to seven are the second bytes of the first four.
const MIDDLE_BYTE: Adds = {
    let mut adds = MIDDLE[0];
    let mut at = 0;
    while at < Reg::COUNT {
        if matches!(regs::OF[at], 4..8) {
            adds[at] |= REX;
        }
        at += 1;
    }
    adds
};

/// The low bits of the prefix and the opcode as it is put together, if it has to go or stay.
#[inline(always)]
fn without_empty_prefix(word: u64, len: u8) -> Word {
    let empty = u8::from(word as u8 == 0);
    Word { code: word >> (8 * empty), len: len - empty }
}

const fn wide(width: Width) -> u32 {
    match width {
        Width::W64 => WIDE,
        Width::W32 => 0,
    }
}

/// How an operation on a register is encoded, where that is one instruction.
#[derive(Clone, Copy)]
struct Form {
    /// Prefix, opcode, and the byte that names the operands.
    code: u32,
    /// What counts of the number: of how far to shift the low bits only.
    mask: i32,
    /// Its bytes with the prefix and without a number; 0 for what is more than one instruction.
    len: u8,
    /// Bytes of the number behind it: of any, and of one that fits into a byte.
    number: [u8; 2],
    /// What is added to the opcode for such a one.
    short: u8,
    /// Which of [`DST`] and [`SRC`] counts.
    operands: u8,
}

/// What has to be emitted in another way. Its prefix says something, so that it does not go.
const MANY: Form = Form { code: REX, mask: 0, len: 0, number: [0; 2], short: 0, operands: 0 };

/// What the destination adds, and the other register: those of a multiplication have changed places.
const DST: [Adds; 2] = [END[0], MIDDLE[1]];
const SRC: [Adds; 2] = [MIDDLE[0], END[1]];

/// By operation, of a register and of a number, and by width.
const FORMS: [[[Form; 2]; 2]; AluOp::ALL.len()] = {
    let mut forms = [[[MANY; 2]; 2]; AluOp::ALL.len()];
    let mut at = 0;
    while at < forms.len() {
        let op = AluOp::ALL[at];
        let mut width = 0;
        while width < Width::ALL.len() {
            let [by_register, by_number] = forms_of(op, Width::ALL[width]);
            forms[op as usize][0][Width::ALL[width] as usize] = by_register;
            forms[op as usize][1][Width::ALL[width] as usize] = by_number;
            width += 1;
        }
        at += 1;
    }
    forms
};

const fn forms_of(op: AluOp, width: Width) -> [Form; 2] {
    let wide = wide(width);
    match op {
        AluOp::Add => group1(wide, 0),
        AluOp::Or => group1(wide, 1),
        AluOp::And => group1(wide, 4),
        AluOp::Sub => group1(wide, 5),
        AluOp::Xor => group1(wide, 6),
        AluOp::Lsh => [MANY, shift(wide, width, 4)],
        AluOp::Rsh => [MANY, shift(wide, width, 5)],
        AluOp::Arsh => [MANY, shift(wide, width, 7)],
        AluOp::Mul => {
            let code = wide | 0xaf0f << 8 | REGISTERS << 24;
            [Form { code, len: 4, operands: 1, ..MANY }, MANY]
        }
        AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => [MANY, MANY],
    }
}

/// One of the eight that have the same forms.
const fn group1(wide: u32, field: u32) -> [Form; 2] {
    let by_register = wide | (field << 3 | 1) << 8 | REGISTERS << 16;
    let by_number = wide | 0x81 << 8 | (REGISTERS | field << 3) << 16;
    [
        Form { code: by_register, len: 3, ..MANY },
        Form { code: by_number, mask: -1, len: 3, number: [4, 1], short: 2, ..MANY },
    ]
}

/// A shift by a number.
const fn shift(wide: u32, width: Width, field: u32) -> Form {
    let code = wide | 0xc1 << 8 | (REGISTERS | field << 3) << 16;
    Form { code, mask: width.bits() as i32 - 1, len: 3, number: [1, 1], ..MANY }
}

/// An operation on a register as one instruction, if it is one.
#[inline(always)]
pub(super) fn alu(width: Width, op: AluOp, dst: Reg, src: Operand) -> Word {
    let (by_number, src, imm) = match src {
        Operand::Reg(src) => (false, src.index() & 15, 0),
        // Which adds nothing.
        Operand::Imm(imm) => (true, 15, imm),
    };
    let form = &FORMS[op as usize][usize::from(by_number)][width as usize];
    let imm = imm & form.mask;
    let short = imm == i32::from(imm as i8);
    let operands = usize::from(form.operands & 1);
    let code = form.code | DST[operands][dst.index() & 15] | SRC[operands][src];
    let code = code | (u32::from(form.short) * u32::from(short)) << 8;
    let word = u64::from(code) | u64::from(imm as u32) << 24;
    without_empty_prefix(word, form.len + form.number[usize::from(short)])
}

/// How something is moved into a register.
#[derive(Clone, Copy)]
struct Move {
    /// Prefix, opcode, and the byte that names the operands.
    code: u32,
    /// Its bytes with the prefix.
    len: u8,
    /// Behind which bit the number is.
    number: u8,
    dst: Adds,
    src: Adds,
}

const OF_REGISTER: Move = Move { code: 0x89 << 8 | REGISTERS << 16, len: 3, number: 24, dst: END[0], src: MIDDLE[0] };

/// Of a register by width, and of numbers: zero, those without an upper half, and those whose upper half is ones.
const MOVES: [Move; 5] = [
    OF_REGISTER,
    Move { code: OF_REGISTER.code | WIDE, ..OF_REGISTER },
    Move { code: 0x31 << 8 | REGISTERS << 16, ..OF_REGISTER },
    Move { code: 0xb8 << 8, len: 6, number: 16, dst: at_end(1), src: NOTHING },
    Move { code: WIDE | 0xc7 << 8 | REGISTERS << 16, len: 7, number: 24, dst: END[0], src: NOTHING },
];

/// A move as one instruction, if it is one.
#[inline(always)]
pub(super) fn mov(width: Width, dst: Reg, src: Operand) -> Word {
    let wide = usize::from(width == Width::W64);
    let (form, src, imm) = match src {
        Operand::Reg(src) => (wide, src, 0),
        Operand::Imm(imm) => {
            let ones = usize::from(imm < 0) & wide;
            (if imm == 0 { 2 } else { 3 + ones }, dst, imm)
        }
    };
    let nothing = form == 1 && src == dst;
    let form = &MOVES[form];
    let code = form.code | form.dst[dst.index() & 15] | form.src[src.index() & 15];
    let word = without_empty_prefix(u64::from(code) | u64::from(imm as u32) << form.number, form.len);
    Word { len: if nothing { 0 } else { word.len }, ..word }
}

/// How an access of memory is encoded.
#[derive(Clone, Copy)]
struct Access {
    /// Prefix, opcode, and the byte that names the operands.
    code: u32,
    /// Its bytes with the prefix, without what stands before that, and without a displacement.
    len: u8,
    /// 1 if the byte of operands of 16 bits stands before the prefix.
    half: u8,
    /// Whether the opcode has two bytes.
    two: u8,
    /// A byte of a register is stored.
    byte: u8,
}

const fn access(wide: u32, opcode: u32) -> Access {
    Access { code: wide | opcode << 8, len: 3, half: 0, two: 0, byte: 0 }
}

/// One that extends: the first byte of its opcode is 0x0f.
const fn extends(wide: u32, opcode: u32) -> Access {
    Access { len: 4, two: 1, ..access(wide, 0x0f | opcode << 8) }
}

/// By size, and whether it extends a sign.
const LOADS: [[Access; 2]; Size::ALL.len()] = {
    let mut loads = [[access(0, 0x8b); 2]; Size::ALL.len()];
    let mut at = 0;
    while at < loads.len() {
        let size = Size::ALL[at];
        loads[size as usize] = match size {
            Size::B => [extends(0, 0xb6), extends(WIDE, 0xbe)],
            Size::H => [extends(0, 0xb7), extends(WIDE, 0xbf)],
            Size::W => [access(0, 0x8b), access(WIDE, 0x63)],
            Size::Dw => [access(WIDE, 0x8b); 2],
        };
        at += 1;
    }
    loads
};

/// Of a register, by size.
const STORES: [Access; Size::ALL.len()] = {
    let mut stores = [access(0, 0x89); Size::ALL.len()];
    let mut at = 0;
    while at < stores.len() {
        let size = Size::ALL[at];
        stores[size as usize] = match size {
            Size::B => Access { byte: 1, ..access(0, 0x88) },
            Size::H => Access { half: 1, ..access(0, 0x89) },
            Size::W => access(0, 0x89),
            Size::Dw => access(WIDE, 0x89),
        };
        at += 1;
    }
    stores
};

/// The register of an access: behind an opcode of one byte and of two, and a byte of it that is stored.
const ACCESSED: [Adds; 3] = [MIDDLE[0], MIDDLE[1], MIDDLE_BYTE];

/// Bases that need a displacement, by their numbers in BPF: without one RBP and R13 mean other addresses.
const DISPLACED: u16 = {
    let (mut displaced, mut at) = (0, 0);
    while at < Reg::COUNT {
        // And none of them is one that means an index.
        assert!(regs::OF[at] & 7 != 4);
        displaced |= ((regs::OF[at] & 7 == 5) as u16) << at;
        at += 1;
    }
    displaced
};

#[inline(always)]
fn memory(access: &Access, accessed: usize, reg: Reg, base: Reg, off: i32) -> Word {
    let base = base.index() & 15;
    let far = u8::from(off != i32::from(off as i8));
    let some = u8::from(off != 0) | (DISPLACED >> base) as u8 & 1;
    let two = usize::from(access.two & 1);
    let code = access.code | ACCESSED[accessed][reg.index() & 15] | END[two][base];
    let behind = 24 + 8 * two;
    let word = u64::from(code) | u64::from(some + far) << (behind - 2) | u64::from(off as u32) << behind;
    let Word { code, len } = without_empty_prefix(word, access.len + some + 3 * far);
    Word { code: (code << (8 * access.half)) | u64::from(0x66 * access.half), len: len + access.half }
}

#[inline(always)]
pub(super) fn load(size: Size, signed: bool, dst: Reg, base: Reg, off: i32) -> Word {
    let access = &LOADS[size as usize][usize::from(signed)];
    memory(access, usize::from(access.two & 1), dst, base, off)
}

/// Of a register: with a number they may be longer.
#[inline(always)]
pub(super) fn store(size: Size, base: Reg, off: i32, src: Operand) -> Word {
    match src {
        Operand::Reg(src) => {
            let access = &STORES[size as usize];
            memory(access, usize::from(2 * (access.byte & 1)), src, base, off)
        }
        Operand::Imm(_) => Word::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [i32; 16] = [0, 1, 5, 31, 32, 63, 64, 127, 128, 255, -1, -128, -129, 0x7fff, i32::MAX, i32::MIN];

    /// Byte by byte, as the manual says it.
    struct Bytes(Vec<u8>);

    impl Bytes {
        fn start(half: bool, rex: u8, needed: bool, opcode: &[u8]) -> Bytes {
            let mut bytes = if half { vec![0x66] } else { Vec::new() };
            if rex != 0x40 || needed {
                bytes.push(rex);
            }
            bytes.extend(opcode);
            Bytes(bytes)
        }

        fn number(mut self, imm: i32, bytes: usize) -> Bytes {
            self.0.extend(&imm.to_le_bytes()[..bytes]);
            self
        }
    }

    fn registers(width: Width, opcode: &[u8], reg: u8, rm: u8) -> Bytes {
        let wide = if width == Width::W64 { 8 } else { 0 };
        let mut bytes = Bytes::start(false, 0x40 | wide | (reg >> 3) << 2 | rm >> 3, false, opcode);
        bytes.0.push(0xc0 | (reg & 7) << 3 | rm & 7);
        bytes
    }

    fn memory(half: bool, wide: bool, byte: bool, opcode: &[u8], reg: u8, base: u8, off: i32) -> Bytes {
        let rex = 0x40 | u8::from(wide) << 3 | (reg >> 3) << 2 | base >> 3;
        let mut bytes = Bytes::start(half, rex, byte && reg >= 4, opcode);
        let form = match i8::try_from(off) {
            Ok(0) if base & 7 != 5 => 0,
            Ok(_) => 1,
            Err(_) => 2,
        };
        bytes.0.push(form << 6 | (reg & 7) << 3 | base & 7);
        bytes.number(off, [0, 1, 4][usize::from(form)])
    }

    #[track_caller]
    fn same(word: Word, bytes: Option<Bytes>) {
        let have = word.code.to_le_bytes()[..usize::from(word.len)].to_vec();
        assert_eq!(have, bytes.map_or(Vec::new(), |bytes| bytes.0));
    }

    fn operands() -> impl Iterator<Item = Operand> {
        Reg::all().map(Operand::Reg).chain(NUMBERS.map(Operand::Imm))
    }

    fn arithmetic(width: Width, op: AluOp, dst: Reg, src: Operand) -> Option<Bytes> {
        let d = regs::of(dst);
        let field = match op {
            AluOp::Add => 0,
            AluOp::Or => 1,
            AluOp::And | AluOp::Lsh => 4,
            AluOp::Sub | AluOp::Rsh => 5,
            AluOp::Xor => 6,
            AluOp::Arsh => 7,
            AluOp::Mul => {
                return src.reg().map(|src| registers(width, &[0x0f, 0xaf], d, regs::of(src)));
            }
            AluOp::Div | AluOp::SDiv | AluOp::Mod | AluOp::SMod => return None,
        };
        let shifts = matches!(op, AluOp::Lsh | AluOp::Rsh | AluOp::Arsh);
        match src {
            Operand::Reg(_) if shifts => None,
            Operand::Reg(src) => Some(registers(width, &[field << 3 | 1], regs::of(src), d)),
            Operand::Imm(imm) if shifts => {
                Some(registers(width, &[0xc1], field, d).number(imm & (width.bits() as i32 - 1), 1))
            }
            Operand::Imm(imm) if i8::try_from(imm).is_ok() => Some(registers(width, &[0x83], field, d).number(imm, 1)),
            Operand::Imm(imm) => Some(registers(width, &[0x81], field, d).number(imm, 4)),
        }
    }

    #[test]
    fn arithmetic_is_as_the_manual_says() {
        for op in AluOp::ALL {
            for width in Width::ALL {
                for dst in Reg::all() {
                    for src in operands() {
                        same(alu(*width, *op, dst, src), arithmetic(*width, *op, dst, src));
                    }
                }
            }
        }
    }

    fn moved(width: Width, dst: Reg, src: Operand) -> Option<Bytes> {
        let d = regs::of(dst);
        match src {
            Operand::Reg(src) if src == dst && width == Width::W64 => None,
            Operand::Reg(src) => Some(registers(width, &[0x89], regs::of(src), d)),
            Operand::Imm(0) => Some(registers(Width::W32, &[0x31], d, d)),
            Operand::Imm(imm) if imm < 0 && width == Width::W64 => Some(registers(width, &[0xc7], 0, d).number(imm, 4)),
            Operand::Imm(imm) => Some(Bytes::start(false, 0x40 | d >> 3, false, &[0xb8 | d & 7]).number(imm, 4)),
        }
    }

    #[test]
    fn moves_are_as_the_manual_says() {
        for width in Width::ALL {
            for dst in Reg::all() {
                for src in operands() {
                    same(mov(*width, dst, src), moved(*width, dst, src));
                }
            }
        }
    }

    #[test]
    fn accesses_are_as_the_manual_says() {
        for size in Size::ALL {
            for (reg, base) in Reg::all().flat_map(|reg| Reg::all().map(move |base| (reg, base))) {
                let (r, b) = (regs::of(reg), regs::of(base));
                for off in NUMBERS {
                    let (half, wide) = (*size == Size::H, *size == Size::Dw);
                    let code = if *size == Size::B { 0x88 } else { 0x89 };
                    let stored = memory(half, wide, *size == Size::B, &[code], r, b, off);
                    same(store(*size, base, off, Operand::Reg(reg)), Some(stored));
                    for signed in [false, true] {
                        let (wide, opcode): (_, &[u8]) = match (*size, signed) {
                            (Size::B, signed) => (signed, if signed { &[0x0f, 0xbe] } else { &[0x0f, 0xb6] }),
                            (Size::H, signed) => (signed, if signed { &[0x0f, 0xbf] } else { &[0x0f, 0xb7] }),
                            (Size::W, true) => (true, &[0x63]),
                            (Size::W, false) => (false, &[0x8b]),
                            (Size::Dw, _) => (true, &[0x8b]),
                        };
                        same(load(*size, signed, reg, base, off), Some(memory(false, wide, false, opcode, r, b, off)));
                    }
                }
            }
        }
    }
}
