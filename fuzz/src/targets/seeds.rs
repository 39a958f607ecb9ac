//! What inputs of a target begin with, out of whatever files there are: bytes that are not of its kind would all end at its first
//! check.

use goblin::elf::Elf;
use goblin::elf::section_header::SHF_EXECINSTR;
use ring3_isa::{Code, Endianness, NoNames};

use super::Target;

/// Seeds of a target, out of files of any kind.
pub fn seeds(target: Target, files: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let sections = |wanted: &dyn Fn(&str, bool) -> bool| files.iter().flat_map(|file| sections(file, wanted)).collect();
    match target {
        Target::States | Target::NoPrune | Target::Engines | Target::Kernel => Vec::new(),
        Target::Elf => files.iter().filter(|file| Elf::parse(file).is_ok()).cloned().collect(),
        Target::Btf => sections(&|name, _| matches!(name, ".BTF" | ".BTF.ext")),
        Target::Decode => sections(&|_, is_code| is_code),
        Target::Assemble => {
            let code: Vec<Vec<u8>> = sections(&|_, is_code| is_code);
            code.iter().filter_map(|code| text(code)).collect()
        }
        Target::Classic => files.iter().filter(|file| str::from_utf8(file).is_ok()).cloned().collect(),
    }
}

fn sections(file: &[u8], wanted: &dyn Fn(&str, bool) -> bool) -> Vec<Vec<u8>> {
    let Ok(elf) = Elf::parse(file) else { return Vec::new() };
    let headers = elf.section_headers.iter().filter(|header| {
        let is_code = header.sh_flags & u64::from(SHF_EXECINSTR) != 0;
        elf.shdr_strtab.get_at(header.sh_name).is_some_and(|name| wanted(name, is_code))
    });
    let bytes = headers.filter_map(|header| file.get(header.file_range()?));
    bytes.filter(|bytes| !bytes.is_empty()).map(<[u8]>::to_vec).collect()
}

/// A listing of code.
fn text(code: &[u8]) -> Option<Vec<u8>> {
    let code = Code::from_bytes(code, Endianness::Little).ok()?;
    let lines = (0..code.len()).filter_map(|slot| Some(format!("{}\n", code.text(slot, &NoNames)?)));
    Some(lines.collect::<String>().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_files_begins_with_some_of_its_kind() {
        let object = include_bytes!("../../../examples/bpf/drop_icmp.bpf.o").to_vec();
        let files = vec![object, b"ldh [12]\nret #0\n".to_vec(), vec![0xff; 9]];
        let count = |target| seeds(target, &files).len();
        assert_eq!((count(Target::Elf), count(Target::Classic), count(Target::States)), (1, 1, 0));
        assert!(count(Target::Btf) == 2 && count(Target::Decode) > 0);
        let listing = seeds(Target::Assemble, &files).concat();
        ring3_isa::assemble(&String::from_utf8(listing).unwrap()).unwrap();
    }
}
