//! Numbers read as they do in Linux's verifier log.

use ring3_isa::{AluOp, CmpOp, EndianOp, Size, Width};
use ring3_verifier::domain::{Scalar, Tnum, alu, endian, refine};

fn with(op: AluOp, width: Width, a: Scalar, k: i32) -> Scalar {
    alu(op, width, &a, &Scalar::immediate(k))
}

/// Both outcomes of comparing with an immediate: taken, not taken.
fn split(op: CmpOp, width: Width, a: Scalar, k: i32) -> (Scalar, Scalar) {
    let (mut taken, mut not) = (a, a);
    refine(op, width, &mut taken, &mut Scalar::immediate(k), true);
    refine(op, width, &mut not, &mut Scalar::immediate(k), false);
    (taken, not)
}

#[track_caller]
fn reads(a: Scalar, text: &str) {
    assert_eq!(a.to_string(), text);
}

const ANY: Scalar = Scalar::UNKNOWN;

#[test]
fn constants() {
    reads(Scalar::constant(0x1234_5678_9abc_def0), "0x123456789abcdef0");
    reads(Scalar::immediate(-40000), "0xffffffffffff63c0");
    reads(Scalar::immediate(-40000).mov32(), "0xffff63c0");
    reads(Scalar::immediate(-5), "-5");
    reads(Scalar::immediate(-5).mov32(), "0xfffffffb");
    reads(Scalar::immediate(32767), "32767");
    reads(Scalar::immediate(32768), "0x8000");
}

#[test]
fn loads() {
    reads(ANY, "scalar()");
    reads(ANY.truncate_to(Size::B), "scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))");
    reads(ANY.truncate_to(Size::H), "scalar(smin=smin32=0,smax=umax=smax32=umax32=0xffff,var_off=(0x0; 0xffff))");
    reads(ANY.truncate_to(Size::W), "scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))");
}

#[test]
fn masks_and_shifts() {
    let nibble = with(AluOp::And, Width::W64, ANY.truncate_to(Size::B), 15);
    reads(nibble, "scalar(smin=smin32=0,smax=umax=smax32=umax32=15,var_off=(0x0; 0xf))");
    let words = with(AluOp::Lsh, Width::W64, nibble, 2);
    reads(words, "scalar(smin=smin32=0,smax=umax=smax32=umax32=60,var_off=(0x0; 0x3c))");
    let sign = with(AluOp::Arsh, Width::W64, ANY, 63);
    reads(sign, "scalar(smin=smin32=-1,smax=smax32=0)");
    let (zero, ones) = sign.zero_or_ones().expect("all zeros or all ones");
    reads(with(AluOp::And, Width::W64, zero, 16), "0");
    reads(with(AluOp::And, Width::W64, ones, 16), "16");
    let negative = with(AluOp::Add, Width::W64, with(AluOp::And, Width::W64, ANY, 7), -16);
    reads(
        negative,
        "scalar(smin=smin32=-16,smax=smax32=-9,umin=0xfffffffffffffff0,umax=0xfffffffffffffff7,umin32=0xfffffff0,\
         umax32=0xfffffff7,var_off=(0xfffffffffffffff0; 0x7))",
    );
}

#[test]
fn unsigned_branches() {
    let (above, not) = split(CmpOp::Gt, Width::W64, ANY, 100);
    reads(not, "scalar(smin=smin32=0,smax=umax=smax32=umax32=100,var_off=(0x0; 0x7f))");
    reads(above, "scalar(umin=101)");
}

#[test]
fn tested_bits() {
    let (set, clear) = split(CmpOp::Set, Width::W64, ANY, 8);
    reads(
        clear,
        "scalar(smax=0x7ffffffffffffff7,umax=0xfffffffffffffff7,smax32=0x7ffffff7,umax32=0xfffffff7,\
         var_off=(0x0; 0xfffffffffffffff7))",
    );
    reads(set, "scalar(smin=0x8000000000000008,umin=umin32=8,smin32=0x80000008,var_off=(0x8; 0xfffffffffffffff7))");
    reads(
        split(CmpOp::Set, Width::W64, clear, 7).1,
        "scalar(smax=0x7ffffffffffffff0,umax=0xfffffffffffffff0,smax32=0x7ffffff0,umax32=0xfffffff0,\
         var_off=(0x0; 0xfffffffffffffff0))",
    );
}

