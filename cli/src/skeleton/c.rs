//! The skeleton in C: a header for libbpf (1.0 or newer) with the functions that bpftool's skeletons have.

use std::fmt::Write;

use ring3::Object;
use ring3::btf::{Btf, Type, TypeId};

use super::names::identifier;
use super::types::Types;
use super::{Variable, data_sections};

/// Numbers of bytes on one line of the embedded object.
const LINE: usize = 20;

/// A map's field in the structure, its name for libbpf, and of global data the fields of its section.
struct Map {
    field: String,
    name: String,
    data: Option<String>,
}

/// All of it.
pub fn skeleton(object: &Object, name: &str, bytes: &[u8]) -> String {
    let (empty, sections) = (Btf::empty(), data_sections(object));
    let btf = object.btf().map_or(&empty, |btf| &**btf);
    let taken = sections.iter().map(|(_, section, _)| identifier(section.trim_start_matches('.')));
    let mut types = Types::new(btf, name, taken);
    let mut maps = Vec::new();
    for (at, map) in object.maps().iter().enumerate() {
        let section = sections.iter().find(|(of, ..)| *of == at);
        let (field, data) = match section {
            Some((_, section, variables)) => {
                (section.trim_start_matches('.'), Some(fields(btf, variables, &mut types)))
            }
            None => (map.name.as_str(), None),
        };
        // libbpf knows maps of sections of the user's by the section's whole name.
        let custom = section.filter(|(_, section, _)| section[1..].contains('.'));
        let shown = custom.map_or(map.name.as_str(), |(_, section, _)| section);
        maps.push(Map { field: identifier(field), name: shown.to_owned(), data });
    }
    let programs: Vec<(String, &str)> =
        object.programs().iter().map(|program| (identifier(&program.name), program.name.as_str())).collect();
    let guard = name.to_ascii_uppercase();
    let structure = structure(name, &maps, &programs);
    let create = create(name, &maps, &programs);
    let (embedded, types) = (embedded(bytes), types.text());
    format!(
        "/* What an object has, made by `ring3 gen skeleton --lang c`. For libbpf 1.0 or newer. */
#ifndef {guard}_SKEL_H
#define {guard}_SKEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <bpf/libbpf.h>

{types}{structure}
/* The object's file. */
static inline const void *{name}__elf_bytes(size_t *size)
{{
\tstatic const unsigned char bytes[] __attribute__((aligned(8))) = {{
{embedded}\t}};

\t*size = sizeof(bytes);
\treturn bytes;
}}

static inline void {name}__destroy(struct {name} *skel)
{{
\tif (!skel)
\t\treturn;
\tif (skel->skeleton)
\t\tbpf_object__destroy_skeleton(skel->skeleton);
\tfree(skel);
}}

{create}
/* NULL, and errno, if it cannot be opened. */
static inline struct {name} *{name}__open_opts(const struct bpf_object_open_opts *opts)
{{
\tstruct {name} *skel = (struct {name} *)calloc(1, sizeof(*skel));
\tint err;

\tif (!skel) {{
\t\terrno = ENOMEM;
\t\treturn NULL;
\t}}
\terr = {name}__create_skeleton(skel);
\tif (!err)
\t\terr = bpf_object__open_skeleton(skel->skeleton, opts);
\tif (err) {{
\t\t{name}__destroy(skel);
\t\terrno = -err;
\t\treturn NULL;
\t}}
\treturn skel;
}}

static inline struct {name} *{name}__open(void)
{{
\treturn {name}__open_opts(NULL);
}}

static inline int {name}__load(struct {name} *skel)
{{
\treturn bpf_object__load_skeleton(skel->skeleton);
}}

static inline struct {name} *{name}__open_and_load(void)
{{
\tstruct {name} *skel = {name}__open();
\tint err;

\tif (!skel)
\t\treturn NULL;
\terr = {name}__load(skel);
\tif (err) {{
\t\t{name}__destroy(skel);
\t\terrno = -err;
\t\treturn NULL;
\t}}
\treturn skel;
}}

static inline int {name}__attach(struct {name} *skel)
{{
\treturn bpf_object__attach_skeleton(skel->skeleton);
}}

static inline void {name}__detach(struct {name} *skel)
{{
\tbpf_object__detach_skeleton(skel->skeleton);
}}

#endif
"
    )
}

fn structure(name: &str, maps: &[Map], programs: &[(String, &str)]) -> String {
    let mut text = format!("struct {name} {{\n\tstruct bpf_object_skeleton *skeleton;\n\tstruct bpf_object *obj;\n");
    if !maps.is_empty() {
        text.push_str("\tstruct {\n");
        for map in maps {
            let _ = writeln!(text, "\t\tstruct bpf_map *{};", map.field);
        }
        text.push_str("\t} maps;\n");
    }
    for (what, of) in [("bpf_program", "progs"), ("bpf_link", "links")].iter().filter(|_| !programs.is_empty()) {
        text.push_str("\tstruct {\n");
        for (field, _) in programs {
            let _ = writeln!(text, "\t\tstruct {what} *{field};");
        }
        let _ = writeln!(text, "\t}} {of};");
    }
    for map in maps {
        if let Some(data) = &map.data {
            let _ = writeln!(text, "\tstruct {name}__{0} {{\n{data}\t}} __attribute__((packed)) *{0};", map.field);
        }
    }
    text.push_str("};\n");
    text
}

