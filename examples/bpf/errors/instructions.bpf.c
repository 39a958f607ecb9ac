// Programs that no compiler makes, by hand: each is wrong in one instruction.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define BY_HAND(name, text) SEC("socket") __attribute__((naked)) int name(void) { asm volatile(text); }

BY_HAND(frame_pointer_write, "r10 = 0; r0 = 0; exit")
BY_HAND(uninitialised_register, "r0 = r2; exit")
BY_HAND(unreachable, "r0 = 0; exit; r0 = 1; exit")
BY_HAND(jump_too_far, "goto +100; r0 = 0; exit")
BY_HAND(jump_into_wide, "goto +1; r0 = 0x100000000 ll; r0 = 0; exit")
BY_HAND(falls_off, "r0 = 0")
BY_HAND(division_by_zero, "r0 = 1; r0 /= 0; exit")
BY_HAND(shift_too_wide, "r0 = 1; r0 <<= 64; exit")
BY_HAND(unknown_opcode, "r0 = 0; .8byte 0xff; exit")
BY_HAND(call_register, "r1 = 0; .8byte 0x18d; r0 = 0; exit")
BY_HAND(unknown_helper, "r1 = 0; call 100000; exit")
BY_HAND(reserved_field, "r0 = 0; .8byte 0x100000095")
// No error on Linux: nobody looks at the offset of an exit, and a privileged program may return an address.
BY_HAND(exit_offset, "r0 = 0; .8byte 0x10095")
BY_HAND(pointer_returned, "r0 = r10; exit")
BY_HAND(below_stack, "r0 = 0; *(u64 *)(r10 - 520) = r0; exit")
BY_HAND(above_stack, "r0 = 0; *(u64 *)(r10 + 0) = r0; exit")
BY_HAND(misaligned_stack, "r0 = 0; *(u64 *)(r10 - 12) = r0; exit")
BY_HAND(pointer_multiplied, "r1 = r10; r1 *= 2; r0 = 0; exit")
BY_HAND(pointers_added, "r1 = r10; r1 += r10; r0 = 0; exit")
BY_HAND(pointer_half, "r1 = r10; w1 += 8; r0 = 0; exit")
BY_HAND(context_moved, "r1 += 8; r0 = *(u32 *)(r1 + 0); exit")
BY_HAND(context_unaligned, "r0 = *(u32 *)(r1 + 2); exit")
BY_HAND(context_written, "r0 = 0; *(u32 *)(r1 + 0) = r0; exit")
BY_HAND(scalar_dereferenced, "r1 = 8; r0 = *(u64 *)(r1 + 0); exit")
BY_HAND(atomic_on_context, "r0 = 0; lock *(u32 *)(r1 + 8) += r0; exit")
BY_HAND(uninitialised_argument, "call 5; r1 = r2; exit")

char LICENSE[] SEC("license") = "Dual MIT/GPL";
