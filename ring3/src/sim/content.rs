//! What fields and arguments are set to, and structures as lists of that.

use std::sync::Arc;

use ring3_btf::{Btf, Kind, TypeId};

use super::SimError;
use super::error::nearest;
use super::path::{Path, check};

/// Something that was laid out: its address, as programs see it, and its type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle {
    pub(super) addr: u64,
    pub(super) ty: TypeId,
}

impl Handle {
    /// The address.
    pub fn addr(self) -> u64 {
        self.addr
    }

    /// The number of its type.
    pub fn type_id(self) -> TypeId {
        self.ty
    }
}

/// What a field, an element or an argument is set to: numbers, `bool`, text, bytes, a [`Struct`], a [`Task`], a [`Handle`] turn into
/// it by themselves.
#[derive(Clone, Debug)]
pub enum Content {
    /// A number; of a pointer, the address.
    Number(i128),
    /// Characters of an array or behind a pointer, or the name of an enumerator.
    Text(String),
    /// The bytes, of an array, a structure or behind a pointer.
    Bytes(Vec<u8>),
    /// Elements of an array, or behind a pointer.
    List(Vec<Content>),
    /// A structure, or a pointer to one that is laid out for this.
    Struct(Struct),
    /// A pointer to what was laid out before.
    Handle(Handle),
    /// A pointer to memory of the process ([`user`]).
    User(Box<Content>),
}

impl Content {
    /// For messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Content::Number(number) => number.to_string(),
            Content::Text(text) => format!("\"{text}\""),
            Content::Bytes(bytes) => format!("a value of {} bytes", bytes.len()),
            Content::List(list) => format!("a list of {}", list.len()),
            Content::Struct(structure) => format!("a {}", structure.name),
            Content::Handle(_) => "an object".to_owned(),
            Content::User(_) => "memory of the process".to_owned(),
        }
    }
}

/// Memory of the process instead of the kernel's: what `bpf_probe_read_user` reads and `bpf_probe_read_kernel` does not.
///
/// ```
/// use ring3::sim::{Args, user};
/// let args = Args::new().set("filename", user("/etc/passwd"));
/// ```
pub fn user(content: impl Into<Content>) -> Content {
    Content::User(Box::new(content.into()))
}

/// Several elements: `list(["ls", "-l"])`.
pub fn list<T: Into<Content>>(elements: impl IntoIterator<Item = T>) -> Content {
    Content::List(elements.into_iter().map(Into::into).collect())
}

macro_rules! numbers {
    ($($ty:ty)*) => { $(
        impl From<$ty> for Content {
            fn from(number: $ty) -> Content {
                Content::Number(i128::from(number))
            }
        }
    )* };
}

numbers!(i8 i16 i32 i64 u8 u16 u32 u64 bool);

