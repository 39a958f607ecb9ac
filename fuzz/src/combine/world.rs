//! What every combination may use: types, and maps whose values have all special fields.

use std::sync::Arc;

use ring3_btf::{Btf, Composite, Int, IntEncoding, Linkage, Member, Param, StrOff, Type, TypeId};
use ring3_platform::maps::Fields;
use ring3_platform::{MapDef, MapType};

/// Functions of one signature that a program may have.
const FUNCTIONS: usize = 10;

/// How a function is declared: what its callers are held to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Signature {
    /// The main function.
    Main,
    /// A static one: no type is looked at.
    Static,
    /// `int f(void)`, global as all that follow.
    Nothing,
    /// `int f(void *ctx __arg_ctx)`.
    Ctx,
    /// `int f(long)`.
    Number,
    /// `int f(struct sixteen *)`: memory that may be null.
    Memory,
    /// `int f(struct sixteen *__arg_nonnull)`.
    MemoryNonnull,
    /// `int f(const struct bpf_dynptr *)`.
    Dynptr,
    /// `int f(struct task_struct *__arg_trusted)`.
    Task,
    /// `int f(struct task_struct *__arg_trusted __arg_nullable)`.
    TaskNullable,
    /// `int f(struct task_struct *__arg_untrusted)`.
    TaskUntrusted,
    /// `int f(struct sixteen *__arg_arena)`.
    Arena,
}

impl Signature {
    const ALL: [Signature; 12] = [
        Signature::Main,
        Signature::Static,
        Signature::Nothing,
        Signature::Ctx,
        Signature::Number,
        Signature::Memory,
        Signature::MemoryNonnull,
        Signature::Dynptr,
        Signature::Task,
        Signature::TaskNullable,
        Signature::TaskUntrusted,
        Signature::Arena,
    ];

    /// Whether callers know it by its types alone.
    pub const fn linkage(self) -> Linkage {
        match self {
            Signature::Static => Linkage::Static,
            _ => Linkage::Global,
        }
    }

    fn tags(self) -> &'static [&'static str] {
        match self {
            Signature::Ctx => &["arg:ctx"],
            Signature::MemoryNonnull => &["arg:nonnull"],
            Signature::Task => &["arg:trusted"],
            Signature::TaskNullable => &["arg:trusted", "arg:nullable"],
            Signature::TaskUntrusted => &["arg:untrusted"],
            Signature::Arena => &["arg:arena"],
            Signature::Main
            | Signature::Static
            | Signature::Nothing
            | Signature::Number
            | Signature::Memory
            | Signature::Dynptr => &[],
        }
    }
}

/// Types and maps.
#[derive(Clone, Debug)]
pub struct World {
    /// All types that combinations have.
    pub btf: Arc<Btf>,
    /// All maps, by the index that programs name them by.
    pub maps: Vec<Arc<MapDef>>,
    functions: Vec<(Signature, TypeId)>,
    types: Vec<(&'static str, TypeId)>,
}

/// Collects types. Those that are here are few: what cannot be added is `void`, and shows as such in the first test.
struct Types {
    btf: Btf,
}

/// A member: its name, type, offset in bytes, and the tag that says what a list or tree contains.
type Field = (&'static str, TypeId, u32, Option<&'static str>);

impl Types {
    fn text(&mut self, text: &str) -> StrOff {
        self.btf.add_string(text).unwrap_or_default()
    }

    fn add(&mut self, ty: Type) -> TypeId {
        self.btf.add_type(ty).unwrap_or_default()
    }

    fn int(&mut self, name: &str, size: u32, encoding: IntEncoding) -> TypeId {
        let name = self.text(name);
        self.add(Type::Int(Int { name, size, bit_offset: 0, bits: (size * 8) as u8, encoding }))
    }

    fn structure(&mut self, name: &str, size: u32, fields: &[Field]) -> TypeId {
        let name = self.text(name);
        let members = fields
            .iter()
            .map(|&(name, ty, off, _)| Member { name: self.text(name), ty, bit_offset: off * 8, bitfield_size: 0 })
            .collect();
        let id = self.add(Type::Struct(Composite { name, size, members }));
        for (index, field) in fields.iter().enumerate() {
            if let Some(tag) = field.3 {
                self.tag(tag, id, index as i32);
            }
        }
        id
    }

