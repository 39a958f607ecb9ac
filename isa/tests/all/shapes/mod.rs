//! Every shape of instruction, as a proptest strategy.

use proptest::prelude::*;
use proptest::sample::select;
use ring3_isa::{AluOp, AtomicOp, Callee, CmpOp, EndianOp, Insn, Operand, Reg, Size, Wide, Width};

fn reg() -> impl Strategy<Value = Reg> + Clone {
    (0u8..=10).prop_map(|number| Reg::new(number).unwrap())
}

fn number() -> impl Strategy<Value = i32> + Clone {
    prop_oneof![any::<i32>(), -20..20, select(vec![i32::MIN, i32::MAX, 0x7fff, 0x8000, -0x8000])]
}

fn offset() -> impl Strategy<Value = i16> + Clone {
    prop_oneof![any::<i16>(), -20i16..20]
}

fn operand() -> impl Strategy<Value = Operand> + Clone {
    prop_oneof![reg().prop_map(Operand::Reg), number().prop_map(Operand::Imm)]
}

fn width() -> impl Strategy<Value = Width> + Clone {
    select(vec![Width::W32, Width::W64])
}

fn size() -> impl Strategy<Value = Size> + Clone {
    select(Size::ALL.to_vec())
}

fn narrow() -> impl Strategy<Value = Size> + Clone {
    select(vec![Size::B, Size::H, Size::W])
}

fn wide() -> impl Strategy<Value = Wide> {
    prop_oneof![
        prop_oneof![any::<u64>(), 0..20u64].prop_map(Wide::Imm),
        number().prop_map(Wide::Map),
        (number(), any::<u32>()).prop_map(|(map, off)| Wide::MapValue { map, off }),
        (number(), prop_oneof![Just(0), number()]).prop_map(|(id, fd)| Wide::BtfId { id, fd }),
        number().prop_map(Wide::Func),
        number().prop_map(Wide::MapIdx),
        (number(), any::<u32>()).prop_map(|(index, off)| Wide::MapIdxValue { index, off }),
    ]
}

fn arithmetic() -> impl Strategy<Value = Insn> {
    let mov_sx = prop_oneof![
        (Just(Width::W32), select(vec![Size::B, Size::H]), reg(), reg()),
        (Just(Width::W64), narrow(), reg(), reg()),
    ];
    prop_oneof![
        (width(), select(AluOp::ALL.to_vec()), reg(), operand()).prop_map(|(width, op, dst, src)| Insn::Alu {
            width,
            op,
            dst,
            src
        }),
        (width(), reg(), operand()).prop_map(|(width, dst, src)| Insn::Mov { width, dst, src }),
        mov_sx.prop_map(|(width, from, dst, src)| Insn::MovSx { width, from, dst, src }),
        (reg(), reg(), select(vec![1, 0x10000])).prop_map(|(dst, src, imm)| Insn::AddrSpaceCast { dst, src, imm }),
        (width(), reg()).prop_map(|(width, dst)| Insn::Neg { width, dst }),
        (select(EndianOp::ALL.to_vec()), select(vec![Size::H, Size::W, Size::Dw]), reg())
            .prop_map(|(op, size, dst)| Insn::Endian { op, size, dst }),
        (reg(), wide()).prop_map(|(dst, value)| Insn::LoadImm { dst, value }),
    ]
}

fn memory() -> impl Strategy<Value = Insn> {
    let loads = prop_oneof![(size(), Just(false)), (narrow(), Just(true))];
    prop_oneof![
        (loads, reg(), reg(), offset()).prop_map(|((size, signed), dst, base, off)| Insn::Load {
            size,
            signed,
            dst,
            base,
            off
        }),
        (size(), reg(), offset(), operand()).prop_map(|(size, base, off, src)| Insn::Store { size, base, off, src }),
        (select(AtomicOp::ALL.to_vec()), select(vec![Size::W, Size::Dw]), reg(), offset(), reg())
            .prop_map(|(op, size, base, off, src)| Insn::Atomic { op, size, base, off, src }),
        (size(), reg(), reg(), offset()).prop_map(|(size, dst, base, off)| Insn::LoadAcquire { size, dst, base, off }),
        (size(), reg(), offset(), reg()).prop_map(|(size, base, off, src)| Insn::StoreRelease { size, base, off, src }),
        (narrow(), prop::option::of(reg()), number()).prop_map(|(size, index, imm)| Insn::LegacyPacket {
            size,
            index,
            imm
        }),
    ]
}

fn control() -> impl Strategy<Value = Insn> {
    prop_oneof![
        offset().prop_map(|off| Insn::Jump { off: i32::from(off), long: false }),
        number().prop_map(|off| Insn::Jump { off, long: true }),
        (width(), select(CmpOp::ALL.to_vec()), reg(), operand(), offset())
            .prop_map(|(width, op, lhs, rhs, off)| Insn::Branch { width, op, lhs, rhs, off }),
        offset().prop_map(|off| Insn::MayGoto { off }),
        number().prop_map(|id| Insn::Call(Callee::Helper(id))),
        number().prop_map(|off| Insn::Call(Callee::Local(off))),
        (number(), prop_oneof![Just(0), offset()]).prop_map(|(id, off)| Insn::Call(Callee::Kfunc { id, off })),
        reg().prop_map(|target| Insn::CallX { target }),
        reg().prop_map(|target| Insn::GotoX { target }),
        Just(Insn::Exit),
    ]
}

/// Any instruction but the second half of a wide load.
pub fn insn() -> impl Strategy<Value = Insn> {
    prop_oneof![arithmetic(), memory(), control()]
}