impl From<&str> for Content {
    fn from(text: &str) -> Content {
        Content::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Content {
        Content::Text(text)
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Content {
        Content::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Content {
    fn from(bytes: [u8; N]) -> Content {
        Content::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Content::Bytes(bytes)
    }
}

impl From<Struct> for Content {
    fn from(structure: Struct) -> Content {
        Content::Struct(structure)
    }
}

impl From<&Struct> for Content {
    fn from(structure: &Struct) -> Content {
        Content::Struct(structure.clone())
    }
}

impl From<Task> for Content {
    fn from(task: Task) -> Content {
        Content::Struct(task.finished())
    }
}

impl From<&Task> for Content {
    fn from(task: &Task) -> Content {
        Content::Struct(task.clone().finished())
    }
}

impl From<Handle> for Content {
    fn from(handle: Handle) -> Content {
        Content::Handle(handle)
    }
}

/// A structure that is to be laid out by BTF: zeroes, and what [`Struct::set`] says. It is laid out where it is used, each time anew.
///
/// ```
/// # use std::sync::Arc;
/// use ring3::sim::{Struct, declare};
/// let types = Arc::new(declare("struct qstr { unsigned len; const char *name; }; struct dentry { struct qstr d_name; };")?);
/// let dentry = Struct::new(&types, "dentry").set("d_name.name", "passwd").set("d_name.len", 6);
/// dentry.check()?;
/// let wrong = Struct::new(&types, "dentry").set("d_nam.name", "passwd");
/// assert_eq!(wrong.check().unwrap_err().to_string(), "dentry has no field 'd_nam'; did you mean 'd_name'?");
/// # Ok::<(), ring3::sim::SimError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Struct {
    pub(super) types: Arc<Btf>,
    pub(super) name: String,
    pub(super) ty: TypeId,
    pub(super) fields: Vec<(Path, Content)>,
    wrong: Option<SimError>,
}

impl Struct {
    /// All zeroes, of the struct, union or typedef of this name. That there is none is told later, as of [`Struct::set`].
    pub fn new(types: &Arc<Btf>, name: &str) -> Struct {
        let name = name.strip_prefix("struct ").or_else(|| name.strip_prefix("union ")).unwrap_or(name).trim();
        let found = find_type(types, name);
        let (ty, wrong) = match found {
            Ok(ty) => (ty, None),
            Err(wrong) => (TypeId::VOID, Some(wrong)),
        };
        Struct { types: Arc::clone(types), name: name.to_owned(), ty, fields: Vec::new(), wrong }
    }

    /// Sets a field: `comm`, `real_parent->tgid`, `f_path.dentry.d_name.name`, `args[2]`. `.` and `->` mean the same. A pointer on the way
    /// that leads nowhere yet gets a structure of zeroes. `uaddr:sockaddr_in.sin_port`: what a pointer leads to is of another type than
    /// its own, as after a cast.
    ///
    /// A path that its types do not have is remembered, and is the error of whoever uses the structure, or of [`Struct::check`].
    #[must_use]
    pub fn set(mut self, path: &str, content: impl Into<Content>) -> Struct {
        if self.wrong.is_none() {
            let checked = Path::parse(path).and_then(|path| check(&self.types, self.ty, &path).map(|_| path));
            match checked {
                Ok(path) => self.fields.push((path, content.into())),
                Err(wrong) => self.wrong = Some(wrong),
            }
        }
        self
    }

    /// The first thing that is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), SimError> {
        self.wrong.clone().map_or(Ok(()), Err)
    }

    fn has(&self, path: &str) -> bool {
        Path::parse(path).is_ok_and(|path| check(&self.types, self.ty, &path).is_ok())
    }
}

/// The struct, union or typedef of this name.
pub(super) fn find_type(types: &Btf, name: &str) -> Result<TypeId, SimError> {
    let kinds = [Kind::Struct, Kind::Union, Kind::Typedef];
    kinds.into_iter().find_map(|kind| types.find(name, kind)).ok_or_else(|| {
        let known = types.types().iter().filter(|ty| kinds.contains(&ty.kind())).map(|ty| types.string(ty.name()));
        SimError::NoType { name: name.to_owned(), near: nearest(name, known) }
    })
}

/// A process or thread: a `struct task_struct`. Unless told otherwise it is called `ring3` and has the numbers 1, user 0 and group 0; it
/// is the leader of its group, and its process has the number of the thread.
///
/// ```
/// # use std::sync::Arc;
/// use ring3::sim::{Task, declare};
/// let types = Arc::new(declare("struct task_struct { int pid; int tgid; char comm[16]; };")?);
/// let bash = Task::new(&types).set("comm", "bash").set("pid", 42);
/// let wrong = Task::new(&types).set("pidd", 42);
/// assert_eq!(wrong.check().unwrap_err().to_string(), "task_struct has no field 'pidd'; did you mean 'pid'?");
/// # Ok::<(), ring3::sim::SimError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Task {
    structure: Struct,
    pid: Content,
    has_tgid: bool,
}

impl Task {
    /// A task of these types.
    pub fn new(types: &Arc<Btf>) -> Task {
        let structure = Struct::new(types, "task_struct");
        let named = if structure.has("comm") { structure.set("comm", "ring3") } else { structure };
        Task { structure: named, pid: Content::Number(1), has_tgid: false }
    }

    /// As [`Struct::set`]; `uid` and `gid` are those of its `cred`.
    #[must_use]
    pub fn set(self, path: &str, content: impl Into<Content>) -> Task {
        let content = content.into();
        let path = match path {
            "uid" if !self.structure.has("uid") => "cred.uid.val",
            "gid" if !self.structure.has("gid") => "cred.gid.val",
            _ => path,
        };
        let pid = if path == "pid" { content.clone() } else { self.pid };
        let has_tgid = self.has_tgid || path == "tgid";
        Task { structure: self.structure.set(path, content), pid, has_tgid }
    }

    /// The first thing that is wrong with it, if anything is.
    pub fn check(&self) -> Result<(), SimError> {
        self.structure.check()
    }

    /// With what follows from the rest.
    pub(super) fn finished(self) -> Struct {
        let Task { mut structure, pid, has_tgid } = self;
        if structure.wrong.is_none() {
            let missing = |name: &str| (name != "tgid" || !has_tgid) && structure.has(name);
            let first: Vec<&str> = ["pid", "tgid"].into_iter().filter(|name| missing(name)).collect();
            for name in first {
                structure = structure.set(name, pid.clone());
            }
        }
        structure
    }
}