    fn tag(&mut self, tag: &str, target: TypeId, component: i32) {
        let name = self.text(tag);
        self.add(Type::DeclTag { name, target, component, is_attribute: false });
    }

    fn pointer(&mut self, to: TypeId) -> TypeId {
        self.add(Type::Ptr { to })
    }

    /// A pointer in a map, by its tag.
    fn kptr(&mut self, tag: &str, to: TypeId) -> TypeId {
        let name = self.text(tag);
        let tagged = self.add(Type::TypeTag { name, to, is_attribute: false });
        self.pointer(tagged)
    }

    /// An array of bytes, for structures that only the kernel knows.
    fn opaque(&mut self, name: &str, size: u32, word: TypeId) -> TypeId {
        let array = self.add(Type::Array { elem: word, index: word, len: size / 4 });
        self.structure(name, size, &[("opaque", array, 0, None)])
    }
}

impl World {
    /// All of it. Always the same.
    pub fn new() -> World {
        let mut types = Types { btf: Btf::empty() };
        let int = types.int("int", 4, IntEncoding::Signed);
        let word = types.int("unsigned int", 4, IntEncoding::Unsigned);
        let long = types.int("long", 8, IntEncoding::Signed);
        let lock = types.opaque("bpf_spin_lock", 4, word);
        let res_lock = types.opaque("bpf_res_spin_lock", 4, word);
        let timer = types.opaque("bpf_timer", 16, word);
        let wq = types.opaque("bpf_wq", 16, word);
        let head = types.opaque("bpf_list_head", 16, word);
        let root = types.opaque("bpf_rb_root", 16, word);
        let list_node = types.opaque("bpf_list_node", 24, word);
        let rb_node = types.opaque("bpf_rb_node", 32, word);
        let refcount = types.opaque("bpf_refcount", 4, word);
        let task = types.structure("task_struct", 4, &[("pid", int, 0, None)]);
        let dynptr = types.opaque("bpf_dynptr", 16, word);
        let sixteen = types.structure("sixteen", 16, &[("a", long, 0, None), ("b", long, 8, None)]);
        let node = types.structure(
            "own_node",
            80,
            &[
                ("ln", list_node, 0, None),
                ("rn", rb_node, 24, None),
                ("ref", refcount, 56, None),
                ("key", long, 64, None),
                ("data", long, 72, None),
            ],
        );
        let plain = types.structure(
            "own_plain",
            40,
            &[("ln", list_node, 0, None), ("key", long, 24, None), ("data", long, 32, None)],
        );
        let locked = types.structure(
            "locked",
            72,
            &[
                ("lock", lock, 0, None),
                ("x", int, 4, None),
                ("head", head, 8, Some("contains:own_node:ln")),
                ("root", root, 24, Some("contains:own_node:rn")),
                ("plains", head, 40, Some("contains:own_plain:ln")),
                ("data", long, 56, None),
                ("more", long, 64, None),
            ],
        );
        let later = types.structure(
            "later",
            48,
            &[("timer", timer, 0, None), ("wq", wq, 16, None), ("data", long, 32, None), ("more", long, 40, None)],
        );
        let task_ref = types.kptr("kptr", task);
        let task_unref = types.kptr("kptr_untrusted", task);
        let node_ref = types.kptr("kptr", node);
        let each_cpu = types.kptr("percpu_kptr", sixteen);
        let kptrs = types.structure(
            "kptrs",
            48,
            &[
                ("task", task_ref, 0, None),
                ("old", task_unref, 8, None),
                ("node", node_ref, 16, None),
                ("each", each_cpu, 24, None),
                ("data", long, 32, None),
                ("more", long, 40, None),
            ],
        );
        let res =
            types.structure("res", 16, &[("lock", res_lock, 0, None), ("x", int, 4, None), ("data", long, 8, None)]);
        let task_work = types.opaque("bpf_task_work", 8, word);
        let worked = types.structure("worked", 16, &[("work", task_work, 0, None), ("data", long, 8, None)]);
        let data = types.add(Type::Array { elem: long, index: word, len: 8 });
        let data = types.structure("data", 64, &[("words", data, 0, None)]);
        let named = vec![("node", node), ("plain", plain), ("sixteen", sixteen), ("task_struct", task)];

        let arguments = [
            (Signature::Ctx, types.pointer(TypeId::VOID)),
            (Signature::Number, long),
            (Signature::Memory, types.pointer(sixteen)),
            (Signature::Dynptr, types.pointer(dynptr)),
            (Signature::Task, types.pointer(task)),
        ];
        let argument = |signature| arguments.iter().find(|(known, _)| *known == signature).map(|(_, ty)| *ty);
        let mut functions = Vec::new();
        for signature in Signature::ALL {
            let argument = match signature {
                Signature::Main | Signature::Static | Signature::Nothing => None,
                Signature::MemoryNonnull | Signature::Arena => argument(Signature::Memory),
                Signature::TaskNullable | Signature::TaskUntrusted => argument(Signature::Task),
                Signature::Ctx | Signature::Number | Signature::Memory | Signature::Dynptr | Signature::Task => {
                    argument(signature)
                }
            };
            let name = types.text("arg");
            let params = argument.map(|ty| Param { name, ty }).into_iter().collect();
            let proto = types.add(Type::FuncProto { ret: int, params });
            for number in 0..FUNCTIONS {
                let name = format!("{signature:?}{number}").to_lowercase();
                let name = types.text(&name);
                let id = types.add(Type::Func { name, proto, linkage: signature.linkage() });
                signature.tags().iter().for_each(|tag| types.tag(tag, id, 0));
                functions.push((signature, id));
            }
        }
        let btf = types.btf;
        let maps = maps(&btf, [int, data, locked, later, kptrs, res, worked]);
        World { btf: Arc::new(btf), maps, functions, types: named }
    }

