//! What libbpf makes of an object.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::ptr;
use std::sync::Mutex;

use libbpf_sys as sys;
use ring3_isa::RawInsn;

/// Longest message that is kept.
const MAX_MESSAGE: usize = 1024;
/// Most messages that are kept of one object.
const MAX_MESSAGES: usize = 10_000;

/// What libbpf said since it was last asked. Its printer takes no context, so there is one for all.
static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A program as libbpf would load it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// Name of its function.
    pub name: String,
    /// Its instructions with all that it calls, or what libbpf says instead.
    pub code: Result<Vec<RawInsn>, String>,
    /// Descriptors and names of the object's maps, as the instructions have them.
    pub maps: Vec<(c_int, String)>,
}

/// All programs of an object, or what libbpf says instead. Types are the running kernel's, or those of `target`, a file with raw
/// BTF or an object.
pub fn prepare(name: &str, bytes: &[u8], target: Option<&Path>) -> Result<Vec<Prepared>, String> {
    let whole = Opened::new(name, bytes, target)?;
    let names = whole.programs();
    let none = vec![String::new()];
    let whole = match whole.prepare(None) {
        Ok(prepared) => return Ok(prepared),
        Err(why) => why,
    };
    // One program that is not to be had spoils all: each by itself.
    let mut found = Vec::new();
    for program in if names.is_empty() { &none } else { &names } {
        match Opened::new(name, bytes, target)?.prepare(Some(program)) {
            Ok(prepared) => found.extend(prepared),
            Err(why) => found.push(Prepared { name: program.clone(), code: Err(why), maps: Vec::new() }),
        }
    }
    if found.is_empty() { Err(whole) } else { Ok(found) }
}

/// An object that libbpf has opened.
struct Opened {
    raw: *mut sys::bpf_object,
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `bpf_object__open_mem` and is closed once.
        unsafe { sys::bpf_object__close(self.raw) };
    }
}

impl Opened {
    fn new(name: &str, bytes: &[u8], target: Option<&Path>) -> Result<Opened, String> {
        messages();
        let name = CString::new(name).map_err(|e| e.to_string())?;
        let target = target.map(|t| CString::new(t.as_os_str().as_encoded_bytes())).transpose();
        let target = target.map_err(|e| e.to_string())?;
        let mut options = sys::bpf_object_open_opts {
            sz: size_of::<sys::bpf_object_open_opts>() as sys::size_t,
            object_name: name.as_ptr(),
            ..Default::default()
        };
        options.btf_custom_path = target.as_ref().map_or(ptr::null(), |t| t.as_ptr());
        // SAFETY: the buffer, the options and the strings in them live during the call, which copies what it keeps.
        let raw = unsafe {
            sys::libbpf_set_print(Some(print));
            sys::bpf_object__open_mem(bytes.as_ptr().cast(), bytes.len() as sys::size_t, &options)
        };
        if raw.is_null() { Err(last_words(&messages())) } else { Ok(Opened { raw }) }
    }

    fn raw_programs(&self) -> Vec<*mut sys::bpf_program> {
        let mut found = Vec::new();
        let mut at = ptr::null_mut();
        loop {
            // SAFETY: `raw` is open, and `at` is null or one of its programs.
            at = unsafe { sys::bpf_object__next_program(self.raw, at) };
            if at.is_null() {
                return found;
            }
            found.push(at);
        }
    }

    fn raw_maps(&self) -> Vec<*mut sys::bpf_map> {
        let mut found = Vec::new();
        let mut at = ptr::null_mut();
        loop {
            // SAFETY: `raw` is open, and `at` is null or one of its maps.
            at = unsafe { sys::bpf_object__next_map(self.raw, at) };
            if at.is_null() {
                return found;
            }
            found.push(at);
        }
    }

    fn programs(&self) -> Vec<String> {
        self.raw_programs().into_iter().map(program_name).collect()
    }

