//! Lists and trees of objects that programs make (`bpf_list_*`, `bpf_rbtree_*`).
//!
//! Heads, roots and nodes are words in values of maps and in objects, as in Linux; a node knows who owns it. Trees are not balanced:
//! programs see their order and their links, and nothing says how deep they are.

use ring3_platform::Errno;

use super::helper;
use crate::env::Env;
use crate::link::HelperFn;
use crate::objects::MAX_OBJECTS;

/// Of heads and nodes of lists.
const NEXT: u64 = 0;
const PREV: u64 = 8;
const LIST_OWNER: u64 = 16;
/// Of roots of trees.
const TOP: u64 = 0;
const FIRST: u64 = 8;
/// Of nodes of trees.
const PARENT: u64 = 0;
const RIGHT: u64 = 8;
const LEFT: u64 = 16;
const TREE_OWNER: u64 = 24;

/// A word of a value or an object; 0 where there is none.
fn get(env: &Env<'_>, addr: u64) -> u64 {
    let place = env.kernel_place(addr, 8, false);
    // SAFETY: live, as was just found; memory of maps and objects stays as memory.
    place.map_or(0, |place| unsafe { (place as *const u64).read_unaligned() })
}

fn set(env: &Env<'_>, addr: u64, value: u64) {
    if let Some(place) = env.kernel_place(addr, 8, true) {
        // SAFETY: as above.
        unsafe { (place as *mut u64).write_unaligned(value) };
    }
}

/// The object of a node that has an owner already is given up.
fn refuse(env: &Env<'_>, node: u64) -> u64 {
    if let Some(start) = env.objects().start_of(node) {
        env.objects().give_up(start);
    }
    Errno::EINVAL.as_ret() & u64::from(u32::MAX)
}

/// A head of zeroes is that of an empty list.
fn begin(env: &Env<'_>, head: u64) {
    if get(env, head + NEXT) == 0 {
        set(env, head + NEXT, head);
        set(env, head + PREV, head);
    }
}

fn push(env: &Env<'_>, head: u64, node: u64, front: bool) -> u64 {
    if get(env, node + LIST_OWNER) != 0 {
        return refuse(env, node);
    }
    begin(env, head);
    let (before, after) = if front { (head, get(env, head + NEXT)) } else { (get(env, head + PREV), head) };
    set(env, node + NEXT, after);
    set(env, node + PREV, before);
    set(env, before + NEXT, node);
    set(env, after + PREV, node);
    set(env, node + LIST_OWNER, head);
    0
}

/// The node at an end of a list, or 0.
fn end(env: &Env<'_>, head: u64, side: u64) -> u64 {
    begin(env, head);
    let node = get(env, head + side);
    if node == head { 0 } else { node }
}

fn pop(env: &Env<'_>, head: u64, side: u64) -> u64 {
    let node = end(env, head, side);
    if node != 0 {
        let (before, after) = (get(env, node + PREV), get(env, node + NEXT));
        set(env, before + NEXT, after);
        set(env, after + PREV, before);
        set(env, node + LIST_OWNER, 0);
    }
    node
}

helper! {
    push_front(env, head, node) {
        Some(push(env, head, node, true))
    }
}

helper! {
    push_back(env, head, node) {
        Some(push(env, head, node, false))
    }
}

helper! {
    pop_front(env, head) {
        Some(pop(env, head, NEXT))
    }
}

helper! {
    pop_back(env, head) {
        Some(pop(env, head, PREV))
    }
}

helper! {
    front(env, head) {
        Some(end(env, head, NEXT))
    }
}

helper! {
    back(env, head) {
        Some(end(env, head, PREV))
    }
}

helper! {
    /// `bpf_rbtree_add_impl(root, node, less, meta, off)`.
    add(env, root, node, less) {
        if get(env, node + TREE_OWNER) != 0 {
            return Some(refuse(env, node));
        }
        let (mut link, mut parent, mut is_first) = (root + TOP, 0, true);
        for _ in 0..MAX_OBJECTS {
            let at = get(env, link);
            if at == 0 {
                break;
            }
            parent = at;
            // SAFETY: the verifier assumes two nodes.
            let before = unsafe { env.call_subprog(less, [node, at, 0, 0, 0]) };
            if env.trapped() {
                return None;
            }
            if before == 0 {
                (link, is_first) = (at + RIGHT, false);
            } else {
                link = at + LEFT;
            }
        }
        set(env, node + PARENT, parent);
        set(env, node + LEFT, 0);
        set(env, node + RIGHT, 0);
        set(env, node + TREE_OWNER, root);
        set(env, link, node);
        if is_first {
            set(env, root + FIRST, node);
        }
        Some(0)
    }
}

/// The leftmost node below this one, or 0.
fn leftmost(env: &Env<'_>, mut node: u64) -> u64 {
    for _ in 0..MAX_OBJECTS {
        match get(env, node + LEFT) {
            _ if node == 0 => break,
            0 => break,
            left => node = left,
        }
    }
    node
}

/// Puts `with` where `node` is.
fn replace(env: &Env<'_>, root: u64, node: u64, with: u64) {
    let parent = get(env, node + PARENT);
    let link = match parent {
        0 => root + TOP,
        parent if get(env, parent + LEFT) == node => parent + LEFT,
        parent => parent + RIGHT,
    };
    set(env, link, with);
    if with != 0 {
        set(env, with + PARENT, parent);
    }
}

/// Takes a node out of its tree.
fn take(env: &Env<'_>, root: u64, node: u64) {
    let (left, right) = (get(env, node + LEFT), get(env, node + RIGHT));
    if left == 0 || right == 0 {
        replace(env, root, node, left | right);
    } else {
        // The next one, which has nothing on its left, takes the place.
        let next = leftmost(env, right);
        if next != right {
            replace(env, root, next, get(env, next + RIGHT));
            set(env, next + RIGHT, right);
            set(env, right + PARENT, next);
        }
        replace(env, root, node, next);
        set(env, next + LEFT, left);
        set(env, left + PARENT, next);
    }
    let top = get(env, root + TOP);
    set(env, root + FIRST, if top == 0 { 0 } else { leftmost(env, top) });
    set(env, node + TREE_OWNER, 0);
}

helper! {
    /// `bpf_rbtree_remove(root, node)`: the node, or null where it is not in this tree.
    remove(env, root, node) {
        if get(env, node + TREE_OWNER) != root {
            return Some(0);
        }
        take(env, root, node);
        Some(node)
    }
}

helper! {
    first(env, root) {
        Some(get(env, root + FIRST))
    }
}

helper! {
    top(env, root) {
        Some(get(env, root + TOP))
    }
}

helper! {
    left(env, node) {
        Some(if get(env, node + TREE_OWNER) == 0 { 0 } else { get(env, node + LEFT) })
    }
}

helper! {
    right(env, node) {
        Some(if get(env, node + TREE_OWNER) == 0 { 0 } else { get(env, node + RIGHT) })
    }
}

/// The functions of the kernel of this family.
pub(super) const KFUNCS: &[(&str, HelperFn)] = &[
    ("bpf_list_push_front_impl", push_front),
    ("bpf_list_push_back_impl", push_back),
    ("bpf_list_pop_front", pop_front),
    ("bpf_list_pop_back", pop_back),
    ("bpf_list_front", front),
    ("bpf_list_back", back),
    ("bpf_rbtree_add_impl", add),
    ("bpf_rbtree_remove", remove),
    ("bpf_rbtree_first", first),
    ("bpf_rbtree_root", top),
    ("bpf_rbtree_left", left),
    ("bpf_rbtree_right", right),
];