    /// The number of the type of the `nth` function with this signature.
    pub fn function(&self, signature: Signature, nth: usize) -> Option<TypeId> {
        self.functions.iter().filter(|(known, _)| *known == signature).nth(nth).map(|(_, id)| *id)
    }

    /// The number of a structure that programs make objects of.
    pub fn type_id(&self, name: &str) -> Option<TypeId> {
        self.types.iter().find(|(known, _)| *known == name).map(|(_, id)| *id)
    }

    /// The index of a map.
    pub fn map(&self, name: &str) -> Option<usize> {
        self.maps.iter().position(|def| def.name == name)
    }
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

fn maps(btf: &Btf, [int, data, locked, later, kptrs, res, worked]: [TypeId; 7]) -> Vec<Arc<MapDef>> {
    use MapType::*;
    let typed = |name, kind, value: TypeId, entries| {
        let size = btf.size_of(value).unwrap_or_default();
        let mut def = MapDef::new(name, kind, 4, size, entries);
        (def.key_type, def.value_type) = (int.0, value.0);
        def.fields = Fields::of(btf, &def);
        def
    };
    let outer = MapDef {
        inner: Some(Box::new(MapDef::new("inner", Array, 4, 8, 1))),
        ..MapDef::new("outer", ArrayOfMaps, 4, 4, 2)
    };
    [
        typed("data", Array, data, 1),
        typed("hash", Hash, data, 4),
        typed("locked", Array, locked, 1),
        typed("lockhash", Hash, locked, 4),
        typed("later", Array, later, 1),
        typed("kptrs", Array, kptrs, 1),
        typed("res", Array, res, 1),
        typed("other", Array, res, 1),
        MapDef::new("ring", Ringbuf, 0, 0, 4096),
        MapDef::new("drained", UserRingbuf, 0, 0, 4096),
        MapDef::new("progs", ProgArray, 4, 4, 4),
        outer,
        MapDef::new("percpu", PercpuArray, 4, 16, 4),
        MapDef::new("small", Array, 4, 16, 4),
        typed("worked", Array, worked, 1),
    ]
    .map(Arc::new)
    .to_vec()
}
