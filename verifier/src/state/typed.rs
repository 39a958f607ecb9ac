//! Pointers that carry a type of BTF, and how far they may be trusted.

/// What is known of a typed pointer beside its type. None of them: an old plain pointer, which may be anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trust(u16);

impl Trust {
    /// Nothing: Linux reads through it with faults caught, and old helpers take it.
    pub const PLAIN: Trust = Trust(0);
    /// It leads to an object that lives (PTR_TRUSTED).
    pub const TRUSTED: Trust = Trust(1);
    /// It may lead anywhere, even after a check (PTR_UNTRUSTED).
    pub const UNTRUSTED: Trust = Trust(1 << 1);
    /// It is good until the RCU section ends (MEM_RCU).
    pub const RCU: Trust = Trust(1 << 2);
    /// An offset into the memory of each CPU (MEM_PERCPU).
    pub const PERCPU: Trust = Trust(1 << 3);
    /// An address of user space (MEM_USER).
    pub const USER: Trust = Trust(1 << 4);
    /// An object that the program made (MEM_ALLOC): its type is one of the program's own BTF, unless it is percpu.
    pub const ALLOC: Trust = Trust(1 << 5);
    /// It is in a list or tree that owns it (NON_OWN_REF).
    pub const NON_OWNING: Trust = Trust(1 << 6);
    /// Its type is one of the program's own BTF, not the kernel's.
    pub const LOCAL: Trust = Trust(1 << 7);

    /// Names in front of a type's name in logs, in the kernel's order.
    const PREFIXES: [(Trust, &'static str); 5] = [
        (Trust::USER, "user_"),
        (Trust::PERCPU, "percpu_"),
        (Trust::RCU, "rcu_"),
        (Trust::UNTRUSTED, "untrusted_"),
        (Trust::TRUSTED, "trusted_"),
    ];

    /// Both.
    #[must_use]
    pub const fn with(self, other: Trust) -> Trust {
        Trust(self.0 | other.0)
    }

    /// Without the bits of `other`.
    #[must_use]
    pub const fn without(self, other: Trust) -> Trust {
        Trust(self.0 & !other.0)
    }

    /// Whether every bit of `other` is set.
    pub const fn has(self, other: Trust) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some bit of `other` is set.
    pub const fn any(self, other: Trust) -> bool {
        self.0 & other.0 != 0
    }

    /// What the kernel compares: where the type is described is no part of it.
    #[must_use]
    pub const fn flags(self) -> Trust {
        self.without(Trust::LOCAL)
    }

    /// The words in front of `ptr_` in logs: `trusted_`, `percpu_rcu_`.
    pub fn prefix(self) -> String {
        Self::PREFIXES.iter().filter(|(flag, _)| self.has(*flag)).map(|(_, name)| *name).collect()
    }
}

/// A structure that a pointer leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BtfPtr {
    /// Its type: a number in the kernel's BTF, or with [`Trust::LOCAL`] in the program's.
    pub id: u32,
    /// How good the pointer is.
    pub trust: Trust,
}

impl BtfPtr {
    /// A pointer to a structure of the kernel.
    pub const fn kernel(id: u32, trust: Trust) -> BtfPtr {
        BtfPtr { id, trust }
    }

    /// Whether its type is one of the kernel's.
    pub const fn is_kernel(self) -> bool {
        !self.trust.has(Trust::LOCAL)
    }
}
