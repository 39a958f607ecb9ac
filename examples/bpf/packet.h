// What the packet programs share: the headers they read and the offsets they change.
#pragma once
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// An IPv4 address in the order of the wire.
#define IPV4(a, b, c, d) bpf_htonl(((__u32)(a) << 24) | ((b) << 16) | ((c) << 8) | (d))

// True if [start, start + size) lies inside the packet; the verifier follows this comparison.
#define FITS(start, size, end) ((void *)(start) + (size) <= (end))