fn create(name: &str, maps: &[Map], programs: &[(String, &str)]) -> String {
    let mut text = format!(
        "static inline int {name}__create_skeleton(struct {name} *skel)
{{
\tstruct bpf_object_skeleton *s = (struct bpf_object_skeleton *)calloc(1, sizeof(*s));

\tif (!s)
\t\treturn -ENOMEM;
\tskel->skeleton = s;
\ts->sz = sizeof(*s);
\ts->name = \"{name}\";
\ts->obj = &skel->obj;
\ts->data = (void *){name}__elf_bytes(&s->data_sz);
"
    );
    if !maps.is_empty() {
        let _ = write!(
            text,
            "\ts->map_cnt = {};
\ts->map_skel_sz = sizeof(*s->maps);
\ts->maps = (struct bpf_map_skeleton *)calloc(s->map_cnt, s->map_skel_sz);
\tif (!s->maps)
\t\treturn -ENOMEM;
",
            maps.len()
        );
    }
    for (at, map) in maps.iter().enumerate() {
        let _ =
            writeln!(text, "\ts->maps[{at}].name = {:?};\n\ts->maps[{at}].map = &skel->maps.{};", map.name, map.field);
        if map.data.is_some() {
            let _ = writeln!(text, "\ts->maps[{at}].mmaped = (void **)&skel->{};", map.field);
        }
    }
    if !programs.is_empty() {
        let _ = write!(
            text,
            "\ts->prog_cnt = {};
\ts->prog_skel_sz = sizeof(*s->progs);
\ts->progs = (struct bpf_prog_skeleton *)calloc(s->prog_cnt, s->prog_skel_sz);
\tif (!s->progs)
\t\treturn -ENOMEM;
",
            programs.len()
        );
    }
    for (at, (field, program)) in programs.iter().enumerate() {
        let _ = writeln!(
            text,
            "\ts->progs[{at}].name = {program:?};
\ts->progs[{at}].prog = &skel->progs.{field};
\ts->progs[{at}].link = &skel->links.{field};"
        );
    }
    text.push_str("\treturn 0;\n}\n");
    text
}

/// The variables of a section, each where it lies.
fn fields(btf: &Btf, variables: &[Variable<'_>], types: &mut Types<'_>) -> String {
    let (mut text, mut end, mut pads) = (String::new(), 0, 0);
    let mut sorted: Vec<_> = variables.iter().collect();
    sorted.sort_by_key(|var| var.offset);
    for var in sorted.iter().filter(|var| var.size > 0) {
        if var.offset < end {
            continue;
        }
        if var.offset > end {
            let _ = writeln!(text, "\t\tchar __pad{pads}[{}];", var.offset - end);
            pads += 1;
        }
        let _ = writeln!(text, "\t\t{};", declaration(btf, var, types));
        end = var.offset + var.size;
    }
    text
}

/// `unsigned int name[3]`, `struct lb__backend name`. What C has no words for is bytes.
fn declaration(btf: &Btf, var: &Variable<'_>, types: &mut Types<'_>) -> String {
    let name = identifier(var.name);
    let (mut at, mut lengths, mut left) = (var.ty, String::new(), var.size);
    for _ in 0..ring3::btf::MAX_CHAIN {
        let Ok(ty) = btf.resolved(at) else { break };
        let base = match ty {
            Type::Array { elem, len, .. } if *len > 0 => {
                let _ = write!(lengths, "[{len}]");
                (at, left) = (*elem, left / *len);
                continue;
            }
            Type::Int(int) => integer(left, int.encoding == ring3::btf::IntEncoding::Signed, is_char(btf, at)),
            Type::Enum(e) | Type::Enum64(e) => integer(left, e.signed, false),
            Type::Ptr { .. } => Some("void *"),
            Type::Float { size: 4, .. } => Some("float"),
            Type::Float { size: 8, .. } => Some("double"),
            Type::Struct(_) | Type::Union(_) => match types.composite(at, var.name) {
                Some(said) => return format!("{said} {name}{lengths}"),
                None => None,
            },
            _ => None,
        };
        match base {
            Some(base) if base.ends_with('*') => return format!("{base}{name}{lengths}"),
            Some(base) => return format!("{base} {name}{lengths}"),
            None => break,
        }
    }
    format!("unsigned char {name}[{}]", var.size)
}

pub(super) fn is_char(btf: &Btf, id: TypeId) -> bool {
    btf.resolve(id).is_ok_and(|id| btf.name(id) == "char")
}

pub(super) fn integer(size: u32, signed: bool, is_char: bool) -> Option<&'static str> {
    Some(match (size, signed) {
        (1, _) if is_char => "char",
        (1, true) => "signed char",
        (1, false) => "unsigned char",
        (2, true) => "short",
        (2, false) => "unsigned short",
        (4, true) => "int",
        (4, false) => "unsigned int",
        (8, true) => "long long",
        (8, false) => "unsigned long long",
        (16, true) => "__int128",
        (16, false) => "unsigned __int128",
        _ => return None,
    })
}

fn embedded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 5);
    for line in bytes.chunks(LINE) {
        text.push_str("\t\t");
        for byte in line {
            let _ = write!(text, "{byte},");
        }
        text.push('\n');
    }
    text
}
