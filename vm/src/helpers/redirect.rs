//! Helpers that send packets elsewhere.

use ring3_platform::{Errno, MapType, ProgType};

use super::{helper, skb};
use crate::env::{Cloned, Env, MAX_CLONE_BYTES, MAX_CLONES, Redirect};

/// To the interface's ingress (`BPF_F_INGRESS`).
const INGRESS: u64 = 1;
const TC_ACT_SHOT: u64 = 2;
const TC_ACT_REDIRECT: u64 = 7;
const XDP_ABORTED: u64 = 0;
const XDP_REDIRECT: u64 = 4;
/// What `bpf_redirect_map` may return where there is no entry: the lower bits of its flags.
const ACTION: u64 = 3;
/// To all entries of a devmap (`BPF_F_BROADCAST`), and but for the ingress (`BPF_F_EXCLUDE_INGRESS`).
const BROADCAST: u64 = 8;
const EXCLUDE_INGRESS: u64 = 16;
/// Bytes of `struct bpf_redir_neigh`.
const NEIGH_BYTES: u32 = 20;

helper! {
    /// `bpf_redirect(ifindex, flags)`: the action to return.
    redirect(env, ifindex, flags) {
        let xdp = env.linked.as_ref().is_some_and(|linked| linked.kind() == ProgType::Xdp);
        let (allowed, refused, action) =
            if xdp { (0, XDP_ABORTED, XDP_REDIRECT) } else { (INGRESS, TC_ACT_SHOT, TC_ACT_REDIRECT) };
        if flags & !allowed != 0 {
            return Some(refused);
        }
        env.redirect = Some(Redirect::Interface { ifindex: ifindex as u32, flags });
        Some(action)
    }
}

helper! {
    /// `bpf_redirect_peer(ifindex, flags)`.
    peer(env, ifindex, flags) {
        if flags != 0 {
            return Some(TC_ACT_SHOT);
        }
        env.redirect = Some(Redirect::Interface { ifindex: ifindex as u32, flags });
        Some(TC_ACT_REDIRECT)
    }
}

helper! {
    /// `bpf_redirect_neigh(ifindex, params, plen, flags)`.
    neigh(env, ifindex, _, len, flags) {
        let len = len as u32;
        if flags != 0 || (len != 0 && len < NEIGH_BYTES) {
            return Some(TC_ACT_SHOT);
        }
        env.redirect = Some(Redirect::Interface { ifindex: ifindex as u32, flags });
        Some(TC_ACT_REDIRECT)
    }
}

helper! {
    /// `bpf_redirect_map(map, key, flags)`: `XDP_REDIRECT`, or the lower bits of the flags where there is no entry.
    map(env, map, key, flags) {
        // SAFETY: by the caller, R1 is a map.
        let map = unsafe { env.map(map) }?;
        let broadcasts = matches!(map.map.def().kind, MapType::Devmap | MapType::DevmapHash);
        let allowed = if broadcasts { ACTION | BROADCAST | EXCLUDE_INGRESS } else { ACTION };
        if flags & !allowed != 0 {
            return Some(XDP_ABORTED);
        }
        let exists = map.map.target(key as u32).is_some();
        if !exists && flags & BROADCAST == 0 {
            env.redirect = None;
            return Some(flags & ACTION);
        }
        env.redirect = Some(Redirect::Map { map: map.index, key: u64::from(key as u32), flags });
        Some(XDP_REDIRECT)
    }
}

helper! {
    /// `bpf_clone_redirect(skb, ifindex, flags)`.
    clone(env, ctx, ifindex, flags) {
        let skb = skb::skb(env, ctx)?;
        if flags & !INGRESS != 0 {
            return Some(Errno::EINVAL.as_ret());
        }
        let (frame, ifindex, ingress) = (skb.packet.bytes().to_vec(), ifindex as u32, flags & INGRESS != 0);
        env.packet_moved();
        if let Err(errno) = env.host.transmit(&frame, ifindex, ingress) {
            return Some(errno.as_ret());
        }
        let kept: usize = env.clones.iter().map(|clone| clone.frame.len()).sum();
        if env.clones.len() < MAX_CLONES && kept + frame.len() <= MAX_CLONE_BYTES {
            env.clones.push(Cloned { frame, ifindex, ingress });
        }
        Some(0)
    }
}
