"""Proves steps of the domain for all numbers of 64 bits. Prints a line for each: `proved NAME`, or `refuted` or `undecided`."""
import sys
from z3 import And, BitVec, BitVecVal, If, Not, Or, Solver, UGT, ULE, sat, unsat

LIMIT_MS = 8000
N = 64


def num(name):
    return BitVec(name, N)


def has(value, mask, x):
    return x & ~mask == value


def prove(name, premises, claim):
    solver = Solver()
    solver.set("timeout", LIMIT_MS)
    solver.add(*premises)
    solver.add(Not(claim))
    result = solver.check()
    print("proved" if result == unsat else "refuted" if result == sat else "undecided", name)


av, am, bv, bm, x, y = (num(n) for n in ["av", "am", "bv", "bm", "x", "y"])
members = [has(av, am, x), has(bv, bm, y), av & am == 0, bv & bm == 0]

masks, least = am + bm, av + bv
unknown = ((masks + least) ^ least) | am | bm
prove("tnum add", members, has(least & ~unknown, unknown, x + y))
base = av - bv
unknown = ((base + am) ^ (base - bm)) | am | bm
prove("tnum sub", members, has(base & ~unknown, unknown, x - y))
ones = av & bv
prove("tnum and", members, has(ones, (av | am) & (bv | bm) & ~ones, x & y))
ones = av | bv
prove("tnum or", members, has(ones, (am | bm) & ~ones, x | y))
unknown = am | bm
prove("tnum xor", members, has((av ^ bv) & ~unknown, unknown, x ^ y))
unknown = (av ^ bv) | am | bm
prove("tnum union", members, And(has(av & ~unknown, unknown, x), has(av & ~unknown, unknown, y)))
same = [has(av, am, x), has(bv, bm, x), av & am == 0, bv & bm == 0]
prove("tnum intersect", same, has((av | bv) & ~(am & bm), am & bm, x))

amin, amax, bmin, bmax = (num(n) for n in ["amin", "amax", "bmin", "bmax"])
inside = [ULE(amin, x), ULE(x, amax), ULE(bmin, y), ULE(y, bmax)]
# Kept where neither end wraps, or both do.
lost = Or(And(UGT(amin, amin + bmin), Not(UGT(amax, amax + bmax))), And(Not(UGT(amin, amin + bmin)), UGT(amax, amax + bmax)))
prove("unsigned sum", inside + [Not(lost)], And(ULE(amin + bmin, x + y), ULE(x + y, amax + bmax)))
prove("unsigned order", inside + [ULE(x, y)], And(ULE(x, If(ULE(amax, bmax), amax, bmax)), ULE(If(ULE(amin, bmin), bmin, amin), y)))
prove("or range", inside + [has(av, am, x | y), av & am == 0],
      And(ULE(If(ULE(amin, bmin), bmin, amin), x | y), ULE(x | y, av | am)))
prove("and range", inside + [has(av, am, x & y), av & am == 0],
      And(ULE(av, x & y), ULE(x & y, If(ULE(amax, bmax), amax, bmax))))
low = BitVecVal(0xFFFFFFFF, N)
lmin, lmax = num("lmin"), num("lmax")
prove("whole from low", [ULE(amin, x), ULE(x, amax), ULE(lmin, x & low), ULE(x & low, lmax), ULE(lmax, low)],
      And(ULE((amin & ~low) | lmin, x), ULE(x, (amax & ~low) | lmax)))
sys.exit(0)