#[test]
fn signed_branches() {
    let (above, not) = split(CmpOp::Sgt, Width::W64, ANY, -5);
    reads(above, "scalar(smin=-4)");
    reads(
        not,
        "scalar(smax=-5,umin=0x8000000000000000,umax=0xfffffffffffffffb,\
         var_off=(0x8000000000000000; 0x7fffffffffffffff))",
    );
    let (below, at_least) = split(CmpOp::Slt, Width::W64, not, -70000);
    reads(
        at_least,
        "scalar(smin=0xfffffffffffeee90,smax=smax32=-5,umin=0xfffffffffffeee90,umax=0xfffffffffffffffb,\
         smin32=umin32=0xfffeee90,umax32=0xfffffffb,var_off=(0xfffffffffffe0000; 0x1ffff))",
    );
    reads(
        below,
        "scalar(smax=0xfffffffffffeee8f,umin=0x8000000000000000,umax=0xfffffffffffeee8f,\
         var_off=(0x8000000000000000; 0x7fffffffffffffff))",
    );
}

/// Measured on Linux 6.18: its rounds of deduction can overwrite what an earlier round found, so that learning more may
/// mean knowing less.
#[test]
fn learning_can_forget() {
    let at_most = split(CmpOp::Sgt, Width::W64, ANY, 256).1;
    let at_least = split(CmpOp::Lt, Width::W64, at_most, 128).1;
    let (mut a, mut limit) = (at_least, Scalar::constant(1 << 63));
    refine(CmpOp::Gt, Width::W64, &mut a, &mut limit, false);
    reads(a, "scalar(smax=256,umin=128,umax=0x8000000000000000)");
    reads(
        split(CmpOp::Sle, Width::W32, a, 0).1,
        "scalar(smin=umin=smin32=umin32=1,smax=umax=umax32=0x7fffffff,var_off=(0x0; 0x7fffffff))",
    );
}

#[test]
fn sign_extension_and_swaps() {
    reads(ANY.mov_sx(Size::B, Width::W64), "scalar(smin=smin32=-128,smax=smax32=127)");
    reads(
        ANY.mov_sx(Size::H, Width::W32),
        "scalar(smin=0,smax=umax=0xffffffff,smin32=-32768,smax32=32767,var_off=(0x0; 0xffffffff))",
    );
    let half = endian(EndianOp::Swap, Size::H, &ANY);
    reads(half, "scalar(smin=smin32=0,smax=umax=smax32=umax32=0xffff,var_off=(0x0; 0xffff))");
    let big = endian(EndianOp::ToBe, Size::W, &half);
    reads(big, "scalar(smin=0,smax=umax=umax32=0xffff0000,smax32=0x7fff0000,var_off=(0x0; 0xffff0000))");
}

#[test]
fn pointers_reuse_the_attributes() {
    let nibble = with(AluOp::And, Width::W64, ANY, 15);
    let mut text = String::from("map_value(map=hsh,ks=4,vs=8");
    nibble.write_attrs(&mut text, &mut false).expect("strings take everything");
    assert_eq!(text, "map_value(map=hsh,ks=4,vs=8,smin=smin32=0,smax=umax=smax32=umax32=15,var_off=(0x0; 0xf)");
    let mut text = String::new();
    Scalar::ZERO.write_attrs(&mut text, &mut true).expect("strings take everything");
    assert_eq!(text, "");
    Scalar::constant(8).write_attrs(&mut text, &mut true).expect("strings take everything");
    assert_eq!(text, "imm=8");
}

#[test]
fn known_bits() {
    assert_eq!(Tnum::constant(65535).to_string(), "65535");
    assert_eq!(Tnum::constant(65536).to_string(), "0x10000");
    assert_eq!(Tnum::new(0x10, 0xf).to_string(), "(0x10; 0xf)");
}