    /// Does all that libbpf does before it loads: for one program only, or for all, optional ones as well.
    fn prepare(self, only: Option<&str>) -> Result<Vec<Prepared>, String> {
        let wanted = |program: &*mut sys::bpf_program| only.is_none_or(|only| program_name(*program) == only);
        for program in self.raw_programs() {
            // SAFETY: a program of the open object. One of a struct of functions that is not made is left out, unless it is of
            // another type, which changes no instruction.
            unsafe {
                sys::bpf_program__set_autoload(program, wanted(&program));
                if only.is_some() && sys::bpf_program__type(program) == sys::BPF_PROG_TYPE_STRUCT_OPS {
                    sys::bpf_program__set_type(program, sys::BPF_PROG_TYPE_SYSCALL);
                }
            }
        }
        if only.is_some() {
            for map in self.raw_maps() {
                // SAFETY: a map of the open object. Structs of functions that this kernel lacks would stop everything.
                unsafe {
                    if sys::bpf_map__type(map) == sys::BPF_MAP_TYPE_STRUCT_OPS {
                        sys::bpf_map__set_autocreate(map, false);
                    }
                }
            }
        }
        // SAFETY: the object is open and was not prepared.
        let status = unsafe { sys::bpf_object__prepare(self.raw) };
        let said = messages();
        // What comes after the relocation changes no instruction.
        if status != 0
            && !said.iter().any(|line| line.contains(": failed to create") || line.contains("Error loading .BTF"))
        {
            return Err(last_words(&said));
        }
        let fd = |map: *mut sys::bpf_map| {
            // SAFETY: a map of the open object; its name lives as long.
            unsafe { (sys::bpf_map__fd(map), text(sys::bpf_map__name(map))) }
        };
        let maps: Vec<_> = self.raw_maps().into_iter().map(fd).collect();
        let programs = self.raw_programs().into_iter().filter(wanted);
        Ok(programs
            .map(|program| Prepared { name: program_name(program), code: Ok(code(program)), maps: maps.clone() })
            .collect())
    }
}

fn code(program: *mut sys::bpf_program) -> Vec<RawInsn> {
    // SAFETY: a program of an open object: so many instructions of eight bytes are there, and are copied.
    let bytes = unsafe {
        let (start, count) = (sys::bpf_program__insns(program), sys::bpf_program__insn_cnt(program) as usize);
        if start.is_null() { &[][..] } else { std::slice::from_raw_parts(start.cast::<[u8; RawInsn::BYTES]>(), count) }
    };
    bytes.iter().map(|slot| RawInsn::from_bytes(*slot, ring3_isa::Endianness::Little)).collect()
}

fn program_name(program: *mut sys::bpf_program) -> String {
    // SAFETY: a program of an open object, whose name lives as long.
    text(unsafe { sys::bpf_program__name(program) })
}

fn text(raw: *const c_char) -> String {
    if raw.is_null() {
        return String::new();
    }
    // SAFETY: libbpf's strings end in a zero.
    unsafe { CStr::from_ptr(raw) }.to_string_lossy().into_owned()
}

unsafe extern "C" {
    fn vsnprintf(to: *mut c_char, room: usize, format: *const c_char, args: *mut sys::__va_list_tag) -> c_int;
}

/// libbpf's printer: keeps what it says.
unsafe extern "C" fn print(
    level: sys::libbpf_print_level,
    format: *const c_char,
    args: *mut sys::__va_list_tag,
) -> c_int {
    if level == sys::LIBBPF_DEBUG {
        return 0;
    }
    let mut line = [0u8; MAX_MESSAGE];
    // SAFETY: format and arguments are libbpf's and belong together; no more is written than there is room for.
    unsafe { vsnprintf(line.as_mut_ptr().cast(), line.len(), format, args) };
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    if let Ok(mut messages) = MESSAGES.lock()
        && messages.len() < MAX_MESSAGES
    {
        messages.push(String::from_utf8_lossy(&line[..end]).trim_end().to_owned());
    }
    0
}

/// What was said since the last time.
fn messages() -> Vec<String> {
    MESSAGES.lock().map(|mut messages| std::mem::take(&mut *messages)).unwrap_or_default()
}

/// The first complaint: the others only say who passed it on.
fn last_words(said: &[String]) -> String {
    said.first().map_or_else(|| "libbpf says nothing".to_owned(), |line| line.trim_start_matches("libbpf: ").to_owned())
}
